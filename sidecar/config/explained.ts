import { SidecarError, type ErrorCode } from '../errors.ts';
import type { JsonPath, JsonText } from './json-text.ts';
import { jsonSchemaOf, type JsonSchema, type Schema } from './schema/parse.ts';

type Issue = NonNullable<ReturnType<Schema<unknown>['safeParse']>['error']>['issues'][number];

const FOUND_LENGTH = 60;

/**
 * Checks the value that lies at `path` in a file. Errors: `code`, a line for each thing that is wrong:
 * "oil.style.json:7:14 strength: expected a number from 0 to 1, found 3".
 */
export const parseExplained = <T>(schema: Schema<T>, text: JsonText, path: JsonPath, code: ErrorCode): T => {
	const result = schema.safeParse(valueAt(text.value, path));
	if (result.success) return result.data;
	const fields = jsonSchemaOf(schema);
	const lines = result.error.issues.flatMap((issue) => explain(issue, fields, text, path));
	// Of a value of another type, zod may say so once and that its length is wrong once more.
	throw new SidecarError(code, [...new Set(lines)].join('\n'), { cause: result.error });
};

/** "FILE:LINE:COLUMN KEY: expected WHAT, found VALUE" */
export const explainValue = (text: JsonText, path: JsonPath, expected: string): string => {
	const value = valueAt(text.value, path);
	const key = path.length === 0 ? '' : ` ${path.join('.')}:`;
	return value === undefined
		? `${text.at(path.slice(0, -1))}${key} is missing, expected ${expected}`
		: `${text.at(path)}${key} expected ${expected}, found ${describe(value)}`;
};

/** Own properties alone: a path out of a file must not reach a prototype. */
export const valueAt = (value: unknown, path: JsonPath): unknown =>
	path.reduce<unknown>(
		(inner, key) =>
			typeof inner === 'object' && inner !== null && Object.hasOwn(inner, key)
				? (inner as Record<string | number, unknown>)[key]
				: undefined,
		value,
	);

const explain = (issue: Issue, fields: JsonSchema, text: JsonText, base: JsonPath): string[] => {
	const path = [...base, ...(issue.path as JsonPath)];
	const field = (issue.path as JsonPath).reduce<JsonSchema | undefined>(
		(inner, key) => inner?.properties?.[key],
		fields,
	);
	if (issue.code !== 'unrecognized_keys') return [explainValue(text, path, expectationOf(field, issue))];
	const known = Object.keys(field?.properties ?? {}).join(', ');
	return issue.keys.map((key) => {
		const own = [...path, key];
		return `${text.atKey(own)} ${own.join('.')}: is no key that is known. Expected one of ${known}`;
	});
};

const expectationOf = (field: JsonSchema | undefined, issue: Issue): string => {
	if (issue.code === 'invalid_format' || issue.code === 'custom') return issue.message.replace(/^expected /, '');
	if (field?.const !== undefined) return JSON.stringify(field.const);
	if (field?.enum) return `one of ${field.enum.map((choice) => JSON.stringify(choice)).join(', ')}`;
	const range = field && rangeOf(field);
	switch (field?.type) {
		case 'number':
			return `a number${range}`;
		case 'integer':
			return `a whole number${range}`;
		case 'string':
			return `text${range}`;
		case 'object':
			return 'an object';
		default:
			return issue.message;
	}
};

const rangeOf = ({ minimum, maximum, minLength = 0, maxLength }: JsonSchema): string => {
	if (maxLength !== undefined) return ` of ${minLength} to ${maxLength} characters`;
	return minimum !== undefined && maximum !== undefined ? ` from ${minimum} to ${maximum}` : '';
};

const describe = (value: unknown): string => {
	if (Array.isArray(value)) return 'a list';
	if (typeof value === 'object' && value !== null) return 'an object';
	const text = JSON.stringify(value);
	return text.length > FOUND_LENGTH ? `${text.slice(0, FOUND_LENGTH)}…` : text;
};
