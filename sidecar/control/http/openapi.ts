import type { IncomingMessage } from 'node:http';
import { json, type Answer } from './answer.ts';
import { apiPage } from './api-page.ts';
import { OPERATIONS, WEB_SOCKETS, type Operation } from './operations.ts';
import { errorAnswer } from './schemas.ts';
import type { Served } from './served.ts';

export interface OpenApiParameter {
	name: string;
	in: 'path' | 'query';
	required?: boolean;
	description?: string;
	schema: { type: 'string'; examples?: readonly string[] };
}

export interface OpenApiOperation {
	summary: string;
	security?: [];
	parameters?: OpenApiParameter[];
	requestBody?: { required: true; content: Record<string, { schema: object }> };
	responses: Record<string, { description: string; content?: Record<string, { schema?: object }> }>;
}

/** As much of OpenAPI 3.1 as we say (https://spec.openapis.org/oas/v3.1.1). */
export interface OpenApiDocument {
	openapi: '3.1.1';
	info: { title: string; version: string; description: string };
	paths: Record<string, Record<string, OpenApiOperation>>;
	components: object;
	security: object[];
	'x-websockets': Record<string, { description: string }>;
}

/** What can be asked of this server, with the channels and styles there are as examples. */
export const openApiOf = ({ version, channels }: Served): OpenApiDocument => {
	const examples = {
		channel: channels().map(({ name }) => name),
		name: channels()[0]?.controller.presets.map(({ name }) => name) ?? [],
		state: ['on', 'off'],
	};
	const paths: OpenApiDocument['paths'] = {};
	for (const [route, operation] of Object.entries(OPERATIONS)) {
		const [method, path] = route.split(' ') as [string, string];
		(paths[path] ??= {})[method.toLowerCase()] = operationOf(path, operation, examples);
	}
	return {
		openapi: '3.1.1',
		info: {
			title: 'Alla Prima',
			version,
			description:
				'Steers what is painted. Requests come to this machine, or with a token from elsewhere; an error is { error: { code, message } }.',
		},
		paths,
		components: {
			securitySchemes: {
				token: {
					type: 'http',
					scheme: 'bearer',
					description: 'Where the configuration has one, for all but GET /healthz',
				},
			},
			schemas: { Error: errorAnswer },
		},
		security: [{}, { token: [] }],
		'x-websockets': Object.fromEntries(
			Object.entries(WEB_SOCKETS).map(([path, description]) => [path, { description }]),
		),
	};
};

const ERROR = { 'application/json': { schema: { $ref: '#/components/schemas/Error' } } };

const operationOf = (
	path: string,
	{ summary, body, bodyTypes, query = {}, ofChannel, refusals = {}, status = 200, answer }: Operation,
	examples: Record<string, readonly string[]>,
): OpenApiOperation => {
	const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]): OpenApiParameter => ({
		name: name!,
		in: 'path',
		required: true,
		schema: { type: 'string', examples: examples[name!] ?? [] },
	}));
	const parameters: OpenApiParameter[] = [
		...inPath,
		...Object.entries(query).map(([name, description]): OpenApiParameter => ({
			name,
			in: 'query',
			description,
			schema: { type: 'string' },
		})),
		...(ofChannel
			? [
					{
						name: 'channel',
						in: 'query' as const,
						description: 'Of several: the one that is meant, else the first',
						schema: { type: 'string' as const, examples: examples['channel'] ?? [] },
					},
				]
			: []),
	];
	const content = 'schema' in answer ? { 'application/json': { schema: answer.schema } } : { [answer.type]: {} };
	const bodies = {
		...(body && { 'application/json': { schema: body } }),
		...Object.fromEntries(bodyTypes?.map((type) => [type, { schema: {} }]) ?? []),
	};
	const isText = 'type' in answer && answer.type.startsWith('text/');
	const refused = Object.entries(refusals).map(([status, description]) => [
		status,
		{ description, content: isText ? content : ERROR },
	]);
	return {
		summary,
		...(path === '/healthz' && { security: [] }),
		...(parameters.length > 0 && { parameters }),
		...(Object.keys(bodies).length > 0 && { requestBody: { required: true as const, content: bodies } }),
		responses: {
			[status]: { description: summary, content },
			...(Object.fromEntries(refused) as OpenApiOperation['responses']),
			default: { description: 'An error', content: ERROR },
		},
	};
};

/** The document, as a page where a browser asks for one. */
export const apiAnswer = ({ headers: { accept = '' } }: IncomingMessage, served: Served): Answer => {
	const document = openApiOf(served);
	const answer: Answer = /\btext\/html\b/i.test(accept)
		? { type: 'text/html; charset=utf-8', body: apiPage(document) }
		: json(document);
	return { ...answer, headers: { Vary: 'Accept' } };
};
