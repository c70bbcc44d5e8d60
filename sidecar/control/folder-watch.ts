import { existsSync, watch, type FSWatcher } from 'node:fs';
import { dirname, relative, sep } from 'node:path';
import { log } from '../telemetry/logger.ts';

/** One save is several events, and some editors write a file in parts. */
const SETTLE_MS = 100;

/**
 * Calls back some time after something changed in one of the folders, once for all that changed until then. A folder may
 * be missing, be removed and be made again: what is there of the way to it is watched, too. Keeps no process alive.
 */
export const watchFolders = (folders: readonly string[], onChange: () => void): Disposable => {
	let watchers: FSWatcher[] = [];
	let timer: NodeJS.Timeout | undefined;
	let isWarned = false;
	const close = () => {
		for (const watcher of watchers) watcher.close();
		watchers = [];
	};
	const touch = () => {
		timer ??= setTimeout(() => {
			timer = undefined;
			arm();
			onChange();
		}, SETTLE_MS).unref();
	};
	const watchOne = (folder: string, isMeant: (name: string | null) => boolean): FSWatcher | undefined => {
		try {
			const watcher = watch(folder, { persistent: false }, (_, name) => {
				if (isMeant(name)) touch();
			});
			return watcher.on('error', touch); // the folder is gone, on Windows
		} catch (error) {
			if ((error as NodeJS.ErrnoException).code === 'ENOENT') {
				touch(); // gone since it was looked for
			} else if (!isWarned) {
				isWarned = true;
				log.warn({ folder, error }, 'folder is not watched'); // there are only so many for a user
			}
			return undefined;
		}
	};
	/** The way to the folder may change while it is looked for. */
	const watchNearest = (folder: string): FSWatcher | undefined => {
		for (;;) {
			const there = nearestOf(folder);
			const next = relative(there, folder).split(sep)[0]!;
			const watcher = watchOne(there, (name) => next === '' || name === null || name === next);
			if (nearestOf(folder) === there) return watcher;
			watcher?.close();
		}
	};
	const arm = () => {
		close();
		watchers = folders.flatMap((folder) => watchNearest(folder) ?? []);
	};
	arm();
	return {
		[Symbol.dispose]: () => {
			clearTimeout(timer);
			close();
		},
	};
};

/** The folder itself or, where it is missing, the nearest around it that is there. */
const nearestOf = (folder: string): string => {
	let there = folder;
	while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
	return there;
};
