import { harmless } from '../telemetry/logger.ts';

/** Keeps lines, for messages of several. */
export const harmlessLines = (text: string): string => text.split('\n').map(harmless).join('\n');

/** One JSON value on stdout. */
export const printValue = (value: unknown): void => {
	process.stdout.write(`${JSON.stringify(value, null, process.stdout.isTTY ? '\t' : undefined)}\n`);
};

/** Rows in columns, on stdout. */
export const printTable = (rows: string[][]): void => {
	const widths: number[] = [];
	for (const row of rows) row.forEach((cell, column) => (widths[column] = Math.max(widths[column] ?? 0, cell.length)));
	for (const row of rows)
		process.stdout.write(`${harmless(row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')).trimEnd()}\n`);
};
