import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { cpus, homedir } from 'node:os';
import { dirname, join } from 'node:path';

const DIGEST_BYTES = 32;
const KEPT_MAX = 32;
/** A draft that is older was left by a process that died. */
const DRAFT_AGE_MAX_MS = 60_000;

/** Where the graphs of this user are kept; it may be deleted at any time. */
export const graphCacheFolder = (environment: NodeJS.ProcessEnv = process.env): string =>
	join(environment['XDG_CACHE_HOME'] || join(environment['HOME'] || homedir(), '.cache'), 'allaprima', 'graphs');

/** What an optimised graph depends on: the graph, the library that optimised it, the processor it did so for. */
export const graphKey = (graphSha256: string, library: string, processor: string): string =>
	createHash('sha256')
		.update(JSON.stringify([graphSha256, library, processor]))
		.digest('hex');

/** Name and instruction sets: virtual machines of one name may differ in these. */
export const thisProcessor = async (): Promise<string> => {
	const flags = await readFile('/proc/cpuinfo', 'utf8').then(
		(text) => /^flags\s*:(.*)$/m.exec(text)?.[1] ?? '',
		() => '',
	);
	return `${process.arch} ${cpus()[0]?.model ?? ''} ${flags}`;
};

/**
 * Graphs as onnxruntime optimised them, or what they gave on the CPU (reference.ts), each a file that ends in the sha256
 * of what is before it. Nothing here fails a start: what cannot be read or written is not there. Holds the 32 used last.
 */
export class GraphCache {
	readonly #folder: string;
	readonly #extension: string;

	constructor(folder: string, extension: 'onnx' | 'outputs' = 'onnx') {
		this.#folder = folder;
		this.#extension = `.${extension}`;
	}

	/** What was kept, or undefined where there is nothing or it is damaged. */
	async read(key: string): Promise<Uint8Array | undefined> {
		const path = this.#pathOf(key);
		const bytes = await readFile(path).catch(() => undefined);
		if (!bytes || bytes.length <= DIGEST_BYTES) return undefined;
		const kept = bytes.subarray(0, -DIGEST_BYTES);
		if (!digestOf(kept).equals(bytes.subarray(-DIGEST_BYTES))) return undefined;
		const now = new Date();
		await utimes(path, now, now).catch(() => undefined);
		return kept;
	}

	/** A path to write to, for `keep`; undefined where there is no place for it. */
	async draft(key: string): Promise<string | undefined> {
		// Not `recursive`: where a file system answers ENOENT (/proc, an automounter), Node then tries for ever.
		for (const folder of [dirname(dirname(this.#folder)), dirname(this.#folder), this.#folder])
			try {
				await mkdir(folder, { mode: 0o700 });
			} catch (error) {
				if ((error as NodeJS.ErrnoException).code !== 'EEXIST') return undefined;
			}
		return `${this.#pathOf(key)}.${randomUUID()}.draft`;
	}

	async keep(key: string, draft: string): Promise<void> {
		try {
			const digest = digestOf(await readFile(draft));
			const file = await open(draft, 'a');
			try {
				await file.write(digest);
			} finally {
				await file.close();
			}
			await rename(draft, this.#pathOf(key));
			await this.#prune();
		} catch {
			await this.discard(draft);
		}
	}

	async discard(draft: string): Promise<void> {
		await rm(draft, { force: true }).catch(() => undefined);
	}

	async #prune(): Promise<void> {
		const files = await Promise.all(
			(await readdir(this.#folder)).map(async (name) => {
				const path = join(this.#folder, name);
				return { path, mtimeMs: (await stat(path).catch(() => undefined))?.mtimeMs ?? 0 };
			}),
		);
		const isOldDraft = ({ path, mtimeMs }: (typeof files)[number]): boolean =>
			path.endsWith('.draft') && Date.now() - mtimeMs > DRAFT_AGE_MAX_MS;
		const kept = files.filter(({ path }) => path.endsWith(this.#extension)).sort((a, b) => b.mtimeMs - a.mtimeMs);
		for (const { path } of [...files.filter(isOldDraft), ...kept.slice(KEPT_MAX)]) await rm(path, { force: true });
	}

	#pathOf(key: string): string {
		return join(this.#folder, `${key}${this.#extension}`);
	}
}

const digestOf = (bytes: Uint8Array): Buffer => createHash('sha256').update(bytes).digest();
