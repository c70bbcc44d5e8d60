// What a new engine makes of the last frame, its painting and the prompts of the one before: the real process and models/lite.
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EngineHandle } from '../../sidecar/engine/engine-process.ts';
import type { EncodedPrompt, LineState } from '../../sidecar/engine/engine.ts';
import { pictureByteLength, rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { until } from '../support/engines.ts';
import { parametersOf } from '../support/frames.ts';
import { LITE } from '../support/lite.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { EnginePool } = (await import(
	dist('engine/engine-process.js')
)) as typeof import('../../sidecar/engine/engine-process.ts');
const { openModelFolder } = (await import(
	dist('inference/manifest.js')
)) as typeof import('../../sidecar/inference/manifest.ts');

const PAINTED = { width: 256, height: 160 };
const LAYOUT = rgbLayout(PAINTED);
/** The adapter looks at each last painting, so that the one that goes on is all there is of the past. */
const PARAMETERS = parametersOf({ precision: 'fp32', noise: 'fixed', condRefreshEvery: 1 });

let folder: ModelFolder;
beforeAll(async () => {
	folder = await openModelFolder(LITE);
});

const opened: EngineHandle[] = [];
afterEach(async () => {
	for (const handle of opened.splice(0)) await handle.stop();
});

/** A picture with detail, that moves two pixels to the right with each frame. */
const frameAt = (sequence: number): Uint8Array => {
	const data = new Uint8Array(pictureByteLength(LAYOUT));
	for (let y = 0; y < PAINTED.height; y++)
		for (let x = 0; x < PAINTED.width; x++) {
			const u = (x - 2 * sequence) / 23;
			const level = 128 + 60 * Math.sin(u) * Math.cos(y / 17) + 50 * Math.sin(u * 0.37 + y / 41);
			for (let c = 0; c < 3; c++) data[3 * (y * PAINTED.width + x) + c] = level + 20 * Math.sin(u + 2 * c);
		}
	return data;
};

/** An engine that paints frames from `first` on. */
class Line {
	readonly paintings: Picture[] = [];
	readonly sources: Picture[] = [];
	prompts: readonly EncodedPrompt[] = [];
	error: Error | undefined;
	readonly #handle: EngineHandle;

	constructor(first: number, count: number, before?: LineState) {
		let sequence = first;
		this.#handle = new EnginePool().start(
			{
				folder,
				provider: 'cpu',
				precision: 'fp32',
				painted: PAINTED,
				fit: 'stretch',
				batchDeadlineMs: 100,
				parameters: PARAMETERS,
				logLevel: 'silent',
				frameBytes: pictureByteLength(LAYOUT),
				inFlightMax: 4,
				tellsPrompts: true,
			},
			{
				ready: () => {},
				pull: () => {
					if (sequence >= first + count) return;
					if (before && sequence === first) this.#handle.resume!(before);
					const times = { capturedUs: 0, timestampUs: 40_000 * sequence, durationUs: 40_000 };
					this.#handle.send({ sequence, slot: 0, ...times, layout: LAYOUT }, frameAt(sequence), PARAMETERS);
					sequence++;
				},
				answer: (_, pictures) => {
					if (pictures) {
						this.paintings.push(pictures.picture);
						this.sources.push(pictures.source);
					}
					this.#handle.taken();
				},
				prompts: (prompts) => (this.prompts = prompts),
				gone: (error) => (this.error = error),
			},
		);
		opened.push(this.#handle);
	}

	async gave(count: number): Promise<void> {
		await until(() => this.error !== undefined || this.paintings.length >= count);
		expect(this.error).toBeUndefined();
	}
}

const difference = (a: Picture, b: Picture): number =>
	a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]!), 0) / a.data.length;

describe('an engine that takes over', () => {
	it('goes on where the one before was: its first painting follows from the last one', async () => {
		const at = 9;
		const whole = new Line(0, at + 2);
		await whole.gave(at + 2);
		const before: LineState = {
			epoch: PARAMETERS.epoch,
			source: whole.sources[at]!,
			painting: whole.paintings[at]!,
			prompts: whole.prompts,
		};
		expect(before.prompts.map(({ prompt }) => prompt)).toEqual([PARAMETERS.conditioning[0]!.prompt]);
		const heir = new Line(at + 1, 1, before);
		const stranger = new Line(at + 1, 1);
		await Promise.all([heir.gave(1), stranger.gave(1)]);
		const jump = ({ paintings }: Line) => difference(paintings[0]!, whole.paintings[at + 1]!);
		// The latents that the last painting was decoded from are not handed over: the heir encodes the painting, which is near them.
		expect(jump(stranger)).toBeGreaterThan(1);
		expect(jump(heir)).toBeLessThan(0.4 * jump(stranger));
	});
});
