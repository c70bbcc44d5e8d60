import {
	applyEdits,
	createScanner,
	findNodeAtLocation,
	modify,
	parseTree,
	printParseErrorCode,
	type Node,
	type ParseError,
} from 'jsonc-parser';
import { SidecarError, type ErrorCode } from '../errors.ts';

/** What a file written by hand stays far below: the parser that knows positions recurses, and keeps a node a value. */
const DEPTH_MAX = 16;
const TOKENS_MAX = 4000;

const EXPECTED: Record<string, string> = {
	InvalidSymbol: 'a value, and text in double quotes',
	InvalidNumberFormat: 'a number',
	PropertyNameExpected: 'a key in double quotes',
	ValueExpected: 'a value',
	ColonExpected: 'a colon',
	CommaExpected: 'a comma',
	CloseBraceExpected: 'a comma or }',
	CloseBracketExpected: 'a comma or ]',
	EndOfFileExpected: 'the end of the file',
	InvalidCommentToken: 'no comment: JSON has none',
	UnexpectedEndOfString: 'a double quote at the end of the text',
	InvalidUnicode: 'four hexadecimal digits after \\u',
	InvalidEscapeCharacter: 'one of " \\ / b f n r t u after \\',
	InvalidCharacter: 'no control character: write \\n for a new line',
};

export type JsonPath = readonly (string | number)[];

/** A JSON file that knows where in it everything is. */
export interface JsonText {
	readonly value: unknown;
	/** `FILE:LINE:COLUMN`, counted from 1, of the value at `path` or of the nearest around it that is there. */
	at(path: JsonPath): string;
	/** The same of a key. */
	atKey(path: JsonPath): string;
}

/**
 * Reads JSON as `JSON.parse` does, but refuses a key that is there twice, more than 16 levels and more than 4000 tokens.
 * Errors: `code`, "FILE:LINE:COLUMN expected a comma".
 */
export const readJsonText = (text: string, file: string, code: ErrorCode): JsonText => {
	const place = (offset: number) => {
		const before = text.slice(0, offset).split(/\r\n|\r|\n/);
		return `${file}:${before.length}:${before.at(-1)!.length + 1}`;
	};
	const refuse = (offset: number, reason: string, cause?: unknown): never => {
		throw new SidecarError(code, `${place(offset)} ${reason}`, { cause });
	};
	refuseExcess(text, refuse);
	const errors: ParseError[] = [];
	const root = parseTree(text, errors, { disallowComments: true, allowTrailingComma: false });
	const value = readValue(text, (cause) => {
		const [first] = errors;
		const expected = first && EXPECTED[printParseErrorCode(first.error)];
		refuse(first?.offset ?? 0, `is not JSON: ${expected ? `expected ${expected}` : (cause as Error).message}`, cause);
	});
	if (!root) return refuse(0, 'is not JSON: expected a value');
	refuseTwice(root, refuse);
	const nearest = (path: JsonPath): Node => {
		for (let length = path.length; length > 0; length--) {
			const node = findNodeAtLocation(root, path.slice(0, length));
			if (node) return node;
		}
		return root;
	};
	return {
		value,
		at: (path) => place(nearest(path).offset),
		atKey: (path) => {
			const node = nearest(path);
			return place(node.parent?.type === 'property' ? node.parent.offset : node.offset);
		},
	};
};

/** The text with another value at `path`, and all else as it is, in the indentation and the line ends that it has. */
export const withJsonValue = (text: string, path: JsonPath, value: unknown): string => {
	const indentation = /^([ \t]+)\S/m.exec(text)?.[1] ?? '\t';
	const formattingOptions = {
		insertSpaces: !indentation.includes('\t'),
		tabSize: indentation.includes('\t') ? 1 : indentation.length,
		eol: text.includes('\r\n') ? '\r\n' : '\n',
	};
	return applyEdits(text, modify(text, [...path], value, { formattingOptions }));
};

type Refuse = (offset: number, reason: string) => never;

const readValue = (text: string, refuse: (cause: unknown) => void): unknown => {
	try {
		return JSON.parse(text);
	} catch (cause) {
		return refuse(cause);
	}
};

const refuseExcess = (text: string, refuse: Refuse): void => {
	const scanner = createScanner(text, true);
	let depth = 0;
	for (let tokens = 0; scanner.getPosition() < text.length; tokens++) {
		scanner.scan();
		const offset = scanner.getTokenOffset();
		const first = text[offset];
		if (first === '{' || first === '[') depth++;
		if (first === '}' || first === ']') depth--;
		if (depth > DEPTH_MAX) refuse(offset, `expected at most ${DEPTH_MAX} levels of { and [`);
		if (tokens > TOKENS_MAX) refuse(offset, `expected at most ${TOKENS_MAX} keys, values and signs`);
	}
};

/** `JSON.parse` takes the last of two, other readers the first: nobody can mean both. */
const refuseTwice = (node: Node, refuse: Refuse): void => {
	const seen = new Set<string>();
	for (const child of node.children ?? []) {
		const key = child.type === 'property' && node.type === 'object' ? child.children![0]! : undefined;
		if (key && seen.has(key.value as string)) refuse(key.offset, `${key.value}: is there twice`);
		if (key) seen.add(key.value as string);
		refuseTwice(child, refuse);
	}
};
