import { help, promptField, seedField, strengthField } from './fields.ts';
import { OwnRegion } from './preset.ts';
import {
	afterHoldField,
	failurePolicyField,
	fitField,
	holdField,
	paintedSizeField,
	staleAfterField,
} from './run-fields.ts';
import { z } from './zod.ts';

/** A source by its name, or by where it is when discovery is not to be had. */
const ndiStream = z.string().trim().min(1).max(253);

/** One source of NDI and the painting of it; what is absent is as the configuration has it for all. */
export const NdiChannel = z.strictObject({
	in: ndiStream.meta(help('Source to paint: its name ("RIG (CAM 1)", or CAM 1 alone), or HOST:PORT')),
	out: ndiStream.exactOptional().meta(help('Name of the painted stream; else as outName says')),
	style: z.string().min(1).exactOptional(),
	prompt: promptField.exactOptional(),
	reference: z.string().min(1).exactOptional(),
	strength: strengthField.exactOptional(),
	seed: seedField.exactOptional(),
	region: OwnRegion.exactOptional(),
	size: paintedSizeField.exactOptional(),
	fit: fitField.exactOptional(),
	failure: failurePolicyField.exactOptional(),
	holdS: holdField.exactOptional(),
	afterHold: afterHoldField.exactOptional(),
	staleAfterMs: staleAfterField.exactOptional(),
});
export type NdiChannel = z.infer<typeof NdiChannel>;

export const Ndi = z.strictObject({
	runtimePath: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('File or folder of the NDI runtime; else NDI_RUNTIME_DIR_V6, _V5 and where its installer puts it')),
	groups: z.string().min(1).max(256).exactOptional().meta(help('Groups to look for sources in, and to send to')),
	extraIps: z
		.array(z.string().min(1).max(253))
		.max(64)
		.default([])
		.meta(help('Machines to ask for sources where multicast does not reach them')),
	discoveryServer: z.string().min(1).max(253).exactOptional().meta(help('Address of an NDI discovery server')),
	onlyWhenWatched: z.boolean().default(true).meta(help('Whether to paint only while somebody receives the stream')),
	failover: z
		.boolean()
		.default(true)
		.meta(help('Whether receivers go to the source if the relay dies; under passthrough alone, whatever is set here')),
	delayMs: z
		.union([z.literal('auto'), z.int().min(0).max(1000)], { error: 'expected auto, or 0 to 1000 ms' })
		.default('auto')
		.meta(help('How much later than the source the painted stream is, sound included; auto follows the painter', 'ms')),
	outName: z
		.string()
		.max(253)
		.includes('{source}')
		.default('{source} (Painted)')
		.meta(help('Name of a painted stream whose channel has none of its own')),
	channels: z.array(NdiChannel).max(64).default([]).meta(help('What allaprima relay paints without --in')),
});
