import { readdirSync, readFileSync } from 'node:fs';

/** The engine processes that this process started and that still run. */
export const enginePids = (parent = process.pid): number[] =>
	readdirSync(`/proc/${parent}/task`)
		.flatMap((thread) => {
			try {
				return readFileSync(`/proc/${parent}/task/${thread}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
			} catch {
				return []; // the thread ended
			}
		})
		.filter((pid) => {
			try {
				return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('engine.process.js');
			} catch {
				return false;
			}
		});

/** Resolves when `holds` does; looks every 5 ms. */
export const until = async (holds: () => boolean | Promise<boolean>, timeoutMs = 30_000): Promise<void> => {
	const end = Date.now() + timeoutMs;
	while (!(await holds())) {
		if (Date.now() > end) throw new Error('what was waited for did not happen');
		await new Promise((resolve) => setTimeout(resolve, 5));
	}
};
