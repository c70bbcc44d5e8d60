/** An element with a text in it. */
export const element = (tag: string, text: string): string => `<${tag}>${escaped(text)}</${tag}>`;

/** A row of a table: cells of `th` or `td`, with texts in them. */
export const row = (tag: 'th' | 'td', cells: readonly string[]): string =>
	`<tr>${cells.map((cell) => element(tag, cell)).join('')}</tr>`;

/** A whole page without a script: its title, which is text, and the lines of its body, which are HTML. */
export const plainPage = (title: string, body: readonly string[]): string =>
	[
		'<!doctype html>',
		'<html lang="en">',
		'<head>',
		'<meta charset="utf-8">',
		'<meta name="viewport" content="width=device-width, initial-scale=1">',
		'<meta name="color-scheme" content="light dark">',
		element('title', title),
		'</head>',
		'<body>',
		...body,
		'</body>',
		'</html>',
		'',
	].join('\n');

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

/** A text as it stands between tags, or in an attribute. */
export const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
