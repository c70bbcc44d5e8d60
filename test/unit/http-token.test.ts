import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import { ROUTES as SERVED } from '../../sidecar/control/http/routes.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { ask, jsonOf, sendRaw, socketOf, upgradeStatusOf } from '../support/http.ts';
import { openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const TOKEN = 'wet-on-wet-0123456789';
const CHAT_TOKEN = 'only-for-the-chat-0123';

const opened: AsyncDisposable[] = [];
afterEach(async () => {
	for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
});

let nowMs = 0;
const open = async (access: Parameters<typeof openServer>[0] = {}) => {
	nowMs = 1_000_000;
	const pair = await openServer({ nowMs: () => nowMs, ...access, access: { token: TOKEN, ...access.access } });
	opened.push(pair.server);
	return pair;
};

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const CHAT = { styles: ['pencil-sketch'], coolDownS: 30, perUserCoolDownS: 60, maxPerMinute: 6 };
const wish = {
	method: 'POST',
	headers: { 'content-type': 'application/json' },
	body: JSON.stringify({ style: 'pencil-sketch', user: 'somebody' }),
};
/** Every route of the server, what is not there, and what is asked wrongly; /healthz alone is open. */
const ROUTES = [
	...Object.keys(SERVED)
		.filter((route) => route !== 'GET /healthz')
		.map((route) => route.replace('{name}', 'pencil-sketch').replace('{state}', 'on')),
	'GET /api/nothing',
	'DELETE /api/state',
].map((route) => route.split(' ') as [method: string, path: string]);

describe('where there is a token', () => {
	test.each(ROUTES)('%s %s asks for it, and does nothing without it', async (method, path) => {
		const { server, controller } = await open();
		const before = controller.view();
		for (const headers of [
			{},
			bearer('wrong-but-long-enough'),
			{ authorization: TOKEN },
			{ authorization: 'Bearer ' },
		]) {
			const answer = await ask(server.port, path, { method, headers });
			expect(answer.status).toBe(401);
			expect(answer.headers['www-authenticate']).toMatch(/^Bearer/);
			expect(jsonOf(answer.body).code).toBe('ERR_TOKEN');
			nowMs += 120_000;
		}
		expect(controller.view()).toEqual(before);
	});

	test('it opens everything, and says who asks by nothing else', async () => {
		const { server, controller } = await open();
		expect((await ask(server.port, '/api/state', { headers: bearer(TOKEN) })).status).toBe(200);
		const path = '/api/styles/pencil-sketch/activate';
		expect((await ask(server.port, path, { method: 'POST', headers: bearer(TOKEN) })).status).toBe(200);
		expect(controller.view().style).toBe('pencil-sketch');
	});

	test.each([`?token=${TOKEN}`, `?access_token=${TOKEN}`, `?ticket=${TOKEN}`, `?authorization=Bearer%20${TOKEN}`])(
		'in an address it opens nothing: %s',
		async (query) => {
			const { server } = await open();
			expect((await ask(server.port, `/api/state${query}`)).status).toBe(401);
			expect(await upgradeStatusOf(server.url, `/api/events${query}`)).toBe(401);
		},
	);

	test('the page and /healthz are there without it, and have nothing to hide', async () => {
		const { server } = await open();
		for (const path of ['/', '/page.js', '/link.js', '/healthz']) {
			const { status, body } = await ask(server.port, path);
			expect(status).toBe(200);
			expect(body).not.toContain(TOKEN);
		}
	});

	test('it is not enough for a page of another origin', async () => {
		const { server } = await open();
		const headers = { ...bearer(TOKEN), origin: 'https://evil.example' };
		expect((await ask(server.port, '/api/state', { headers })).status).toBe(403);
		expect((await ask(server.port, '/api/state', { headers: { ...bearer(TOKEN), host: 'evil.example' } })).status).toBe(
			403,
		);
	});

	test('no answer has it, whatever is asked', async () => {
		const { server } = await open({ access: { chatToken: CHAT_TOKEN } });
		for (const [method, path] of ROUTES)
			for (const token of [TOKEN, CHAT_TOKEN, `${TOKEN}x`]) {
				const { body, headers } = await ask(server.port, path, { method, headers: bearer(token) });
				expect(body + JSON.stringify(headers)).not.toContain(TOKEN);
				expect(body + JSON.stringify(headers)).not.toContain(CHAT_TOKEN);
			}
	});
});

describe('wrong tokens', () => {
	const guess = async (port: number, token = 'wrong-but-long-enough') =>
		await ask(port, '/api/state', { headers: bearer(token) });

	test('make their address wait, ever longer, and the right one is not looked at meanwhile', async () => {
		const { server } = await open();
		const { port } = server;
		for (let mistake = 0; mistake < 3; mistake++) expect((await guess(port)).status).toBe(401);
		for (const waitS of [1, 2, 4, 8, 16, 32, 60, 60]) {
			const refused = await guess(port, TOKEN);
			expect(refused.status).toBe(429);
			expect(refused.headers['retry-after']).toBe(String(waitS));
			nowMs += waitS * 1000 - 1;
			expect((await guess(port, TOKEN)).status).toBe(429);
			nowMs += 1;
			expect((await guess(port)).status).toBe(401);
		}
	});

	test('are forgotten with the right one', async () => {
		const { server } = await open();
		for (let round = 0; round < 5; round++) {
			expect((await guess(server.port)).status).toBe(401);
			expect((await guess(server.port)).status).toBe(401);
			expect((await guess(server.port, TOKEN)).status).toBe(200);
		}
	});

	test('of WebSockets count as well, and requests without any do not', async () => {
		const { server } = await open();
		for (let probe = 0; probe < 10; probe++) expect((await ask(server.port, '/api/state')).status).toBe(401);
		for (let mistake = 0; mistake < 3; mistake++)
			expect(await upgradeStatusOf(server.url, '/api/events', bearer('wrong-but-long-enough'))).toBe(401);
		expect((await guess(server.port, TOKEN)).status).toBe(429);
		expect(await upgradeStatusOf(server.url, '/api/events', bearer(TOKEN))).toBe(429);
	});
});

describe('a ticket', () => {
	const ticketOf = async (port: number, headers = bearer(TOKEN)): Promise<string> => {
		const { body } = await ask(port, '/api/tickets', { method: 'POST', headers });
		return (JSON.parse(body) as { ticket: string }).ticket;
	};

	test.each(['/api/events', '/api/preview'])('opens %s once', async (path) => {
		const { server } = await open();
		const ticket = await ticketOf(server.port);
		const socket = socketOf(server.url, `${path}?ticket=${ticket}`);
		await once(socket, 'open');
		socket.terminate();
		expect(await upgradeStatusOf(server.url, `${path}?ticket=${ticket}`)).toBe(401);
	});

	test('opens nothing once it is too old', async () => {
		const { server } = await open();
		const ticket = await ticketOf(server.port);
		nowMs += 20_000;
		expect(await upgradeStatusOf(server.url, `/api/events?ticket=${ticket}`)).toBe(401);
	});

	test('opens nothing but a WebSocket', async () => {
		const { server } = await open();
		const ticket = await ticketOf(server.port);
		expect((await ask(server.port, `/api/state?ticket=${ticket}`)).status).toBe(401);
	});

	test('of another origin opens nothing', async () => {
		const { server } = await open();
		const path = `/api/events?ticket=${await ticketOf(server.port)}`;
		expect(await upgradeStatusOf(server.url, path, { origin: 'https://evil.example' })).toBe(403);
	});

	test('makes room for newer ones', async () => {
		const { server } = await open();
		const first = await ticketOf(server.port);
		for (let index = 0; index < 64; index++) await ticketOf(server.port);
		const last = await ticketOf(server.port);
		expect(await upgradeStatusOf(server.url, `/api/events?ticket=${first}`)).toBe(401);
		expect(await upgradeStatusOf(server.url, `/api/events?ticket=${last}`)).toBe(101);
	});
});

describe('the token of the chat', () => {
	test.each(ROUTES.filter(([, path]) => path !== '/api/chat'))('does not open %s %s', async (method, path) => {
		const { server, controller } = await open({ access: { chatToken: CHAT_TOKEN, chat: CHAT } });
		const before = controller.view();
		expect((await ask(server.port, path, { method, headers: bearer(CHAT_TOKEN) })).status).toBe(403);
		expect(controller.view()).toEqual(before);
	});

	test('opens the chat, and so does the other', async () => {
		for (const token of [TOKEN, CHAT_TOKEN]) {
			const { server } = await open({ access: { chatToken: CHAT_TOKEN, chat: CHAT } });
			const headers = { ...wish.headers, ...bearer(token) };
			expect((await ask(server.port, '/api/chat', { ...wish, headers })).status).toBe(200);
		}
	});

	test('opens no WebSocket', async () => {
		const { server } = await open({ access: { chatToken: CHAT_TOKEN, chat: CHAT } });
		expect(await upgradeStatusOf(server.url, '/api/events', bearer(CHAT_TOKEN))).toBe(403);
	});

	test('closes the chat where it is the only token, and leaves the rest to this machine', async () => {
		const { server } = await openServer({ access: { chatToken: CHAT_TOKEN, chat: CHAT } });
		opened.push(server);
		expect((await ask(server.port, '/api/chat', wish)).status).toBe(401);
		expect(
			(await ask(server.port, '/api/chat', { ...wish, headers: { ...wish.headers, ...bearer(CHAT_TOKEN) } })).status,
		).toBe(200);
		expect((await ask(server.port, '/api/state')).status).toBe(200);
	});
});

describe('the path of what is open to all', () => {
	test.each(['/healthz/', '//healthz', '/healthz%2f..%2fapi/state', '/HEALTHZ', '/api/chat/', '/healthz/../api/state'])(
		'%s is another, and asks for the token',
		async (path) => {
			const { server } = await open();
			expect((await ask(server.port, path)).status).toBe(401);
		},
	);

	test('a second Authorization header adds nothing', async () => {
		const { server } = await open();
		const answer = await sendRaw(
			server.port,
			`GET /api/state HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer nothing-that-is-known\r\nAuthorization: Bearer ${TOKEN}\r\n\r\n`,
		);
		expect(answer).toMatch(/^HTTP\/1\.1 401 /);
	});
});
