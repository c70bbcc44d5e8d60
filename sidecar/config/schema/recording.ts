import { GraphRoleName, SettledCommand, fadeField } from './commands.ts';
import { kebabName, sha256 } from './fields.ts';
import { OwnRegion, Preset, REFERENCE_NAME_MAX, imageName } from './preset.ts';
import { Tuning, tuningFields } from './tuning.ts';
import { z } from './zod.ts';

export const pictureSide = z.int().min(1).max(16_384);

/** `recording.json`: what was there when the recording began. */
export const RecordingHeader = z.strictObject({
	format: z.literal('allaprima-recording'),
	formatVersion: z.literal(1),
	version: z.string().max(64),
	startedAt: z.iso.datetime(),
	source: z.strictObject({
		name: z.string().max(4096),
		layout: z.strictObject({
			format: z.enum(['RGB', 'BGRA', 'RGBA', 'NV12', 'I420', 'UYVY']),
			width: pictureSide,
			height: pictureSide,
			matrix: z.enum(['bt601', 'bt709']),
			range: z.enum(['limited', 'full']),
		}),
		frameRate: z.strictObject({ num: z.int().min(1).max(1_000_000), den: z.int().min(1).max(1_000_000) }),
	}),
	model: z.strictObject({ name: kebabName, sha256 }),
	painted: z.strictObject({ width: pictureSide, height: pictureSide }),
	fit: z.enum(['cover', 'contain', 'stretch']),
	// A recording that does not say it was made when every frame was painted, and each batch in runs of its own.
	tuning: Tuning.extend({
		similarityThreshold: tuningFields.similarityThreshold.default(0),
		streamBatch: tuningFields.streamBatch.default(false),
	}),
	preset: Preset,
	presets: z.array(Preset).max(2001),
	fadeS: fadeField.exactOptional(),
	region: OwnRegion.exactOptional(),
});
export type RecordingHeader = z.infer<typeof RecordingHeader>;

const timeUs = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const countUs = z.int().min(0);

/** `events.jsonl`: a line for each thing that made a difference to the painting, in the order in which they came. */
export const RecordingEvent = z.discriminatedUnion('type', [
	/** The next frame of the video, painted with the parameters of that time. */
	z.strictObject({
		type: z.literal('frame'),
		sequence: z.int().min(0),
		timestampUs: countUs,
		durationUs: countUs,
		atUs: timeUs,
	}),
	z.strictObject({ type: z.literal('command'), command: SettledCommand, atUs: timeUs, leadUs: timeUs }),
	z.strictObject({ type: z.literal('presets'), presets: z.array(Preset).max(2001), atUs: timeUs }),
	/** A picture of the recording, to paint like; absent: as the preset says again. */
	z.strictObject({
		type: z.literal('reference'),
		file: imageName.exactOptional(),
		name: z.string().max(REFERENCE_NAME_MAX).exactOptional(),
		atUs: timeUs,
		leadUs: timeUs,
	}),
	z.strictObject({ type: z.literal('armed'), name: z.string().max(64).exactOptional() }),
	z.strictObject({ type: z.literal('transition'), seconds: fadeField }),
	z.strictObject({ type: z.literal('released'), atUs: timeUs }),
	/** An engine began to paint, and knew nothing of the paintings before. */
	z.strictObject({
		type: z.literal('engine'),
		provider: z.string().max(64),
		int8Graphs: z.array(GraphRoleName).max(6),
	}),
	/** Frames that were painted and are not here, for the disk was slower than they came. */
	z.strictObject({ type: z.literal('lost'), frames: z.int().min(1) }),
]);
export type RecordingEvent = z.infer<typeof RecordingEvent>;
