// Sound waits for the painted picture: a clip with a flash and a beep at one instant, painted by the real sidecar, which
// sets the audio offset by itself. The recording says where both landed.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { decodeAudio, ffmpeg, probeFrames } from '../support/clips.ts';
import { CANVAS, Obs } from '../support/obs.ts';
import { readBlocks, record } from '../support/obs-recording.ts';
import { ObsSidecar } from '../support/obs-sidecar.ts';

const FRAME_MS = 1000 / CANVAS.fps;
const STREAM = 'Clap / Alla Prima';
const PERIOD_S = 2;
const CLAPS = 6;
/** Recordings that are made until one is of a painter that kept its pace: what else runs here may hold it up. */
const TRIES = 3;
/** What the input was told to wait before. */
const BEFORE_MS = 15;

let obs: Obs;
let sidecar: ObsSidecar | undefined;
beforeAll(async () => {
	obs = await Obs.start();
	const clip = `${obs.folder}/clap.mkv`;
	const isClap = `lt(mod(t\\,${PERIOD_S})\\,0.2)`;
	await ffmpeg(
		`-f lavfi -i color=c=0x303030:size=640x360:rate=30:d=120,drawbox=c=white:t=fill:enable=${isClap} ` +
			`-f lavfi -i aevalsrc=sin(2*PI*1000*t)*${isClap}:s=48000:d=120 -c:v mjpeg -q:v 5 -c:a pcm_s16le ${clip}`,
	);
	await obs.socket.call('CreateScene', { sceneName: 'clap' });
	await obs.socket.call('CreateInput', {
		sceneName: 'clap',
		inputName: 'Clap',
		inputKind: 'ffmpeg_source',
		inputSettings: { local_file: clip, looping: true },
	});
	await obs.socket.call('SetInputAudioSyncOffset', { inputName: 'Clap', inputAudioSyncOffset: BEFORE_MS });
	await obs.addFilter('Clap', { failure: 'hold' });
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'clap' });
}, 60_000);
afterEach(async () => {
	await sidecar?.[Symbol.asyncDispose]();
});
afterAll(() => obs[Symbol.asyncDispose]());

const offsetMs = async () =>
	(await obs.socket.call('GetInputAudioSyncOffset', { inputName: 'Clap' })).inputAudioSyncOffset;

const start = async (audioInputs: string[]) => {
	// So small that the painter keeps up beside whatever else runs: its cost is not the question here.
	sidecar = ObsSidecar.start(obs, { size: { width: 128, height: 64 }, obs: { audioInputs } });
	await sidecar.paints(STREAM);
};

/** When something begins that was not there for half a period. */
const onsets = (values: ArrayLike<number>, threshold: number, secondsAt: (i: number) => number): number[] => {
	const found: number[] = [];
	let lastS = -Infinity;
	for (let i = 0; i < values.length; i++) {
		if (values[i]! <= threshold) continue;
		if (secondsAt(i) - lastS > PERIOD_S / 2) found.push(secondsAt(i));
		lastS = secondsAt(i);
	}
	return found;
};

/** By how much each flash is later than its beep in a recording, in ms. */
const flashesAfterBeeps = async (): Promise<number[]> => {
	const path = await record(obs, () => sleep(1000 * PERIOD_S * (CLAPS + 0.5)));
	const lumas = (await readBlocks(path, 1, 1)).map(([, green = 0]) => green);
	const frames = await probeFrames(path);
	const sound = (await decodeAudio(path)).map(Math.abs);
	const flashes = onsets(lumas, (Math.max(...lumas) + Math.min(...lumas)) / 2, (i) => frames[i]!.timeS);
	const beeps = onsets(sound, 0.1, (i) => i / 48_000);
	return beeps.flatMap((beep) => {
		const flash = flashes.find((at) => Math.abs(at - beep) < PERIOD_S / 2);
		return flash === undefined ? [] : [1000 * (flash - beep)];
	});
};

const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

it('without an offset the painted flash comes more than a frame after its beep', async () => {
	await start([]);
	const late = await flashesAfterBeeps();
	expect(late.length).toBeGreaterThan(CLAPS / 2);
	expect(median(late)).toBeGreaterThan(FRAME_MS);
	expect(await offsetMs()).toBe(BEFORE_MS);
});

it('with it they land within a frame of each other, and the input gets its own offset back', async () => {
	await start(['Clap']);
	await obs.until(async () => (await offsetMs()) !== BEFORE_MS, 'an offset');
	const apart: number[] = [];
	while (apart.length < TRIES && !apart.some((ms) => ms <= FRAME_MS)) {
		const late = await flashesAfterBeeps();
		expect(late.length).toBeGreaterThan(CLAPS / 2);
		apart.push(Math.abs(median(late)));
	}
	expect(Math.min(...apart)).toBeLessThanOrEqual(FRAME_MS);
	expect(await sidecar!.stop()).toBe(0);
	expect(await offsetMs()).toBe(BEFORE_MS);
}, 120_000);

it('the offset of a sidecar that was killed is not taken for the input’s own', async () => {
	await start(['Clap']);
	await obs.until(async () => (await offsetMs()) !== BEFORE_MS, 'an offset');
	await sidecar!.stop('SIGKILL');
	expect(await offsetMs()).not.toBe(BEFORE_MS);
	await start(['Clap']);
	expect(await sidecar!.stop()).toBe(0);
	expect(await offsetMs()).toBe(BEFORE_MS);
});
