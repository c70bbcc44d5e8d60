import { mkdtemp, readdir, readFile, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { GraphCache, graphCacheFolder, graphKey, thisProcessor } from '../../sidecar/inference/graph-cache.ts';
import { threadsOf, type Favours } from '../../sidecar/inference/session.ts';

const GRAPH = Buffer.from('a graph');
const DAY_S = 86_400;

let folder: string;
let cache: GraphCache;

const keep = async (key: string, graph: Uint8Array = GRAPH): Promise<void> => {
	const draft = (await cache.draft(key))!;
	await writeFile(draft, graph);
	await cache.keep(key, draft);
};

beforeEach(async () => {
	folder = join(await mkdtemp(join(tmpdir(), 'graph-cache-')), 'allaprima', 'graphs');
	cache = new GraphCache(folder);
});

describe('GraphCache', () => {
	it('gives back what was kept, and nothing that was not', async () => {
		expect(await cache.read('one')).toBeUndefined();
		await keep('one');
		expect(Buffer.from((await cache.read('one'))!)).toEqual(GRAPH);
		expect(await cache.read('two')).toBeUndefined();
		expect((await stat(folder)).mode & 0o777).toBe(0o700);
	});

	it('does not give what was cut, changed or emptied since, and takes it anew', async () => {
		const path = join(folder, 'one.onnx');
		await keep('one');
		const whole = await readFile(path);
		for (const damaged of [whole.subarray(0, -1), Buffer.from(whole).fill(0, 0, 1), Buffer.alloc(0)]) {
			await writeFile(path, damaged);
			expect(await cache.read('one')).toBeUndefined();
		}
		await keep('one');
		expect(await cache.read('one')).toBeDefined();
		await truncate(path, 32);
		expect(await cache.read('one')).toBeUndefined();
	});

	it('holds the 32 that were used last, and no draft of a process that died', async () => {
		for (let i = 0; i < 32; i++) await keep(`${i}`);
		const old = Date.now() / 1000 - DAY_S;
		await writeFile(join(folder, 'left.draft'), '');
		await writeFile(join(folder, 'being-written.draft'), '');
		for (const name of ['3.onnx', '4.onnx', 'left.draft']) await utimes(join(folder, name), old, old);
		await cache.read('3');
		await keep('another');
		const names = await readdir(folder);
		expect(names.filter((name) => name.endsWith('.onnx'))).toHaveLength(32);
		expect(names).toContain('3.onnx');
		expect(names).not.toContain('4.onnx');
		expect(names).not.toContain('left.draft');
		expect(names).toContain('being-written.draft');
	});

	it('is none where no folder can be made, or the draft was never written', async () => {
		const file = join(folder, '..', '..', 'file');
		await writeFile(file, '');
		for (const nowhere of [join(file, 'allaprima', 'graphs'), '/proc/nowhere/allaprima/graphs']) {
			expect(await new GraphCache(nowhere).draft('one')).toBeUndefined();
			expect(await new GraphCache(nowhere).read('one')).toBeUndefined();
		}
		const draft = (await cache.draft('one'))!;
		await cache.keep('one', draft);
		expect(await cache.read('one')).toBeUndefined();
	});
});

it('lies in the cache folder of the user', () => {
	expect(graphCacheFolder({ HOME: '/ada' })).toBe('/ada/.cache/allaprima/graphs');
	expect(graphCacheFolder({ HOME: '/ada', XDG_CACHE_HOME: '/fast' })).toBe('/fast/allaprima/graphs');
});

it('has another key for another graph, library or processor', async () => {
	const keys = [
		graphKey('a', '1.2', 'this'),
		graphKey('b', '1.2', 'this'),
		graphKey('a', '1.3', 'this'),
		graphKey('a', '1.2', 'that'),
	];
	expect(new Set(keys).size).toBe(4);
	expect(keys[0]).toBe(graphKey('a', '1.2', 'this'));
	expect(await thisProcessor()).toMatch(/^\S+ /);
});

it('shares the cores out for many frames, gives each part most of them for one, and one at least', () => {
	const parts = ['encoder', 'denoiser', 'decoder'] as const;
	const shares = (favours: Favours) =>
		[1, 2, 4, 16].map((cores) => parts.map((part) => threadsOf(part, favours, cores)));
	expect(shares('rate')).toEqual([
		[1, 1, 1],
		[1, 1, 1],
		[1, 2, 1],
		[4, 8, 4],
	]);
	expect(shares('latency')).toEqual([
		[1, 1, 1],
		[1, 2, 2],
		[2, 3, 3],
		[8, 12, 12],
	]);
});
