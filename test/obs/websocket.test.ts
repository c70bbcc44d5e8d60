// What OBS tells and is told without our plugin: a real OBS and its own obs-websocket.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { Controller } from '../../sidecar/control/controller.ts';
import { ObsWebsocket } from '../../sidecar/control/obs-websocket.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { until } from '../support/engines.ts';
import { presetOf, tuningOf } from '../support/frames.ts';
import { Obs, OBS_PASSWORD } from '../support/obs.ts';

setLog({ level: 'silent' });

let obs: Obs;
let controller: Controller;
let websocket: ObsWebsocket | undefined;
let scenes: SceneTable;
let delayMs: number | undefined;
let hasPlugin: boolean;

beforeAll(async () => {
	obs = await Obs.start({ plugin: false });
	for (const sceneName of ['Interview', 'Break', 'Elsewhere']) await obs.socket.call('CreateScene', { sceneName });
	await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Fade' });
	await obs.socket.call('SetCurrentSceneTransitionDuration', { transitionDuration: 100 });
	const inputKind = 'ffmpeg_source';
	await obs.socket.call('CreateInput', { sceneName: 'Interview', inputName: 'Microphone', inputKind });
	await obs.socket.call('SetInputAudioSyncOffset', { inputName: 'Microphone', inputAudioSyncOffset: 15 });
});
afterAll(async () => {
	await obs[Symbol.asyncDispose]();
});

beforeEach(async () => {
	await show('Elsewhere');
	const presets = ['oil-painting', 'pencil-sketch', 'watercolor', 'passthrough'].map((name) => presetOf(name));
	controller = new Controller({ presets, preset: presets[0]!, tuning: tuningOf(), fadeS: 0, nowUs });
	scenes = new SceneTable({
		rows: [
			{ scene: 'Interview', style: 'pencil-sketch' },
			{ scene: 'Break', style: 'watercolor' },
		],
		paint: (name) => controller.apply({ type: 'style', name }),
	});
	delayMs = undefined;
	hasPlugin = false;
});
afterEach(async () => {
	await websocket?.[Symbol.asyncDispose]();
	websocket = undefined;
});

const show = async (sceneName: string) => {
	await obs.socket.call('SetCurrentProgramScene', { sceneName });
	await obs.until(
		async () => (await obs.socket.call('GetCurrentProgramScene')).currentProgramSceneName === sceneName,
		sceneName,
	);
};

const join = async (password = OBS_PASSWORD) => {
	websocket = new ObsWebsocket({
		obs: {
			audioInputs: ['Microphone', 'not there'],
			websocket: { url: obs.websocketUrl, password },
		},
		scenes,
		controller,
		delayMs: () => delayMs,
		hasPlugin: () => hasPlugin,
		nowUs,
	});
	if (password === OBS_PASSWORD) await until(() => websocket!.isConnected);
	return websocket;
};

const style = () => controller.view().style;
const armed = () => controller.parametersAt(nowUs()).conditioning.find(({ weight }) => weight === 0)?.prompt;
const offset = async () =>
	(await obs.socket.call('GetInputAudioSyncOffset', { inputName: 'Microphone' })).inputAudioSyncOffset;

describe('the length of fades', () => {
	it("is that of OBS's transition, where nobody gave one, and follows it", async () => {
		const { presets, target } = controller;
		controller = new Controller({ presets, preset: target, tuning: tuningOf(), fadeS: undefined, nowUs });
		const fadeS = () => controller.view().fadeS;
		await join();
		await until(() => fadeS() === 0.1);
		await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Cut' });
		await until(() => fadeS() === 0);
		await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Fade' });
		await until(() => fadeS() === 0.1);
		await obs.socket.call('SetCurrentSceneTransitionDuration', { transitionDuration: 200 });
		await until(() => fadeS() === 0.2);
		controller.apply({ type: 'fade', seconds: 3 });
		await obs.socket.call('SetCurrentSceneTransitionDuration', { transitionDuration: 100 });
		expect(fadeS()).toBe(3);
	});
});

describe('styles by scene', () => {
	it('follow the program, and the scene that is shown already', async () => {
		await show('Break');
		await join();
		await until(() => style() === 'watercolor');
		await show('Interview');
		await until(() => style() === 'pencil-sketch');
		await show('Elsewhere'); // no style of its own: the last one stays
		await show('Break');
		await until(() => style() === 'watercolor');
		expect(controller.change.epoch).toBe(3);
	});

	it('stay with a scene that gets another name', async () => {
		await join();
		await obs.socket.call('SetSceneName', { sceneName: 'Break', newSceneName: 'Pause' });
		await show('Pause');
		await until(() => style() === 'watercolor');
		expect(controller.change.epoch).toBe(1);
		expect(scenes.rows).toContainEqual({ scene: 'Pause', style: 'watercolor' });
		await show('Elsewhere');
		await obs.socket.call('SetSceneName', { sceneName: 'Pause', newSceneName: 'Break' });
	});

	it('are edited while OBS runs, and the page is told which scenes there are', async () => {
		await join();
		await until(() => scenes.known.length > 0);
		const created = ['Interview', 'Break', 'Elsewhere'];
		expect(scenes.known.filter((name) => created.includes(name))).toEqual(created);
		scenes.replace([{ scene: 'Elsewhere', style: 'pencil-sketch' }]); // it is shown
		await until(() => style() === 'pencil-sketch');
		await show('Break'); // no row any more
		scenes.replace([...scenes.rows, { scene: 'Interview', style: 'watercolor' }]);
		await show('Interview');
		await until(() => style() === 'watercolor');
		await obs.socket.call('CreateScene', { sceneName: 'Late' });
		await until(() => scenes.known.includes('Late'));
		await obs.socket.call('RemoveScene', { sceneName: 'Late' });
		await until(() => !scenes.known.includes('Late'));
	});

	it('are those of the scene collection that is open', async () => {
		await join();
		await until(() => scenes.known.includes('Interview'));
		const { currentSceneCollectionName: before } = await obs.socket.call('GetSceneCollectionList');
		await obs.socket.call('CreateSceneCollection', { sceneCollectionName: 'Tour' });
		await until(() => !scenes.known.includes('Interview'));
		expect(scenes.known).toHaveLength(1); // a new collection has one scene
		await obs.until(
			() =>
				obs.socket.call('SetCurrentSceneCollection', { sceneCollectionName: before }).then(
					() => true,
					() => false,
				),
			before,
		);
		await until(() => scenes.known.includes('Interview'));
	});

	it('are the plugin’s to switch where it is there', async () => {
		hasPlugin = true;
		await join();
		await show('Interview');
		hasPlugin = false;
		await show('Break'); // heard after the one before
		await until(() => style() === 'watercolor');
		expect(controller.change.epoch).toBe(1);
	});

	it('are armed in studio mode’s preview, and leaving studio mode switches nothing by itself', async () => {
		await join();
		await show('Interview');
		await until(() => style() === 'pencil-sketch');
		await obs.socket.call('SetStudioModeEnabled', { studioModeEnabled: true });
		await obs.socket.call('SetCurrentPreviewScene', { sceneName: 'Break' });
		await until(() => armed() === 'transfer this to watercolor style');
		expect(style()).toBe('pencil-sketch');
		const { epoch } = controller.change;
		await obs.socket.call('SetStudioModeEnabled', { studioModeEnabled: false });
		await until(() => armed() === undefined);
		await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Break' });
		await until(() => style() === 'watercolor');
		expect(controller.change.epoch).toBe(epoch + 1);
	});
});

describe('audio', () => {
	it('waits for the painted picture beside what it waited before, and gets that back at the end', async () => {
		delayMs = 130;
		const joined = await join();
		await obs.until(async () => (await offset()) === 145, 'the offset');
		delayMs = 150; // nobody hears that
		await joined[Symbol.asyncDispose]();
		expect(await offset()).toBe(15);
	});

	it('is left alone where the delay is not known', async () => {
		const joined = await join();
		await until(() => joined.isConnected);
		await show('Break');
		await until(() => style() === 'watercolor');
		expect(await offset()).toBe(15);
	});
});

it('a wrong password is no end: it is tried again, and nothing is done', async () => {
	const joined = await join('wrong');
	await show('Interview');
	expect(joined.isConnected).toBe(false);
	expect(style()).toBe('oil-painting');
});
