import { help } from './fields.ts';
import { afterHold, failureField, holdSeconds } from './obs-plugin.ts';
import { z } from './zod.ts';

/** Where the page and the API are, unless the configuration says otherwise. */
export const HTTP_PORT = 7717;

const side = z.int().min(32).max(8192).multipleOf(32);
export const paintedSizeField = z
	.union([z.literal('auto'), z.strictObject({ width: side, height: side })], {
		error: 'expected auto, or a width and a height of 32 to 8192 px in multiples of 32',
	})
	.meta(help("Painted size; auto keeps the source's aspect at about 147,000 pixels", 'px'));
export const fitField = z
	.enum(['cover', 'contain', 'stretch'])
	.meta(help('How the source meets a painted size of another shape: crop, pad or distort'));
export const failurePolicyField = failureField.meta(
	help('What is shown while the engine gives no painting: the source, the last painting, or a card'),
);
export const holdField = z
	.union([holdSeconds, z.literal('forever')], { error: 'expected 0.1 to 86400 s, or forever' })
	.meta(help('How long the failure policy hold keeps the last painting: 0.1 to 86400 s, or forever', 's'));
export const afterHoldField = afterHold.meta(
	help('What is shown once hold has kept the last painting for as long as it may'),
);
export const staleAfterField = z
	.int()
	.min(100)
	.max(60_000)
	.meta(
		help(
			'How long the engine may owe a frame before the failure policy takes over; never less than four of its own frames',
			'ms',
		),
	);
export const cameraSide = z.int().min(16).max(8192);
