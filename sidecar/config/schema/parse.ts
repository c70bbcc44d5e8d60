import { SidecarError, type ErrorCode } from '../../errors.ts';
import { z } from './zod.ts';

export type Schema<T> = z.ZodType<T>;

/**
 * Checks `value`; `what` names it in the message ("preset oil-painting.style.json").
 * Errors: `code`, with a line for each thing that is wrong and where it is.
 */
export const parse = <T>(schema: Schema<T>, value: unknown, what: string, code: ErrorCode = 'ERR_CONFIG'): T => {
	const result = schema.safeParse(value);
	if (result.success) return result.data;
	throw new SidecarError(code, `${what} is not valid:\n${z.prettifyError(result.error)}`, { cause: result.error });
};

/** The part of JSON schema that help text, controls and `presets/style.schema.json` use. */
export interface JsonSchema {
	type?: string;
	description?: string;
	unit?: string;
	default?: unknown;
	const?: unknown;
	enum?: unknown[];
	minimum?: number;
	exclusiveMinimum?: number;
	maximum?: number;
	minLength?: number;
	maxLength?: number;
	properties?: Record<string, JsonSchema>;
}

/** JSON schema of what a user may write, so a field with a default is not required. */
export const jsonSchemaOf = (schema: z.ZodType): JsonSchema => z.toJSONSchema(schema, { io: 'input' }) as JsonSchema;
