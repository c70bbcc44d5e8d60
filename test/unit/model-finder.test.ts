import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { modelHashOf } from '../../sidecar/config/model-hash.ts';
import { modelFinder } from '../../sidecar/fleet/model-finder.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';

setLog({ level: 'silent' });

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const [A, B] = ['a'.repeat(64), 'b'.repeat(64)] as const;

/** A model, as far as it is told from others. */
const folderOf = (name: string, { weights = A, int8 = A, tokenizer = A } = {}): ModelFolder =>
	({
		path: `/models/${name}`,
		manifest: {
			name,
			graphs: { unet: { file: 'unet.onnx', sha256: A, externalData: [{ file: 'unet.data', sha256: weights }] } },
			int8: { unet: { file: 'unet.int8.onnx', sha256: int8 } },
			textEncoder: { tokenizerSha256: tokenizer },
		},
	}) as unknown as ModelFolder;

const wish = ({ manifest }: ModelFolder) => ({ name: manifest.name, sha256: modelHashOf(manifest) });

/** A worker with `own` that has `others` besides; `opened` are the folders that were read. */
const finder = (own: ModelFolder, others: readonly ModelFolder[] = []) => {
	const opened: string[] = [];
	const state = { isDamaged: false };
	const find = async (name: string) => {
		if (!others.some(({ manifest }) => manifest.name === name)) throw new Error('there is none');
		return `/models/${name}`;
	};
	const open = async (path: string) => {
		opened.push(path);
		if (state.isDamaged) throw new Error('it is damaged');
		return others.find((other) => other.path === path)!;
	};
	return { ask: modelFinder(own, { find, open }), opened, state };
};

test.each([['weights'], ['int8'], ['tokenizer']])(
	'a model with other %s is another, under the same graph',
	async (part) => {
		const own = folderOf('lite');
		const { ask } = finder(own);
		expect(await ask(wish(own))).toBe(own);
		expect(await ask(wish(folderOf('lite', { [part]: B })))).toBeUndefined();
	},
);

test('a folder is read once, whoever asks and however often', async () => {
	const other = folderOf('other');
	const { ask, opened } = finder(folderOf('lite'), [other]);
	const found = await Promise.all([ask(wish(other)), ask(wish(other)), ask(wish(folderOf('other', { weights: B })))]);
	expect(found).toEqual([other, other, undefined]);
	expect(await ask(wish(other))).toBe(other);
	expect(opened).toEqual(['/models/other']);
});

test('a damaged one is refused, and read again after a minute', async () => {
	const other = folderOf('other');
	const { ask, opened, state } = finder(folderOf('lite'), [other]);
	state.isDamaged = true;
	expect(await Promise.all([ask(wish(other)), ask(wish(other))])).toEqual([undefined, undefined]);
	state.isDamaged = false;
	await vi.advanceTimersByTimeAsync(59_000);
	expect(await ask(wish(other))).toBeUndefined();
	expect(opened).toHaveLength(1);
	await vi.advanceTimersByTimeAsync(2000);
	expect(await ask(wish(other))).toBe(other);
});

test('names that nobody has take no place from those that are there', async () => {
	const other = folderOf('other');
	const { ask } = finder(folderOf('lite'), [other]);
	for (let i = 0; i < 20; i++) expect(await ask(wish(folderOf(`none-${i}`)))).toBeUndefined();
	expect(await ask(wish(other))).toBe(other);
});
