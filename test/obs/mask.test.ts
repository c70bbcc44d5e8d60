// A source of OBS as the mask of what is painted: a real OBS; a peer that inverts everything, and then the real sidecar.
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg } from '../support/clips.ts';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsEcho, type TappedFrame } from '../support/obs-echo.ts';
import { ObsSidecar } from '../support/obs-sidecar.ts';
import { pixelAt, type RgbaPicture } from '../support/png.ts';

const [BLUE, GREEN, RED] = [0x60, 0x40, 0x20];
const GREY_BLUE = 0xff604020;

let obs: Obs;
const masks = 'masks';

const addImage = async (sceneName: string, inputName: string, filter: string, size = '128x72') => {
	const file = join(obs.folder, `${inputName.replaceAll(' ', '-')}.png`);
	await ffmpeg(`-f lavfi -i color=black:size=${size} -vf ${filter} -frames:v 1 ${file}`);
	await obs.socket.call('CreateInput', {
		sceneName,
		inputName,
		inputKind: 'image_source',
		inputSettings: { file },
	});
};
const maskStateOf = async (stream: string) =>
	(await obs.stream(stream)) as { mask?: string; maskState?: string; shown: string };
const isMask = (stream: string, maskState: string | undefined) =>
	obs.until(async () => (await maskStateOf(stream)).maskState === maskState, `a mask that is ${maskState}`);

beforeAll(async () => {
	obs = await Obs.start();
	await obs.socket.call('CreateScene', { sceneName: masks });
	// At another size than the source's, which it is stretched over: white up to 300 of 640, and soft there.
	await addImage(masks, 'left', 'drawbox=x=0:y=0:w=60:h=72:color=white:t=fill');
	await addImage(masks, 'grey', 'format=rgb24,lutrgb=r=100:g=100:b=100');
	await addImage(masks, 'green', 'format=rgb24,lutrgb=r=0:g=255:b=0');
	await obs.addColour(masks, 'half white', 0x80ffffff);
	await obs.addColour(masks, 'half black', 0x80000000);
	await obs.addColour(masks, 'half green', 0x8000ff00);
});
afterAll(async () => {
	await obs[Symbol.asyncDispose]();
});

describe('what is tapped', () => {
	let echo: ObsEcho;
	beforeAll(async () => {
		echo = await ObsEcho.start(obs.runtimeFolder);
	});
	afterAll(async () => {
		expect(echo.failures).toEqual([]);
		await echo[Symbol.asyncDispose]();
	});

	/** The next frame in which the middle has such an alpha. */
	const masked = (id: string, alpha: number): Promise<TappedFrame> =>
		echo.frame(id, ({ middle }) => Math.abs(middle[3] - alpha) <= 1);

	it('has the colours of the source, and the coverage of the mask for alpha; the painting is opaque as the source', async () => {
		const { id, source, stream } = await obs.showColour('masked', GREY_BLUE, { mask_source: 'left' });
		const { corner, middle } = await masked(id, 0);
		expect([corner, middle]).toEqual([
			[BLUE, GREEN, RED, 255],
			[BLUE, GREEN, RED, 0],
		]);
		await isMask(stream, 'used');
		await echo.hears('stream', (message) => message['id'] === id && message['region'] === 'alpha');
		await obs.shows(stream, 'painting');
		const picture = await obs.screenshot(source);
		for (const x of [0.2, 0.8]) expect(pixelAt(picture, x)).toEqual([255 - RED, 255 - GREEN, 255 - BLUE, 255]);
		await obs.setFilter(source, { mask_invert: true });
		expect((await masked(id, 255)).corner[3]).toBe(0);
	});

	it.each([
		['a grey is its luminance', 'grey', {}, 100],
		['green is what a mask file of it is', 'green', {}, 182],
		['white is its alpha', 'half white', {}, 0x80],
		['of a colour it is both', 'half green', {}, 91],
		['of black nothing', 'half black', {}, 0],
		['by its opacity alone black is its alpha', 'half black', { mask_by: 'alpha' }, 0x80],
		['and the other way round', 'half black', { mask_by: 'alpha', mask_invert: true }, 0x7f],
	])('%s', async (_, mask, settings, alpha) => {
		const name = `by ${mask} ${JSON.stringify(settings).length}`;
		const { id } = await obs.showColour(name, GREY_BLUE, { mask_source: mask, ...settings });
		expect((await masked(id, alpha)).middle.slice(0, 3)).toEqual([BLUE, GREEN, RED]);
	});

	it('of a translucent source is as it would be without a mask, and the painting keeps the alpha of the source', async () => {
		const { id, source, stream } = await obs.showColour('translucent', 0x800000ff, { mask_source: 'left' });
		const { corner, middle } = await masked(id, 0);
		expect([corner, middle]).toEqual([
			[0, 0, 255, 255],
			[0, 0, 255, 0],
		]);
		await obs.shows(stream, 'painting');
		// Cyan at half, as a screenshot has it: light of 0.5 is 188.
		for (const x of [0.2, 0.8]) expect(pixelAt(await obs.screenshot(source), x)).toEqual([0, 188, 188, 0x80]);
	});

	it('is the source alone again when the mask is taken away', async () => {
		const { id, source, stream } = await obs.showColour('unmasked', 0x800000ff, { mask_source: 'left' });
		await masked(id, 0);
		echo.heard.length = 0;
		await obs.setFilter(source, { mask_source: '' });
		expect((await masked(id, 0x80)).corner).toEqual([0, 0, 255, 0x80]);
		await isMask(stream, undefined);
		expect((await echo.hears('stream', (message) => message['id'] === id))['region']).toBeUndefined();
	});

	it('follows a mask that changes, goes, comes back, and gets another name', async () => {
		const { id, source, stream } = await obs.showColour('following', GREY_BLUE);
		// In a scene that is drawn, or OBS keeps what is removed from it.
		await addImage('following', 'passing', 'drawbox=x=0:y=0:w=60:h=72:color=white:t=fill');
		await obs.setFilter(source, { mask_source: 'passing' });
		await masked(id, 0);
		await obs.socket.call('SetInputName', { inputName: 'passing', newInputName: 'passing by' });
		const setting = async () =>
			(await obs.socket.call('GetSourceFilter', { sourceName: source, filterName: 'Alla Prima' })).filterSettings[
				'mask_source'
			];
		await obs.until(async () => (await setting()) === 'passing by', 'its other name');
		await masked(id, 0);
		expect(await maskStateOf(stream)).toMatchObject({ mask: 'passing by', maskState: 'used' });
		await obs.socket.call('RemoveInput', { inputName: 'passing by' });
		await masked(id, 255);
		await isMask(stream, 'missing');
		await obs.until(
			async () => (await obs.addColour('following', 'passing by', 0xff000000), true),
			'a source of that name, once OBS has taken the other down',
		);
		await masked(id, 0);
		await isMask(stream, 'used');
		expect(obs.isRunning).toBe(true);
	});

	it.each([
		['that is not there', 'nothing like it', 'missing'],
		['without a size', 'no picture', 'empty'],
		['of sound alone', 'microphone', 'without video'],
		['that is what is painted', 'bad colour', 'recursive'],
		['in which it is', 'bad', 'recursive'],
	])('with a mask %s all of it is to be painted, which is said', async (_, mask, maskState) => {
		const { sources } = await obs.socket
			.call('GetSceneItemList', { sceneName: masks })
			.then(({ sceneItems }) => ({ sources: sceneItems.map(({ sourceName }) => sourceName) }));
		if (!sources.includes('no picture')) {
			await obs.socket.call('CreateInput', { sceneName: masks, inputName: 'no picture', inputKind: 'image_source' });
			await obs.socket.call('CreateInput', {
				sceneName: masks,
				inputName: 'microphone',
				inputKind: 'pulse_input_capture',
			});
			await obs.showColour('bad', 0x80604020);
		}
		await obs.setFilter('bad colour', { mask_source: mask });
		const { id } = await obs.stream('bad colour / Alla Prima');
		expect((await masked(id, 255)).corner[3]).toBe(255);
		await isMask('bad colour / Alla Prima', maskState);
		await obs.until(async () => obs.pluginLog().some((line) => line.includes(`mask source ${mask}: `)), 'a warning');
		expect(pixelAt(await obs.screenshot('bad colour'))[3]).toBe(0x80);
	});

	it('two filters that are each the mask of the other are drawn all the same', async () => {
		const one = await obs.showColour('one', GREY_BLUE, { mask_source: 'other colour' });
		const other = await obs.showColour('other', 0xffffffff, { mask_source: 'one colour' });
		await obs.shows(other.stream, 'painting');
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'one' });
		await obs.shows(one.stream, 'painting');
		await echo.frame(one.id);
		expect(obs.isRunning).toBe(true);
	});
});

describe('the painter', () => {
	const STREAM = 'Camera / Alla Prima';
	/** Of the bytes of columns, as parts of the width: how many differ. The mask is soft from 0.46 to 0.48. */
	const differing = (a: RgbaPicture, b: RgbaPicture, left: number, right: number) => {
		let [count, differ] = [0, 0];
		for (let y = 0; y < a.height; y++)
			for (let at = 4 * (y * a.width + left * a.width); at < 4 * (y * a.width + right * a.width); at++, count++)
				if (a.data[at] !== b.data[at]) differ++;
		return differ / count;
	};

	it('paints where the mask is, leaves the rest of the source alone, and paints all of it without', async () => {
		await obs.socket.call('CreateScene', { sceneName: 'Show' });

		const file = join(obs.folder, 'camera.png');
		await ffmpeg(`-f lavfi -i testsrc2=size=${CANVAS.width}x${CANVAS.height} -frames:v 1 ${file}`);
		await obs.socket.call('CreateInput', {
			sceneName: 'Show',
			inputName: 'Camera',
			inputKind: 'image_source',
			inputSettings: { file },
		});
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Show' });
		await obs.until(async () => (await obs.screenshot('Camera')).width === CANVAS.width, 'the source');
		const source = await obs.screenshot('Camera');
		await obs.addFilter('Camera', { style: 'pencil-sketch', stale_after_ms: 10_000, mask_source: 'left' });
		await obs.until(async () => (await obs.stream(STREAM)).width > 0, 'the filter');
		await using sidecar = ObsSidecar.start(obs, {
			source: `obs:${STREAM}`,
			size: { width: 256, height: 160 },
			fadeS: 0,
		});
		await sidecar.paints(STREAM, 5);
		const shown = await obs.screenshot('Camera');
		expect(differing(source, shown, 0.5, 1)).toBe(0);
		expect(differing(source, shown, 0, 0.45)).toBeGreaterThan(0.6);
		await obs.setFilter('Camera', { mask_invert: true });
		await obs.until(
			async () => differing(source, await obs.screenshot('Camera'), 0, 0.45) === 0,
			'the left half of the source',
		);
		expect(differing(source, await obs.screenshot('Camera'), 0.5, 1)).toBeGreaterThan(0.6);
		await obs.setFilter('Camera', { mask_source: '' });
		await obs.until(
			async () => differing(source, await obs.screenshot('Camera'), 0, 0.45) > 0.6,
			'a painting of all of it',
		);
		expect(differing(source, await obs.screenshot('Camera'), 0.5, 1)).toBeGreaterThan(0.6);
	}, 120_000);
});

it('OBS ends without a leak', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
