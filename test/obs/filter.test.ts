// What the filter gives and shows: real OBS, and a peer that inverts what it is given.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { pixelAt } from '../support/png.ts';

let obs: Obs;
let echo: ObsEcho;
beforeAll(async () => {
	obs = await Obs.start();
	echo = await ObsEcho.start(obs.runtimeFolder);
});
afterAll(async () => {
	await echo[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

/** A scene with one colour in it and the filter on that, shown. */
const show = async (scene: string, colour: number, settings: Record<string, unknown> = {}, size?: typeof CANVAS) => {
	await obs.socket.call('CreateScene', { sceneName: scene });
	await obs.addColour(scene, `${scene} colour`, colour, size);
	await obs.addFilter(`${scene} colour`, settings);
	await obs.socket.call('SetCurrentProgramScene', { sceneName: scene });
	await obs.until(async () => (await obs.stream(`${scene} colour / Alla Prima`)).width > 0, 'a stream');
	const { id } = await obs.stream(`${scene} colour / Alla Prima`);
	return { id, source: `${scene} colour`, stream: `${scene} colour / Alla Prima` };
};

const painted = (stream: string) =>
	obs.until(async () => (await obs.stream(stream)).shown === 'painting', `a painting of ${stream}`);

it('is loaded by OBS, with no line of complaint', () => {
	expect(obs.pluginLog().filter((line) => line.startsWith('warning') || line.startsWith('error'))).toEqual([]);
	expect(obs.log()).toContain('allaprima.so');
});

describe('the tap', () => {
	it('gives the pixels of a colour source exactly', async () => {
		const { id } = await show('grey-blue', 0xff604020);
		expect((await echo.frame(id)).middle).toEqual([0x60, 0x40, 0x20, 255]);
	});

	it('gives a half transparent red as red, its alpha beside it', async () => {
		const { id } = await show('half-red', 0x800000ff);
		expect((await echo.frame(id)).middle).toEqual([0, 0, 255, 0x80]);
	});
});

describe('in place of the source', () => {
	it('the inverted picture is shown, at the size of the source', async () => {
		const { source, stream } = await show('inverted', 0xff604020, {}, { ...CANVAS, width: 320, height: 200 });
		await painted(stream);
		const picture = await obs.screenshot(source);
		expect(picture).toMatchObject({ width: 320, height: 200 });
		expect(pixelAt(picture)).toEqual([255 - 0x20, 255 - 0x40, 255 - 0x60, 255]);
	});
});

it('OBS ends without a leak', async () => {
	const { leaks } = await obs.stop();
	expect(leaks).toBe(0);
});
