import { help, promptField, seedField, strengthField } from './fields.ts';
import type { GraphRole } from './manifest.ts';
import { REGION_EXPECTED, Region } from './preset.ts';
import { z } from './zod.ts';

export const fadeField = z
	.number()
	.min(0)
	.max(60)
	.meta(help('How long a change of style fades from the old to the new; 0 cuts', 's'));

const SETTLED_COMMANDS = [
	/** `fadeS` is for this change alone, which keeps step with something else and waits for no beat. */
	z.strictObject({ type: z.literal('style'), name: z.string().min(1).max(64), fadeS: fadeField.exactOptional() }),
	z.strictObject({ type: z.literal('next') }),
	z.strictObject({ type: z.literal('previous') }),
	z.strictObject({ type: z.literal('prompt'), text: promptField }),
	z.strictObject({ type: z.literal('strength'), value: strengthField }),
	z.strictObject({ type: z.literal('seed'), value: seedField }),
	z.strictObject({ type: z.literal('fade'), seconds: fadeField }),
	z.strictObject({ type: z.literal('toggle') }),
	z.strictObject({ type: z.literal('panic'), on: z.boolean() }),
	z.strictObject({ type: z.literal('tap') }),
	z.strictObject({
		type: z.literal('tempo'),
		bpm: z.number().min(30).max(300).meta(help('How fast the music is', 'beats/min')),
		beatsPerBar: z.int().min(1).max(16).exactOptional(),
		/** The moment at which it comes is the beginning of a bar. */
		downbeat: z.boolean().exactOptional(),
	}),
	z.strictObject({ type: z.literal('quantise'), to: z.enum(['off', 'beat', 'bar']) }),
	/** For all styles; `preset` leaves it to each of them. The same again learns the background anew. */
	z.strictObject({ type: z.literal('region'), region: z.union([z.literal('preset'), Region], REGION_EXPECTED) }),
] as const;
const COMMANDS = [
	...SETTLED_COMMANDS,
	z.strictObject({ type: z.literal('newStrokes') }),
	z.strictObject({
		type: z.literal('reference'),
		from: z
			.enum(['painting', 'source', 'preset'])
			.meta(help('Paints like the painting or the source is now, or as the preset says again')),
	}),
] as const;

/** Those that always do the same to the same state: a random seed has been chosen, a picture was taken. */
export const SettledCommand = z.discriminatedUnion('type', SETTLED_COMMANDS);
export type SettledCommand = z.infer<typeof SettledCommand>;

/** Everything that can be asked of a running sidecar, from wherever it comes. What they do: control/control-state.ts. */
export const Command = z.discriminatedUnion('type', COMMANDS, {
	error: ({ code }) =>
		code === 'invalid_union'
			? `expected one of ${COMMANDS.map(({ shape }) => shape.type.value).join(', ')}`
			: 'expected an object with a type',
});
export type Command = z.infer<typeof Command>;

export const StageName = z.enum([
	'convert',
	'similarity',
	'flow',
	'te',
	'vaeEncode',
	'warp',
	'noise',
	'cond',
	'unet',
	'dit',
	'vaeDecode',
	'blend',
]);

export const GraphRoleName = z.enum([
	'te_vision',
	'te_text',
	'vae_encoder',
	'lllite_cond',
	'unet',
	'dit_prompt',
	'dit_reference',
	'dit_step',
	'dit_step_kept',
	'dit_buffer',
	'vae_decoder',
] satisfies GraphRole[]);
