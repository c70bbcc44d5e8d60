import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { link, lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { SidecarError } from '../errors.ts';

/** Reading and writing of files that others may have made or moved. */

// Windows lacks two of them; what is not there counts as 0.
const { O_RDONLY, O_NONBLOCK, O_NOFOLLOW } = constants;

interface Reading {
	/** What is larger is not read. */
	byteLengthMax: number;
	/** Whether the file itself may be a symbolic link, as those are who keep their presets elsewhere. */
	follow: boolean;
}

/**
 * Reads a regular file. Opening a FIFO or a device waits for nobody, for neither is read.
 * Errors: ERR_STYLE, that it is missing, no file, too large or a symbolic link.
 */
export const readGuarded = async (path: string, { byteLengthMax, follow }: Reading): Promise<Buffer> => {
	const refuse = (reason: string, cause?: unknown): never => {
		throw new SidecarError('ERR_STYLE', `${path}: ${reason}`, { cause });
	};
	const file = await open(path, O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW)).catch((cause: unknown) => {
		const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
		return refuse(code === 'ELOOP' ? 'is a symbolic link, expected a file' : `cannot be read (${code})`, cause);
	});
	try {
		const stats = await file.stat();
		if (!stats.isFile()) refuse('is not a regular file');
		if (stats.size > byteLengthMax) refuse(`has ${stats.size} bytes, expected at most ${byteLengthMax}`);
		// One more than it may have: the file may grow while it is read.
		const bytes = Buffer.alloc(byteLengthMax + 1);
		let byteLength = 0;
		for (;;) {
			const { bytesRead } = await file.read(bytes, byteLength, bytes.length - byteLength);
			byteLength += bytesRead;
			if (bytesRead === 0 || byteLength > byteLengthMax) break;
		}
		if (byteLength > byteLengthMax) refuse(`has more than ${byteLengthMax} bytes`);
		return Buffer.from(bytes.subarray(0, byteLength));
	} finally {
		await file.close();
	}
};

/** Makes a folder and those around it, where they are missing. Errors: ERR_STYLE. */
export const makeFolder = async (path: string): Promise<void> => {
	await mkdir(path, { recursive: true }).catch((cause: NodeJS.ErrnoException) => {
		throw new SidecarError('ERR_STYLE', `${path} cannot be made (${cause.code ?? 'unknown error'}).`, { cause });
	});
};

/** Whether anything is there, a symbolic link to nowhere too. */
export const isTaken = async (path: string): Promise<boolean> =>
	await lstat(path).then(
		() => true,
		() => false,
	);

/**
 * Writes whole files or none, in their order, into folders that are there. A symbolic link in their place is replaced,
 * never followed. Unless they may `replace`, whatever is there stays. Permissions are `mode` where it is given, from the
 * first byte on. Errors: ERR_STYLE.
 */
export const writeGuarded = async (
	files: readonly { path: string; content: Uint8Array | string; mode?: number }[],
	{ replace }: { replace: boolean },
): Promise<void> => {
	const suffix = `${randomBytes(6).toString('hex')}.tmp`;
	const written: { temporary: string; path: string }[] = [];
	const placed: string[] = [];
	let current = '';
	try {
		for (const { path, content, mode } of files) {
			current = path;
			const temporary = join(dirname(path), `.${basename(path)}.${suffix}`);
			await writeNew(temporary, { content, mode }, () => written.push({ temporary, path }));
		}
		for (const { temporary, path } of written) {
			current = path;
			if (replace) await rename(temporary, path);
			else await linkOrRename(temporary, path);
			placed.push(path);
		}
	} catch (cause) {
		if (!replace) for (const path of placed) await rm(path, { force: true });
		const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
		throw new SidecarError(
			'ERR_STYLE',
			code === 'EEXIST'
				? `${current} is there already. --force replaces it.`
				: `${current} cannot be written (${code}).`,
			{ cause },
		);
	} finally {
		for (const { temporary } of written) await rm(temporary, { force: true });
	}
};

const writeNew = async (
	path: string,
	{ content, mode }: { content: Uint8Array | string; mode: number | undefined },
	onMade: () => void,
): Promise<void> => {
	const file = await open(path, 'wx', mode === undefined ? 0o666 : 0o600);
	onMade();
	try {
		if (mode !== undefined) await file.chmod(mode);
		await file.writeFile(content);
		await file.sync();
	} finally {
		await file.close();
	}
};

/** A link is made only where there is nothing, in one step. Not every file system has them. */
const linkOrRename = async (from: string, to: string): Promise<void> => {
	try {
		await link(from, to);
	} catch (cause) {
		if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EMLINK'].includes((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
		if (await isTaken(to)) throw Object.assign(new Error(`${to} is there`, { cause }), { code: 'EEXIST' });
		await rename(from, to);
	}
};
