// What is felt live: latency, a change of style, a killed engine, a cold start.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { ABSOLUTE, fixed, holds } from '../section.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */

const script = fileURLToPath(new URL('./live.process.mjs', import.meta.url));

/** @returns {Promise<Section[]>} */
export const measureLive = async (/** @type {Bench} */ { small, say }) => {
	const { stdout } = await promisify(execFile)(process.execPath, [script, ...(small ? ['--small'] : [])]);
	const live = JSON.parse(stdout);
	const { fps, latency, styleSwitch, kill, coldStart, firstStart } = live;
	const { p50, p95, p99 } = latency.latencyMs;
	say(`live: ${fixed(p50, 1)} ms p50, ${fixed(p95, 1)} p95`);
	const rowOf = (/** @type {string} */ what, /** @type {{ p50: number, max: number, count: number }} */ ms) => [
		what,
		fixed(ms.p50, 1),
		fixed(ms.max, 1),
		`${ms.count}`,
	];
	return [
		{
			name: 'live',
			title: 'Live',
			text: `The built-in scene at ${fps} frames/s and 512x288, batches of one (${fixed(latency.fps, 1)} painted). Latency is that of half a minute that begins five seconds after the first painting.`,
			head: ['ms', 'p50', 'worst', 'times'],
			rows: [
				['latency, capture to shown', fixed(p50, 1), `p95 ${fixed(p95, 1)}, p99 ${fixed(p99, 1)}`, ''],
				rowOf('style changed → first frame of it shown', styleSwitch),
				rowOf('engine killed → next frame by the failure policy', kill.policy),
				rowOf('engine killed: the longest that the picture stood still', kill.gap),
				rowOf('engine killed → painting again', kill.painting),
				rowOf('start of the process → first painting shown', coldStart),
				rowOf('the same, with no optimised graphs kept from before', firstStart),
			],
			values: live,
			verdicts: [
				holds('live latency, p50', 'under 80 ms', `${fixed(p50, 1)} ms`, p50 < 80, '', ABSOLUTE),
				holds('live latency, p95 over p50', '1.5 at most', fixed(p95 / p50), p95 <= 1.5 * p50),
				holds(
					'cold start to the first painting',
					'under 3 s',
					`${fixed(coldStart.p50 / 1000, 1)} s`,
					coldStart.p50 < 3000,
					'',
					ABSOLUTE,
				),
				holds(
					'the first one of all, with nothing kept',
					'under 3 s',
					`${fixed(firstStart.p50 / 1000, 1)} s`,
					firstStart.p50 < 3000,
					'',
					ABSOLUTE,
				),
				holds(
					'engine killed: the next frame by the failure policy, worst',
					'two frames, 83.3 ms',
					`${fixed(kill.policy.max, 1)} ms`,
					kill.policy.max <= 2000 / fps,
					'',
					ABSOLUTE,
				),
				holds(
					'engine killed: painting again, worst',
					'under 3 s',
					`${fixed(kill.painting.max / 1000, 2)} s`,
					kill.painting.max < 3000,
					'',
					ABSOLUTE,
				),
			],
		},
	];
};
