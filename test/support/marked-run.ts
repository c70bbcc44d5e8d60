import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Report } from '../../sidecar/telemetry/report.ts';

/** A frame that left a run. */
export interface Shown {
	sequence: number;
	kind: 'painting' | 'source' | 'unpainted';
	/** On the monotonic clock, µs. */
	atUs: number;
	/** Since its capture, µs. */
	ageUs: number;
	/** How much of the source's marker is in it, 0 to 1; absent where nobody looks. */
	mark?: number;
	/** Mean level, 0 to 255; absent where nobody looks. */
	light?: number;
}

const script = fileURLToPath(new URL('./marked-run.process.mjs', import.meta.url));

/** A run of the built files as a process of its own, and every frame that leaves it. */
export const startMarkedRun = (configuration: object, { looks }: { looks: boolean }) => {
	const child = fork(script, [JSON.stringify(configuration), looks ? 'looks' : 'counts'], {
		stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
	});
	const shown: Shown[] = [];
	let report: Report | undefined;
	child.on('message', (message: Shown | { report: Report }) => {
		if ('report' in message) report = message.report;
		else shown.push(message);
	});
	return { process: child, shown, report: () => report };
};

/** Ends it as a user would; gives its exit code. */
export const endMarkedRun = async (child: ChildProcess): Promise<number | null> => {
	const exited = child.exitCode === null ? once(child, 'exit') : undefined;
	child.kill('SIGCONT');
	child.kill('SIGTERM');
	await exited;
	return child.exitCode;
};
