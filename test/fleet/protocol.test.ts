// One end of a line is spoken by hand, over a real nats-server, to see what the other does with words that should not come.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FLEET_PROTOCOL, FleetOpen, FromWorker, ToWorker } from '../../sidecar/config/schema/fleet.ts';
import { decodeMessage, encodeMessage } from '../../sidecar/fleet/messages.ts';
import type { Received } from '../../sidecar/fleet/nats.ts';
import { wireBytes } from '../../sidecar/fleet/pictures.ts';
import { drainSubject, lineSubjects, OFFER, openSubject, STATUS } from '../../sidecar/fleet/subjects.ts';
import { until } from '../support/engines.ts';
import { EchoWorker, NatsBus, nowUs, openFleet, openStream, PAINTED } from '../support/fleet.ts';
import { parametersOf } from '../support/frames.ts';
import { NatsServer, TcpRelay } from '../support/nats.ts';

let nats: NatsServer;
let bus: Awaited<ReturnType<typeof NatsBus.connect>>;
beforeAll(async () => {
	nats = await NatsServer.start();
	bus = await NatsBus.connect({ url: nats.url, server: nats.url.replace('nats://', '') });
});
afterAll(async () => {
	await bus[Symbol.asyncDispose]();
	await nats[Symbol.asyncDispose]();
});

const PIXELS = new Uint8Array(wireBytes(PAINTED)).fill(128);

type Frame = Extract<ToWorker, { type: 'frame' }>;

/** A worker that opens every line and beats; what it does with frames is the test's to say. */
const puppetWorker = async (
	name: string,
	paint: (frame: Frame, answer: (more?: object, pixels?: Uint8Array) => void) => void,
	hear: (said: ToWorker, tell: (head: object, pixels?: Uint8Array) => void) => void = () => {},
) => {
	let tellLast: (head: object, pixels?: Uint8Array) => void = () => {};
	const ends: (() => void)[] = [];
	const lines: string[] = [];
	const status = {
		protocol: FLEET_PROTOCOL,
		worker: name,
		host: 'test',
		capacity: 1e9,
		load: 0,
		lines: 0,
		linesMax: 9,
	};
	ends.push(await bus.subscribe(STATUS, (message) => message.respond(encodeMessage(status))));
	ends.push(await bus.subscribe(OFFER, (message) => message.respond(encodeMessage(status))));
	const open = async (message: Received) => {
		const { line } = decodeMessage(FleetOpen, message.data, 'it').head;
		lines.push(line);
		const to = lineSubjects(line);
		const tell = (head: object, pixels?: Uint8Array) => bus.publish(to.out, encodeMessage(head, pixels));
		tellLast = tell;
		ends.push(
			await bus.subscribe(to.in, ({ data }) => {
				const { head } = decodeMessage(ToWorker, data, 'it');
				hear(head, tell);
				if (head.type === 'beat') tell({ type: 'beat', atUs: head.atUs, workerUs: head.atUs });
				else if (head.type === 'lease') tell({ type: 'leased', lease: lines.length });
				else if (head.type === 'frame') {
					const { sequence, capturedUs, timestampUs, durationUs } = head;
					paint(head, (more = {}, pixels = PIXELS) => {
						const times = { sequence, capturedUs, timestampUs, durationUs };
						const of = { lease: head.lease, epoch: 0, kind: 'painting', isReused: false, encoding: head.encoding };
						const at = { heardUs: head.capturedUs, sentUs: head.capturedUs };
						tell({ type: 'answer', ...of, ...at, ...times, stages: [], batches: [], ...more }, pixels);
					});
					tell({ type: 'pull' });
				}
			}),
		);
		message.respond(encodeMessage({ isOpen: true, worker: name }));
		tell({ type: 'ready', provider: 'cpu', int8Graphs: [] });
		for (let i = 0; i < 3; i++) tell({ type: 'pull' });
	};
	ends.push(await bus.subscribe(openSubject(name), (message) => void open(message)));
	return {
		/** Opened so far. */
		lines,
		/** To the line that was opened last. */
		tell: (head: object, pixels?: Uint8Array) => tellLast(head, pixels),
		[Symbol.dispose]: () => {
			for (const end of ends) end();
		},
	};
};

/** Without a deadline: the puppet's clock is no clock. */
const openPatient = () => openFleet(nats.url, { deadlineMs: 10_000 });

describe('a sidecar', () => {
	it('goes on where an answer was lost', async () => {
		using worker = await puppetWorker('puppet', ({ sequence }, answer) => void (sequence % 5 !== 2 && answer()));
		await using fleet = await openPatient();
		await using stream = openStream(fleet);
		await stream.paints(20);
		expect(worker.lines).toHaveLength(1);
		expect(stream.remote().framesLate).toBeGreaterThan(2);
	});

	it('shows no painting of another lease, none of a frame that it did not send, and none twice', async () => {
		using worker = await puppetWorker('puppet', ({ sequence, lease }, answer) => {
			answer({ lease: lease + 1, epoch: 7 });
			answer({ sequence: sequence + 1000, epoch: 7 });
			answer();
			answer({ epoch: 7 });
		});
		await using fleet = await openPatient();
		await using stream = openStream(fleet);
		await stream.paints(20);
		expect(stream.paintings().filter(({ epoch }) => epoch === 7)).toEqual([]);
		const sequences = stream.paintings().map(({ sequence }) => sequence);
		expect(new Set(sequences).size).toBe(sequences.length);
		expect(worker.lines).toHaveLength(1);
	});

	it.each([
		['of another size', {}, PIXELS.subarray(1)],
		['where there is to be none', { kind: 'source' }, PIXELS],
		['of no size', {}, new Uint8Array()],
		['the frame itself', { kind: 'source' }, new Uint8Array()],
		['a JPEG that is none', { encoding: 'jpeg' }, PIXELS.subarray(0, 1000)],
		['a JPEG of no size', { encoding: 'jpeg' }, new Uint8Array()],
	])('ends the line whose painting is %s, and has another', async (_, more, pixels) => {
		let isWrong = true;
		using worker = await puppetWorker('puppet', (frame, answer) => {
			if (frame.sequence > 4 && isWrong) answer(more, pixels);
			else answer();
			if (frame.sequence > 4) isWrong = false;
		});
		await using fleet = await openPatient();
		await using stream = openStream(fleet);
		await until(() => worker.lines.length === 2);
		await stream.paints();
		expect(stream.engine.restarts).toBe(1);
	});

	it('shows a painting again only where it is the one that was shown last', async () => {
		const sent: number[] = [];
		using worker = await puppetWorker('puppet', ({ sequence }, answer) => {
			const count = sent.push(sequence);
			if (count === 6) answer({ sentUs: 0 });
			else if (count < 6 || count === 16) answer();
			else answer({ isReused: true }, new Uint8Array());
		});
		await using fleet = await openPatient();
		await using stream = openStream(fleet);
		await until(() => stream.paintings().some(({ sequence }) => sequence === sent[19]));
		const shown = stream.paintings().map(({ sequence }) => sequence);
		expect(sent.slice(0, 20).filter((sequence) => shown.includes(sequence))).toEqual([
			...sent.slice(0, 5),
			...sent.slice(15, 20),
		]);
		expect(worker.lines).toHaveLength(1);
	});

	it('hands no embeddings on that ended a line', async () => {
		const embeddings = { prompts: [{ prompt: 'oil', shape: [1, 1, 1], maskShape: [1, 1] }] };
		const handedOn: number[] = [];
		using worker = await puppetWorker(
			'puppet',
			(_, answer) => answer(),
			({ type }, tell) => {
				if (type !== 'prompts') return;
				handedOn.push(worker.lines.length);
				tell({ type: 'failed', code: 'ERR_ENGINE', message: 'it was the embeddings' });
			},
		);
		await using fleet = await openPatient();
		await using stream = openStream(fleet);
		await stream.paints();
		worker.tell({ type: 'prompts', ...embeddings }, new Uint8Array(12));
		worker.tell({ type: 'failed', code: 'ERR_ENGINE', message: 'it died' });
		await until(() => worker.lines.length === 3);
		await stream.paints();
		expect(handedOn).toEqual([2]);
	});
});

describe('a worker', () => {
	/** A sidecar by hand: one line at a worker, and what it hears there. */
	const openLine = async (worker: EchoWorker, line: string, stream = `stream-${line}`, inFlightMax = 4) => {
		const heard: FromWorker[] = [];
		const to = lineSubjects(line);
		await bus.subscribe(to.out, ({ data, isNobody }) => {
			if (!isNobody) heard.push(decodeMessage(FromWorker, data, 'it').head);
		});
		const request: FleetOpen = {
			protocol: FLEET_PROTOCOL,
			stream,
			line,
			model: { name: 'lite', sha256: 'a'.repeat(64) },
			painted: PAINTED,
			batchDeadlineMs: 100,
			inFlightMax,
			parameters: parametersOf() as unknown as FleetOpen['parameters'],
		};
		await bus.request(openSubject(worker.name), encodeMessage(request), 1000);
		const tell = (head: object, pixels?: Uint8Array) => bus.publish(to.in, encodeMessage(head, pixels));
		const answers = () => heard.filter((said) => said.type === 'answer');
		const frame = (sequence: number, more: object = {}) => ({
			type: 'frame',
			lease: 1,
			sequence,
			capturedUs: 0,
			timestampUs: 0,
			durationUs: 0,
			encoding: 'nv12',
			...more,
		});
		await until(() => heard.some(({ type }) => type === 'pull'));
		return { heard, tell, answers, frame };
	};
	const leaseOf = async ({ heard, tell }: Awaited<ReturnType<typeof openLine>>): Promise<number> => {
		tell({ type: 'lease' });
		await until(() => heard.some(({ type }) => type === 'leased'));
		return (heard.find(({ type }) => type === 'leased') as { lease: number }).lease;
	};

	it('paints nothing without the lease, or with the number of another', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		const line = await openLine(worker, 'without');
		line.tell(line.frame(0), PIXELS);
		const lease = await leaseOf(line);
		line.tell(line.frame(1, { lease: lease + 1 }), PIXELS);
		line.tell(line.frame(2, { lease }), PIXELS);
		await until(() => line.answers().length > 0);
		expect(line.answers()).toMatchObject([{ sequence: 2, lease }]);
	});

	it('does not paint a stream that another line has the lease of', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		const first = await openLine(worker, 'first', 'both');
		const second = await openLine(worker, 'second', 'both');
		const lease = await leaseOf(first);
		second.tell({ type: 'lease' });
		await until(() => second.heard.some(({ type }) => type === 'leaseRefused'));
		second.tell(second.frame(0, { lease }), PIXELS);
		first.tell(first.frame(0, { lease }), PIXELS);
		await until(() => first.answers().length > 0);
		expect(second.answers()).toEqual([]);
	});

	it('that hears nothing any more gives no painting once another may have the stream', async () => {
		await using way = await TcpRelay.to(nats.port);
		await using cut = await EchoWorker.start(way.url, 'cut', 7, { paintMs: 400 });
		await using free = await EchoWorker.start(nats.url, 'free', 201);
		const [first, second] = [await openLine(cut, 'a', 'claimed', 16), await openLine(free, 'b', 'claimed')];
		const lease = await leaseOf(first);
		for (let i = 0; i < 15; i++) first.tell(first.frame(i, { lease }), PIXELS);
		await until(() => first.answers().length === 1);
		way.cut('toClient'); // what it says is still heard
		let newLease: number | undefined;
		const asking = setInterval(() => second.tell({ type: 'lease' }), 50);
		await until(() => {
			newLease = second.heard.flatMap((said) => (said.type === 'leased' ? [said.lease] : []))[0];
			return newLease !== undefined;
		});
		clearInterval(asking);
		const claimedUs = nowUs(); // all processes of a machine have one monotonic clock
		second.tell(second.frame(0, { lease: newLease }), PIXELS);
		await until(() => second.answers().length > 0);
		way.heal();
		await until(async () => (await cut.status()).lines.length === 0);
		expect(first.answers().length).toBeGreaterThan(2);
		for (const { sentUs } of first.answers()) expect(sentUs).toBeLessThan(claimedUs);
		expect(newLease).toBeGreaterThan(lease);
	});

	it('drops what is too late, and what it did not ask for', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7, { paintMs: 300 });
		const line = await openLine(worker, 'late');
		const lease = await leaseOf(line);
		line.tell(line.frame(0, { lease, untilUs: 1 }), PIXELS);
		for (let i = 1; i <= 6; i++) line.tell(line.frame(i, { lease }), PIXELS);
		await until(() => line.heard.filter(({ type }) => type === 'dropped').length >= 4);
		const dropped = line.heard.flatMap((said) => (said.type === 'dropped' ? [said.sequence] : []));
		expect(dropped).toEqual([0, 4, 5, 6]);
	});

	it.each([
		['of another size', {}, PIXELS.subarray(1)],
		['that is no JPEG', { encoding: 'jpeg' }, PIXELS.subarray(1)],
		['that is a JPEG longer than it may be', { encoding: 'jpeg' }, new Uint8Array(PIXELS.length + 1)],
	])('ends a line with a frame %s, and says so', async (_, more, pixels) => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		const line = await openLine(worker, 'size');
		const lease = await leaseOf(line);
		line.tell(line.frame(0, { lease, ...more }), pixels);
		await until(() => line.heard.some(({ type }) => type === 'failed'));
		expect((await worker.status()).lines).toEqual([]);
	});

	it.each([
		['of another shape', [1, 2, 1], [1, 1]],
		['for several frames', [2, 1, 1], [1, 1]],
		['that are no numbers', [1, 1, 2], [NaN, 1]],
	])('ends a line with embeddings %s, and goes on with the others', async (what, shape, floats) => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		const other = await openLine(worker, `beside-${shape.join('-')}`);
		const line = await openLine(worker, `embeddings-${shape.join('-')}`);
		const payload = Buffer.concat([Buffer.from(new Float32Array(floats).buffer), Buffer.alloc(8)]);
		line.tell({ type: 'prompts', prompts: [{ prompt: what, shape, maskShape: [1, 1] }] }, payload);
		await until(() => line.heard.some(({ type }) => type === 'failed'));
		other.tell(other.frame(0, { lease: await leaseOf(other) }), PIXELS);
		await until(() => other.answers().length > 0);
		expect((await worker.status()).lines).toHaveLength(1);
	});

	it('takes no line twice, none that is larger than a message, and none while it is drained', async () => {
		await using worker = await EchoWorker.start(nats.url, 'one', 7);
		await openLine(worker, 'twice');
		const ask = async (over: object) => {
			const request = {
				protocol: FLEET_PROTOCOL,
				stream: 's',
				line: 'other',
				model: { name: 'lite', sha256: 'a'.repeat(64) },
				painted: PAINTED,
				batchDeadlineMs: null,
				inFlightMax: 4,
				parameters: parametersOf(),
				...over,
			};
			const answer = await bus.request(openSubject(worker.name), encodeMessage(request), 1000);
			return JSON.parse(Buffer.from(answer!).toString('utf8', 4)) as { isOpen: boolean; refuses?: string };
		};
		expect(await ask({ line: 'twice' })).toMatchObject({ isOpen: false, refuses: 'request' });
		expect(await ask({ painted: { width: 8192, height: 8192 } })).toMatchObject({ refuses: 'request' });
		expect(await ask({ protocol: FLEET_PROTOCOL + 1 })).toMatchObject({ refuses: 'protocol' });
		expect(await ask({ more: 1 })).toMatchObject({ refuses: 'protocol' });
		expect(await ask({ model: { name: 'other', sha256: 'a'.repeat(64) } })).toMatchObject({ refuses: 'model' });
		await bus.request(drainSubject(worker.name), new Uint8Array(), 1000);
		expect(await ask({})).toMatchObject({ refuses: 'draining' });
		expect((await worker.status()).lines).toHaveLength(1);
	});
});
