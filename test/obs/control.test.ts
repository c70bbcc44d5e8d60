// What programs and keys can do: hotkeys, requests and events of the vendor, scene switches, and what the sidecar hears.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';

let obs: Obs;
let echo: ObsEcho;
let stream: { id: string; source: string; stream: string };
beforeAll(async () => {
	obs = await Obs.start();
	echo = await ObsEcho.start(obs.runtimeFolder);
	stream = await obs.showColour('main', 0xff604020);
	await obs.shows(stream.stream, 'painting');
});
beforeEach(() => {
	obs.vendorEvents.length = 0;
	echo.heard.length = 0;
});
afterAll(async () => {
	await echo[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

const press = async (hotkeyName: string) => {
	await obs.socket.call('TriggerHotkeyByName', { hotkeyName });
	return obs.vendorEvent('hotkey', ({ name }) => name === hotkeyName);
};

describe('the sidecar hears', () => {
	it('who speaks, first of all', async () => {
		const other = await ObsEcho.start((await Obs.start().then((another) => (second = another))).runtimeFolder);
		expect(await other.hears('hello')).toEqual({
			type: 'hello',
			protocol: 1,
			plugin: '0.1.0',
			obs: expect.stringMatching(/^29\./),
			pid: second!.pid,
			instance: expect.stringMatching(new RegExp(`^${second!.pid}-[0-9a-f]{8}$`)),
		});
		expect(other.heard[0]!.type).toBe('hello');
		await other.kill();
		await second![Symbol.asyncDispose]();
	});
	let second: Obs | undefined;

	it('of a stream all that it needs, and of each change', async () => {
		await obs.setFilter(stream.source, { prompt: 'in "oil" 油\nthick', strength: 0.5, style: 'anime', mode: 'tap' });
		expect(await echo.hears('stream', ({ style }) => style === 'anime')).toEqual({
			type: 'stream',
			id: stream.id,
			name: stream.stream,
			tap: expect.stringContaining(`${obs.runtimeFolder}/allaprima/obs-${stream.id}`),
			width: 640,
			height: 360,
			fps: { num: 30, den: 1 },
			mode: 'tap',
			failure: 'passthrough',
			holdS: 10,
			afterHold: 'slate',
			style: 'anime',
			prompt: 'in "oil" 油\nthick',
			strength: 0.5,
			active: true,
		});
		await obs.setFilter(stream.source, { prompt: '', strength: 1, style: 'oil-painting', mode: 'replace' });
		await echo.hears('stream', ({ mode }) => mode === 'replace');
	});

	it('that a source was renamed', async () => {
		await obs.socket.call('SetInputName', { inputName: stream.source, newInputName: 'Camera' });
		expect(await echo.hears('stream', ({ name }) => name === 'Camera / Alla Prima')).toMatchObject({ id: stream.id });
		await obs.socket.call('SetInputName', { inputName: 'Camera', newInputName: stream.source });
		await obs.until(async () => (await obs.stream()).stream === stream.stream);
	});

	it('how long a picture takes from the source to the program', async () => {
		const { glassToGlassMs } = await echo.hears('shown', ({ id }) => id === stream.id);
		expect(glassToGlassMs).toEqual({ p50: expect.any(Number), p95: expect.any(Number) });
		const { p50 } = glassToGlassMs as { p50: number };
		// A tick for staging at the least; the rest is of this machine.
		expect(p50).toBeGreaterThan(1000 / 30);
	});
});

describe('hotkeys', () => {
	it.each([
		['allaprima.next', { type: 'next' }],
		['allaprima.previous', { type: 'previous' }],
		['allaprima.toggle', { type: 'toggle' }],
		['allaprima.style.anime', { type: 'style', name: 'anime' }],
	])('%s is a command for all streams', async (name, command) => {
		await press(name);
		expect(await echo.hears('command')).toEqual({ type: 'command', command });
	});

	it('allaprima.panic is on, then off', async () => {
		await press('allaprima.panic');
		expect(await echo.hears('command')).toMatchObject({ command: { type: 'panic', on: true } });
		await obs.shows(stream.stream, 'slate');
		obs.vendorEvents.length = 0;
		await press('allaprima.panic');
		await echo.hears('command', ({ command }) => (command as { on: boolean }).on === false);
		await obs.shows(stream.stream, 'painting');
		expect((await obs.state()).panic).toBe(false);
	});

	it('come for a style that the sidecar gets later', async () => {
		echo.tell({ say: { type: 'styles', styles: [{ name: 'comic-halftone', title: 'Comic halftone' }] } });
		await obs.until(async () =>
			(await obs.socket.call('GetHotkeyList')).hotkeys.includes('allaprima.style.comic-halftone'),
		);
		await press('allaprima.style.comic-halftone');
		expect(await echo.hears('command')).toMatchObject({ command: { type: 'style', name: 'comic-halftone' } });
	});
});

describe('requests', () => {
	it('set_style tells the sidecar, and style_changed comes back', async () => {
		expect(await obs.vendor('set_style', { style: 'watercolor' })).toMatchObject({ ok: true });
		const changed = await obs.vendorEvent('style_changed', ({ style }) => style === 'watercolor');
		expect(changed).toMatchObject({ id: stream.id, stream: stream.stream });
		expect(await obs.stream()).toMatchObject({ style: 'watercolor' });
		const { filterSettings } = await obs.socket.call('GetSourceFilter', {
			sourceName: stream.source,
			filterName: 'Alla Prima',
		});
		expect(filterSettings).toMatchObject({ style: 'watercolor' });
	});

	it('may be for one stream, by its name or id', async () => {
		for (const name of [stream.stream, stream.id]) {
			echo.heard.length = 0;
			expect(await obs.vendor('next_style', { stream: name })).toMatchObject({ ok: true });
			expect(await echo.hears('command')).toEqual({ type: 'command', id: stream.id, command: { type: 'next' } });
		}
	});

	it.each([
		['set_style', {}, /style is missing/],
		['set_style', { style: 'anime', stream: 'nobody' }, /no such stream/],
		['next_style', { stream: 'nobody' }, /no such stream/],
		['set_panic', {}, /on is missing/],
	])('%s %j says what is wrong', async (type, data, error) => {
		expect(await obs.vendor(type, data)).toEqual({ ok: false, error: expect.stringMatching(error) });
	});

	it('get_state says what the dialog says', async () => {
		expect(await obs.state()).toMatchObject({
			ok: true,
			sidecar: 'connected',
			panic: false,
			streams: [
				{ id: stream.id, stream: stream.stream, engine: 'painting', fps: 24, latencyMs: 84, shown: 'painting' },
			],
		});
	});

	it('without a sidecar say so, and engine_state_changed tells of its end and its return', async () => {
		await echo.kill();
		expect(await obs.vendorEvent('engine_state_changed')).toMatchObject({ engine: 'absent', id: stream.id });
		expect(await obs.vendor('set_style', { style: 'anime' })).toEqual({
			ok: false,
			error: expect.stringMatching(/sidecar is not running/),
		});
		echo = await ObsEcho.start(obs.runtimeFolder);
		expect(await obs.vendorEvent('engine_state_changed', ({ engine }) => engine === 'painting')).toMatchObject({
			stream: stream.stream,
		});
		expect(await obs.vendorEvent('latency_changed')).toMatchObject({ glassToGlassMs: expect.any(Number) });
	});
});

describe('a scene switch is told at its start, with where it goes', () => {
	const goTo = async (scene: string, by: () => Promise<unknown>) => {
		obs.vendorEvents.length = 0;
		echo.heard.length = 0;
		const ended = new Promise<void>((resolve) => obs.socket.once('SceneTransitionEnded', () => resolve()));
		await by();
		const event = await obs.vendorEvent('scene_switch_started');
		expect(event['to']).toBe(scene);
		expect(await echo.hears('scene_switch_started')).toEqual({ type: 'scene_switch_started', ...event });
		await ended;
		expect(obs.vendorEvents.filter(({ eventType }) => eventType === 'scene_switch_started')).toHaveLength(1);
		return event;
	};
	const cutTo = (sceneName: string) => goTo(sceneName, () => obs.socket.call('SetCurrentProgramScene', { sceneName }));
	const scenes = ['Guitar', 'Piano', 'Guitar', 'Piano', 'Guitar'];

	beforeAll(async () => {
		for (const sceneName of ['Guitar', 'Piano']) await obs.socket.call('CreateScene', { sceneName });
		await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Fade' });
		await obs.socket.call('SetCurrentSceneTransitionDuration', { transitionDuration: 250 });
	});

	it('and how long the transition takes that is chosen, at each change and to who comes later', async () => {
		const told = async (durationMs: number, by: () => Promise<unknown>) => {
			echo.heard.length = 0;
			await by();
			const saysSo = (message: Record<string, unknown>) => message['durationMs'] === durationMs;
			expect(await echo.hears('transition', saysSo)).toEqual({ type: 'transition', durationMs });
		};
		const choose = (transitionName: string) => () => obs.socket.call('SetCurrentSceneTransition', { transitionName });
		const last = (transitionDuration: number) => () =>
			obs.socket.call('SetCurrentSceneTransitionDuration', { transitionDuration });
		await told(320, last(320));
		await told(0, choose('Cut'));
		await told(320, choose('Fade'));
		await told(250, last(250));
		await echo.kill();
		await told(250, async () => (echo = await ObsEcho.start(obs.runtimeFolder)));
	});

	it('and which scenes there are, at each change and to who comes later', async () => {
		const hostile = 'Tab\t "quoted" \\ <b>ü</b>';
		const namesIn = (message: Record<string, unknown>) =>
			(message['scenes'] as { name: string }[]).map(({ name }) => name);
		/** The list with the scene or without; one of before may still be on its way. */
		const told = async (by: () => Promise<unknown>, isThere = true) => {
			echo.heard.length = 0;
			await by();
			return namesIn(await echo.hears('scenes', (message) => namesIn(message).includes(hostile) === isThere));
		};
		const made = await told(() => obs.socket.call('CreateScene', { sceneName: hostile }));
		expect(made.slice(-3)).toEqual(['Guitar', 'Piano', hostile]);
		await echo.kill();
		expect(await told(async () => (echo = await ObsEcho.start(obs.runtimeFolder)))).toEqual(made);
		expect(await told(() => obs.socket.call('RemoveScene', { sceneName: hostile }), false)).toEqual(made.slice(0, -1));
	});

	it('by a fade, five times of five', async () => {
		for (const scene of scenes) expect(await cutTo(scene)).toEqual({ to: scene, durationMs: 250 });
	});

	it('by a cut, which takes no time', async () => {
		await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Cut' });
		expect(await cutTo('Piano')).toEqual({ to: 'Piano', durationMs: 0 });
		await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Fade' });
	});

	it('by the transition that a scene has of its own', async () => {
		await obs.socket.call('SetSceneSceneTransitionOverride', {
			sceneName: 'Guitar',
			transitionName: 'Fade',
			transitionDuration: 400,
		});
		expect(await cutTo('Guitar')).toEqual({ to: 'Guitar', durationMs: 400 });
		expect(await cutTo('Piano')).toEqual({ to: 'Piano', durationMs: 250 });
	});

	it('in studio mode, five times of five', async () => {
		await obs.socket.call('SetStudioModeEnabled', { studioModeEnabled: true });
		await obs.socket.call('SetCurrentPreviewScene', { sceneName: scenes[0]! });
		for (const scene of scenes) {
			// After a transition OBS puts what was in the program into the preview: the next scene, here.
			await obs.until(
				async () => (await obs.socket.call('GetCurrentPreviewScene')).currentPreviewSceneName === scene,
				`${scene} in the preview`,
			);
			expect(await goTo(scene, () => obs.socket.call('TriggerStudioModeTransition'))).toMatchObject({ to: scene });
		}
		obs.vendorEvents.length = 0;
		await obs.socket.call('SetStudioModeEnabled', { studioModeEnabled: false });
		await cutTo('Piano');
	});
});

describe('a hidden source', () => {
	const hide = async () => {
		await obs.socket.call('CreateScene', { sceneName: 'away' }).catch(() => {});
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'away' });
	};
	const show = () => obs.socket.call('SetCurrentProgramScene', { sceneName: 'main' });

	it('stands still, and the sidecar is told; back in the picture it is painted', async () => {
		await show();
		await obs.until(async () => (await obs.stream()).active);
		echo.heard.length = 0;
		await hide();
		expect(await echo.hears('stream', ({ active }) => active === false)).toMatchObject({ id: stream.id });
		await show();
		expect(await echo.hears('stream', ({ active }) => active === true)).toMatchObject({ id: stream.id });
		await obs.shows(stream.stream, 'painting');
	});

	it('is painted on where that is asked for', async () => {
		await obs.setFilter(stream.source, { keep_painting: true });
		await hide();
		const before = await echo.frame(stream.id);
		const later = await echo.frame(stream.id, ({ sequence }) => sequence > before.sequence + 30);
		expect(later.middle).toEqual([0x60, 0x40, 0x20, 255]);
		expect(await obs.stream()).toMatchObject({ active: true, shown: 'painting' });
		await obs.setFilter(stream.source, { keep_painting: false });
		await obs.until(async () => !(await obs.stream()).active, 'the source standing still');
		await show();
	});

	it('that is a scene is painted on too', async () => {
		await obs.socket.call('CreateScene', { sceneName: 'nested' });
		await obs.addColour('nested', 'nested colour', 0xff102030);
		await obs.addFilter('nested', { keep_painting: true });
		await obs.shows('nested / Alla Prima', 'painting');
		const { id } = await obs.stream('nested / Alla Prima');
		expect((await echo.frame(id)).middle).toEqual([0x10, 0x20, 0x30, 255]);
		await obs.socket.call('RemoveScene', { sceneName: 'nested' });
		await echo.hears('stream_removed', (message) => message['id'] === id);
	});
});

it('OBS ends without a leak', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
