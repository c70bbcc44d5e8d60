import { readdirSync, readFileSync } from 'node:fs';

/** Linux gives resident memory in pages of 4 KiB (16 or 64 KiB on some arm64 kernels; the status file says kB everywhere). */
const residentBytes = (pid: number | 'self'): number => {
	const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
	return match ? Number(match[1]) * 1024 : 0;
};

/** Children belong to the thread that started them, so every thread is asked. */
const childrenOf = (pid: number | 'self'): number[] =>
	readdirSync(`/proc/${pid}/task`).flatMap((thread) =>
		readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
	);

const orElse = <T>(read: () => T, otherwise: T): T => {
	try {
		return read();
	} catch {
		return otherwise; // The process or thread ended between the two reads.
	}
};

const familyBytes = (pid: number | 'self'): number =>
	orElse(() => residentBytes(pid), 0) +
	orElse(() => childrenOf(pid), []).reduce((sum, child) => sum + familyBytes(child), 0);

/**
 * Resident memory of this process and all below it (ffmpeg, the engine), in bytes. Shared pages count in each
 * process, so the sum errs upwards. Takes about 0.3 ms; other platforms than Linux give this process alone.
 */
export const allProcessesRssBytes = (): number =>
	process.platform === 'linux' ? familyBytes('self') : process.memoryUsage.rss();
