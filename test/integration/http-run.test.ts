// A real run with every secret that it can have: it answers as /api describes it, and no secret comes out anywhere.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocketServer } from 'ws';
import type { OpenApiDocument } from '../../sidecar/control/http/openapi.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { ask, upgradeStatusOf } from '../support/http.ts';
import { complaintsOf } from '../support/json-schema.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const SECRETS = {
	ALLAPRIMA_HTTP_TOKEN: 'the-token-of-everything-1',
	ALLAPRIMA_CHAT_TOKEN: 'the-token-of-the-chat-22',
	ALLAPRIMA_OBS_PASSWORD: 'the-password-of-obs-333',
};
const GUESS = 'a-token-that-somebody-tries';

type Packable = number | string | { [key: string]: Packable };

/** Small numbers, texts and objects in MessagePack, which obs-websocket-js speaks under Node. */
const packed = (value: Packable): Buffer => {
	if (typeof value === 'number') return Buffer.from([value]);
	if (typeof value === 'string') return Buffer.concat([Buffer.from([0xa0 | value.length]), Buffer.from(value)]);
	const entries = Object.entries(value).flat();
	return Buffer.concat([Buffer.from([0x80 | (entries.length / 2)]), ...entries.map(packed)]);
};

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let obs: WebSocketServer;
let sidecar: ChildProcess;
/** Everything that the process says, and everything that it answers. */
let said = '';
beforeAll(async () => {
	folder = await openTemporaryFolder();
	obs = new WebSocketServer({ port: 0, host: '127.0.0.1' });
	await once(obs, 'listening');
	// As obs-websocket 5 does it where the password is wrong.
	obs.on('connection', (socket) => {
		const authentication = { challenge: 'Y2hhbGxlbmdl', salt: 'c2FsdA==' };
		socket.send(packed({ op: 0, d: { obsWebSocketVersion: '5.1.0', rpcVersion: 1, authentication } }));
		socket.on('message', (message: Buffer) => {
			said += message.toString();
			socket.close(4009, 'Authentication failed.');
		});
	});
	const configuration = {
		http: { host: '0.0.0.0', port: 0 },
		obs: { websocket: { url: `ws://127.0.0.1:${(obs.address() as AddressInfo).port}` } },
		chat: { styles: ['anime'] },
		report: folder.at('report.json'),
	};
	await writeFile(folder.at('allaprima.json'), JSON.stringify(configuration));
	const args = ['--config', folder.at('allaprima.json'), '--size', '256x160', '--fps', '8', '--provider', 'cpu'];
	sidecar = spawn(process.execPath, [cli, 'run', ...args, '--log-level', 'debug', '--log-json', '--json'], {
		env: { PATH: process.env['PATH'], HOME: folder.at('home'), ALLAPRIMA_DEBUG: '1', ...SECRETS },
		stdio: ['ignore', 'pipe', 'pipe'],
	});
	for (const stream of [sidecar.stdout!, sidecar.stderr!]) stream.on('data', (chunk: Buffer) => (said += chunk));
});
afterAll(async () => {
	if (sidecar?.exitCode === null) {
		const exited = once(sidecar, 'exit');
		sidecar.kill('SIGKILL');
		await exited;
	}
	obs?.close();
	await folder?.[Symbol.asyncDispose]();
});

const urlOfRun = async (): Promise<string> => {
	await expect.poll(() => said, { timeout: 60_000 }).toMatch(/"url":"http:/);
	return /"url":"(http:[^"]+)"/.exec(said)![1]!;
};

test('state and report of a run are as the document describes them', async () => {
	const { port } = new URL(await urlOfRun());
	const headers = { authorization: `Bearer ${SECRETS.ALLAPRIMA_HTTP_TOKEN}` };
	const get = async (path: string) => JSON.parse((await ask(Number(port), path, { headers })).body) as unknown;
	await expect
		.poll(async () => (await get('/api/report')) as object, { timeout: 60_000 })
		.toMatchObject({
			framesOut: expect.toSatisfy((count: number) => count > 0),
		});
	const document = (await get('/api')) as OpenApiDocument;
	for (const path of ['/api/state', '/api/report', '/api/presets']) {
		const { schema } = document.paths[path]!['get']!.responses['200']!.content!['application/json']!;
		expect(complaintsOf(document, schema!, await get(path)), path).toBeUndefined();
	}
});

test('no secret is in the log at debug, in any answer, in the metrics or in the report', async () => {
	const url = await urlOfRun();
	await expect.poll(() => said, { timeout: 30_000 }).toMatch(/refuses the password/);
	const { port } = new URL(url);
	const paths = [
		'/',
		'/api',
		'/api/state',
		'/api/report',
		'/api/presets',
		'/api/nothing',
		'/healthz',
		'/readyz',
		'/metrics',
		`/api/state?token=${GUESS}`,
	];
	const posts: [path: string, body: string][] = [
		['/api/commands', '{"type":"next"}'],
		['/api/commands', '{"type":"no such"}'],
		['/api/chat', '{"style":"anime","user":"somebody"}'],
		['/api/chat', '{"style":"nothing","user":"somebody"}'],
		['/api/tickets', ''],
		['/api/panic/off', ''],
		['/api/styles/nothing/activate', ''],
	];
	let answered = 0;
	for (const token of [SECRETS.ALLAPRIMA_HTTP_TOKEN, SECRETS.ALLAPRIMA_CHAT_TOKEN, GUESS, undefined]) {
		const authorization: Record<string, string> = token === undefined ? {} : { authorization: `Bearer ${token}` };
		const hear = async (path: string, options: Parameters<typeof ask>[2]) => {
			const { status, headers, body } = await ask(Number(port), path, options);
			if (status === 200) answered++;
			said += JSON.stringify(headers) + body;
		};
		for (const path of paths)
			for (const accept of ['*/*', 'text/html']) await hear(path, { headers: { ...authorization, accept } });
		for (const [path, body] of posts) {
			const headers = { ...authorization, 'content-type': 'application/json' };
			await hear(path, { method: 'POST', headers, body });
		}
		await upgradeStatusOf(url, '/api/events', authorization);
	}
	expect(answered).toBeGreaterThan(20);
	const exited = once(sidecar, 'exit');
	sidecar.kill('SIGTERM');
	expect((await exited)[0]).toBe(0);
	said += await readFile(folder.at('report.json'), 'utf8');

	expect(said).toContain('"chat"'); // the log was at debug
	for (const [name, secret] of Object.entries({ ...SECRETS, GUESS })) expect(said.includes(secret), name).toBe(false);
});
