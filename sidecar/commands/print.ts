/** Control characters of a foreign text must not reach the terminal. */
export const harmless = (text: string): string =>
	text.replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/g, (character) => JSON.stringify(character).slice(1, -1));

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
