import { Validator } from '@seriousme/openapi-schema-validator';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { HttpServer } from '../../sidecar/control/http/server.ts';
import type { OpenApiDocument, OpenApiOperation } from '../../sidecar/control/http/openapi.ts';
import type { Thumbnail } from '../../sidecar/control/http/served.ts';
import { ROUTES, routesAt } from '../../sidecar/control/http/routes.ts';
import { startMidi, type MidiSurface } from '../../sidecar/control/midi/surface.ts';
import { SceneStore } from '../../sidecar/control/scene-store.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { ask, upgradeStatusOf } from '../support/http.ts';
import { complaintsOf as complaintsOfValue } from '../support/json-schema.ts';
import { Cables } from '../support/midi.ts';
import { pngOf } from '../support/images.ts';
import { openServer, workerView } from '../support/preview.ts';

setLog({ level: 'silent' });

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let server: HttpServer;
let document: OpenApiDocument;
let controls: MidiSurface;
const cables = new Cables('Pads');
beforeAll(async () => {
	const chat = { styles: ['pencil-sketch'], coolDownS: 0, perUserCoolDownS: 0, maxPerMinute: 60 };
	folder = await openTemporaryFolder();
	vi.stubEnv('XDG_DATA_HOME', folder.at('.')); // what is kept there
	controls = await startMidi({
		port: ['all'],
		channel: 'all',
		mapping: {},
		feedback: true,
		clock: true,
		channels: () => [],
		subscribe: () => () => {},
		nowUs: () => 0,
		after: () => () => {},
		path: folder.at('midi.json'),
		ports: cables,
	});
	const thumbnailOf = async (): Promise<Thumbnail> => ({
		kind: 'picture',
		type: 'image/png',
		bytes: Buffer.from('PNG'),
	});
	const table = new SceneTable({ rows: [{ scene: 'Interview', style: 'pencil-sketch' }], paint: () => {} });
	const store = new SceneStore({ configurationFile: undefined });
	({ server } = await openServer({
		takesReferences: true,
		access: { chat },
		metrics: async () => 'up 1\n',
		midi: controls,
		thumbnails: { thumbnailOf },
		scenes: { table, store },
		fleet: { engine: 'paired', workers: async () => [workerView()] },
		remote: () => ({
			worker: 'painter',
			roundTripMs: 2,
			framesLate: 1,
			placements: 1,
			encoding: 'nv12',
			linkBitsPerSecond: 1e9,
		}),
	}));
	document = JSON.parse((await ask(server.port, '/api')).body) as OpenApiDocument;
});
afterAll(async () => {
	await server[Symbol.asyncDispose]();
	await controls[Symbol.asyncDispose]();
	vi.unstubAllEnvs();
	await folder[Symbol.asyncDispose]();
});

/** A good request for each route that needs more than its path. */
const BODIES: Record<string, unknown> = {
	'POST /api/commands': { type: 'style', name: 'pencil-sketch' },
	'POST /api/presets': { name: 'as-seen', title: 'As seen' },
	'POST /api/midi/learn': { command: { type: 'next' } },
	'POST /api/midi/forget': { control: 'channel 1 note 1' },
	'PUT /api/scenes': { scenes: [{ scene: 'Interview', style: 'oil-painting' }] },
	'POST /api/chat': { style: 'Pencil sketch', user: 'somebody' },
};
const PICTURE = pngOf({ width: 16, height: 16 });
const PATH_VALUES: Record<string, string> = { name: 'pencil-sketch', state: 'off' };

const operations = (): [route: string, path: string, method: string, operation: OpenApiOperation][] =>
	Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, operation]): [string, string, string, OpenApiOperation] => [
			`${method.toUpperCase()} ${path}`,
			path.replace(/\{(\w+)\}/g, (_, name: string) => PATH_VALUES[name]!),
			method.toUpperCase(),
			operation,
		]),
	);

const complaintsOf = (schema: object, value: unknown) => complaintsOfValue(document, schema, value);

describe('the document', () => {
	test('is OpenAPI 3.1', async () => {
		const result = await new Validator().validate(structuredClone(document) as unknown as Record<string, unknown>);
		expect(result).toMatchObject({ valid: true });
	});

	test('has every route of the server, and the server every route of it', () => {
		expect(operations().map(([route]) => route)).toEqual(Object.keys(ROUTES));
		for (const [route, path, method] of operations()) expect([...routesAt(path).keys()], route).toContain(method);
	});

	test('describes what is answered', async () => {
		for (const [route, path, method, { responses, requestBody }] of operations()) {
			const json = requestBody?.content['application/json'];
			const type = Object.keys(requestBody?.content ?? {})[0];
			const given = BODIES[route] === undefined ? undefined : JSON.stringify(BODIES[route]);
			const body = requestBody && !json ? PICTURE : given;
			expect(body !== undefined, route).toBe(requestBody !== undefined);
			if (json) expect(complaintsOf(json.schema, BODIES[route]), route).toBeUndefined();
			if (route === 'POST /api/midi/forget') cables.send('Pads', 0x90, 1, 1); // so that something was learned
			const answer = await ask(server.port, path, {
				method,
				...(body !== undefined && type !== undefined && { body, headers: { 'content-type': type } }),
			});
			const success = Object.keys(responses).find((status) => status.startsWith('2'))!;
			expect(answer.status, `${route}: ${answer.body}`).toBe(Number(success));
			const [answered, content] = Object.entries(responses[success]!.content!)[0]!;
			expect(answer.headers['content-type'], route).toMatch(answered);
			if (content.schema) expect(complaintsOf(content.schema, JSON.parse(answer.body)), route).toBeUndefined();
		}
	});

	test('describes what is refused', async () => {
		const { schema } = operations()[0]![3].responses['default']!.content!['application/json']!;
		const headers = { 'content-type': 'application/json' };
		const chat = JSON.stringify({ style: 'oil', user: 'somebody' });
		for (const [path, method, body, status] of [
			['/api/nothing', 'GET', undefined, 404],
			['/api/state', 'DELETE', undefined, 405],
			['/api/commands', 'POST', '{', 400],
			['/api/styles/oil/activate', 'POST', undefined, 404],
			['/api/styles/%ff/activate', 'POST', undefined, 404],
			['/api/thumbnails/oil', 'GET', undefined, 404],
			['/api/panic/maybe', 'POST', undefined, 404],
			['/api/reference', 'POST', '{}', 415],
			['/api/chat', 'POST', chat, 404],
		] as const) {
			const answer = await ask(server.port, path, { method, headers, ...(body !== undefined && { body }) });
			expect(answer.status, path).toBe(status);
			expect(complaintsOf(schema!, JSON.parse(answer.body)), path).toBeUndefined();
		}
	});

	test('sees an answer that is not as described', async () => {
		const [, , , { responses }] = operations().find(([route]) => route === 'GET /api/state')!;
		const { schema } = responses['200']!.content!['application/json']!;
		const state = JSON.parse((await ask(server.port, '/api/state')).body) as { run: object };
		expect(complaintsOf(schema!, state)).toBeUndefined();
		expect(complaintsOf(schema!, { ...state, secret: 1 })).toBeDefined();
		expect(complaintsOf(schema!, { ...state, run: { ...state.run, fps: '24' } })).toBeDefined();
	});

	test('names the WebSockets there are', async () => {
		for (const path of Object.keys(document['x-websockets']))
			expect(await upgradeStatusOf(server.url, path), path).toBe(101);
	});

	test('names the channels and styles there are', () => {
		const text = JSON.stringify(document.paths['/api/styles/{name}/activate']);
		expect(text).toContain('"examples":["oil-painting","pencil-sketch","passthrough"]');
		expect(text).toContain('"examples":["main"]');
	});
});

describe('the page of the API', () => {
	test('is what a browser gets', async () => {
		const { headers, body } = await ask(server.port, '/api', {
			headers: { accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' },
		});
		expect(headers['content-type']).toBe('text/html; charset=utf-8');
		expect(headers['vary']).toBe('Accept');
		for (const [route] of operations()) expect(body).toContain(`<h2>${route}</h2>`);
		expect(body).not.toMatch(/<script|(src|href)=/); // nothing from elsewhere
		expect((await ask(server.port, '/api', { headers: { accept: '*/*' } })).headers['content-type']).toBe(
			'application/json',
		);
	});

	test('shows the name of a channel as text', async () => {
		const name = `"><script>alert('1')</script>&`;
		const { server: own } = await openServer({ name });
		const { body } = await ask(own.port, '/api', { headers: { accept: 'text/html' } });
		expect(body).not.toContain('<script');
		expect(body).toContain('&quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;');
		await own[Symbol.asyncDispose]();
	});
});
