import { z } from './zod.ts';

/**
 * What fields of several schemas have in common. Types, messages, help text and JSON schema follow from the schemas in this folder.
 * Every object is strict, so a misspelt key is an error and never a silent default.
 */

/** What a field says about itself, for help text and controls; a unit is given where the number has one. */
export type FieldHelp = {
	description: string;
	unit?: string;
};

export const help = (description: string, unit?: string): FieldHelp => (unit ? { description, unit } : { description });

const KEBAB_CASE = /^[a-z0-9]+(-[a-z0-9]+)*$/;
export const kebabName = z.string().max(64).regex(KEBAB_CASE, 'expected a name in kebab-case, such as oil-painting');

/** Models and presets may come from anywhere: a name with a separator or `..` could reach outside its folder. */
export const fileName = z
	.string()
	.max(128)
	.regex(/^(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9._-]*$/, 'expected a plain file name, without a folder');

export const promptField = z
	.string()
	.trim()
	.min(1)
	.max(500)
	.meta(help('What the painter is told, as an instruction: "transfer this to oil painting style"'));
export const strengthField = z
	.number()
	.min(0)
	.max(1)
	.meta(help("How far the conditioning goes from the model's neutral (0) to the style (1); no pixel mix"));
export const seedField = z.int().min(0).max(4_294_967_295).meta(help('Seed of the noise the painter starts from'));

export const sha256 = z.string().regex(/^[0-9a-f]{64}$/, 'expected 64 lower-case hexadecimal digits');
