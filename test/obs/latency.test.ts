// How late the painting is, read from the program itself: frames that carry their number, beside what the filter shows of
// them. And whether the plugin's own figure, from its stamps, says the same.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { delaysOf, readNumbers, showNumbers, stepsFrom, STRIP } from '../support/frame-numbers.ts';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';

const FRAME_MS = 1000 / CANVAS.fps;

let obs: Obs;
let echo: ObsEcho;
beforeAll(async () => {
	obs = await Obs.start();
	await showNumbers(obs);
	echo = await ObsEcho.start(obs.runtimeFolder);
	await obs.shows(`${STRIP} / Alla Prima`, 'painting');
});
afterAll(async () => {
	await echo[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

/** The delay as frames of the program and as the plugin publishes it, over the same seconds. */
const measure = async () => {
	echo.heard.length = 0;
	const frames = await readNumbers(obs, true, () => sleep(6000));
	const published = echo.heard.flatMap(({ type, glassToGlassMs }) =>
		type === 'shown' ? [(glassToGlassMs as { p50: number }).p50] : [],
	);
	const delays = delaysOf(frames);
	return { frames, delays, published: median(published) };
};

it.each([
	['at once', 0],
	['after 100 ms', 100],
])(
	'a peer that gives each picture back %s: the numbers say what glassToGlassMs says, within a frame',
	async (_, delayMs) => {
		echo.tell({ delayMs });
		await sleep(1500); // until the published figure is of this delay alone
		const { frames, delays, published } = await measure();
		// Nothing is shown that the source was not a moment before.
		expect(delays).not.toContain(undefined);
		expect(delays.length).toBeGreaterThan(60);
		// Nor an older one after a newer one.
		const steps = frames.slice(1).map(({ shown }, i) => stepsFrom(frames[i]!.shown, shown));
		expect(Math.min(...steps)).toBeGreaterThanOrEqual(0);
		const shown = median(delays as number[]);
		expect(Math.abs(shown * FRAME_MS - published)).toBeLessThanOrEqual(FRAME_MS);
		if (delayMs === 0) expect(shown).toBeLessThanOrEqual(3);
		else expect(shown * FRAME_MS).toBeGreaterThan(delayMs);
	},
);
