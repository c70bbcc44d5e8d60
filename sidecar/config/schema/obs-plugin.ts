import { strengthField } from './fields.ts';
import { z } from './zod.ts';

export const failureField = z.enum(['passthrough', 'hold', 'slate']);
export const holdSeconds = z.number().min(0.1).max(86_400);
export const afterHold = z.enum(['slate', 'passthrough']);
const streamId = z.string().min(1).max(128);
const rateField = z.int().min(1).max(1_000_000);

/**
 * What the plugin says, a line each: obs-bridge/protocol.md. Loose where a newer plugin may say more. A command is
 * checked by itself, so that one that is refused does not end the connection.
 */
export const ObsMessage = z.discriminatedUnion('type', [
	z.object({
		type: z.literal('hello'),
		protocol: z.int(),
		plugin: z.string().max(64),
		obs: z.string().max(64),
	}),
	z.object({
		type: z.literal('stream'),
		id: streamId,
		name: z.string().max(512),
		tap: z.string().min(1).max(256),
		fps: z.object({ num: rateField, den: rateField }),
		style: z.string().max(64),
		/** Asked for as a command, which says when it is too long. */
		prompt: z.string(),
		strength: strengthField,
		failure: failureField,
		/** Absent: for ever, as plugins had it that do not say it. */
		holdS: holdSeconds.exactOptional(),
		afterHold: afterHold.exactOptional(),
		/** Absent: as the style says. */
		region: z.literal('alpha').exactOptional(),
	}),
	z.object({ type: z.literal('stream_removed'), id: streamId }),
	z.object({ type: z.literal('command'), id: streamId.exactOptional(), command: z.unknown() }),
	/** All that there are. */
	z.object({ type: z.literal('scenes'), scenes: z.array(z.object({ name: z.string().max(512) })).max(1000) }),
	z.object({
		type: z.literal('scene_switch_started'),
		to: z.string().max(512),
		durationMs: z.number().min(0).max(600_000),
	}),
	z.object({ type: z.literal('transition'), durationMs: z.number().min(0).max(600_000) }),
	z.object({
		type: z.literal('shown'),
		id: streamId,
		glassToGlassMs: z.object({ p50: z.number(), p95: z.number() }),
	}),
]);
export type ObsMessage = z.infer<typeof ObsMessage>;
