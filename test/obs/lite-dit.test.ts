// The causal transformer in OBS: the real sidecar paints filters with models/lite-dit, told a style, shown a picture, and
// while both change.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ffmpeg } from '../support/clips.ts';
import { readNumbers, showNumbers, stepsFrom, STRIP } from '../support/frame-numbers.ts';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsSidecar } from '../support/obs-sidecar.ts';
import type { RgbaPicture } from '../support/png.ts';

const SHEET = fileURLToPath(new URL('../../models/lite-dit/paintings.jpg', import.meta.url));
const STREAM = 'Camera / Alla Prima';
const NUMBERS = `${STRIP} / Alla Prima`;
/** However busy the machine is, it shows no source in place of a painting. */
const PATIENT = { failure: 'hold', stale_after_ms: 10_000, hold_s: 0 };
const DIT = { model: 'lite-dit', fadeS: 0 };

let obs: Obs;
let sidecar: ObsSidecar;
let source: RgbaPicture;

/** A photograph as the painter of a row of the model's card paints it; no painting of what is in the scene. */
const paintingOf = async (row: number, path: string): Promise<void> => {
	await ffmpeg(`-i ${SHEET} -vf crop=256:144:768:${144 * row} ${path}`);
};
const PENCIL = 2;

beforeAll(async () => {
	obs = await Obs.start();
	const presets = join(obs.folder, '.local/share/allaprima/presets');
	mkdirSync(presets, { recursive: true });
	await paintingOf(PENCIL, join(presets, 'drawn.png'));
	const drawn = { name: 'drawn', title: 'Drawn', model: 'lite-dit', reference: 'drawn.png', strength: 1, seed: 42 };
	writeFileSync(
		join(presets, 'drawn.style.json'),
		JSON.stringify({ format: 'allaprima-style', formatVersion: 2, ...drawn }),
	);
	const still = join(obs.folder, 'still.png');
	await ffmpeg(`-f lavfi -i testsrc2=size=${CANVAS.width}x${CANVAS.height} -frames:v 1 ${still}`);
	await obs.socket.call('CreateScene', { sceneName: 'Told' });
	await obs.socket.call('CreateInput', {
		sceneName: 'Told',
		inputName: 'Camera',
		inputKind: 'image_source',
		inputSettings: { file: still },
	});
	await obs.socket.call('CreateScene', { sceneName: 'Shown' });
	await obs.socket.call('CreateSceneItem', { sceneName: 'Shown', sourceName: 'Camera' });
	await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Cut' });
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Told' });
	await obs.until(async () => chromaOf((source = await obs.screenshot('Camera'))) > 40, 'the source');
	await obs.addFilter('Camera', { style: 'comic-halftone', ...PATIENT });
	await obs.until(async () => (await obs.stream(STREAM)).width > 0, 'the filter');
	sidecar = ObsSidecar.start(obs, { ...DIT, obs: { scenes: { Told: 'comic-halftone', Shown: 'drawn' } } });
	await sidecar.paints(STREAM, 3);
}, 90_000);
afterAll(async () => {
	await sidecar[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

/** Mean distance from grey. */
const chromaOf = ({ data }: RgbaPicture): number => {
	let chroma = 0;
	for (let i = 0; i < data.length; i += 4) {
		const [red = 0, green = 0, blue = 0] = data.subarray(i, i + 3);
		chroma += Math.max(red, green, blue) - Math.min(red, green, blue);
	}
	return chroma / (data.length / 4);
};

/** Mean difference of a channel, 0 to 255. */
const distance = (a: RgbaPicture, b: RgbaPicture): number =>
	a.data.reduce((sum, level, i) => sum + Math.abs(level - b.data[i]!), 0) / (0.75 * a.data.length);

/** What the camera looks like once it does. */
const looks = async (isRight: (picture: RgbaPicture) => boolean, what: string): Promise<RgbaPicture> => {
	let seen = source;
	await obs.until(async () => isRight((seen = await obs.screenshot('Camera'))), what, 25_000);
	return seen;
};
const isColoured = (picture: RgbaPicture) => chromaOf(picture) > 0.6 * chromaOf(source);
const isDrawn = (picture: RgbaPicture) => chromaOf(picture) < 0.25 * chromaOf(source);
const isComic = (picture: RgbaPicture) => isColoured(picture) && distance(source, picture) > 15;

const show = (sceneName: string) => obs.socket.call('SetCurrentProgramScene', { sceneName });
const sidecarLog = () => readFileSync(join(obs.folder, 'sidecar.log'), 'utf8');

it('a filter is painted in the style that it is told, by a scene in that of a picture, and back', async () => {
	const comic = await looks(isComic, 'a comic');
	const { styles } = await obs.vendor<{ styles: object[] }>('list_styles');
	expect(styles).toContainEqual(expect.objectContaining({ name: 'drawn', title: 'Drawn' }));
	await show('Shown');
	const drawn = await looks(isDrawn, 'a drawing');
	expect((await obs.stream()).style).toBe('drawn');
	expect(distance(comic, drawn)).toBeGreaterThan(20);
	await show('Told');
	const again = await looks(isComic, 'a comic again');
	expect(distance(comic, again)).toBeLessThan(0.5 * distance(source, comic));
	await obs.vendor('set_style', { style: 'anime' });
	await obs.until(async () => (await obs.stream()).style === 'anime', 'the style');
	await looks((picture) => isColoured(picture) && distance(comic, picture) > 8, 'anime');
});

it('a second filter’s frames come painted and in order, across switches', async () => {
	await showNumbers(obs);
	await obs.setFilter(STRIP, { ...PATIENT, style: 'pencil-sketch' });
	await sidecar.paints(NUMBERS, 3);
	const before = await obs.stream(NUMBERS);
	const frames = await readNumbers(obs, false, async () => {
		for (const style of ['pencil-sketch', 'drawn', 'ukiyo-e']) {
			const { framesShown } = await obs.stream(NUMBERS);
			await obs.setFilter(STRIP, { style });
			// However fast the machine paints.
			await obs.until(async () => (await obs.stream(NUMBERS)).framesShown >= framesShown + 5, `${style} painted`);
		}
	});
	const after = await obs.stream(NUMBERS);
	const steps = frames.slice(1).map(({ shown }, i) => stepsFrom(frames[i]!.shown, shown));
	expect(Math.min(...steps)).toBe(0);
	const paintings = steps.filter((step) => step > 0).length;
	// A machine that paints few records few, too.
	expect(paintings).toBeGreaterThanOrEqual(3);
	// Nothing is shown that the source was not before.
	expect(frames.filter(({ source: now, shown }) => stepsFrom(shown, now) < 0)).toEqual([]);
	expect(after.framesShown - before.framesShown).toBeGreaterThanOrEqual(paintings);
	expect(after.framesTapped).toBeGreaterThanOrEqual(after.framesShown);
	expect(after).toMatchObject({ engine: 'painting', shown: 'painting', style: 'ukiyo-e' });
});

it('a picture that the painter is started with is shown, until a style is chosen in the dialog', async () => {
	expect(await sidecar.stop()).toBe(0);
	await show('Told');
	await obs.setFilter('Camera', { style: 'comic-halftone' });
	sidecar = ObsSidecar.start(obs, { ...DIT, reference: join(obs.folder, '.local/share/allaprima/presets/drawn.png') });
	await sidecar.paints(STREAM, 3);
	await looks(isDrawn, 'a drawing from the start');
	await obs.setFilter('Camera', { style: 'anime' });
	await looks(isColoured, 'a style from the dialog');
});

it('nobody complained, and OBS ends clean', async () => {
	expect(await sidecar.stop()).toBe(0);
	expect(sidecarLog()).not.toMatch(/engine lost|"level":"(error|fatal)"/);
	expect(obs.pluginLog().filter((line) => /^(warning|error)/.test(line))).toEqual([]);
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
