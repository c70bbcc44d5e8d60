import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Controller } from '../../sidecar/control/controller.ts';
import { openObsLink, type ObsLink } from '../../sidecar/control/obs-link.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { presetOf, tuningOf } from '../support/frames.ts';
import { PluginEnd } from '../support/obs-plugin.ts';

setLog({ level: 'silent' });

let folder: string;
let controller: Controller;
let scenes: SceneTable;
let link: ObsLink;
const path = () => join(folder, 'sidecar.sock');

const openLink = (wanted?: string) =>
	openObsLink({
		path: path(),
		version: '0.1.0',
		controller,
		wanted,
		scenes,
	});

beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-link-'));
	const presets = ['oil-painting', 'pencil-sketch', 'passthrough'].map((name) => presetOf(name));
	controller = new Controller({ presets, preset: presets[0]!, tuning: tuningOf(), fadeS: 0.5, nowUs: () => 0 });
	scenes = new SceneTable({
		rows: [
			{ scene: 'Interview', style: 'pencil-sketch' },
			{ scene: 'Lost', style: 'no-such-style' },
		],
		paint: () => {},
	});
	link = await openLink();
});
afterEach(async () => {
	await link[Symbol.asyncDispose]();
	await rm(folder, { recursive: true });
});

const style = () => controller.view().style;
/** What was said before has been heard when a refused command is answered. */
const heard = async (plugin: PluginEnd) => {
	const known = plugin.heard.length;
	plugin.say({ type: 'command', command: { type: 'style', name: 'nothing-like-it' } });
	await plugin.hears('error', (message) => plugin.heard.indexOf(message) >= known);
};

describe('a plugin', () => {
	it('is told who is there and which styles there are', async () => {
		const plugin = await PluginEnd.connect(path());
		expect(await plugin.hears('hello')).toEqual({ type: 'hello', protocol: 1, sidecar: '0.1.0' });
		expect((await plugin.hears('styles'))['styles']).toContainEqual({ name: 'pencil-sketch', title: 'pencil-sketch' });
	});

	it('is told again when there are other styles', async () => {
		const plugin = await PluginEnd.connect(path());
		await plugin.hears('styles');
		controller.apply({ type: 'strength', value: 0.5 }); // no reason to
		controller.setPresets([...controller.presets, presetOf('aquatint')]);
		await heard(plugin);
		const told = plugin.heard.filter(({ type }) => type === 'styles');
		expect(told).toHaveLength(2);
		expect(told[1]!['styles']).toContainEqual({ name: 'aquatint', title: 'aquatint' });
	});

	it('is told no more styles than it keeps, in a line that it takes', async () => {
		const many = (title: string) =>
			Array.from({ length: 400 }, (_, index) => presetOf(`style-${index}`.padEnd(64, 'x'), { title }));
		const plugin = await PluginEnd.connect(path());
		await plugin.hears('styles');
		controller.setPresets(many('Short'));
		controller.setPresets(many('油画'.repeat(40)));
		await heard(plugin);
		const [, short, long] = plugin.heard.filter(({ type }) => type === 'styles');
		expect(short!['styles']).toHaveLength(256);
		expect(Buffer.byteLength(JSON.stringify(long))).toBeLessThan(65_536);
		expect((long!['styles'] as unknown[]).length).toBeGreaterThan(100);
	});

	it('gives its filter’s style, prompt and strength, and afterwards what changed in the dialog', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ style: 'pencil-sketch', strength: 0.5 });
		await heard(plugin);
		expect(controller.view()).toMatchObject({ style: 'pencil-sketch', strength: 0.5 });
		controller.apply({ type: 'style', name: 'oil-painting' }); // from the page
		plugin.stream({ style: 'pencil-sketch', strength: 0.5, tap: '/elsewhere.sock' });
		await heard(plugin);
		expect(style()).toBe('oil-painting'); // the dialog did not change
		plugin.stream({ style: 'pencil-sketch', prompt: 'a night in Paris', strength: 0.5 });
		await heard(plugin);
		expect(controller.view().prompt).toBe('a night in Paris');
		plugin.stream({ style: 'pencil-sketch', strength: 0.5 });
		await heard(plugin);
		expect(controller.view()).toMatchObject({ style: 'pencil-sketch', prompt: 'transfer this to pencil-sketch style' });
	});

	it('comes with a style, which does not take away the picture that the run began with; choosing one does', async () => {
		const picture = { ...rgbLayout({ width: 16, height: 16 }), data: new Uint8Array(3 * 16 * 16) };
		const { prompt: _, ...rest } = presetOf('oil-painting');
		const shown = { ...rest, reference: 'starry.png', shown: { id: 'starry', picture } };
		const presets = [presetOf('oil-painting'), presetOf('pencil-sketch')];
		await link[Symbol.asyncDispose]();
		controller = new Controller({
			presets,
			preset: shown,
			tuning: tuningOf(),
			fadeS: 0.5,
			nowUs: () => 0,
			takesReferences: true,
		});
		link = await openLink();
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ style: 'oil-painting', strength: 0.5 });
		await heard(plugin);
		expect(controller.view()).toMatchObject({ reference: { name: 'starry.png' }, strength: 0.5 });
		plugin.stream({ style: 'pencil-sketch', strength: 0.5 });
		await heard(plugin);
		expect(style()).toBe('pencil-sketch');
		expect(controller.view()).not.toHaveProperty('reference');
	});

	it('with a mask has the alpha of its frames for region, until it is taken away', async () => {
		const region = () => {
			const { region: now, isRegionOfPreset } = controller.view();
			return [now, isRegionOfPreset];
		};
		const plugin = await PluginEnd.connect(path());
		plugin.stream();
		await heard(plugin);
		expect(region()).toEqual(['all', true]);
		plugin.stream({ region: 'alpha' });
		await heard(plugin);
		expect(region()).toEqual(['alpha', false]);
		controller.apply({ type: 'region', region: { mask: 'alpha', invert: true } }); // from the page
		plugin.stream({ region: 'alpha', strength: 0.5 });
		await heard(plugin);
		expect(region()).toEqual(['alpha,invert', false]);
		plugin.stream({ strength: 0.5 });
		await heard(plugin);
		expect(region()).toEqual(['all', true]);
		controller.apply({ type: 'region', region: 'changed' });
		plugin.stream({ strength: 0.4 });
		await heard(plugin);
		expect(region()).toEqual(['changed', false]);
	});

	it('says how long its filter holds a painting, and what comes then; one that says nothing holds it for ever', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ failure: 'hold', holdS: 4, afterHold: 'passthrough' });
		await heard(plugin);
		expect(link.stream).toMatchObject({ failure: 'hold', holdS: 4, afterHold: 'passthrough' });
		plugin.stream({ failure: 'hold' });
		await heard(plugin);
		expect(link.stream).not.toHaveProperty('holdS');
		expect(link.stream).not.toHaveProperty('afterHold');
	});

	it.each([[{ holdS: 0 }], [{ holdS: -1 }], [{ holdS: 86_401 }], [{ afterHold: 'hold' }], [{ region: 'sky' }]])(
		'that says %j is hung up on',
		async (parts) => {
			const plugin = await PluginEnd.connect(path());
			await plugin.hears('hello');
			plugin.stream({ failure: 'hold', ...parts });
			await plugin.closed();
			expect(link.stream).toBeUndefined();
		},
	);

	it('hears that its prompt is too long or nothing but blanks, and keeps its filter and its style', async () => {
		const plugin = await PluginEnd.connect(path());
		for (const prompt of ['oil '.repeat(500), '  ']) {
			const known = plugin.heard.length;
			plugin.stream({ style: 'pencil-sketch', prompt });
			await plugin.hears('error', (message) => plugin.heard.indexOf(message) >= known);
			expect(link.stream?.name).toBe('Camera / Alla Prima');
			expect(controller.view()).toMatchObject({
				style: 'pencil-sketch',
				prompt: 'transfer this to pencil-sketch style',
			});
		}
		plugin.stream({ style: 'pencil-sketch', prompt: 'fog' });
		await heard(plugin);
		expect(controller.view().prompt).toBe('fog');
		expect(plugin.isClosed).toBe(false);
	});

	it('hears where the paintings are and how the run goes, when its filter is painted', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream();
		link.serve(undefined, {
			controller,
			painted: '/run/painted.sock',
			runState: () => ({ engine: 'painting', fps: 24, latencyMs: 84 }),
		});
		expect(await plugin.hears('painted')).toEqual({ type: 'painted', id: '1-ab-0', ring: '/run/painted.sock' });
		expect(await plugin.hears('state')).toMatchObject({
			id: '1-ab-0',
			engine: 'painting',
			style: 'oil-painting',
			fps: 24,
		});
		plugin.say({ type: 'command', command: { type: 'next' } });
		await plugin.hears('state', ({ style: name, epoch }) => name === 'pencil-sketch' && epoch === 1);
	});

	it('asks for styles, panic and toggling', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.say({ type: 'command', id: '1-ab-0', command: { type: 'panic', on: true } });
		plugin.say({ type: 'command', command: { type: 'toggle' } });
		await heard(plugin);
		expect(controller.view()).toMatchObject({ panic: true, style: 'passthrough' });
	});

	it('switches the style with the scene, in the time of the transition', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.say({ type: 'scene_switch_started', to: 'Break', durationMs: 300 });
		plugin.say({ type: 'scene_switch_started', to: '__proto__', durationMs: 300 });
		await heard(plugin);
		expect(style()).toBe('oil-painting');
		plugin.say({ type: 'scene_switch_started', to: 'Interview', durationMs: 300 });
		await heard(plugin);
		expect(style()).toBe('pencil-sketch');
		expect(controller.view().fadeS).toBe(0.5);
		const { conditioning } = controller.parametersAt(150_000);
		expect(conditioning.map(({ weight }) => weight)).toEqual([0.5, 0.5]);
	});

	it('says how long the transition takes: so long do fades last that nobody gave a length', async () => {
		const options = { presets: controller.presets, preset: controller.target, tuning: tuningOf(), nowUs: () => 0 };
		const [free, late] = [0, 1].map(() => new Controller({ ...options, fadeS: undefined }));
		const runState = () => ({ engine: 'painting', fps: 24, latencyMs: 84 });
		const plugin = await PluginEnd.connect(path());
		link.serve('Game / two', { controller: free!, painted: '/two.painted', runState });
		expect(free!.view().fadeS).toBe(0.5);
		plugin.say({ type: 'transition', durationMs: 300 });
		await heard(plugin);
		expect([controller.view().fadeS, free!.view().fadeS]).toEqual([0.5, 0.3]);
		link.serve('Late / three', { controller: late!, painted: '/three.painted', runState });
		expect(late!.view().fadeS).toBe(0.3);
		free!.apply({ type: 'fade', seconds: 2 });
		plugin.say({ type: 'transition', durationMs: 0 });
		await heard(plugin);
		expect([free!.view().fadeS, late!.view().fadeS]).toEqual([2, 0]);
	});

	it('is told of a scene whose style there is not', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.say({ type: 'scene_switch_started', to: 'Lost', durationMs: 0 });
		expect((await plugin.hears('error'))['message']).toMatch(/no-such-style/);
	});
});

describe('two filters', () => {
	const presets = ['oil-painting', 'pencil-sketch', 'passthrough'].map((name) => presetOf(name));
	const runState = () => ({ engine: 'painting', fps: 24, latencyMs: 84 });
	const setUp = async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ id: 'a', name: 'Camera / one', style: 'oil-painting' });
		plugin.stream({ id: 'b', name: 'Game / two', style: 'pencil-sketch', tap: '/two.sock' });
		await heard(plugin);
		const other = new Controller({ presets, preset: presets[0]!, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 });
		link.serve(undefined, { controller, painted: '/one.painted', runState });
		const serving = link.serve('Game / two', { controller: other, painted: '/two.painted', runState });
		return { plugin, other, serving };
	};

	it('have their own rings and styles', async () => {
		const { plugin, other } = await setUp();
		expect(await plugin.hears('painted', ({ id }) => id === 'a')).toMatchObject({ ring: '/one.painted' });
		expect(await plugin.hears('painted', ({ id }) => id === 'b')).toMatchObject({ ring: '/two.painted' });
		expect([style(), other.view().style]).toEqual(['oil-painting', 'pencil-sketch']);
	});

	it('are asked by their ids, or together', async () => {
		const { plugin, other } = await setUp();
		plugin.say({ type: 'command', id: 'b', command: { type: 'style', name: 'passthrough' } });
		plugin.say({ type: 'command', command: { type: 'panic', on: true } });
		await heard(plugin);
		expect([style(), other.view().style]).toEqual(['oil-painting', 'passthrough']);
		expect([controller.isPanic, other.isPanic]).toEqual([true, true]);
	});

	it('follow the scene together', async () => {
		const { plugin, other } = await setUp();
		plugin.say({ type: 'command', id: 'b', command: { type: 'style', name: 'oil-painting' } });
		plugin.say({ type: 'scene_switch_started', to: 'Interview', durationMs: 0 });
		await heard(plugin);
		expect([style(), other.view().style]).toEqual(['pencil-sketch', 'pencil-sketch']);
	});

	it('follow the table of scenes as it is edited, and tell it which scene OBS shows', async () => {
		const { plugin, other } = await setUp();
		scenes.replace([{ scene: 'Break', style: 'passthrough' }]);
		plugin.say({ type: 'scene_switch_started', to: 'Interview', durationMs: 0 }); // not any more
		await heard(plugin);
		expect(style()).toBe('oil-painting');
		plugin.say({ type: 'scene_switch_started', to: 'Break', durationMs: 0 });
		await heard(plugin);
		expect([style(), other.view().style]).toEqual(['passthrough', 'passthrough']);
		expect(scenes.known).toEqual(['Interview', 'Break']);
		plugin.say({ type: 'scenes', scenes: [{ name: 'Break' }, { name: 'Guitar' }] });
		await heard(plugin);
		expect(scenes.known).toEqual(['Break', 'Guitar']);
		expect(link.controllers).toEqual([controller, other]);
	});

	it('are the run’s own in turn: the second when the first is gone', async () => {
		const { plugin, serving } = await setUp();
		plugin.say({ type: 'stream_removed', id: 'a' });
		await heard(plugin);
		serving[Symbol.dispose]();
		expect(link.stream?.id).toBe('b');
		await plugin.hears('painted', ({ id, ring }) => id === 'b' && ring === '/one.painted');
	});
});

it('a plugin cannot have filters without end', async () => {
	const plugin = await PluginEnd.connect(path());
	for (let i = 0; i < 65; i++) plugin.stream({ id: `${i}`, name: `${i}` });
	expect((await plugin.hears('error'))['message']).toMatch(/at most 64 filters/);
	await plugin.closed();
});

describe('the filter that is painted', () => {
	it('is the first, until it is removed; then the next', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ id: 'a', name: 'Camera / one' });
		plugin.stream({ id: 'b', name: 'Game / two' });
		await heard(plugin);
		expect(link.stream?.id).toBe('a');
		plugin.say({ type: 'stream_removed', id: 'a' });
		await heard(plugin);
		expect(link.stream?.id).toBe('b');
	});

	it('is the one whose name is asked for', async () => {
		await link[Symbol.asyncDispose]();
		link = await openLink('Game');
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ id: 'a', name: 'Camera / one' });
		plugin.stream({ id: 'b', name: 'Game / two' });
		await heard(plugin);
		expect(link.stream?.id).toBe('b');
	});

	it('is gone with its OBS, and is another when OBS comes back', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream({ tap: '/one.sock' });
		await heard(plugin);
		const gone = link.changed(new AbortController().signal);
		plugin.socket.destroy();
		await gone;
		expect(link.stream).toBeUndefined();
		const back = link.changed(new AbortController().signal);
		const again = await PluginEnd.connect(path());
		again.stream({ id: '2-cd-0', tap: '/two.sock' });
		await back;
		expect(link.stream?.tap).toBe('/two.sock');
	});
});

describe('what is no plugin of ours', () => {
	it.each([
		['no JSON', 'GET / HTTP/1.1\n', /not JSON/],
		['another message', '{"type":"destroy"}\n', /not valid/],
		[
			'a rate of nothing',
			'{"type":"stream","id":"a","name":"","tap":"/x","fps":{"num":0,"den":0},"style":"","prompt":"","strength":1}\n',
			/fps/,
		],
		['a line without end', 'x'.repeat(70_000), /65536 bytes/],
	])('is hung up on, with the reason: %s', async (_, text, reason) => {
		const plugin = await PluginEnd.connect(path());
		plugin.socket.write(text);
		expect((await plugin.hears('error'))['message']).toMatch(reason);
		await plugin.closed();
		const next = await PluginEnd.connect(path());
		await next.hears('hello');
	});

	it('is told when it speaks another protocol', async () => {
		const plugin = await PluginEnd.connect(path(), { protocol: 7 });
		expect((await plugin.hears('error'))['message']).toMatch(/protocol 7, this sidecar 1/);
		await plugin.closed();
	});

	it('cannot fill our memory by not reading', async () => {
		const plugin = await PluginEnd.connect(path());
		plugin.stream();
		await heard(plugin);
		plugin.socket.pause();
		link.serve(undefined, {
			controller,
			painted: '/run/painted.sock',
			runState: () => ({ engine: 'x'.repeat(100_000), fps: 0, latencyMs: 0 }),
		});
		for (let i = 0; i < 100 && link.stream; i++) {
			link.announce(undefined);
			await new Promise((resolve) => setImmediate(resolve));
		}
		expect(link.stream).toBeUndefined();
	});
});

it('the socket is for this user alone, and for one sidecar', async () => {
	expect((await stat(path())).mode & 0o777).toBe(0o600);
	await expect(openLink()).rejects.toMatchObject({ code: 'ERR_CONTROL' });
	await link[Symbol.asyncDispose]();
	link = await openLink(); // what is left of the one before is no hindrance
});
