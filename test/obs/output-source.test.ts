// "Alla Prima Output": the painting in another place than its source.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { pixelAt } from '../support/png.ts';

const SOURCE = [0x20, 0x40, 0x60, 255];
const PAINTING = [0xdf, 0xbf, 0x9f, 255];

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

const addOutput = (sceneName: string, inputName: string, stream = '') =>
	obs.socket.call('CreateInput', {
		sceneName,
		inputName,
		inputKind: 'allaprima_output',
		inputSettings: { stream },
	});

/** The middle of a source, once it is this; else what it is at the end. */
const middleOf = async (source: string, awaited: number[]) => {
	let pixel: number[] = [];
	await obs
		.until(async () => {
			pixel = pixelAt(await obs.screenshot(source));
			return pixel.every((value, channel) => value === awaited[channel]);
		})
		.catch(() => {});
	return pixel;
};

it('shows nothing while there is no filter', async () => {
	await obs.socket.call('CreateScene', { sceneName: 'early' });
	await addOutput('early', 'early output');
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'early' });
	await expect(obs.screenshot('early output')).rejects.toThrow(/./);
});

it('shows the painting of the filter it is given, beside the source', async () => {
	const { source, stream } = await obs.showColour('beside', 0xff604020, { mode: 'tap' }, { width: 320, height: 180 });
	await addOutput('beside', 'output', stream);
	expect(await middleOf('output', PAINTING)).toEqual(PAINTING);
	expect(await obs.screenshot('output')).toMatchObject({ width: 320, height: 180 });
	expect(pixelAt(await obs.screenshot(source))).toEqual(SOURCE);
});

it('given none, takes the first', async () => {
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'early' });
	expect(await middleOf('early output', PAINTING)).toEqual(PAINTING);
});

it('has its source painted while that is nowhere to be seen', async () => {
	await obs.socket.call('CreateScene', { sceneName: 'alone' });
	await addOutput('alone', 'lone output', 'beside colour / Alla Prima');
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'alone' });
	const { id } = await obs.stream('beside colour / Alla Prima');
	const before = await echo.frame(id);
	await echo.frame(id, ({ sequence }) => sequence > before.sequence + 15);
	expect(await middleOf('lone output', PAINTING)).toEqual(PAINTING);
});

it('has the new size and the new picture after a change of its source', async () => {
	await obs.socket.call('SetInputSettings', {
		inputName: 'beside colour',
		inputSettings: { width: 500, height: 400, color: 0xff102030 },
	});
	expect(await middleOf('lone output', [255 - 0x30, 255 - 0x20, 255 - 0x10, 255])).toEqual([
		255 - 0x30,
		255 - 0x20,
		255 - 0x10,
		255,
	]);
	expect(await obs.screenshot('lone output')).toMatchObject({ width: 500, height: 400 });
	await obs.socket.call('SetInputSettings', { inputName: 'beside colour', inputSettings: { color: 0xff604020 } });
	expect(await middleOf('lone output', PAINTING)).toEqual(PAINTING);
});

it('is shown again when its scene is, though the sidecar says nothing more', async () => {
	echo.tell({ paints: false });
	await obs.setFilter('beside colour', { failure: 'hold' });
	await obs.shows('beside colour / Alla Prima', 'held');
	await obs.socket.call('CreateScene', { sceneName: 'elsewhere' });
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'elsewhere' });
	await obs.until(async () => !(await obs.stream('beside colour / Alla Prima')).active, 'the source standing still');
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'alone' });
	expect(await middleOf('lone output', PAINTING)).toEqual(PAINTING);
	expect(await middleOf('alone', PAINTING)).toEqual(PAINTING);
	echo.tell({ paints: true });
	await obs.shows('beside colour / Alla Prima', 'painting');
});

it('does as its filter does where nothing is painted', async () => {
	await echo.kill();
	expect(await middleOf('lone output', PAINTING)).toEqual(PAINTING);
	await obs.setFilter('beside colour', { failure: 'passthrough' });
	expect(await middleOf('lone output', SOURCE)).toEqual(SOURCE);
	await obs.setFilter('beside colour', { failure: 'slate' });
	expect(await middleOf('lone output', [222, 176, 80, 255])).toEqual([222, 176, 80, 255]);
	echo = await ObsEcho.start(obs.runtimeFolder);
	expect(await middleOf('lone output', PAINTING)).toEqual(PAINTING);
});

it('follows the filter to another that takes its place', async () => {
	await obs.socket.call('RemoveSourceFilter', { sourceName: 'beside colour', filterName: 'Alla Prima' });
	await expect
		.poll(
			() =>
				obs.screenshot('lone output').then(
					() => 'a picture',
					() => 'nothing',
				),
			{ timeout: 20_000 },
		)
		.toBe('nothing');
	await obs.addFilter('beside colour', { mode: 'tap' });
	expect(await middleOf('lone output', PAINTING)).toEqual(PAINTING);
});

it('OBS ends without a leak', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
