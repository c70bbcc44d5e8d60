import type { OpenApiDocument, OpenApiOperation } from './openapi.ts';

/** The document of the API to read, without a script. Every text is escaped: names of channels are not ours. */
export const apiPage = ({ info, paths, 'x-websockets': sockets }: OpenApiDocument): string => {
	const operations = Object.entries(paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, operation]) => section(`${method.toUpperCase()} ${path}`, operation)),
	);
	const streams = Object.entries(sockets).map(
		([path, { description }]) =>
			html`<h2>WebSocket ${path}</h2>
				<p>${description}</p>`,
	);
	return [
		html`<!doctype html>
			<html lang="en">
				<head>
					<meta charset="utf-8" />
					<meta name="color-scheme" content="light dark" />
				</head>
			</html>`,
		html`<meta name="viewport" content="width=device-width, initial-scale=1"><title>${info.title}: API</title></head>`,
		html`<body>
			<h1>${info.title} ${info.version}: API</h1>
			<p>${info.description}</p>
		</body>`,
		html`<p>The same as JSON: <code>curl ${'URL'}/api</code></p>`,
		...operations,
		...streams,
		'</body></html>\n',
	].join('\n');
};

const section = (title: string, { summary, parameters = [], requestBody, responses }: OpenApiOperation): string =>
	[
		html`<h2>${title}</h2>
			<p>${summary}</p>`,
		...list(
			'Parameters',
			parameters.map(({ name, in: place, description, schema: { examples = [] } }) =>
				[`${name} (${place})`, description, examples.length ? `such as ${examples.join(', ')}` : '']
					.filter(Boolean)
					.join(': '),
			),
		),
		...schemas('Body', requestBody?.content),
		...list(
			'Answers',
			Object.entries(responses).map(([status, { description }]) => `${status}: ${description}`),
		),
		...schemas('200', responses['200']?.content),
	].join('\n');

const list = (title: string, items: readonly string[]): string[] =>
	items.length === 0 ? [] : [html`<h3>${title}</h3>`, '<ul>', ...items.map((item) => html`<li>${item}</li>`), '</ul>'];

const schemas = (title: string, content: Record<string, { schema?: object }> = {}): string[] =>
	Object.entries(content).flatMap(([type, { schema }]) =>
		schema === undefined || Object.keys(schema).length === 0
			? []
			: [
					html`<details>
						<summary>${title}: ${type}</summary>
						<pre>${JSON.stringify(schema, null, 2)}</pre>
					</details>`,
				],
	);

/** What is put into the text of a template is escaped. */
const html = (parts: TemplateStringsArray, ...values: readonly string[]): string =>
	parts.reduce((before, part, index) => `${before}${escaped(values[index - 1]!)}${part}`);

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };

const escaped = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!);
