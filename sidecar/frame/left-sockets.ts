import { lstatSync, readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Removes sockets `PREFIX-PID-N.sock` whose process has gone: one that was killed leaves them behind, and nobody else
 * takes the name again. What cannot be looked at or removed stays.
 */
export const removeLeftSockets = (folder: string, prefix: string): void => {
	for (const name of readdirSync(folder)) {
		const pid = name.startsWith(`${prefix}-`) && /^-(\d{1,9})-\d+\.sock$/.exec(name.slice(prefix.length))?.[1];
		if (!pid || isRunning(Number(pid))) continue;
		try {
			if (lstatSync(join(folder, name)).isSocket()) unlinkSync(join(folder, name));
		} catch {
			// Somebody else was first.
		}
	}
};

/** Of this user: the folder is nobody else's. */
const isRunning = (pid: number): boolean => {
	try {
		process.kill(pid, 0);
		return true;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code !== 'ESRCH';
	}
};
