// Streams painted by workers at a real nats-server on loopback. The engine is an echo: a negative of what came.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FLEET_PROTOCOL } from '../../sidecar/config/schema/fleet.ts';
import { until } from '../support/engines.ts';
import {
	EchoWorker,
	expectWhole,
	NatsBus,
	near,
	openFleet,
	openStream,
	PAINTED,
	painterOf,
	painters,
} from '../support/fleet.ts';
import { parametersOf } from '../support/frames.ts';
import { NatsServer, TcpRelay } from '../support/nats.ts';

let nats: NatsServer;
beforeAll(async () => {
	nats = await NatsServer.start();
});
afterAll(async () => {
	await nats[Symbol.asyncDispose]();
});

describe('a stream with one worker', () => {
	it('is painted frame by frame, in order, each with its own source', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints(40);
		expectWhole(stream.shown);
		expect(painters(stream.shown, [worker])).toEqual(['one']);
		expect(stream.engine.restarts).toBe(0);
		expect(stream.engine.provider).toBe('cpu');
	});

	it('paints every frame of a file, and ends', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7, { paintMs: 5 });
		void worker;
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet, { keepsAll: true, frames: 50 });
		await until(() => stream.paintings().length === 50);
		expectWhole(stream.shown);
		expect(stream.paintings().at(-1)!.sequence).toBe(49);
	});

	it('follows the parameters, and gives the source for the style that paints nothing', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		void worker;
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints();
		stream.change(parametersOf({}, 1, 'passthrough'));
		await until(() => stream.shown.at(-1)?.kind === 'source');
		expect(stream.shown.at(-1)!.epoch).toBe(1);
		stream.change(parametersOf({}, 2, 'watercolor'));
		await until(() => stream.shown.at(-1)?.kind === 'painting');
		expect(stream.shown.at(-1)!.epoch).toBe(2);
		expectWhole(stream.shown);
	});

	it('has no more frames on their way than the engine asked for', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7, { paintMs: 100 });
		void worker;
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet, { fps: 100 });
		await stream.paints(8);
		// Three at the worker and no queue before it: older ones were dropped in the ring.
		for (const { ageUs } of stream.paintings().slice(-4)) expect(ageUs).toBeLessThan(900_000);
		expectWhole(stream.shown);
	});
});

describe('nobody there', () => {
	it('is said at once where there is no worker, and how to start one', async () => {
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.over();
		expect(stream.error()).toMatchObject({ code: 'ERR_FLEET' });
		expect(stream.error()!.message).toContain(`allaprima worker --nats ${nats.url}`);
	});

	it('is said where no worker has the model', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7, { model: 'other' });
		void worker;
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.over();
		expect(stream.error()).toMatchObject({ code: 'ERR_MODEL' });
		expect(stream.error()!.message).toContain('one has no model lite');
	});

	it('is said where all workers are full', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7, { linesMax: 1 });
		void worker;
		await using fleet = await openFleet(nats.url);
		await using first = openStream(fleet);
		await first.paints();
		await using other = await openFleet(nats.url);
		await using second = openStream(other);
		await second.over();
		expect(second.error()!.message).toContain('one has no room');
		await first.paints();
	});

	it('is said where there is no server, or it lacks something', async () => {
		await expect(openFleet('nats://127.0.0.1:1')).rejects.toMatchObject({ code: 'ERR_FLEET' });
		await using plain = await NatsServer.start({ jetStream: false });
		await expect(openFleet(plain.url)).rejects.toThrow(/JetStream.*-js/s);
		await using small = await NatsServer.start({ configuration: 'max_payload: 65536' });
		await using worker = await EchoWorker.start(small.url, 'one', 7);
		void worker;
		await using fleet = await openFleet(small.url);
		await using stream = openStream(fleet);
		await stream.over();
		expect(stream.error()!.message).toMatch(/64x64.*max_payload/s);
	});

	it('and who may not enter is told what is missing', async () => {
		await using locked = await NatsServer.start({ configuration: 'authorization { token: "open-sesame" }' });
		await expect(openFleet(locked.url)).rejects.toThrow(/ALLAPRIMA_NATS_TOKEN/);
		await expect(openFleet(locked.url, { access: { token: 'guess' } })).rejects.toMatchObject({ code: 'ERR_FLEET' });
		const access = { token: 'open-sesame' };
		await using worker = await EchoWorker.start(locked.url, 'one', 7, { access });
		void worker;
		await using fleet = await openFleet(locked.url, { access });
		await using stream = openStream(fleet);
		await stream.paints();
	});

	it('and an account knows nothing of the workers of another', async () => {
		const configuration = `accounts {
			studio { jetstream: enabled, users: [{ user: studio, password: one }] }
			guests { jetstream: enabled, users: [{ user: guests, password: two }] }
		}`;
		await using shared = await NatsServer.start({ configuration });
		const studio = { user: 'studio', password: 'one' };
		await using worker = await EchoWorker.start(shared.url, 'one', 7, { access: studio });
		void worker;
		await using own = await openFleet(shared.url, { access: studio });
		await using painted = openStream(own);
		await painted.paints();
		await using foreign = await openFleet(shared.url, { access: { user: 'guests', password: 'two' } });
		await using refused = openStream(foreign);
		await refused.over();
		expect(refused.error()!.message).toContain('No worker answers');
	});
});

describe('a worker', () => {
	it('that is killed makes way for another, which goes on from the last painting', async () => {
		await using one = await EchoWorker.start(nats.url, 'one', 7);
		await using two = await EchoWorker.start(nats.url, 'two', 201);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints(10);
		const dead = painterOf(stream.shown, [one, two]);
		const heir = dead === one ? two : one;
		const last = stream.paintings().at(-1)!;
		await dead.kill();
		await until(() => painterOf(stream.shown, [one, two]) === heir);
		expectWhole(stream.shown);
		expect(painters(stream.shown, [one, two])).toEqual([dead.name, heir.name]);
		const [resumed] = heir.resumed;
		expect(near(255 - resumed!.source, resumed!.painting)).toBe(true);
		expect(resumed!.source).toBeGreaterThanOrEqual(last.source - 2);
		const { prompt } = parametersOf().conditioning[0]!;
		expect(resumed!.embedded).toEqual([[prompt, [dead.mark, prompt.length]]]);
	});

	it('that hangs is left, and what it paints when it wakes is not shown', async () => {
		await using one = await EchoWorker.start(nats.url, 'one', 7);
		await using two = await EchoWorker.start(nats.url, 'two', 201);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints(10);
		const hung = painterOf(stream.shown, [one, two]);
		const heir = hung === one ? two : one;
		hung.process.kill('SIGSTOP');
		await until(() => painterOf(stream.shown, [one, two]) === heir);
		hung.process.kill('SIGCONT');
		await stream.paints(20);
		expect(painters(stream.shown, [one, two])).toEqual([hung.name, heir.name]);
		expectWhole(stream.shown);
		// It has noticed.
		await until(async () => (await hung.status()).lines.length === 0);
	});

	it.each([
		['both ways', ['toServer', 'toClient']],
		['on its way out', ['toServer']],
		['on its way in', ['toClient']],
	] as const)('that is cut off %s is left, and paints nothing more of the stream', async (_, directions) => {
		await using way = await TcpRelay.to(nats.port);
		await using cut = await EchoWorker.start(way.url, 'cut', 7);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints(10);
		await using heir = await EchoWorker.start(nats.url, 'heir', 201);
		way.cut(...directions);
		await until(() => painterOf(stream.shown, [cut, heir]) === heir);
		way.heal();
		await stream.paints(20);
		expect(painters(stream.shown, [cut, heir])).toEqual(['cut', 'heir']);
		expectWhole(stream.shown);
		await until(async () => (await cut.status()).lines.length === 0);
	});

	it('whose engine dies is replaced, by itself where there is no other', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints();
		worker.tell({ type: 'die' });
		await until(() => stream.engine.restarts > 0);
		await stream.paints();
		expectWhole(stream.shown);
		expect(painters(stream.shown, [worker])).toEqual(['one']);
	});

	it('whose engine gives nothing any more has it ended, and paints with the next', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet, { stuckAfterUs: 2_500_000 });
		await stream.paints();
		worker.tell({ type: 'hang' });
		await until(() => worker.killed === 1);
		await stream.paints();
		expectWhole(stream.shown);
		expect(stream.engine.restarts).toBe(1);
	});

	it('that is missed is waited for, and the source passes meanwhile', async () => {
		await using fleet = await openFleet(nats.url);
		const first = await EchoWorker.start(nats.url, 'first', 7);
		await using stream = openStream(fleet);
		await stream.paints();
		await first.kill();
		await until(() => stream.shown.at(-1)!.kind === 'unpainted');
		await using second = await EchoWorker.start(nats.url, 'second', 201);
		await stream.paints();
		expect(painters(stream.shown, [first, second])).toEqual(['first', 'second']);
		expect(stream.error()).toBeUndefined();
	});

	it('that is drained gives its streams away without a frame that is not painted', async () => {
		await using one = await EchoWorker.start(nats.url, 'one', 7);
		await using two = await EchoWorker.start(nats.url, 'two', 201);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints(10);
		const drained = painterOf(stream.shown, [one, two]);
		const heir = drained === one ? two : one;
		await fleet.bus.request(`allaprima.worker.${drained.name}.drain`, new Uint8Array(), 1000);
		await until(() => painterOf(stream.shown, [one, two]) === heir && drained.isDrained);
		await stream.paints(10);
		const first = stream.shown.findIndex(({ kind }) => kind === 'painting');
		expect(stream.shown.slice(first).every(({ kind }) => kind === 'painting')).toBe(true);
		expect(painters(stream.shown, [one, two])).toEqual([drained.name, heir.name]);
		expect(heir.resumed).toHaveLength(1);
		expectWhole(stream.shown);
		expect(stream.engine.restarts).toBe(0);
	});
});

describe('a slow way', () => {
	it('costs frames, and those that are too late are dropped where they are', async () => {
		await using way = await TcpRelay.to(nats.port);
		await using worker = await EchoWorker.start(way.url, 'far', 7);
		await using fleet = await openFleet(nats.url, { deadlineMs: 120 });
		await using stream = openStream(fleet);
		await stream.paints(10);
		way.delayMs = 200;
		await until(() => stream.remote().framesLate > 5);
		expect((await worker.status()).framesDropped).toBeGreaterThan(0);
		way.delayMs = 0;
		await stream.paints(10);
		expectWhole(stream.shown);
	});
});

describe('the NATS server', () => {
	it('that is started again has the streams painted again, in order', async () => {
		await using own = await NatsServer.start();
		await using one = await EchoWorker.start(own.url, 'one', 7);
		await using two = await EchoWorker.start(own.url, 'two', 201);
		void [one, two];
		await using fleet = await openFleet(own.url);
		await using stream = openStream(fleet);
		await stream.paints(10);
		await own.stop();
		await until(() => stream.shown.at(-1)!.kind === 'unpainted');
		await own.start();
		await stream.paints(10);
		expectWhole(stream.shown);
		expect(stream.error()).toBeUndefined();
		expect(stream.engine.restarts).toBe(1); // the next waits for the server
	});

	it('that is away for seconds costs neither a file its end nor a live stream more than one engine', async () => {
		await using own = await NatsServer.start();
		await using worker = await EchoWorker.start(own.url, 'one', 7, { paintMs: 20 });
		void worker;
		await using fleet = await openFleet(own.url);
		await using file = openStream(fleet, { keepsAll: true, frames: 60 });
		await using live = openStream(fleet);
		await Promise.all([file.paints(10), live.paints(10)]);
		await own.stop();
		await sleep(2500);
		await own.start();
		await until(() => file.error() !== undefined || file.paintings().length === 60);
		expect(file.error()).toBeUndefined();
		await live.paints(10);
		expect(live.engine.restarts).toBeLessThan(3);
		expectWhole(file.shown);
		expectWhole(live.shown);
	});

	it('that refuses who was let in before, and lets him in again, is come back to', async () => {
		const locked = (token: string) => ({ configuration: `authorization { token: "${token}" }` });
		await using own = await NatsServer.start(locked('open-sesame'));
		const server = own.url.replace('nats://', '');
		const bus = await NatsBus.connect({ url: own.url, server, token: 'open-sesame' });
		for (const token of ['changed', 'open-sesame']) {
			await own.stop();
			await own.configure(locked(token));
			await own.start();
			await sleep(1000); // to be refused more than once
		}
		await until(() => bus.isConnected);
		expect((await bus.leases()).ttlMs).toBe(3000);
		await bus[Symbol.asyncDispose]();
		await bus.closed();
	});
});

describe('a sidecar', () => {
	it('that is gone leaves no line and no lease', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		{
			await using fleet = await openFleet(nats.url);
			await using stream = openStream(fleet);
			await stream.paints();
			expect((await worker.status()).lines).toMatchObject([{ isLeased: true, painted: PAINTED }]);
		}
		await until(async () => (await worker.status()).lines.length === 0);
	});

	it('that is cut off is forgotten after a while', async () => {
		await using way = await TcpRelay.to(nats.port);
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		await using fleet = await openFleet(way.url);
		await using stream = openStream(fleet);
		await stream.paints();
		way.cut('toServer', 'toClient');
		await until(async () => (await worker.status()).lines.length === 0);
		way.heal();
		await stream.paints();
		expectWhole(stream.shown);
		expect(stream.error()).toBeUndefined();
	});
});

describe('whoever talks nonsense', () => {
	it('disturbs neither worker nor sidecar', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		await using fleet = await openFleet(nats.url);
		await using stream = openStream(fleet);
		await stream.paints();
		await using stranger = await NatsBus.connect({ url: nats.url, server: nats.url.replace('nats://', '') });
		const words = (text: string) => {
			const bytes = Buffer.from(text);
			const length = Buffer.alloc(4);
			length.writeUInt32LE(bytes.length);
			return Buffer.concat([length, bytes]);
		};
		const { line } = (await worker.status()).lines[0]!;
		const nonsense = [
			Buffer.alloc(0),
			Buffer.from([255, 255, 255, 255]),
			words('{'),
			words('{"type":"frame"}'),
			words('[]'),
			words(
				JSON.stringify({
					protocol: FLEET_PROTOCOL,
					model: { name: '../..', sha256: 'x' },
					painted: { width: 1e9, height: 1 },
				}),
			),
			Buffer.alloc(100_000, 7),
		];
		for (const data of nonsense) {
			for (const subject of ['allaprima.offer', 'allaprima.status', 'allaprima.worker.one.open'])
				stranger.publish(subject, data);
			stranger.publish('allaprima.line.none.in', data);
		}
		await stream.paints(10);
		expect(stream.engine.restarts).toBe(0);
		// Who has the same account can end a line; the stream goes on with another.
		for (const end of ['in', 'out'])
			for (const data of nonsense) stranger.publish(`allaprima.line.${line}.${end}`, data);
		await until(() => stream.engine.restarts > 0);
		await stream.paints(10);
		expectWhole(stream.shown);
	});
});
