import { once } from 'node:events';
import { request as httpRequest } from 'node:http';
import { connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { refusalOf } from '../../sidecar/control/http/guard.ts';
import type { PreviewFeed, ServerState } from '../../sidecar/control/http/served.ts';
import { NewestMessage } from '../../sidecar/control/http/newest-message.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { newController, openServer, PRESETS, runReport, runView, workerView } from '../support/preview.ts';

setLog({ level: 'silent' });

const opened: AsyncDisposable[] = [];
const open = async (options: Parameters<typeof openServer>[0] = {}) => {
	const pair = await openServer(options);
	opened.push(pair.server);
	return pair;
};
afterEach(async () => {
	for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
});

const post = (url: string, body: string, headers: Record<string, string> = { 'Content-Type': 'application/json' }) =>
	fetch(new URL('/api/commands', url), { method: 'POST', body, headers });

const errorOf = async (response: Response): Promise<{ code: string; message: string }> =>
	((await response.json()) as { error: { code: string; message: string } }).error;

/** With headers that fetch does not let one set. */
const statusOf = async (port: number, headers: Record<string, string>, path = '/api/state'): Promise<number> => {
	const request = httpRequest({ host: '127.0.0.1', port, path, headers });
	request.end();
	const [response] = (await once(request, 'response')) as [{ statusCode: number; resume(): void }];
	response.resume();
	return response.statusCode;
};

const socketOf = (url: string, path: string, headers: Record<string, string> = {}): WebSocket =>
	new WebSocket(new URL(path, url.replace('http', 'ws')), { headers });

const openSocket = async (url: string, path: string): Promise<WebSocket> => {
	const socket = socketOf(url, path);
	await once(socket, 'open');
	return socket;
};

const nextState = async (socket: WebSocket): Promise<ServerState> => {
	const [data] = (await once(socket, 'message')) as [Buffer];
	return JSON.parse(data.toString()) as ServerState;
};

describe('the page', () => {
	test.each([
		['/', 'text/html'],
		['/page.js', 'text/javascript'],
		['/page.css', 'text/css'],
		['/stage.js', 'text/javascript'],
		['/plot.js', 'text/javascript'],
		['/link.js', 'text/javascript'],
		['/login.js', 'text/javascript'],
		['/prompt.js', 'text/javascript'],
		['/styles.js', 'text/javascript'],
		['/thumbnails.js', 'text/javascript'],
		['/scenes.js', 'text/javascript'],
		['/reference.js', 'text/javascript'],
		['/fleet.js', 'text/javascript'],
		['/modifiers.js', 'text/javascript'],
	])('%s is served as %s, under a policy that lets nothing else in', async (path, type) => {
		const { server } = await open();
		const response = await fetch(new URL(path, server.url));
		expect(response.status).toBe(200);
		expect(response.headers.get('content-type')).toBe(`${type}; charset=utf-8`);
		expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'; script-src 'self';/);
		expect(response.headers.get('x-content-type-options')).toBe('nosniff');
		const text = await response.text();
		expect(text.length).toBeGreaterThan(500);
		expect(text).not.toMatch(/https?:\/\/(?!www\.w3\.org)/); // nothing from elsewhere
	});

	test.each(['/nothing', '/../package.json', '/%2e%2e/package.json', '/__proto__', '/api/__proto__', '//x'])(
		'%s is not there',
		async (path) => {
			const { server } = await open();
			const { port } = server;
			expect(await statusOf(port, {}, path)).toBe(404);
		},
	);

	test('says what a path answers to', async () => {
		const { server } = await open();
		const response = await fetch(new URL('/api/commands', server.url));
		expect(response.status).toBe(405);
		expect(response.headers.get('allow')).toBe('POST');
		expect((await fetch(server.url, { method: 'HEAD' })).status).toBe(200);
	});
});

describe('the API', () => {
	test('gives the fleet where there is one', async () => {
		const { server: alone } = await open();
		expect((await fetch(new URL('/api/fleet', alone.url))).status).toBe(404);
		const { server } = await open({
			fleet: { engine: 'paired', workers: async () => [workerView()] },
			remote: () => ({
				worker: undefined,
				roundTripMs: undefined,
				framesLate: 3,
				placements: 2,
				encoding: 'jpeg',
				linkBitsPerSecond: undefined,
			}),
		});
		expect(await (await fetch(new URL('/api/fleet', server.url))).json()).toEqual({
			engine: 'paired',
			channels: [{ channel: 'main', framesLate: 3, placements: 2, encoding: 'jpeg', failovers: 0 }],
			workers: [workerView()],
		});
		const { remote } = (await (await fetch(new URL('/api/state', server.url))).json()) as ServerState;
		expect(remote).toEqual({ framesLate: 3, placements: 2, encoding: 'jpeg' });
	});

	test('gives the state and the presets', async () => {
		const { server } = await open();
		const state = (await (await fetch(new URL('/api/state', server.url))).json()) as ServerState;
		expect(state).toEqual({
			version: '0.0.0',
			channels: ['main'],
			channel: 'main',
			control: expect.objectContaining({ style: 'oil-painting', epoch: 0, strength: 1, fadeS: 0.5 }),
			modifiers: [{ name: 'muted', phrase: 'muted colors' }],
			takesReferences: false,
			run: runView(),
		});
		const presets = await (await fetch(new URL('/api/presets', server.url))).json();
		expect(presets).toEqual(
			PRESETS.map(({ name, title, prompt, strength, seed }) => ({ name, title, prompt, strength, seed })),
		);
	});

	test('carries out a command and answers with the state', async () => {
		const { server, controller } = await open();
		const response = await post(server.url, JSON.stringify({ type: 'style', name: 'pencil-sketch' }));
		expect(response.status).toBe(200);
		expect(await response.json()).toMatchObject({ control: { style: 'pencil-sketch', epoch: 1 } });
		expect(controller.change.style).toBe('pencil-sketch');
	});

	test.each<[string, string, number, string, RegExp]>([
		['no JSON', '{"type":', 400, 'ERR_COMMAND', /not JSON/],
		['nothing at all', '', 400, 'ERR_COMMAND', /not JSON/],
		['an unknown command', '{"type":"format disk"}', 400, 'ERR_COMMAND', /expected one of style, next/],
		['a key too many', '{"type":"next","by":2}', 400, 'ERR_COMMAND', /by/],
		['a prototype', '{"type":"next","__proto__":{"x":1}}', 400, 'ERR_COMMAND', /__proto__/],
		['an unknown style', '{"type":"style","name":"oil"}', 400, 'ERR_STYLE', /There are: oil-painting/],
		['a deep nest', '['.repeat(8000) + ']'.repeat(8000), 400, 'ERR_COMMAND', /expected an object/],
		['more than a command can be', `"${'x'.repeat(17_000)}"`, 413, 'ERR_COMMAND', /at most 16384 bytes/],
	])('refuses %s', async (_, body, status, code, message) => {
		const { server, controller } = await open();
		const before = controller.view();
		const response = await post(server.url, body);
		expect(response.status).toBe(status);
		const error = await errorOf(response);
		expect(error.code).toBe(code);
		expect(error.message).toMatch(message);
		expect(controller.view()).toEqual(before);
	});

	test('refuses what a form of a foreign page could send', async () => {
		const { server } = await open();
		for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonp'])
			expect((await post(server.url, '{"type":"next"}', { 'Content-Type': type })).status).toBe(415);
	});

	test('survives what is no HTTP', async () => {
		const { server } = await open();
		const socket = connect(server.port, '127.0.0.1');
		socket.end('HELO nobody\r\n\r\n');
		const [answer] = (await once(socket, 'data')) as [Buffer];
		expect(answer.toString()).toMatch(/^HTTP\/1\.1 400 /);
		expect((await fetch(server.url)).status).toBe(200);
	});
});

describe('several channels', () => {
	const second = () => ({
		name: 'CAM 2',
		controller: newController(),
		preview: undefined,
		run: runView,
		report: runReport,
	});

	test('are told apart by their names', async () => {
		const other = second();
		const { server, controller } = await open({ others: () => [other] });
		const url = new URL('/api/commands?channel=CAM%202', server.url);
		const body = JSON.stringify({ type: 'style', name: 'pencil-sketch' });
		const response = await fetch(url, { method: 'POST', body, headers: { 'Content-Type': 'application/json' } });
		expect(await response.json()).toMatchObject({ channels: ['main', 'CAM 2'], channel: 'CAM 2' });
		expect(other.controller.view().style).toBe('pencil-sketch');
		expect(controller.view().style).toBe('oil-painting');
	});

	test('each have events of their own', async () => {
		const other = second();
		const { server } = await open({ others: () => [other] });
		const socket = socketOf(server.url, '/api/events?channel=CAM%202');
		expect(await nextState(socket)).toMatchObject({ channel: 'CAM 2' });
		socket.terminate();
	});

	test('one that is not there is refused, and the others are named', async () => {
		const { server } = await open({ others: () => [second()] });
		const response = await fetch(new URL('/api/state?channel=CAM%203', server.url));
		expect(response.status).toBe(404);
		expect(await errorOf(response)).toEqual({
			code: 'ERR_CHANNEL',
			message: 'There is no such channel. Expected one of main, CAM 2.',
		});
		const socket = socketOf(server.url, '/api/events?channel=CAM%203');
		const [, answer] = (await once(socket, 'unexpected-response')) as [unknown, { statusCode: number }];
		expect(answer.statusCode).toBe(404);
	});

	test('one without a picture says to come back for its preview', async () => {
		const { server } = await open({ others: () => [second()] });
		const socket = socketOf(server.url, '/api/preview?channel=CAM%202');
		const [code] = (await once(socket, 'close')) as [number];
		expect(code).toBe(1013);
	});
});

describe('health', () => {
	test.each([
		[{ failing: [], unready: [] }, 200, 200],
		[{ failing: [], unready: ['CAM 1: no frames'] }, 200, 503],
		[{ failing: ['output stands still'], unready: ['CAM 1: no frames'] }, 503, 503],
	])('%j', async (health, healthz, readyz) => {
		const { server } = await open({ health: () => health });
		expect((await fetch(new URL('/healthz', server.url))).status).toBe(healthz);
		const ready = await fetch(new URL('/readyz', server.url));
		expect(ready.status).toBe(readyz);
		expect((await ready.text()).trim().split('\n')).toEqual(
			readyz === 200 ? ['ok'] : [...health.failing, ...health.unready],
		);
	});
});

describe('who may ask', () => {
	test.each<[Record<string, string>, boolean]>([
		[{ host: 'localhost:7717' }, true],
		[{ host: '127.0.0.1:7717' }, true],
		[{ host: '[::1]:7717' }, true],
		[{ host: 'LOCALHOST' }, true],
		[{ host: 'localhost:8000', origin: 'http://localhost:8000' }, true],
		[{}, false],
		[{ host: '' }, false],
		[{ host: 'evil.example:7717' }, false],
		[{ host: 'localhost.evil.example' }, false],
		[{ host: '127.0.0.1.evil.example' }, false],
		[{ host: 'localhost@evil.example' }, false],
		[{ host: '192.168.0.2:7717' }, false],
		[{ host: 'localhost:7717', origin: 'https://evil.example' }, false],
		[{ host: 'localhost:7717', origin: 'null' }, false],
		[{ host: 'localhost:7717', origin: '' }, false],
		[{ host: 'localhost:7717', origin: 'http://localhost:3000' }, false],
		[{ host: 'localhost:7717', origin: 'http://127.0.0.1:7717' }, false],
		[{ host: 'localhost:7717', origin: 'https://localhost:7717' }, false],
	])('%j: %s', (headers, isAllowed) => {
		expect(refusalOf(headers) === undefined).toBe(isAllowed);
	});

	test('a foreign page gets no answer, by HTTP or WebSocket', async () => {
		const { server } = await open();
		expect(await statusOf(server.port, {})).toBe(200);
		expect(await statusOf(server.port, { host: 'evil.example' })).toBe(403);
		expect(await statusOf(server.port, { origin: 'https://evil.example' })).toBe(403);
		for (const path of ['/api/events', '/api/preview'])
			for (const headers of [{ origin: 'https://evil.example' }, { host: 'evil.example' }] as Record<
				string,
				string
			>[]) {
				const [error] = (await once(socketOf(server.url, path, headers), 'error')) as [Error];
				expect(error.message).toContain('403');
			}
		expect(server.clientCount).toBe(0);
	});
});

describe('the port', () => {
	test('that is taken is an error of the configuration, and says what to do', async () => {
		const { server } = await open();
		await expect(open({ access: { port: server.port } })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: `Port ${server.port} of 127.0.0.1 is taken, perhaps by another allaprima. Choose another with --http PORT, or none with --http off.`,
		});
	});

	test('is free again after the end, whoever looked on', async () => {
		const { server } = await openServer();
		const { port } = server;
		const events = await openSocket(server.url, '/api/events');
		const idle = connect(port, '127.0.0.1');
		await once(idle, 'connect');
		const closed = once(events, 'close');
		await server[Symbol.asyncDispose]();
		expect((await closed)[0]).toBe(1001);
		await open({ access: { port } });
	});
});

describe('events', () => {
	test('bring the state at once and after a change', async () => {
		const { server, controller } = await open();
		const socket = socketOf(server.url, '/api/events');
		expect((await nextState(socket)).control.style).toBe('oil-painting');
		controller.apply({ type: 'next' });
		let state = await nextState(socket);
		while (state.control.epoch === 0) state = await nextState(socket); // one of the regular ones came before
		expect(state.control.style).toBe('pencil-sketch');
		socket.terminate();
	});

	test('are for 16 clients, and the 17th is told so', async () => {
		const { server } = await open();
		const sockets = await Promise.all(Array.from({ length: 16 }, () => openSocket(server.url, '/api/events')));
		const [error] = (await once(socketOf(server.url, '/api/events'), 'error')) as [Error];
		expect(error.message).toContain('503');
		for (const socket of sockets) socket.terminate();
	});

	test('are not at other paths', async () => {
		const { server } = await open();
		const [error] = (await once(socketOf(server.url, '/api/state'), 'error')) as [Error];
		expect(error.message).toContain('404');
	});
});

describe('the preview', () => {
	test('gives a frame for each time it is asked', async () => {
		let frames = 0;
		const preview: PreviewFeed = {
			watch: (send) => ({ ready: () => send(Buffer.from([++frames])), [Symbol.dispose]: () => {} }),
		};
		const { server } = await open({ preview });
		const socket = await openSocket(server.url, '/api/preview');
		for (const expected of [1, 2, 3]) {
			socket.send('next');
			const [data] = (await once(socket, 'message')) as [Buffer];
			expect([...data]).toEqual([expected]);
		}
		socket.terminate();
	});

	test('costs one message for a client that asks without end and never reads', async () => {
		let sent = 0;
		const message = Buffer.alloc(64 << 20); // more than any socket takes at once
		let disposed = () => {};
		const ended = new Promise<void>((resolve) => (disposed = resolve));
		const preview: PreviewFeed = {
			watch: (send) => ({
				ready: () => {
					sent++;
					send(message);
				},
				[Symbol.dispose]: disposed,
			}),
		};
		const { server } = await open({ preview });
		const socket = await openSocket(server.url, '/api/preview');
		socket.on('error', () => {});
		socket.pause();
		for (let ask = 0; ask < 1000; ask++) socket.send('next');
		socket.send('x'.repeat(17_000)); // no message is that long: the server lets go, after all that came before
		await ended;
		expect(sent).toBe(1);
		expect(server.clientCount).toBe(0);
		socket.terminate();
	});
});

describe('the way to one client', () => {
	test('has one message under way, and the newest behind it', () => {
		const sent: unknown[] = [];
		let done = () => {};
		const line = new NewestMessage((message, sentAll) => {
			sent.push(message);
			done = sentAll;
		});
		let made = 0;
		for (let index = 0; index < 10_000; index++)
			line.offer(() => {
				made++;
				return String(index);
			});
		expect(sent).toEqual(['0']);
		done();
		expect(sent).toEqual(['0', '9999']);
		expect(made).toBe(2);
		done();
		expect(sent).toHaveLength(2);
	});

	test('knows how long a message is under way', () => {
		let done = () => {};
		const line = new NewestMessage((_, sentAll) => (done = sentAll));
		expect(line.tick()).toBe(0);
		line.offer(() => 'x');
		expect([line.tick(), line.tick()]).toEqual([1, 2]);
		done();
		expect(line.tick()).toBe(0);
	});

	test('calls back when it is free, for the newest who asked', () => {
		let done = () => {};
		const line = new NewestMessage((_, sentAll) => (done = sentAll));
		const called: string[] = [];
		line.whenFree(() => called.push('at once'));
		line.offer(() => 'x');
		line.whenFree(() => called.push('forgotten'));
		line.whenFree(() => called.push('later'));
		expect(called).toEqual(['at once']);
		done();
		expect(called).toEqual(['at once', 'later']);
	});
});
