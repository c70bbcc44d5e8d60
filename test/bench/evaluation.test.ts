// The judgement of a model in its small form, on drawn scenes. Its figures are for scripts/evaluate.
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';

const scripts = (file: string) => fileURLToPath(new URL(`../../scripts/${file}`, import.meta.url));
const { native } = await import(scripts('evaluation/painter.mjs'));
const { character, motionOf, warpingErrors } = await import(scripts('evaluation/measures.mjs'));

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

describe('scripts/evaluate', () => {
	it('judges every style in every way, and makes sheets', { timeout: 600_000 }, async () => {
		const json = folder.at('evaluation.json');
		const sheets = folder.at('sheets');
		const flags = ['--small', '--json', json, '--sheets', sheets];
		const { stdout } = await promisify(execFile)(process.execPath, [scripts('evaluate.mjs'), ...flags]);
		const { sections } = JSON.parse(await readFile(json, 'utf8'));
		const of = (name: string) => sections.find((section: { name: string }) => section.name === name).values;

		const styles = Object.keys(of('detail'));
		expect(styles).toHaveLength(8);
		for (const style of styles) {
			// From 20.8 to 24.0 dB with lite 0.2.0; a painting of another style is at 10 to 16.
			for (const steps of [1, 2, 4]) expect(of('detail')[style][steps].psnrDb, style).toBeGreaterThan(17);
			expect(of('stillness')[style].fixed, style).toBeLessThan(1);
			expect(of('clips')[style].neither.all, style).toBeGreaterThan(of('stillness')[style].fixed);
			expect(of('clips')[style]['noise per frame'].all, style).toBeGreaterThan(of('clips')[style].neither.all);
			expect(of('sentences').paraphrases[style].mean, style).toBeLessThan(0.1);
			expect(Object.keys(of('modifiers')[style])).toHaveLength(style === 'pencil-sketch' ? 6 : 9);
		}
		expect(of('mixtures')).toHaveLength(28);
		expect(of('unknown').length).toBeGreaterThan(5);
		expect(of('transfer')['styles that nobody named'].adapter.all).toBeGreaterThan(0.2);
		expect(of('speed').runs.fp32.fps).toBeGreaterThan(0);
		expect(of('speed').folderBytes).toBeLessThan(25e6);

		const verdicts = sections.flatMap((section: { verdicts: object[] }) => section.verdicts);
		expect(verdicts.length).toBeGreaterThanOrEqual(23);
		for (const { what } of verdicts) expect(stdout).toContain(`| ${what} | `);
		expect(stdout).not.toMatch(/NaN|undefined|Infinity/);

		expect((await readdir(sheets)).length).toBeGreaterThan(2);
		const pixels = await ffmpeg(`-i ${sheets}/text.png -f rawvideo -pix_fmt rgb24 -`);
		expect(pixels).toHaveLength(3 * 1536 * 864);
	});

	it('judges a causal transformer', { timeout: 300_000 }, async () => {
		const json = folder.at('causal.json');
		const sheets = folder.at('causal');
		const flags = ['--small', '--json', json, '--sheets', sheets];
		const { stdout } = await promisify(execFile)(process.execPath, [scripts('evaluate-causal.mjs'), ...flags]);
		const { sections } = JSON.parse(await readFile(json, 'utf8'));
		const of = (name: string) => sections.find((section: { name: string }) => section.name === name).values;
		const paintings: { way: string; psnrDb: number; warpingError: number }[] = of('paintings');
		expect(paintings).toHaveLength(16);
		// A painting of another style is at 10 to 16.
		for (const way of ['told', 'shown'])
			expect(
				paintings.filter((one) => one.way === way).reduce((sum, { psnrDb }) => sum + psnrDb, 0) / 8,
			).toBeGreaterThan(17);
		for (const { warpingError } of paintings) expect(warpingError).toBeGreaterThan(0);
		expect(of('drift').map(({ way }: { way: string }) => way)).toEqual(['told', 'shown', 'shown, not anchored']);
		const [, shown, unanchored] = of('drift') as { change: number }[];
		expect(unanchored!.change).not.toBe(shown!.change);
		// After black, what is not anchored has no style left to go on with.
		const [anchored, loose] = of('anchor') as { last: number }[];
		expect(loose!.last).toBeGreaterThan(2 * anchored!.last);
		expect(of('switch')).toHaveLength(2);
		for (const { outside } of of('maskCache')) expect(outside).toBeGreaterThan(0);
		const ways = of('buffer').values as { way: string; psnrDb: number }[];
		expect(ways.map(({ way }) => way)).toEqual(['2 steps', '1 step', 'buffer']);
		expect(Math.abs(ways[0]!.psnrDb - ways[2]!.psnrDb)).toBeLessThan(1);
		expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
		// Six frames of each stream, and those around the switches.
		expect((await readFile(join(sheets, 'drift-anime-told.rgb'))).length).toBe(6 * 3 * 256 * 144);
		expect((await readFile(join(sheets, 'anchor-oil-painting-not-anchored.rgb'))).length).toBe(4 * 3 * 256 * 144);
		expect((await readFile(join(sheets, 'switch.rgb'))).length).toBe(8 * 3 * 256 * 144);
	});

	it('says which judgements there are when it is asked for another', async () => {
		const run = promisify(execFile)(process.execPath, [scripts('evaluate.mjs'), '--only', 'beauty']);
		await expect(run).rejects.toMatchObject({ stderr: expect.stringMatching(/no beauty; there are speed, detail/) });
	});
});

const SIZE = { width: 128, height: 96 };
const picture = (colour: (x: number, y: number) => [number, number, number]): Picture => {
	const data = new Uint8Array(3 * SIZE.width * SIZE.height);
	for (let y = 0, i = 0; y < SIZE.height; y++) for (let x = 0; x < SIZE.width; x++, i += 3) data.set(colour(x, y), i);
	return { ...rgbLayout(SIZE), data };
};

describe('what is measured', () => {
	it('has the warping error of the addon', async () => {
		const at = (t: number) =>
			picture((x, y) => {
				const v = 128 + 60 * Math.sin((x - 3 * t) / 7) + 50 * Math.sin((y + 2 * t) / 5);
				return [v, v / 2 + 40, 255 - v];
			});
		const grain = (t: number) => picture((x, y) => [(x * y * 7 + 31 * t) % 255, (x * 3 + y * t) % 255, (x ^ y) & 255]);
		const [inputs, outputs] = [
			[at(0), at(1)],
			[grain(0), grain(1)],
		];
		const ours = await warpingErrors(await motionOf(inputs), outputs);
		const addon = await native.warpingError(inputs, outputs);
		expect(addon.visibleFraction).toBeGreaterThan(0.3);
		expect(ours.all).toBeCloseTo(addon.all, 1);
		expect(ours.visible / addon.visible).toBeCloseTo(1, 1);
	});

	it('has CIE Lab of known colours', () => {
		// sRGB, D65: red is 53.24, 80.09, 67.20.
		const red = character(picture(() => [255, 0, 0]));
		expect(red.light).toBeCloseTo(53.24, 0);
		expect(red.b).toBeCloseTo(67.2, 0);
		expect(red.chroma).toBeCloseTo(Math.hypot(80.09, 67.2), 0);
		const white = character(picture(() => [255, 255, 255]));
		expect(white.light).toBeCloseTo(100, 1);
		expect(white.chroma).toBeLessThan(0.1);
	});

	it('finds strokes of 4 pixels finer than those of 8, however strong they are', () => {
		const strokes = (period: number, strength: number) =>
			character(
				picture(
					(x) => Array(3).fill(128 + strength * Math.sin((2 * Math.PI * x) / period)) as [number, number, number],
				),
			);
		expect(strokes(4, 20).fineness).toBeGreaterThan(2 * strokes(8, 100).fineness);
	});

	it('finds lines of 2 pixels thinner than those of 6, however dark they are, and as thin upright as level', () => {
		const lines = (wide: number, dark: number, upright: boolean) =>
			character(
				picture((x, y) => Array(3).fill(((upright ? x : y) + 10) % 24 < wide ? dark : 240) as [number, number, number]),
			).thinness;
		expect(lines(2, 180, true)).toBeGreaterThan(0.9);
		expect(lines(2, 180, false)).toBeCloseTo(lines(2, 180, true), 1);
		expect(lines(6, 20, true)).toBeLessThan(0.1);
		expect(lines(6, 20, false)).toBeLessThan(0.1);
	});
});
