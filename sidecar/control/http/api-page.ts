import { element, plainPage } from './html.ts';
import type { OpenApiDocument, OpenApiOperation } from './openapi.ts';

/** The document of the API to read, without a script. Every text is escaped: names of channels are not ours. */
export const apiPage = ({ info, paths, 'x-websockets': sockets }: OpenApiDocument): string =>
	plainPage(`${info.title}: API`, [
		element('h1', `${info.title} ${info.version}: API`),
		element('p', info.description),
		element('p', 'Without Accept: text/html the same comes as OpenAPI 3.1 in JSON.'),
		...Object.entries(paths).flatMap(([path, methods]) =>
			Object.entries(methods).flatMap(([method, operation]) => section(`${method.toUpperCase()} ${path}`, operation)),
		),
		...Object.entries(sockets).flatMap(([path, { description }]) => [
			element('h2', `WebSocket ${path}`),
			element('p', description),
		]),
	]);

const section = (title: string, { summary, parameters = [], requestBody, responses }: OpenApiOperation): string[] => [
	element('h2', title),
	element('p', summary),
	...list(
		'Parameters',
		parameters.map(({ name, in: place, description, schema: { examples = [] } }) =>
			[`${name} (${place})`, description, examples.length > 0 ? `such as ${examples.join(', ')}` : undefined]
				.filter((part) => part !== undefined)
				.join(': '),
		),
	),
	...schemas('Body', requestBody?.content),
	...list(
		'Answers',
		Object.entries(responses).map(([status, { description }]) => `${status}: ${description}`),
	),
	...schemas('200', responses['200']?.content),
];

const list = (title: string, items: readonly string[]): string[] =>
	items.length === 0 ? [] : [element('h3', title), '<ul>', ...items.map((item) => element('li', item)), '</ul>'];

const schemas = (title: string, content: Record<string, { schema?: object }> = {}): string[] =>
	Object.entries(content).flatMap(([type, { schema = {} }]) =>
		Object.keys(schema).length === 0
			? []
			: [
					'<details>',
					element('summary', `${title}: ${type}`),
					element('pre', JSON.stringify(schema, null, 2)),
					'</details>',
				],
	);
