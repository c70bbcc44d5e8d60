// The whole of it: a real OBS with the plugin, the real sidecar, and models/lite that paints what the filter taps.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enginePids } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { Obs } from '../support/obs.ts';
import type { RgbaPicture } from '../support/png.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const FILTER = { mode: 'replace', failure: 'passthrough', style: 'pencil-sketch' };

let obs: Obs;
let sidecar: ChildProcess;
let http: number;

const startSidecar = () =>
	spawn(
		process.execPath,
		[cli, 'run', '--source', 'obs', '--size', '320x192', '--provider', 'cpu', '--http', `${http}`],
		{
			stdio: ['ignore', 'ignore', 'ignore'],
			env: {
				...process.env,
				HOME: obs.folder,
				XDG_CONFIG_HOME: join(obs.folder, 'config'),
				XDG_RUNTIME_DIR: obs.runtimeFolder,
			},
		},
	);

/** Means over the picture: the distance from grey, high in the source and in oil, little in a sketch; the light. */
const look = ({ data }: RgbaPicture): { chroma: number; light: number } => {
	let [chroma, light] = [0, 0];
	for (let i = 0; i < data.length; i += 4) {
		const [red = 0, green = 0, blue = 0] = data.subarray(i, i + 3);
		chroma += Math.max(red, green, blue) - Math.min(red, green, blue);
		light += (red + green + blue) / 3;
	}
	return { chroma: chroma / (data.length / 4), light: light / (data.length / 4) };
};
type Look = ReturnType<typeof look>;
const shown = async () => look(await obs.screenshot('Show'));
const looks = (holds: (seen: Look) => boolean, what: string) =>
	obs.until(async () => holds(await shown()), what, 25_000);
const isSketched = ({ chroma, light }: Look) => chroma < 20 && light > 100;
const isColoured = ({ chroma }: Look) => chroma > 40;
const isCard = ({ light }: Look) => light < 40;

beforeAll(async () => {
	obs = await Obs.start();
	http = await freePort();
	await obs.addClip('Show', 'Camera');
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Show' });
	await looks(isColoured, 'a picture');
	await obs.addFilter('Camera', FILTER);
	sidecar = startSidecar();
}, 60_000);
afterAll(async () => {
	sidecar.kill('SIGTERM');
	await obs[Symbol.asyncDispose]();
});

const engine = () => (({ streams }) => streams[0]!.engine)(state!);
let state: Awaited<ReturnType<Obs['state']>> | undefined;
const refresh = async () => (state = await obs.state());

it('the filter’s style is painted in the source’s place, and the plugin knows how it goes', async () => {
	await looks(isSketched, 'a sketch');
	await obs.until(async () => (await refresh(), engine() === 'painting' && state!.streams[0]!.fps > 0), 'the state');
	expect(state!.streams[0]).toMatchObject({ style: 'pencil-sketch', shown: 'painting', width: 640, height: 360 });
	await obs.until(async () => (await obs.stream()).glassToGlassMs !== undefined, 'the delay');
	const report = (await (await fetch(`http://127.0.0.1:${http}/api/state`)).json()) as { run: { source: string } };
	expect(report.run.source).toMatch(/^obs:Camera/);
});

it('a request of the vendor changes the style, and so does the dialog', async () => {
	await obs.vendor('set_style', { style: 'oil-painting' });
	await looks(isColoured, 'oil');
	expect((await obs.stream()).style).toBe('oil-painting');
	await obs.vendor('set_style', { style: 'pencil-sketch' });
	await looks(isSketched, 'a sketch');
	await obs.setFilter('Camera', { style: 'oil-painting' });
	await looks(isColoured, 'oil');
	await obs.setFilter('Camera', { style: 'pencil-sketch' });
	await looks(isSketched, 'a sketch again');
	expect((await obs.stream()).style).toBe('pencil-sketch');
});

it('the engine is killed: the source passes, then it is painted again', async () => {
	process.kill(enginePids(sidecar.pid)[0]!, 'SIGKILL');
	await looks(isColoured, 'the source');
	await looks(isSketched, 'a sketch again');
	expect(isSketched(await shown())).toBe(true);
});

it('the sidecar is killed and started again: the source passes, then it is painted with the filter’s style', async () => {
	sidecar.kill('SIGKILL');
	await looks(isColoured, 'the source');
	expect((await obs.state()).sidecar).toBe('absent');
	sidecar = startSidecar();
	await looks(isSketched, 'a sketch again');
});

it('panic shows no picture of the source, with the sidecar and after its death', async () => {
	await obs.vendor('set_panic', { on: true });
	await looks(isCard, 'the card');
	sidecar.kill('SIGKILL');
	await obs.until(async () => (await obs.state()).sidecar === 'absent', 'the end of the sidecar');
	expect(isCard(await shown())).toBe(true);
	await obs.vendor('set_panic', { on: false });
	await looks(isColoured, 'the source');
	sidecar = startSidecar();
	await looks(isSketched, 'a sketch again');
});

it('OBS ends clean', async () => {
	sidecar.kill('SIGTERM');
	await once(sidecar, 'exit');
	expect(sidecar.exitCode).toBe(0);
	await obs.stop();
	expect(obs.log()).toMatch(/Number of memory leaks: 0/);
});
