// What is there again when OBS is started again: the slate from the first frame on, the style, the keys.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { pixelAt } from '../support/png.ts';

let obs: Obs;
/** Debian's OBS 29.0.2 itself leaks once where it is started with a profile that was there before. */
let leaksOfObsItself: number | undefined;

beforeAll(async () => {
	const plain = await Obs.start({ plugin: false });
	await plain.stop();
	const again = await Obs.start({ plugin: false, folder: plain.folder });
	leaksOfObsItself = (await again.stop()).leaks;
	await again[Symbol.asyncDispose]();

	obs = await Obs.start();
	const echo = await ObsEcho.start(obs.runtimeFolder);
	const { stream } = await obs.showColour('kept', 0xff604020, { failure: 'slate', style: 'anime' });
	await obs.shows(stream, 'painting');
	await obs.socket.call('CreateInput', {
		sceneName: 'kept',
		inputName: 'output',
		inputKind: 'allaprima_output',
		inputSettings: { stream: (await obs.stream(stream)).key },
	});
	await obs.vendor('set_style', { style: 'watercolor' });
	await obs.vendorEvent('style_changed', ({ style }) => style === 'watercolor');
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
	await echo.kill();
	// What OBS writes when the streamer gives a hotkey a key in its settings.
	const profile = join(obs.folder, 'config/obs-studio/basic/profiles/Test/basic.ini');
	const keys = [
		['allaprima.next', 'OBS_KEY_F8'],
		['allaprima.style.anime', 'OBS_KEY_F9'],
	].map(([name, key]) => `${name}={"bindings":[{"key":"${key}"}]}\n`);
	writeFileSync(profile, `${readFileSync(profile, 'utf8')}\n[Hotkeys]\n${keys.join('')}`);
	obs = await Obs.start({ folder: obs.folder });
});
afterAll(() => obs[Symbol.asyncDispose]());

it('shows the slate from the first frame on, and never the source', async () => {
	const kinds = new Set<string>();
	for (let i = 0; i < 60; i++) kinds.add(pixelAt(await obs.screenshot('kept'), 0, 0).join(' '));
	expect([...kinds]).toEqual(['30 31 36 255']);
});

it('knows the styles and the one that was chosen last, before there is a sidecar', async () => {
	expect(await obs.vendor('list_styles')).toMatchObject({
		styles: [
			{ name: 'oil-painting', title: 'Oil painting' },
			{ name: 'watercolor', title: 'Watercolor' },
			{ name: 'anime', title: 'Anime' },
		],
	});
	expect(await obs.stream()).toMatchObject({ style: 'watercolor', engine: 'absent' });
});

it('has the hotkeys of the styles, and their keys', async () => {
	const { hotkeys } = await obs.socket.call('GetHotkeyList');
	expect(hotkeys).toEqual(
		expect.arrayContaining(
			['next', 'previous', 'toggle', 'panic', 'style.oil-painting', 'style.watercolor', 'style.anime'].map(
				(name) => `allaprima.${name}`,
			),
		),
	);
	for (const [keyId, name] of [
		['OBS_KEY_F8', 'allaprima.next'],
		['OBS_KEY_F9', 'allaprima.style.anime'],
	]) {
		await obs.socket.call('TriggerHotkeyByKeySequence', { keyId: keyId!, keyModifiers: {} });
		await obs.vendorEvent('hotkey', (data) => data['name'] === name);
	}
});

it('paints again, and the output finds its filter', async () => {
	const echo = await ObsEcho.start(obs.runtimeFolder);
	const { id, stream } = await obs.stream();
	expect(await echo.hears('stream', (message) => message['id'] === id)).toMatchObject({ style: 'watercolor' });
	await obs.shows(stream, 'painting');
	await obs.until(async () => pixelAt(await obs.screenshot('output'))[0] === 255 - 0x20, 'the painting in the output');
	await echo.kill();
});

it('ends without a leak of its own', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: leaksOfObsItself });
});
