// Advanced Scene Switcher, Debian's 1.20, drives the filter by its macros and with no code: by the filter's settings, and
// by our hotkeys. Its websocket action speaks to other scene switchers alone.
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { installSceneSwitcher, macroOn, pressF, setFilter, writeMacros } from '../support/scene-switcher.ts';

let obs: Obs;
let echo: ObsEcho;
beforeAll(async () => {
	const folder = mkdtempSync(join(tmpdir(), 'obs-'));
	installSceneSwitcher(folder);
	obs = await Obs.start({ folder });
	const { source } = await obs.showColour('Start', 0xff604020);
	for (const sceneName of ['Break', 'Interview']) {
		await obs.socket.call('CreateScene', { sceneName });
		await obs.socket.call('CreateSceneItem', { sceneName, sourceName: source });
	}
	await obs.stop();
	writeMacros(folder, [
		macroOn('Break', setFilter(source, 'Alla Prima', { style: 'watercolor' })),
		macroOn('Interview', pressF(9)),
	]);
	const profile = join(folder, 'config/obs-studio/basic/profiles/Test/basic.ini');
	const binding = 'allaprima.style.anime={"bindings":[{"key":"OBS_KEY_F9"}]}';
	writeFileSync(profile, `${readFileSync(profile, 'utf8')}\n[Hotkeys]\n${binding}\n`);
	obs = await Obs.start({ folder });
	echo = await ObsEcho.start(obs.runtimeFolder);
	await obs.shows('Start colour / Alla Prima', 'painting');
});
beforeEach(() => {
	obs.vendorEvents.length = 0;
	echo.heard.length = 0;
});
afterAll(async () => {
	await echo[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

const style = async () => (await obs.stream()).style;

it('is loaded beside the plugin', () => {
	expect(obs.log()).toContain('libadvanced-scene-switcher.so');
	expect(obs.log()).toContain('[adv-ss]');
});

it('a macro that sets the filter’s settings at a scene change changes the style', async () => {
	expect(await style()).toBe('oil-painting');
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Break' });
	expect(await echo.hears('stream', (stream) => stream['style'] === 'watercolor')).toMatchObject({ strength: 1 });
	await obs.until(async () => (await style()) === 'watercolor', 'the style');
});

it('a macro that presses the key of a style at a scene change changes the style', async () => {
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Interview' });
	expect(await echo.hears('command')).toEqual({ type: 'command', command: { type: 'style', name: 'anime' } });
	expect(await obs.vendorEvent('hotkey')).toEqual({ name: 'allaprima.style.anime' });
	await obs.until(async () => (await style()) === 'anime', 'the style');
});
