import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseTuning } from '../../sidecar/app/streams.ts';
import { samplingTuning } from '../../sidecar/app/sample-line.ts';
import { framesInEngine } from '../../sidecar/engine/engine-protocol.ts';
import {
	empty,
	EMPTY_BUFFER,
	enter,
	finish,
	remember,
	type BufferPass,
	type MovingBuffer,
} from '../../sidecar/inference/causal/moving-buffer.ts';
import { readManifest } from '../../sidecar/inference/manifest.ts';
import { tuningOf } from '../support/frames.ts';

type Deed = 'frame' | 'late' | 'cut';
const deeds = fc.array(fc.constantFrom<Deed>('frame', 'frame', 'frame', 'late', 'cut'), { maxLength: 60 });

/** What becomes of frames that come, of some that are finished before the next one comes, and of scenes. */
const rolled = (asked: readonly Deed[]) => {
	let buffer: MovingBuffer<number> = EMPTY_BUFFER;
	let frame = 0;
	let scene = 0;
	const passes: (BufferPass<number> & { before: MovingBuffer<number> })[] = [];
	const given: number[] = [];
	const sceneOf: number[] = [];
	const run = (pass: BufferPass<number> | undefined) => {
		if (!pass) return;
		passes.push({ ...pass, before: buffer });
		if (pass.finished !== undefined) given.push(pass.rows[pass.finished].frame);
		({ buffer } = pass);
	};
	for (const deed of [...asked, 'late'] as const) {
		if (deed !== 'frame') run(finish(buffer));
		if (deed === 'cut') {
			buffer = empty(buffer);
			scene++;
		}
		if (deed !== 'frame') continue;
		sceneOf.push(scene);
		run(enter(buffer, frame++));
	}
	return { passes, given, count: frame, sceneOf };
};
const text = ({ rows }: BufferPass<number>) => rows.map(({ frame, step }) => `${frame}.${step}`).join(' ');

describe('the moving buffer', () => {
	it('takes all its frames one step on, and the oldest to its end', () => {
		const { passes, given } = rolled(['frame', 'frame', 'frame', 'late', 'late', 'frame', 'cut', 'frame']);
		expect(passes.map(text)).toEqual([
			'0.0 0.0',
			'0.1 1.0',
			'1.1 2.0',
			'2.1 2.0',
			'2.1 3.0',
			'3.1 3.0',
			'4.0 4.0',
			'4.1 4.0',
		]);
		expect(given).toEqual([0, 1, 2, 3, 4]);
	});

	it('loses no frame and gives each once, in order, when the next one enters at the latest', () => {
		fc.assert(
			fc.property(deeds, (asked) => {
				const { passes, given, count } = rolled(asked);
				expect(given).toEqual(Array.from({ length: count }, (_, i) => i));
				let owed: number | undefined;
				for (const { rows, entered, finished } of passes) {
					if (owed !== undefined) expect(finished !== undefined && rows[finished].frame).toBe(owed);
					owed = entered === undefined ? undefined : rows[entered].frame;
				}
			}),
		);
	});

	it('has every frame take its first step, then its second, a pass a frame and one for each that is not waited for', () => {
		fc.assert(
			fc.property(deeds, (asked) => {
				const { passes, count } = rolled(asked);
				const entered: number[] = [];
				const finished: number[] = [];
				for (const pass of passes) {
					if (pass.entered !== undefined) {
						expect(pass.rows[pass.entered].step).toBe(0);
						entered.push(pass.rows[pass.entered].frame);
					}
					if (pass.finished !== undefined) {
						expect(pass.rows[pass.finished].step).toBe(1);
						// It has taken its first step before.
						expect(pass.rows[pass.finished].frame).toBe(pass.before.begun);
						finished.push(pass.rows[pass.finished].frame);
					}
					// Nothing is run for nobody.
					expect(pass.entered === undefined && pass.finished === undefined).toBe(false);
				}
				expect(entered).toEqual(Array.from({ length: count }, (_, i) => i));
				expect(new Set(finished).size).toBe(finished.length);
			}),
		);
	});

	it('paints a frame beside the one before it, whenever that was given, and beside none of another scene', () => {
		fc.assert(
			fc.property(deeds, (asked) => {
				const { passes, sceneOf } = rolled(asked);
				for (const { rows, entered } of passes) {
					const [older, newer] = rows;
					expect(sceneOf[older.frame]).toBe(sceneOf[newer.frame]);
					if (entered === undefined) expect(older.frame).toBe(newer.frame);
					else if (sceneOf[newer.frame - 1] === sceneOf[newer.frame]) {
						expect(older).toEqual({ frame: newer.frame - 1, step: 1 });
						expect(newer.step).toBe(0);
					} else expect([older, newer]).toEqual([newer, newer]);
				}
			}),
		);
	});

	it('is not emptied of a frame that nobody has got', () => {
		const { buffer } = enter<number>(EMPTY_BUFFER, 0);
		expect(() => empty(buffer)).toThrow('would be lost');
		expect(empty(finish(buffer)!.buffer)).toEqual(EMPTY_BUFFER);
		expect(finish(EMPTY_BUFFER)).toBeUndefined();
	});

	it('goes on from a painting of another, which is not given again', () => {
		const buffer = remember<number>(EMPTY_BUFFER, 7);
		expect(finish(buffer)).toBeUndefined();
		const pass = enter(buffer, 8);
		expect([text(pass), pass.finished]).toEqual(['7.1 8.0', undefined]);
		expect(remember(pass.buffer, 9)).toBe(pass.buffer);
	});
});

describe('--moving-buffer', () => {
	const manifestOf = async (name: string) =>
		(await readManifest(new URL(`../../models/${name}`, import.meta.url).pathname)).manifest;

	it('is off, and refused where it cannot be', async () => {
		const [dit, lite] = [await manifestOf('lite-dit'), await manifestOf('lite')];
		expect(chooseTuning(dit, {}).movingBuffer).toBe(false);
		expect(chooseTuning(dit, { movingBuffer: true })).toMatchObject({ movingBuffer: true, steps: 2 });
		const message = (error: unknown) => (error as Error).message;
		const refused = (...given: Parameters<typeof chooseTuning>) => {
			try {
				return `accepted: ${JSON.stringify(chooseTuning(...given))}`;
			} catch (error) {
				return message(error);
			}
		};
		expect(refused(lite, { movingBuffer: true })).toBe(
			'The model lite (edit-unet) has no graph dit_buffer. Leave --moving-buffer out.',
		);
		expect(refused(lite, { movingBuffer: false })).toContain('accepted');
		if (dit.family !== 'causal-dit') throw new TypeError('lite-dit is not what it was');
		const { dit_buffer: _, ...graphs } = dit.graphs;
		expect(refused({ ...dit, graphs }, { movingBuffer: true })).toBe(
			'The model lite-dit (causal-dit) has no graph dit_buffer. Leave --moving-buffer out.',
		);
		expect(refused(dit, { movingBuffer: true, steps: 1 })).toBe(
			'The moving buffer of lite-dit has a frame at each of 2 steps, not 1. Give --steps 2, or leave --moving-buffer out.',
		);
		expect(refused(dit, { movingBuffer: true, maskCache: true })).toContain(
			'Leave --mask-cache or --moving-buffer out.',
		);
		expect(refused(dit, { movingBuffer: true, streamBatch: true })).toContain('Leave --stream-batch out.');
	});

	it('has room in the engine for the frame that waits, and none for a sample, which stands alone', () => {
		const tuning = tuningOf({ batchSize: 2, steps: 2, movingBuffer: true });
		expect(framesInEngine(tuning)).toBe(11);
		expect(framesInEngine(samplingTuning(tuning))).toBe(5);
	});
});
