// How often the adapter is refreshed: rate against how a painting follows the one before.
import { fixed, percent } from '../section.mjs';
import { decode, measure, openStreams, paintRounds } from './engine.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */

const EVERY = [1, 4, 8, 16];

/** @returns {Promise<Section>} */
export const measureRefresh = async (/** @type {Bench} */ { small, clip, say }) => {
	const frames = await decode(await clip('512x288', small ? 12 : 96));
	const streams = await openStreams(undefined);
	const rounds = small ? 1 : 2;
	const rows = [];
	try {
		for (const every of EVERY) {
			const how = { tuning: { condRefreshEvery: every }, rounds };
			const { paintings, fps, spread, stagesMs } = await paintRounds(streams, frames, how);
			const refreshes = stagesMs['warp']?.length ?? 0;
			rows.push({ every, fps, spread, refreshes, ...(await measure(frames, paintings)) });
			say(`adapter refreshed every ${every}: ${fixed(fps, 1)} frames/s`);
		}
	} finally {
		await streams[Symbol.asyncDispose]();
	}
	return {
		name: 'refresh',
		title: 'How often the adapter is refreshed',
		text: `arXiv 2606.05981, Table VI: ${frames.length} frames of the built-in scene, painted as \`lite\` starts, in fp32, but for \`--cond-refresh-every\`. Motion of 2 % of the width since the last refresh brings the next one forward, so the counts differ less than N does. Rates are means of ${rounds}, which differ by ${percent(Math.max(...rows.map(({ spread }) => spread)), 1)} at most.`,
		head: ['N', 'refreshes', 'frames/s', 'warping error', 'Sobel', 'HF-FFT'],
		rows: rows.map(({ every, refreshes, fps, warpingError, sobel, hf }) => [
			`${every}`,
			`${refreshes}`,
			fixed(fps, 1),
			fixed(warpingError, 3),
			fixed(sobel, 3),
			fixed(hf, 1),
		]),
		values: rows,
		verdicts: [],
	};
};
