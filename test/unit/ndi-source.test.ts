import { runInNewContext } from 'node:vm';
import { setFlagsFromString } from 'node:v8';
import { expect, test } from 'vitest';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import { FrameRing } from '../../sidecar/frame/ring.ts';
import { NdiSource, type NdiIntake } from '../../sidecar/ingest/ndi-source.ts';
import type { NdiFormat } from '../../sidecar/ndi.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';

setLog({ level: 'silent' });

const LAYOUT = rgbLayout({ width: 2, height: 2 });
const FORMAT: NdiFormat = {
	layout: LAYOUT,
	frameRate: { num: 30, den: 1 },
	aspect: 1,
	isInterlaced: false,
	hasAlpha: false,
	hasAudio: false,
};
setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const heapAfterGarbage = (): number => {
	collectGarbage();
	return process.memoryUsage().heapUsed;
};

test('weeks of frames leave nothing behind', async () => {
	const stop = new AbortController();
	const heap: number[] = [];
	let sequence = 0;
	const intake: NdiIntake = {
		open: () => Promise.resolve(FORMAT),
		next: async () => {
			if (sequence === 2000 || sequence === 22_000) heap.push(heapAfterGarbage());
			if (sequence === 22_000) stop.abort();
			return {
				sequence: sequence++,
				missed: 0,
				capturedUs: 1000 * sequence,
				timecode: BigInt(sequence),
				layout: LAYOUT,
			};
		},
	};
	const source = await NdiSource.open(intake, { name: 'CAM', signal: stop.signal });
	const ring = new FrameRing({ slotCount: 3, slotBytes: 12, mode: 'newest-wins', waitingMax: 1 });
	const { framesRead } = await source.run(ring, stop.signal);
	expect(framesRead).toBeGreaterThanOrEqual(22_000);
	// What lasts of a frame, in bytes; it was 800 once, and a day has 2.6 million frames.
	expect((heap[1]! - heap[0]!) / 20_000).toBeLessThan(20);
});

test('ends when it is asked to, though no frame comes', async () => {
	const stop = new AbortController();
	const intake: NdiIntake = {
		open: () => Promise.resolve(FORMAT),
		next: () => new Promise(() => {}),
	};
	const source = await NdiSource.open(intake, { name: 'CAM', signal: stop.signal });
	const ring = new FrameRing({ slotCount: 3, slotBytes: 12, mode: 'newest-wins', waitingMax: 1 });
	const ended = source.run(ring, stop.signal);
	stop.abort();
	expect(await ended).toEqual({ framesRead: 0, warnings: [] });
});
