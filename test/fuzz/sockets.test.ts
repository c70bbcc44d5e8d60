// Bytes that somebody sends: to the page's server and its WebSockets, to OSC, to a port of MIDI, and to the socket of the
// plugin in OBS. The real servers on real sockets; each goes on answering, and nobody stays connected.
import { connect } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { HttpServer } from '../../sidecar/control/http/server.ts';
import { MidiReader } from '../../sidecar/control/midi/messages.ts';
import { openObsLink, type ObsLink } from '../../sidecar/control/obs-link.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { readDatagram } from '../../sidecar/control/osc/codec.ts';
import { startOscServer } from '../../sidecar/control/osc/server.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { until } from '../support/engines.ts';
import { corpusOf, inputs, mutated, patienceMs } from '../support/fuzz.ts';
import { ask } from '../support/http.ts';
import { PluginEnd } from '../support/obs-plugin.ts';
import { OscClient } from '../support/osc.ts';
import { newController, openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
	vi.stubEnv('XDG_DATA_HOME', folder.at('.')); // presets that are saved
});
afterAll(async () => {
	vi.unstubAllEnvs();
	await folder[Symbol.asyncDispose]();
});

/** Sends the bytes in one or two pieces, and gives what came back until the other side has closed. */
const exchange = async (to: number | string, bytes: Buffer, cut = bytes.length): Promise<string> => {
	const socket = typeof to === 'number' ? connect(to, '127.0.0.1') : connect(to);
	const closed = new Promise((resolve) => socket.once('close', resolve));
	let answer = '';
	socket.on('data', (chunk: Buffer) => (answer += chunk.toString('latin1')));
	socket.on('error', () => {});
	socket.write(bytes.subarray(0, cut));
	if (cut < bytes.length) setImmediate(() => socket.write(bytes.subarray(cut)));
	setImmediate(() => socket.end());
	await closed;
	return answer;
};

const inPieces = (corpus: string) => fc.tuple(mutated(corpusOf(corpus)), fc.nat(2000));

describe('HTTP', () => {
	let server: HttpServer;
	beforeAll(async () => {
		({ server } = await openServer({ requestMs: 500, metrics: async () => 'up 1\n', access: { chat } }));
	});
	afterAll(async () => await server[Symbol.asyncDispose]());
	const chat = { styles: ['pencil-sketch'], coolDownS: 0, perUserCoolDownS: 0, maxPerMinute: 60 };

	test('requests', { timeout: patienceMs() }, async () => {
		await fc.assert(
			fc.asyncProperty(inPieces('http'), async ([bytes, cut]) => {
				const answer = await exchange(server.port, bytes, cut);
				if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 [1-5]\d\d /);
				expect(answer).not.toContain('HTTP/1.1 500'); // the API's word for our own mistakes
				expect((await ask(server.port, '/api/state')).status).toBe(200);
			}),
			inputs(600),
		);
	});

	test('WebSockets', { timeout: patienceMs() }, async () => {
		await fc.assert(
			fc.asyncProperty(inPieces('web-socket'), async ([bytes, cut]) => {
				const answer = await exchange(server.port, bytes, cut);
				if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 [1-5]\d\d /);
				expect((await ask(server.port, '/api/state')).status).toBe(200);
			}),
			inputs(400),
		);
		await until(() => server.clientCount === 0);
	});
});

describe('OSC', () => {
	test('datagrams as they are read', { timeout: patienceMs() }, () => {
		fc.assert(
			fc.property(mutated(corpusOf('osc')), (bytes) => {
				for (const part of readDatagram(bytes.subarray(0, 65_507)))
					if ('address' in part) expect(part.address).toMatch(/^\//);
					else expect(part.problem.length).toBeLessThan(200);
			}),
			inputs(4000),
		);
	});

	test('a server', { timeout: patienceMs() }, async () => {
		const controller = newController();
		await using server = await startOscServer({
			host: '127.0.0.1',
			port: 0,
			allow: [],
			feedback: [],
			channels: () => [{ name: 'main', controller }],
			subscribe: (listener) => controller.subscribe(listener),
			nowUs: () => performance.now() * 1000,
			after: (us, work) => {
				const timer = setTimeout(work, us / 1000);
				return () => clearTimeout(timer);
			},
		});
		await using client = await OscClient.open(server.port);
		let strength = 0;
		await fc.assert(
			fc.asyncProperty(mutated(corpusOf('osc')), async (bytes) => {
				await client.sendBytes(bytes.subarray(0, 65_000)).catch(() => {}); // too long for a datagram
				strength = (strength + 0.01) % 1;
				await client.send('/allaprima/strength', strength);
				await until(() => Math.abs(controller.view().strength - strength) < 1e-6);
			}),
			inputs(300),
		);
		expect(controller.view().strength).toBeCloseTo(strength, 5);
	});
});

describe('MIDI', () => {
	test('the bytes of a port, wherever they are cut', { timeout: patienceMs() }, () => {
		fc.assert(
			fc.property(inPieces('midi'), ([all, cut]) => {
				const bytes = all.subarray(0, 4096);
				const messages = new MidiReader().read(bytes);
				const inTwo = new MidiReader();
				const again = [...inTwo.read(bytes.subarray(0, cut)), ...inTwo.read(bytes.subarray(cut))];
				expect(JSON.stringify(again)).toBe(JSON.stringify(messages));
				const numbers = messages.flatMap((message) =>
					'channel' in message ? [message.channel - 1, message.number, message.value] : [],
				);
				expect(Math.min(0, ...numbers)).toBe(0);
				expect(Math.max(0, ...numbers)).toBeLessThanOrEqual(127);
			}),
			inputs(2000),
		);
	});
});

describe('the link to OBS', () => {
	let link: ObsLink;
	const path = () => folder.at('sidecar.sock');
	beforeAll(async () => {
		link = await openObsLink({
			path: path(),
			version: '0.1.0',
			controller: newController(),
			wanted: undefined,
			scenes: new SceneTable({ rows: [{ scene: 'Interview', style: 'pencil-sketch' }], paint: () => {} }),
		});
	});
	afterAll(async () => await link[Symbol.asyncDispose]());

	test('what a plugin says', { timeout: patienceMs() }, async () => {
		await fc.assert(
			fc.asyncProperty(inPieces('obs-link'), async ([bytes, cut]) => {
				const answer = await exchange(path(), bytes, cut);
				for (const line of answer.split('\n').slice(0, -1)) expect(JSON.parse(line)).toHaveProperty('type');
				const plugin = await PluginEnd.connect(path());
				await plugin.hears('hello');
				plugin.socket.destroy();
			}),
			inputs(400),
		);
		await until(() => link.streams.length === 0);
	});

	test('a plugin that was hung up on is heard no more, however long it goes on', async () => {
		// It keeps its own end open.
		const socket = connect({ path: path(), allowHalfOpen: true });
		socket.on('error', () => {});
		socket.resume();
		const closed = new Promise((resolve) => socket.once('close', resolve));
		socket.write('nonsense\n');
		const talk = setInterval(() => socket.write('x'.repeat(60_000)), 1);
		await closed;
		clearInterval(talk);
		expect(socket.destroyed).toBe(true);
	});
});
