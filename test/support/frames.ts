import { referenceOf } from '../../sidecar/control/reference-image.ts';
import { rgbLayout, type Frame } from '../../sidecar/frame/frame.ts';
import { resolveParameters, type Parameters, type ReferencePicture } from '../../sidecar/parameters.ts';
import type { Preset } from '../../sidecar/config/schema/preset.ts';
import type { Tuning } from '../../sidecar/config/schema/tuning.ts';

/** A frame of a source at 25 frames a second. */
export const frameOf = (sequence: number, slot = sequence): Frame => ({
	sequence,
	slot,
	capturedUs: sequence * 40_000,
	timestampUs: sequence * 40_000,
	durationUs: 40_000,
	layout: rgbLayout({ width: 32, height: 32 }),
});

export async function* framesUpTo(count: number): AsyncGenerator<Frame, void, undefined> {
	for (let sequence = 0; sequence < count; sequence++) yield frameOf(sequence);
}

export const tuningOf = (overrides: Partial<Tuning> = {}): Tuning => ({
	batchSize: 1,
	steps: 1,
	noise: 'advected',
	temporalMultiplier: 1,
	condRefreshEvery: 2,
	teRefreshEvery: 8,
	teBatchOne: true,
	outputBlend: 0,
	similarityThreshold: 0,
	streamBatch: false,
	precision: 'fp32',
	...overrides,
});

export const presetOf = (name: string, overrides: Partial<Preset> = {}): Preset => ({
	format: 'allaprima-style',
	formatVersion: 2,
	name,
	title: name,
	model: 'lite',
	prompt: `transfer this to ${name} style`,
	strength: 1,
	seed: 42,
	...overrides,
});

/** A picture that shows a style, all of one grey. */
export const referenceOfGrey = (level: number): ReferencePicture => {
	const layout = rgbLayout({ width: 32, height: 24 });
	return referenceOf({ ...layout, data: new Uint8Array(3 * 32 * 24).fill(level) });
};

export const parametersOf = (tuning: Partial<Tuning> = {}, epoch = 0, style = 'oil-painting'): Parameters =>
	resolveParameters(presetOf(style), tuningOf(tuning), epoch);

export const collect = async <T>(items: AsyncIterable<T>): Promise<T[]> => {
	const collected: T[] = [];
	for await (const item of items) collected.push(item);
	return collected;
};
