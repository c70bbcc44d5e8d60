// What the filter gives and shows: real OBS, and a peer that inverts what it is given.
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg } from '../support/clips.ts';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { pixelAt } from '../support/png.ts';

/** Resolves with what is the same three times in a row. */
const settled = async <Value>(look: () => Promise<Value>): Promise<Value> => {
	const seen: Value[] = [];
	for (let i = 0; i < 200; i++) {
		seen.push(await look());
		const [a, b, c] = seen.slice(-3).map((value) => JSON.stringify(value));
		if (a !== undefined && c !== undefined && a === b && b === c && i > 5) return seen.at(-1)!;
	}
	throw new Error(`it does not settle: ${JSON.stringify(seen.slice(-5))}`);
};

let obs: Obs;
let echo: ObsEcho;
beforeAll(async () => {
	obs = await Obs.start();
	echo = await ObsEcho.start(obs.runtimeFolder);
});
afterEach(() => expect(echo.failures).toEqual([]));
afterAll(async () => {
	await echo[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

it('is loaded by OBS, with no line of complaint', () => {
	expect(obs.pluginLog().filter((line) => /^(warning|error)/.test(line))).toEqual([]);
	expect(obs.log()).toContain('allaprima.so');
});

describe('the tap', () => {
	it('gives the pixels of a colour source exactly', async () => {
		const { id } = await obs.showColour('grey-blue', 0xff604020);
		expect((await echo.frame(id)).middle).toEqual([0x60, 0x40, 0x20, 255]);
	});

	it('gives a half transparent red as red, its alpha beside it', async () => {
		const { id } = await obs.showColour('half-red', 0x800000ff);
		expect((await echo.frame(id)).middle).toEqual([0, 0, 255, 0x80]);
	});

	it('gives one picture a tick where the source is shown twice', async () => {
		const { id, source } = await obs.showColour('twice', 0xff112233);
		await obs.socket.call('CreateSceneItem', { sceneName: 'twice', sourceName: source });
		const first = await echo.frame(id);
		const later = await echo.frame(id, ({ sequence }) => sequence > first.sequence + 20);
		const ticks = (later.capturedUs - first.capturedUs) / (1e6 / CANVAS.fps);
		expect(later.sequence - first.sequence).toBeLessThanOrEqual(Math.ceil(ticks) + 1);
	});

	it('goes on, at the new size, when the source changes its size', async () => {
		const { id, source, stream } = await obs.showColour('resized', 0xff604020);
		await obs.shows(stream, 'painting');
		await obs.socket.call('SetInputSettings', { inputName: source, inputSettings: { width: 800, height: 450 } });
		expect(await echo.frame(id, ({ width }) => width === 800)).toMatchObject({
			height: 450,
			middle: [0x60, 0x40, 0x20, 255],
		});
		await obs.until(async () => {
			const picture = await obs.screenshot(source);
			return picture.width === 800 && pixelAt(picture)[0] === 255 - 0x20;
		}, 'a painting of the new size');
		expect(await obs.screenshot(source)).toMatchObject({ width: 800, height: 450 });
	});

	it('of a scene is of all that is in it', async () => {
		await obs.socket.call('CreateScene', { sceneName: 'whole' });
		await obs.addColour('whole', 'left half', 0xff0000ff, { width: 320, height: 360 });
		await obs.addFilter('whole');
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'whole' });
		await obs.shows('whole / Alla Prima', 'painting');
		const { id } = await obs.stream('whole / Alla Prima');
		expect(await echo.frame(id)).toMatchObject({ ...sizeOf(CANVAS), corner: [0, 0, 255, 255] });
	});
});

const sizeOf = ({ width, height }: { width: number; height: number }) => ({ width, height });

describe('in place of the source', () => {
	it('the painting is shown, at the size of the source', async () => {
		const { source, stream } = await obs.showColour('inverted', 0xff604020, {}, { width: 320, height: 200 });
		await obs.shows(stream, 'painting');
		const picture = await obs.screenshot(source);
		expect(picture).toMatchObject({ width: 320, height: 200 });
		expect(pixelAt(picture)).toEqual([255 - 0x20, 255 - 0x40, 255 - 0x60, 255]);
	});

	it('the painting has the alpha of the source', async () => {
		await obs.socket.call('CreateScene', { sceneName: 'translucent' });
		await obs.addColour('translucent', 'ground', 0xff000000);
		await obs.addColour('translucent', 'half black', 0x80000000);
		await obs.addFilter('half black');
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'translucent' });
		await obs.shows('half black / Alla Prima', 'painting');
		const half = pixelAt(await obs.screenshot('half black'));
		expect(half[3]).toBe(0x80);
		// White at half over black, blended in linear light as OBS blends: 188 of 255.
		await obs.until(async () => pixelAt(await obs.screenshot('translucent'))[0] > 100, 'the painted scene');
		const [red, green, blue] = pixelAt(await obs.screenshot('translucent'));
		expect(red).toBeGreaterThanOrEqual(187);
		expect(red).toBeLessThanOrEqual(189);
		expect([green, blue]).toEqual([red, red]);
	});

	it('a clip is tapped as it is, and its alpha is kept: in the painting, beside it, and without one', async () => {
		const clip = join(obs.folder, 'half.mov');
		await ffmpeg(`-f lavfi -i color=0x204060@0.5:size=320x180:rate=30:duration=2,format=rgba -c:v png ${clip}`);
		await obs.socket.call('CreateScene', { sceneName: 'clip' });
		await obs.addColour('clip', 'clip ground', 0xff000000);
		const inputSettings = { local_file: clip, looping: true };
		const input = { sceneName: 'clip', inputName: 'half clip', inputKind: 'ffmpeg_source', inputSettings };
		await obs.socket.call('CreateInput', input);
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'clip' });
		const shown = async () => pixelAt(await obs.screenshot('clip'), 0.2, 0.2);
		await obs.until(async () => (await shown())[2] > 20, 'the clip');
		const plain = await settled(shown);
		await obs.addFilter('half clip');
		await obs.shows('half clip / Alla Prima', 'painting');
		const { id } = await obs.stream('half clip / Alla Prima');
		const { middle } = await echo.frame(id);
		expect(middle).toEqual([0x60, 0x40, 0x20, 0x7f]);
		const painted = pixelAt(await obs.screenshot('half clip'));
		expect(painted[3]).toBe(0x7f);
		// What shows the source in the place of a painting is what OBS shows without the filter.
		await obs.setFilter('half clip', { mode: 'tap' });
		await obs.shows('half clip / Alla Prima', 'painting');
		expect(await settled(shown)).toEqual(plain);
		await obs.socket.call('CreateInput', {
			sceneName: 'clip',
			inputName: 'half clip output',
			inputKind: 'allaprima_output',
			inputSettings: { stream: 'half clip / Alla Prima' },
		});
		const output = async () => pixelAt(await obs.screenshot('half clip output')).join(' ');
		await obs.until(async () => (await output()).endsWith(' 127'), 'an output');
		echo.tell({ paints: false });
		try {
			await obs.shows('half clip / Alla Prima', 'source');
			// Its light times its alpha, as a screenshot of a scene has it: 0x20 is light of 0.0144, half of that is 20.
			expect(await settled(output)).toBe('20 45 69 127');
		} finally {
			echo.tell({ paints: true });
		}
		await obs.setFilter('half clip', { mode: 'replace' });
	});

	it.each(['RGBA', 'RGB'] as const)(
		'paintings in %s, and smaller than the source, are shown at its size',
		async (format) => {
			echo.tell({ format, scale: 0.5 });
			const { source, stream } = await obs.showColour(`small-${format}`, 0xff604020);
			await obs.shows(stream, 'painting');
			const picture = await obs.screenshot(source);
			echo.tell({ format: 'BGRA', scale: 1 });
			expect(picture).toMatchObject(sizeOf(CANVAS));
			expect(pixelAt(picture)).toEqual([255 - 0x20, 255 - 0x40, 255 - 0x60, 255]);
		},
	);

	it('nothing is painted in "tap only": the source passes, and frames go out', async () => {
		const { id, source, stream } = await obs.showColour('tapped', 0xff604020, { mode: 'tap' });
		await obs.shows(stream, 'painting');
		await echo.frame(id);
		expect(pixelAt(await obs.screenshot(source))).toEqual([0x20, 0x40, 0x60, 255]);
	});

	it('a half transparent source passes "tap only" unchanged', async () => {
		const { stream } = await obs.showColour('tapped-half', 0x800000ff, { mode: 'tap' });
		await obs.shows(stream, 'painting');
		await obs.socket.call('CreateScene', { sceneName: 'plain-half' });
		await obs.addColour('plain-half', 'plain half', 0x800000ff);
		const [tapped, plain] = [await obs.screenshot('tapped-half'), await obs.screenshot('plain-half')];
		expect(pixelAt(tapped)).toEqual(pixelAt(plain));
	});
});

describe('several filters at once', () => {
	it('are streams of their own, a copy of a filter too', async () => {
		await obs.socket.call('CreateScene', { sceneName: 'two' });
		await obs.addColour('two', 'one of two', 0xff0000ff, { width: 300, height: 100 });
		await obs.addColour('two', 'other of two', 0xff00ff00, { width: 200, height: 120 });
		await obs.addFilter('one of two');
		const { key } = await (async () => {
			await obs.until(async () => (await obs.stream('one of two / Alla Prima')).width > 0);
			return obs.stream('one of two / Alla Prima');
		})();
		await obs.addFilter('other of two', { key });
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'two' });
		await obs.shows('one of two / Alla Prima', 'painting');
		await obs.shows('other of two / Alla Prima', 'painting');
		expect(pixelAt(await obs.screenshot('one of two'))).toEqual([0, 255, 255, 255]);
		expect(pixelAt(await obs.screenshot('other of two'))).toEqual([255, 0, 255, 255]);
		const other = await obs.stream('other of two / Alla Prima');
		expect(other.key).not.toBe(key);
		expect(await echo.frame(other.id)).toMatchObject({ width: 200, height: 120, middle: [0, 255, 0, 255] });
	});

	it('one on top of the other paint twice', async () => {
		const { source } = await obs.showColour('stacked', 0xff604020);
		await obs.addFilter(source, {}, 'second');
		await obs.shows(`${source} / Alla Prima`, 'painting');
		await obs.shows(`${source} / second`, 'painting');
		await obs.until(async () => pixelAt(await obs.screenshot(source))[0] === 0x20, 'the painting of the painting');
		expect((await obs.stream(`${source} / second`)).shown).toBe('painting');
	});

	it('are told when they go', async () => {
		const { id, source } = await obs.showColour('removed', 0xff604020);
		await obs.socket.call('RemoveSourceFilter', { sourceName: source, filterName: 'Alla Prima' });
		await echo.hears('stream_removed', (message) => message['id'] === id);
		expect((await obs.state()).streams.map((stream) => stream.id)).not.toContain(id);
		await obs.until(async () => pixelAt(await obs.screenshot(source))[0] === 0x20, 'the source itself');
	});
});

it('sources, scenes and filters that come and go while they are painted leave OBS running', async () => {
	for (let i = 0; i < 10; i++) {
		const sceneName = `passing ${i}`;
		await obs.showColour(sceneName, 0xff604020, { keep_painting: true });
		await obs.socket.call('CreateInput', { sceneName, inputName: `output ${i}`, inputKind: 'allaprima_output' });
		await obs.addFilter(sceneName, { keep_painting: i % 2 === 0 });
		await obs.shows(`${sceneName} colour / Alla Prima`, 'painting');
		if (i % 3 === 0) await obs.socket.call('RemoveInput', { inputName: `${sceneName} colour` });
		if (i % 3 === 1) await obs.socket.call('RemoveSourceFilter', { sourceName: sceneName, filterName: 'Alla Prima' });
		await obs.socket.call('RemoveScene', { sceneName });
	}
	await obs.until(async () => !(await obs.state()).streams.some(({ stream }) => stream.startsWith('passing')));
	expect(obs.isRunning).toBe(true);
});

it('OBS ends without a leak', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
