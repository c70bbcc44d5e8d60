import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { refusalOf } from '../../sidecar/control/http/guard.ts';
import { ROUTES, routesAt } from '../../sidecar/control/http/routes.ts';
import type { MidiServed } from '../../sidecar/control/midi/surface.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { ask, jsonOf, sendRaw, socketOf, upgradeStatusOf } from '../support/http.ts';
import { newController, openServer, runReport, runView } from '../support/preview.ts';

setLog({ level: 'silent' });

const opened: AsyncDisposable[] = [];
afterEach(async () => {
	for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
});
const open = async (options: Parameters<typeof openServer>[0] = {}) => {
	const pair = await openServer(options);
	opened.push(pair.server);
	return pair;
};

const STATE_CHANGES: readonly [path: string, body: string, method: string][] = [
	['/api/commands', '{"type":"panic","on":true}', 'POST'],
	['/api/styles/pencil-sketch/activate', '', 'POST'],
	['/api/panic/on', '', 'POST'],
	['/api/chat', '{"style":"pencil-sketch","user":"x"}', 'POST'],
	['/api/presets', '{}', 'POST'],
	['/api/midi/learn', '{"command":{"type":"next"}}', 'POST'],
	['/api/midi/forget', '{"control":"note 1"}', 'POST'],
	['/api/scenes', '{"scenes":[]}', 'PUT'],
	['/api/reference', 'a picture', 'POST'],
	['/api/reference', '', 'DELETE'],
];
/** What reached the controllers. */
const asked: unknown[] = [];
const table = new SceneTable({ rows: [{ scene: 'Interview', style: 'pencil-sketch' }], paint: () => {} });
const scenes = { table, store: { keep: async (rows: unknown) => (asked.push(rows), '') } };
const midi: MidiServed = {
	view: () => ({ ports: [], counts: { obeyed: 0, refused: 0, unmapped: 0 }, mapping: [] }),
	learn: (command) => void asked.push(command),
	forget: async (control) => void asked.push(control),
};
const chat = { styles: ['pencil-sketch'], coolDownS: 0, perUserCoolDownS: 0, maxPerMinute: 60 };

describe('DNS rebinding', () => {
	test.each<[Record<string, string>, Parameters<typeof refusalOf>[1], boolean]>([
		[{ host: '192.168.1.5:7717' }, { hosts: [], localAddress: '192.168.1.5' }, true],
		[{ host: '192.168.1.5:7717' }, { hosts: [], localAddress: '::ffff:192.168.1.5' }, true],
		[{ host: '[fd00::5]:7717' }, { hosts: [], localAddress: 'fd00::5' }, true],
		[{ host: 'paint.example.org' }, { hosts: ['paint.example.org'] }, true],
		[{ host: 'Paint.Example.org:8080' }, { hosts: ['paint.example.org'] }, true],
		[{ host: 'paint.example.org', origin: 'https://paint.example.org' }, { hosts: ['paint.example.org'] }, true],
		[{ host: '192.168.1.6:7717' }, { hosts: [], localAddress: '192.168.1.5' }, false],
		[{ host: 'evil.example' }, { hosts: ['paint.example.org'], localAddress: '192.168.1.5' }, false],
		[{ host: 'paint.example.org.evil.example' }, { hosts: ['paint.example.org'] }, false],
		[{ host: '192.168.1.5.evil.example' }, { hosts: [], localAddress: '192.168.1.5' }, false],
		[{ host: '' }, { hosts: [''] }, false],
		[{ host: '192.168.1.5', origin: 'https://192.168.1.5' }, { hosts: [], localAddress: '192.168.1.5' }, false],
		[{ host: 'paint.example.org', origin: 'https://evil.example' }, { hosts: ['paint.example.org'] }, false],
		[{ host: 'paint.example.org', origin: 'https://paint.example.org:1' }, { hosts: ['paint.example.org'] }, false],
	])('%j at %j: %s', (headers, reach, isAllowed) => {
		expect(refusalOf(headers, reach) === undefined).toBe(isAllowed);
	});

	test('a configured name is one more, and no other', async () => {
		const { server } = await open({ access: { hosts: ['studio.lan'] } });
		expect((await ask(server.port, '/api/state', { headers: { host: 'studio.lan:7717' } })).status).toBe(200);
		expect((await ask(server.port, '/api/state', { headers: { host: 'evil.example' } })).status).toBe(403);
		expect(await upgradeStatusOf(server.url, '/api/events', { host: 'evil.example' })).toBe(403);
	});
});

test('the address that a request came to is a name of the server, and no other address is', async () => {
	const { server } = await open({ access: { host: '0.0.0.0', token: 'wet-on-wet-0123456789' } });
	const asked = async (host: string) =>
		(await ask(server.port, '/healthz', { host: '127.0.0.2', headers: { host } })).status;
	expect(await asked(`127.0.0.2:${server.port}`)).toBe(200);
	expect(await asked(`127.0.0.3:${server.port}`)).toBe(403);
	expect(await asked('0.0.0.0')).toBe(403);
	expect(server.url).toBe(`http://127.0.0.1:${server.port}/`);
});

describe('a foreign page', () => {
	test('tries here every route that changes something', () => {
		const changing = Object.keys(ROUTES).filter((route) => !route.startsWith('GET ') && route !== 'POST /api/tickets');
		expect(STATE_CHANGES).toHaveLength(changing.length);
		for (const [path, , method] of STATE_CHANGES) expect([...routesAt(path).keys()], path).toContain(method);
	});

	test.each(STATE_CHANGES)('cannot write to %s', async (path, body, method) => {
		const { server, controller } = await open({ access: { chat }, midi, scenes });
		const before = controller.view();
		for (const origin of ['https://evil.example', 'null', `http://127.0.0.1:${server.port + 1}`]) {
			const headers = { origin, 'content-type': 'application/json' };
			expect((await ask(server.port, path, { method, headers, body })).status).toBe(403);
		}
		expect(controller.view()).toEqual(before);
		expect([asked, table.revision]).toEqual([[], 0]);
	});

	test.each(STATE_CHANGES.filter(([, body]) => body !== ''))('cannot send a form to %s', async (path, body, method) => {
		const { server, controller } = await open({ access: { chat }, midi, scenes });
		const before = controller.view();
		for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data', '']) {
			const headers: Record<string, string> = type === '' ? {} : { 'content-type': type };
			expect((await ask(server.port, path, { method, headers, body })).status).toBe(415);
		}
		expect(controller.view()).toEqual(before);
		expect([asked, table.revision]).toEqual([[], 0]);
	});

	test.each(STATE_CHANGES)('changes nothing by a picture at %s', async (path) => {
		const { server, controller } = await open({ access: { chat }, midi, scenes });
		const before = controller.view();
		// No picture is in force here.
		const read = path === '/api/reference' ? 404 : 200;
		expect((await ask(server.port, path)).status).toBe(routesAt(path).has('GET') ? read : 405);
		expect(controller.view()).toEqual(before);
		expect([asked, table.revision]).toEqual([[], 0]);
	});
});

describe('a path', () => {
	test.each([
		'/../package.json',
		'/..%2fpackage.json',
		'/%2e%2e/package.json',
		'/%2e%2e%2fpackage.json',
		'//etc/passwd',
		'//api/state',
		'/api//state',
		'/api/state/',
		'/api/./state',
		'/api/presets/../state',
		'/api\\state',
		'/page.js/../../http/server.ts',
		'/page.js%00.css',
		'/API/STATE',
		'/api/styles//activate/..',
		'/constructor',
		'*',
	])('%s leads nowhere', async (path) => {
		const { server, controller } = await open();
		const before = controller.view();
		for (const method of ['GET', 'POST', 'OPTIONS'])
			expect((await ask(server.port, path, { method })).status).toBe(404);
		expect(controller.view()).toEqual(before);
	});

	test('in the form for proxies fetches nothing', async () => {
		const { server } = await open();
		for (const target of ['http://evil.example/', `http://127.0.0.1:${server.port}/api/state`, 'file:///etc/passwd']) {
			const text = `GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
			expect(await sendRaw(server.port, text)).toMatch(/^HTTP\/1\.1 40[04] /);
		}
		const tunnel = `CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\nConnection: close\r\n\r\n`;
		expect(await sendRaw(server.port, tunnel)).not.toMatch(/^HTTP\/1\.1 2/);
	});

	test.each(['..%2f..%2fetc%2fpasswd', '%2fetc%2fpasswd', '__proto__', '%3Cscript%3E', 'oil-painting%00'])(
		'a style called %s is none',
		async (name) => {
			const { server, controller } = await open();
			const before = controller.view();
			const { status, body } = await ask(server.port, `/api/styles/${name}/activate`, { method: 'POST' });
			expect(status).toBe(404);
			expect(jsonOf(body).code).toBe('ERR_STYLE');
			expect(controller.view()).toEqual(before);
		},
	);
});

describe('a channel', () => {
	const name = 'CAM\r\nX-Injected: 1\r\n\r\n<script>';

	test('cannot put a header into an answer by its name', async () => {
		const other = { name, controller: newController(), preview: undefined, run: runView, report: runReport };
		const { server } = await open({ others: () => [other] });
		for (const channel of [name, `${name} that is not there`])
			for (const path of ['/api/state', '/api/report', '/api/presets', '/api']) {
				const { headers, body } = await ask(server.port, `${path}?channel=${encodeURIComponent(channel)}`);
				expect(headers['x-injected']).toBeUndefined();
				expect(headers['content-type']).toBe('application/json');
				expect(headers['x-content-type-options']).toBe('nosniff');
				JSON.parse(body);
			}
		const socket = socketOf(server.url, `/api/events?channel=${encodeURIComponent(`${name} that is not there`)}`);
		socket.on('error', () => {});
		const [, response] = (await once(socket, 'unexpected-response')) as [unknown, { headers: Record<string, string> }];
		expect(response.headers['x-injected']).toBeUndefined();
		socket.terminate();
	});
});

describe('a body', () => {
	test('that is too long is cut off, said how long or not', async () => {
		const { server } = await open();
		const start = 'POST /api/commands HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n';
		const long = 'x'.repeat(20_000);
		expect(await sendRaw(server.port, `${start}Content-Length: 1000000000\r\n\r\n${long}`)).toMatch(/^HTTP\/1\.1 413 /);
		expect(
			await sendRaw(
				server.port,
				`${start}Transfer-Encoding: chunked\r\n\r\n${long.length.toString(16)}\r\n${long}\r\n`,
			),
		).toMatch(/^HTTP\/1\.1 413 /);
	});

	test.each([
		['a body that never comes', 'Content-Length: 100\r\nContent-Type: application/json\r\n\r\n{'],
		['headers that never end', 'X-Slow: yes\r\n'],
	])('%s is let go', async (_, rest) => {
		const { server } = await open({ requestMs: 200 });
		const answer = await sendRaw(server.port, `POST /api/commands HTTP/1.1\r\nHost: localhost\r\n${rest}`);
		expect(answer).toMatch(/^HTTP\/1\.1 408 /);
	});

	test('that is asked to be two requests is one, or none', async () => {
		const { server, controller } = await open();
		const before = controller.view();
		const smuggled = 'POST /api/panic/on HTTP/1.1\r\nHost: localhost\r\n\r\n';
		const answer = await sendRaw(
			server.port,
			`POST /api/nothing HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${smuggled.length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${smuggled}`,
		);
		expect(answer).toMatch(/^HTTP\/1\.1 400 /);
		expect(controller.view()).toEqual(before);
	});
});

test('a message of a WebSocket that is too long closes it', async () => {
	const { server } = await open();
	for (const [byteLength, code] of [
		[16 * 1024, 1000],
		[16 * 1024 + 1, 1009],
	] as const) {
		const socket = socketOf(server.url, '/api/events');
		await once(socket, 'open');
		const closed = once(socket, 'close');
		socket.send('x'.repeat(byteLength));
		socket.close(1000);
		expect((await closed)[0]).toBe(code);
	}
});

test('a WebSocket that is refused is let go, also by a client that keeps its end open', async () => {
	const { server } = await open();
	const socket = connect({ port: server.port, host: '127.0.0.1', allowHalfOpen: true });
	socket.on('error', () => {});
	socket.write(
		'GET /api/events HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n',
	);
	let answer = '';
	socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
	await once(socket, 'end');
	expect(answer).toMatch(/^HTTP\/1\.1 403 /);
	const talking = setInterval(() => socket.write('x'), 10);
	await new Promise((resolve) => socket.once('close', resolve)); // by an error, as it should be
	clearInterval(talking);
});

test('a crowd of connections leaves no room for more, and none is kept for ever', async () => {
	const { server } = await open({ requestMs: 200 });
	const sockets = Array.from({ length: 64 }, () => connect(server.port, '127.0.0.1'));
	await Promise.all(sockets.map((socket) => once(socket, 'connect')));
	const closed = sockets.map((socket) => {
		socket.on('error', () => {});
		socket.resume();
		return once(socket, 'close');
	});
	const late = connect(server.port, '127.0.0.1');
	late.on('error', () => {});
	await once(late, 'close');
	await Promise.all(closed);
	expect((await ask(server.port, '/api/state')).status).toBe(200);
});
