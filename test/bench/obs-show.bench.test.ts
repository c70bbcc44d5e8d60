// What a show feels: how soon a style follows a scene and a key, and what is painted while OBS records on the same cores.
// The real sidecar with lite at its own size. All delays are read from the recorded program. For figures:
//   OBS_BENCH_SECONDS=20 OBS_BENCH_CHANGES=12 node node_modules/.bin/vitest run test/bench/obs-show.bench.test.ts
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { CANVAS, Obs } from '../support/obs.ts';
import { record } from '../support/obs-recording.ts';
import { ObsSidecar } from '../support/obs-sidecar.ts';
import { addScenes, pressKeys, pressPanic, SCENES, STREAM, switchScenes } from '../support/style-switches.ts';

const seconds = Number(process.env['OBS_BENCH_SECONDS'] ?? 3);
const changes = Number(process.env['OBS_BENCH_CHANGES'] ?? 3);

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;

const row = <Found>(what: string, found: Found[], framesOf: (one: Found) => number, must: string) => {
	const ms = found.map((one) => (1000 * framesOf(one)) / CANVAS.fps);
	const cells = [median(ms).toFixed(0), Math.max(...ms).toFixed(0), String(found.length), must];
	return `${what.padEnd(62)} ${cells.map((cell) => cell.padStart(9)).join(' ')}`;
};

it(
	'measures how soon a style is in the program, and what is painted beside a recording',
	async () => {
		await using obs = await Obs.start();
		await addScenes(obs);
		await using sidecar = ObsSidecar.start(obs, { fadeS: 0, obs: { scenes: SCENES } });
		await sidecar.paints(STREAM);

		const cuts = await switchScenes(obs, changes, 'Cut');
		const fades = await switchScenes(obs, changes, 'Fade');
		const keys = await pressKeys(obs, changes);
		const panics = await pressPanic(obs, changes);

		const stats = () => Promise.all([obs.stream(STREAM), obs.socket.call('GetStats')]);
		const [painted, rendered, lagged, skipped, elapsedS] = await new Promise<number[]>((resolve, reject) => {
			record(obs, async () => {
				await sleep(1000);
				const startedMs = performance.now();
				const [stream, obsStats] = await stats();
				await sleep(1000 * seconds);
				const [streamLater, obsLater] = await stats();
				resolve([
					streamLater.framesShown - stream.framesShown,
					obsLater.renderTotalFrames - obsStats.renderTotalFrames,
					obsLater.renderSkippedFrames - obsStats.renderSkippedFrames,
					obsLater.outputSkippedFrames - obsStats.outputSkippedFrames,
					(performance.now() - startedMs) / 1000,
				]);
			}).catch(reject);
		});
		const { glassToGlassMs, glassToGlassMsP95 } = await obs.stream(STREAM);

		console.log(
			[
				`OBS, ${CANVAS.width}x${CANVAS.height} at ${CANVAS.fps}, recording with x264; lite on the same cores`,
				`${'ms'.padEnd(62)} ${['p50', 'worst', 'times', 'must'].map((cell) => cell.padStart(9)).join(' ')}`,
				row('studio mode, a cut → first frame of the armed style', cuts, ({ isNew }) => isNew, '≤ 250 p50'),
				// The first frame of a fade looks like the one before.
				row('the same, a fade of 300 ms → a tenth of the way to it', fades, ({ begins }) => begins + 1, ''),
				// The mark is seen one frame after the key at the most.
				row('a hotkey → first frame of its style', keys, ({ isNew }) => isNew + 1, '< 500 p50'),
				row('the hotkey of panic → first frame with the card', panics, (frames) => frames + 1, '< 67'),
				`frames of the old style after one of the new: ${[...cuts, ...fades, ...keys].reduce((sum, { oldAfterNew }) => sum + oldAfterNew, 0)}, must be 0`,
				`painted ${(painted! / elapsedS!).toFixed(1)} frames/s, must be 12 or more; OBS rendered ${(rendered! / elapsedS!).toFixed(1)}, lagged ${lagged}, left out of the recording ${skipped}`,
				`glass to glass ${glassToGlassMs?.toFixed(1)} ms p50, ${glassToGlassMsP95?.toFixed(1)} p95`,
			].join('\n'),
		);
		expect([cuts.length, fades.length, keys.length]).toEqual([changes, changes, changes]);
		expect(panics).toHaveLength(changes);
		for (const frames of panics) expect(frames).toBeGreaterThan(-3);
		expect(painted).toBeGreaterThan(0);
	},
	(90 + 6 * changes + 2 * seconds) * 1000,
);
