// What a judgement gives: a table, its figures, and what was to be reached.

/** @typedef {{ what: string, aim: string, measured: string, holds: boolean, note: string, spread: number, isDeviation?: boolean }} Verdict
 *   `spread`: how far two runs may be apart; `isDeviation`: `measured` is what something is off, in percent */
/**
 * @typedef {{
 *   name: string,
 *   title: string,
 *   text: string,
 *   head: string[],
 *   rows: string[][],
 *   values: unknown,
 *   verdicts: Verdict[],
 *   pictures?: { file: string, caption: string }[],
 * }} Section `file` is from where the report lies
 */

/** How far two runs of one machine may be apart: what was measured in one run over the other, and what the machine's speed is in. */
export const RATIO = 0.15;
export const ABSOLUTE = 0.3;

/** @returns {Verdict} */
export const holds = (
	/** @type {string} */ what,
	/** @type {string} */ aim,
	/** @type {string} */ measured,
	/** @type {boolean} */ isSo,
	note = '',
	spread = RATIO,
) => ({ what, aim, measured, holds: isSo, note, spread });

export const fixed = (/** @type {number} */ value, digits = 2) => value.toFixed(digits);
export const percent = (/** @type {number} */ share, digits = 0) => `${(100 * share).toFixed(digits)} %`;

/** @template T @returns {number} */
export const shareOf = (/** @type {T[]} */ items, /** @type {(item: T, index: number) => boolean} */ isSo) =>
	items.filter(isSo).length / Math.max(items.length, 1);

export const table = (/** @type {string[]} */ head, /** @type {string[][]} */ rows) =>
	[head, head.map(() => '---'), ...rows].map((row) => `| ${row.join(' | ')} |`).join('\n');

/** @returns {string} Markdown */
export const report = (
	/** @type {{ title: string, facts: string, sections: Section[] }} */ { title, facts, sections },
) => {
	const verdicts = sections.flatMap((section) => section.verdicts);
	const judged = verdicts.map(({ what, aim, measured, holds: isSo, note }) => [
		what,
		aim,
		measured,
		isSo ? 'yes' : '**no**',
		note,
	]);
	return [
		`# ${title}`,
		facts,
		table(['', 'aim', 'measured', 'reached', ''], judged),
		...sections.flatMap(({ title: heading, text, head, rows, pictures = [] }) => [
			`## ${heading}`,
			text,
			table(head, rows),
			...pictures.flatMap(({ file, caption }) => [`![${caption}](${file})`, `*${caption}*`]),
		]),
	].join('\n\n');
};
