import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FAULTS, pick, type Random, scribbleOn } from './faults.ts';
import { CAMERA, FILTER, type ObsMarkedShow, SCENES, STREAM } from './obs-marked-show.ts';

/** What happens in a show with OBS. */
export interface ObsFault {
	name: string;
	/** Nothing but the slate is shown after it, until `mend`. */
	hides?: true;
	do: (show: ObsMarkedShow, random: Random) => Promise<unknown>;
	mend?: (show: ObsMarkedShow) => Promise<unknown>;
}

/** Those of faults.ts that are of another kind with OBS around them. */
const OF_THE_SIDECAR = FAULTS.filter(({ name }) =>
	[
		'engine: SIGKILL',
		'engine: SIGSEGV',
		'engine: SIGSTOP for good',
		'sidecar: suspended for a while',
		'frames scribbled on by the sidecar',
		'twenty styles at once',
		'the style passthrough',
		'panic',
		'panic, and the engine dies',
	].includes(name),
).map(({ name, hides, do: happens, mend }): ObsFault => ({
	name,
	...(hides && { hides }),
	do: (show, random) => happens(show.victim, random),
	...(mend && { mend: (show) => mend(show.victim) }),
}));

const pressPanic = ({ obs }: ObsMarkedShow) =>
	obs.socket.call('TriggerHotkeyByName', { hotkeyName: 'allaprima.panic' });

const goTo = async ({ obs }: ObsMarkedShow, sceneName: string, transitionName = 'Fade') => {
	await obs.socket.call('SetCurrentSceneTransition', { transitionName });
	await obs.socket.call('SetCurrentProgramScene', { sceneName });
};

/** What was changed is in the file of the scenes, which OBS writes when scenes come and go. */
const saveScenes = async ({ obs }: ObsMarkedShow) => {
	await obs.socket.call('CreateScene', { sceneName: 'saved' });
	await obs.socket.call('RemoveScene', { sceneName: 'saved' });
	const path = join(obs.folder, 'config/obs-studio/basic/scenes/Test.json');
	await obs.until(async () => {
		const scenes = readFileSync(path, 'utf8');
		return scenes.includes('allaprima_filter') && !scenes.includes('"saved"');
	}, 'the scenes in their file');
};

export const OBS_FAULTS: readonly ObsFault[] = [
	...OF_THE_SIDECAR,
	{
		name: 'sidecar: SIGKILL, and another',
		do: async (show, random) => {
			await show.endSidecar('SIGKILL');
			await sleep(random() * 2000);
			show.startSidecar();
		},
	},
	{
		name: 'sidecar: ended, and another',
		do: async (show) => {
			const code = await show.endSidecar('SIGTERM');
			if (code !== 0) throw new Error(`the sidecar ended with ${code}`);
			show.startSidecar();
		},
	},
	{
		name: 'OBS: closed and started again',
		do: async (show) => {
			await show.closeObs();
			await show.startObs();
		},
	},
	{
		name: 'OBS: SIGKILL, and started again',
		do: async (show) => {
			await show.killObs();
			await show.startObs();
		},
	},
	{
		name: 'OBS and sidecar: SIGKILL, OBS is first to be back',
		do: async (show) => {
			await Promise.all([show.killObs(), show.endSidecar('SIGKILL')]);
			await show.startObs();
			await sleep(500);
			show.startSidecar();
		},
	},
	{
		name: 'OBS: suspended for a while',
		do: async ({ obs }, random) => {
			process.kill(obs.pid, 'SIGSTOP');
			await sleep(200 + random() * 2500);
			process.kill(obs.pid, 'SIGCONT');
		},
	},
	{ name: 'obs-websocket: cut', do: async ({ websocketRelay }) => websocketRelay.cut() },
	{ name: 'plugin and sidecar: cut', do: async ({ pluginRelay }) => pluginRelay.cut() },
	{
		name: 'plugin: told nonsense',
		do: async ({ pluginRelay }, random) => pluginRelay.say('client', nonsense(random)),
	},
	{
		name: 'sidecar: told nonsense by the plugin',
		do: async ({ pluginRelay }, random) => pluginRelay.say('target', nonsense(random)),
	},
	{
		name: 'pictures scribbled on by OBS',
		do: async ({ obs }, random) => {
			for (let i = 0; i < 5; i++) {
				scribbleOn(obs.pid, random);
				await sleep(50);
			}
		},
	},
	{
		name: 'source of another size, and back',
		do: async (show) => {
			await show.changeClip(1);
			await sleep(500);
			await show.changeClip(0);
		},
	},
	{ name: 'canvas of another size and rate', do: (show) => show.changeCanvas() },
	{
		name: 'scenes switched with a fade, and back before it is over',
		do: async (show, random) => {
			for (const scene of [SCENES.other, SCENES.empty, SCENES.show, SCENES.empty, SCENES.show]) {
				await goTo(show, scene);
				await sleep(random() * 500);
			}
		},
	},
	{
		name: 'filter removed and added again',
		do: async (show) => {
			const { obs } = show;
			const filter = { sourceName: CAMERA, filterName: FILTER };
			const { filterSettings } = await obs.socket.call('GetSourceFilter', filter);
			// Without it the source is shown, by the user's wish: it is removed where nobody sees that.
			await goTo(show, SCENES.empty, 'Cut');
			await obs.until(async () => !(await obs.stream(STREAM)).active, 'the source out of the program');
			await obs.socket.call('RemoveSourceFilter', filter);
			await obs.addFilter(CAMERA, filterSettings as Record<string, unknown>, FILTER);
			await saveScenes(show);
			await goTo(show, SCENES.show, 'Fade');
		},
	},
	{
		name: 'panic by a key in OBS',
		hides: true,
		do: pressPanic,
		mend: pressPanic,
	},
	{
		name: 'panic by a key in OBS, and the sidecar dies',
		hides: true,
		do: async (show) => {
			await pressPanic(show);
			await show.endSidecar('SIGKILL');
		},
		mend: async (show) => {
			show.startSidecar();
			await pressPanic(show);
		},
	},
];

/** A line of bytes, or half a message, or one that is too long. */
const nonsense = (random: Random): Buffer =>
	pick(random, [
		randomBytes(500),
		Buffer.from('{"type":"str\n'),
		Buffer.from('x'.repeat(200_000)),
		Buffer.from('[]\n'),
	]);
