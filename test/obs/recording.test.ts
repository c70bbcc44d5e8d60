// What OBS records while the engine and the sidecar die: the real ones, in a real recording.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { enginePids, until } from '../support/engines.ts';
import { Obs } from '../support/obs.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

let obs: Obs;
let sidecar: ChildProcess;

const startSidecar = () =>
	spawn(process.execPath, [cli, 'run', '--source', 'obs', '--size', '256x160', '--provider', 'cpu', '--http', 'off'], {
		stdio: 'ignore',
		env: { ...process.env, HOME: obs.folder, XDG_RUNTIME_DIR: obs.runtimeFolder },
	});
/** Twenty more paintings were shown, of an engine that says that it paints. */
const isPainted = async () => {
	const { framesShown } = await obs.stream();
	await obs.until(
		async () => {
			const stream = await obs.stream();
			return stream.shown === 'painting' && stream.engine === 'painting' && stream.framesShown >= framesShown + 20;
		},
		'twenty paintings',
		40_000,
	);
};
const isShown = (what: string) => obs.until(async () => (await obs.stream()).shown === what, what, 40_000);

beforeAll(async () => {
	obs = await Obs.start();
	await obs.addClip('Show', 'Camera');
	await obs.addFilter('Camera', { mode: 'replace', failure: 'passthrough', style: 'oil-painting' });
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Show' });
	sidecar = startSidecar();
	await isPainted();
}, 60_000);
afterAll(async () => {
	sidecar.kill('SIGTERM');
	await obs[Symbol.asyncDispose]();
});

interface Recorded {
	frames: number;
	/** Mean luma of the darkest frame, 16 is black. */
	darkest: number;
	/** The longest step from one frame to the next. */
	longestMs: number;
}

const read = async (path: string): Promise<Recorded> => {
	const filter = 'signalstats,metadata=print:file=-:key=lavfi.signalstats.YAVG';
	const { stdout } = await promisify(execFile)(
		'ffmpeg',
		['-v', 'error', '-nostdin', '-i', path, '-an', '-vf', filter, '-f', 'null', '-'],
		{ maxBuffer: 1 << 26 },
	);
	const times = [...stdout.matchAll(/pts_time:([\d.]+)/g)].map(([, time]) => Number(time));
	const lumas = [...stdout.matchAll(/YAVG=([\d.]+)/g)].map(([, luma]) => Number(luma));
	const steps = times.slice(1).map((time, i) => 1000 * (time - times[i]!));
	return { frames: times.length, darkest: Math.min(...lumas), longestMs: Math.max(...steps) };
};

it('no black and no gap is recorded while the engine dies, and the sidecar, and both come back', async () => {
	await obs.socket.call('StartRecord');
	await obs.until(async () => (await obs.socket.call('GetRecordStatus')).outputActive, 'the recording');
	const [first] = enginePids(sidecar.pid);
	process.kill(first!, 'SIGKILL');
	await until(() => enginePids(sidecar.pid).some((pid) => pid !== first));
	await isPainted();
	sidecar.kill('SIGKILL');
	await isShown('source');
	sidecar = startSidecar();
	await isPainted();
	const { outputPath } = await obs.socket.call('StopRecord');
	await obs.until(async () => !(await obs.socket.call('GetRecordStatus')).outputActive, 'the end of the recording');

	const { frames, darkest, longestMs } = await read(outputPath);
	expect(frames).toBeGreaterThan(30);
	expect(darkest).toBeGreaterThan(40);
	// A busy machine makes OBS leave out a frame now and then; a death would be a hole.
	expect(longestMs).toBeLessThan(400);
});
