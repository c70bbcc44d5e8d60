import { expect, test } from 'vitest';
import { FIRST, isRuntimeThere, openNdiNetwork, SECOND, type SeenFrame } from '../support/ndi.ts';

// Source, relay and viewer are processes of their own, over the real libndi (scripts/setup --tests fetches it).
const real = isRuntimeThere() ? test : test.skip;

const SOURCE = 180;
const PAINTED = 102;
const SLATE = 25;
const isAbout = (luma: number) => (frame: SeenFrame) => Math.abs(frame.luma - luma) <= 3;
const lumas = (frames: SeenFrame[]) => [
	...new Set(frames.map(({ luma }) => [SOURCE, PAINTED, SLATE].find((one) => Math.abs(one - luma) <= 3) ?? luma)),
];

/** The gaps between frames, and what is wrong with their numbers: nothing, if each is one more than that before. */
const wrongSteps = (numbers: (number | undefined)[]) =>
	numbers.slice(1).flatMap((n, i) => (n === numbers[i]! + 1 ? [] : [`${numbers[i]} to ${n}`]));
const longestGapMs = (frames: SeenFrame[]) =>
	Math.max(...frames.slice(1).map(({ arrivedUs }, i) => (arrivedUs - frames[i]!.arrivedUs) / 1000));
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

real.each([30, 60])('a direct relay gives every frame of %i a second once, in order, as it was', async (num) => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num });
	const relay = await network.relay();
	await relay.call({ call: 'setDirect', args: [true] });
	const viewer = await network.viewer(SECOND);
	const onSource = await network.viewer(FIRST);
	await viewer.more(num);
	const frames = await viewer.more(5 * num);

	expect(wrongSteps(frames.map(({ n }) => n))).toEqual([]);
	const timecodes = new Map(onSource.frames.map(({ n, timecode, arrivedUs }) => [n, { timecode, arrivedUs }]));
	for (const frame of frames)
		expect(frame).toMatchObject({
			rate: `${num}/1`,
			noted: frame.n,
			format: 1,
			timecode: timecodes.get(frame.n)?.timecode,
		});
	const added = median(frames.map(({ n, arrivedUs }) => (arrivedUs - timecodes.get(n)!.arrivedUs) / 1000));
	const state = await relay.state();
	console.log(
		`${num}/s direct: ${added.toFixed(1)} ms more than without the relay, ${state.latencyMs!.p50.toFixed(2)} ms of them inside`,
	);
	expect(state).toMatchObject({ framesDropped: 0, shown: 'direct', delayMs: 0 });
	expect(added).toBeLessThan(30);
});

real(
	'for a minute paintings leave at the rate of the source, each frame with its own timecode, alpha and metadata',
	async () => {
		await using network = await openNdiNetwork();
		await network.source('CAM', { num: 30, alpha: 1, notes: 1 });
		const relay = await network.relay({ paintMs: 60 });
		const viewer = await network.viewer(SECOND);
		await viewer.one(isAbout(PAINTED), 'a painting');
		await viewer.more(60);
		const frames = await viewer.more(60 * 30, 90_000);

		expect(wrongSteps(frames.map(({ noted }) => noted))).toEqual([]);
		const periodMs = (frames.at(-1)!.arrivedUs - frames[0]!.arrivedUs) / (frames.length - 1) / 1000;
		expect(Math.abs(periodMs / (1000 / 30) - 1)).toBeLessThan(0.003); // a tenth of a second in that minute
		expect(lumas(frames)).toEqual([PAINTED]);
		for (const frame of frames) expect(frame.alphaOff, `alpha of ${frame.noted}`).toBeGreaterThanOrEqual(0);
		expect(Math.max(...frames.map(({ alphaOff }) => alphaOff))).toBeLessThanOrEqual(3);
		expect(frames.every(({ timecode }, i) => i === 0 || timecode > frames[i - 1]!.timecode)).toBe(true);
		await viewer.untilLine('note <note');
		const state = await relay.state();
		expect(state.framesRepeated).toBeGreaterThan(0);
		expect(state.delayMs).toBeGreaterThan(60);
		expect(state.delayMs).toBeLessThan(400);
	},
	120_000,
);

real('alpha is left out where it is not wanted', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { alpha: 1 });
	const relay = await network.relay({ alpha: false });
	await relay.call({ call: 'setDirect', args: [true] });
	const viewer = await network.viewer(SECOND);
	expect(new Set((await viewer.more(10)).map(({ alphaOff }) => alphaOff))).toEqual(new Set([-1]));
});

real('interlaced stays interlaced, the first field first, direct and painted', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 25, interlaced: 1 });
	const relay = await network.relay({ paintMs: 20 });
	await relay.call({ call: 'setDirect', args: [true] });
	const viewer = await network.viewer(SECOND);
	const frames = await viewer.more(100);
	const first = frames.slice(frames.findIndex(({ format }) => format === 2));
	expect(wrongSteps(first.filter(({ format }) => format === 2).map(({ n }) => n))).toEqual([]);
	for (const [i, { n, format, height }] of first.entries()) {
		expect(height).toBe(360);
		expect(format).toBe(i % 2 === 0 ? 2 : 3);
		if (format === 3) expect(n).toBe(first[i - 1]!.n + 500_000);
	}
	await relay.call({ call: 'setDirect', args: [false] });
	await viewer.one(isAbout(PAINTED), 'a painting');
	expect(new Set((await viewer.more(20)).map(({ format }) => format))).toEqual(new Set([2, 3]));
});

real('sound is delayed as the picture is', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30, sound: 1 });
	const relay = await network.relay({ delayMs: 250 });
	const viewer = await network.viewer(SECOND);
	const onSource = await network.viewer(FIRST);
	await viewer.more(30);
	const frames = await viewer.more(60);
	const sounds = new Map(viewer.sounds.map(({ timecode, arrivedUs }) => [timecode, arrivedUs]));
	const atSource = new Map(onSource.frames.map(({ timecode, arrivedUs }) => [timecode, arrivedUs]));
	const skews = frames.map(({ timecode, arrivedUs }) => Math.abs(arrivedUs - sounds.get(timecode)!) / 1000);
	const delays = frames.map(({ timecode, arrivedUs }) => (arrivedUs - atSource.get(timecode)!) / 1000);
	console.log(`sound and picture: ${median(skews).toFixed(1)} ms apart; delayed by ${median(delays).toFixed(1)} ms`);
	expect(median(skews)).toBeLessThan(1000 / 30);
	expect(median(delays)).toBeGreaterThan(240);
	expect(median(delays)).toBeLessThan(300);
	expect((await relay.state()).audioFrames).toBeGreaterThan(90);
});

real('tally and the metadata of viewers reach the source', async () => {
	await using network = await openNdiNetwork();
	const source = await network.source('CAM');
	const relay = await network.relay();
	await network.viewer(SECOND, { tally: 1, note: '<ntk_ptz_zoom/>' });
	await source.untilLine('tally 1 0');
	await source.untilLine('note <ntk_ptz_zoom/>');
	expect(await relay.state()).toMatchObject({ tally: { onProgram: true, onPreview: false }, connections: 1 });
});

real('under slate no frame of the source leaves: from the first, in direct mode, or when the source goes', async () => {
	await using network = await openNdiNetwork();
	const relay = await network.relay({
		input: { url: SECOND },
		failure: 'slate',
		paintMs: 20,
		staleAfterMs: 200,
		output: { name: 'OUT', failover: true },
	});
	const viewer = await network.viewer(FIRST);
	const source = await network.source('CAM', { num: 30, alpha: 1 });
	await viewer.one(isAbout(PAINTED), 'a painting');
	expect(isAbout(SLATE)(viewer.frames[0]!)).toBe(true);
	// The shape of the source's alpha is the source's too.
	expect(viewer.frames[0]!.alphaLeast).toBe(255);
	for (const on of [true, false, true]) {
		await relay.call({ call: 'setDirect', args: [on] });
		await viewer.more(20);
	}
	await relay.call({ call: 'setPanic', args: [true] });
	await relay.call({ call: 'setDirect', args: [false] });
	await relay.call({ blockMs: 500 });
	await viewer.more(10);
	await relay.call({ call: 'setPanic', args: [false] });
	await viewer.one(isAbout(PAINTED), 'a painting');
	source.kill();
	await viewer.one(isAbout(SLATE), 'the slate');
	await viewer.more(30);
	expect(await relay.state()).toMatchObject({ framesPassed: 0, isFailoverSet: false });
	relay.kill();
	await new Promise((resolve) => setTimeout(resolve, 500));
	expect(new Set(lumas(viewer.frames))).toEqual(new Set([PAINTED, SLATE]));
});

real('panic shows the slate within two frames', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30 });
	const relay = await network.relay({ delayMs: 500, paintMs: 20 });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	await viewer.more(30);
	await relay.call({ call: 'setPanic', args: [true] });
	const after = await viewer.more(4);
	expect(after.slice(2).every(isAbout(SLATE))).toBe(true);
});

real.each([
	['hold', PAINTED],
	['passthrough', SOURCE],
	['slate', SLATE],
] as const)('frames leave without the event loop, by the policy %s', async (failure, shown) => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30 });
	const relay = await network.relay({ failure, paintMs: 20, staleAfterMs: 300 });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	await viewer.more(30);
	const start = viewer.frames.length;
	await relay.call({ blockMs: 2000 });
	const blocked = viewer.frames.slice(start, start + 55);
	expect(blocked).toHaveLength(55);
	expect(wrongSteps(blocked.map(({ noted }) => noted))).toEqual([]);
	expect(longestGapMs(blocked)).toBeLessThan(200);
	// 300 ms, the 33 ms of a frame, and how long the painter was at its last one.
	const changed = blocked.find(isAbout(shown));
	expect((changed!.arrivedUs - blocked[0]!.arrivedUs) / 1000).toBeLessThan(400);
	expect(blocked.slice(15).every(isAbout(shown))).toBe(true);
});

real('a hold ends without the event loop, and a painting is shown again after it', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30 });
	const relay = await network.relay({ failure: 'hold', holdMs: 1000, paintMs: 20, staleAfterMs: 200 });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	await viewer.more(30);
	const start = viewer.frames.length;
	await relay.call({ blockMs: 2500 });
	const blocked = viewer.frames.slice(start, start + 70);
	const end = blocked.findIndex(isAbout(SLATE));
	expect(end).toBeGreaterThan(10);
	expect(blocked.slice(0, end).every(isAbout(PAINTED))).toBe(true);
	expect(blocked.slice(end).every(isAbout(SLATE))).toBe(true);
	const { length } = viewer.frames;
	await viewer.more(60);
	expect(viewer.frames.slice(length).some(isAbout(PAINTED))).toBe(true);
});

real('viewers are with the source soon after kill -9 of a relay that passes through', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30 });
	const relay = await network.relay({ paintMs: 20, output: { name: 'OUT', failover: true } });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	await viewer.more(30);
	expect(await relay.state()).toMatchObject({ isFailoverSet: true });
	const last = viewer.frames.length;
	relay.kill();
	await viewer.one(isAbout(SOURCE), 'the source');
	const gapMs = longestGapMs(viewer.frames.slice(last - 2));
	console.log(`failover: ${gapMs.toFixed(0)} ms without a frame`);
	expect(gapMs).toBeLessThan(1000);
});

real('a source that is killed, comes again and has another size comes through again', async () => {
	await using network = await openNdiNetwork();
	const first = await network.source('CAM', { num: 30 });
	const relay = await network.relay({ failure: 'hold', paintMs: 20 });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	first.kill();
	await new Promise((resolve) => setTimeout(resolve, 2000));
	const silent = await viewer.more(30);
	expect(silent.every(isAbout(PAINTED))).toBe(true);
	expect(silent.every(({ timecode }, i) => i === 0 || timecode > silent[i - 1]!.timecode)).toBe(true);
	await network.source('CAM', { num: 30, width: 640, height: 360 });
	await viewer.one((frame) => frame.width === 640 && isAbout(PAINTED)(frame), 'a smaller painting', 30_000);
	const state = await relay.state();
	expect(state.inputState).toBe('receiving');
	expect(state.reconnects + state.receiverRestarts).toBeGreaterThan(0);
	expect(state.framesFilled).toBeGreaterThan(30);
});

real('a source that has another name from then on is the same source to who asked for its address', async () => {
	await using network = await openNdiNetwork();
	const first = await network.source('CAM', { num: 30 });
	await network.relay({ failure: 'hold', paintMs: 20 });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	first.kill();
	await new Promise((resolve) => setTimeout(resolve, 2000)); // its port is free again
	await network.source('STUDIO', { num: 30, width: 640, height: 360 });
	await viewer.one((frame) => frame.width === 640 && isAbout(PAINTED)(frame), 'a painting of it', 30_000);
});

real('the painter has nothing to do while nobody watches, where that is wanted', async () => {
	await using network = await openNdiNetwork();
	await network.source('CAM', { num: 30 });
	const relay = await network.relay({ onlyWhenWatched: true, paintMs: 10 });
	await relay.until(() => true, 'a start');
	await new Promise((resolve) => setTimeout(resolve, 1500));
	expect(await relay.state()).toMatchObject({ framesPainted: 0, connections: 0 });
	const viewer = await network.viewer(SECOND);
	await viewer.one(isAbout(PAINTED), 'a painting');
	expect(await relay.state()).toMatchObject({ connections: 1 });
});
