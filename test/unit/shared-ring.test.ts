import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
	chmodSync,
	closeSync,
	existsSync,
	fstatSync,
	mkdtempSync,
	readSync,
	rmSync,
	statSync,
	writeSync,
} from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Frame, type PictureLayout, type PixelFormat, pictureByteLength } from '../../sidecar/frame/frame.ts';
import { ringPair, ringSocketPath, SharedRingReader, SharedRingWriter } from '../../sidecar/frame/shared-ring.ts';

const ADDON_PATH = fileURLToPath(new URL('../../native/build/Release/allaprima.node', import.meta.url));

const layoutOf = (format: PixelFormat = 'RGB', width = 16, height = 8): PictureLayout => ({
	format,
	width,
	height,
	matrix: 'bt601',
	range: 'limited',
});

const frameOf = (sequence: number, layout = layoutOf()): Omit<Frame, 'slot'> => ({
	sequence,
	capturedUs: 1_000_000 + sequence,
	timestampUs: sequence * 40_000 - 1,
	durationUs: 40_000,
	layout,
});

const SLOT_BYTES = 4096;
const pixelsOf = (sequence: number, layout = layoutOf()) => new Uint8Array(pictureByteLength(layout)).fill(sequence);
const target = () => new Uint8Array(new SharedArrayBuffer(SLOT_BYTES));

const turn = () => new Promise((resolve) => setImmediate(resolve));
const until = async (isSo: () => boolean) => {
	while (!isSo()) await turn();
};

/** A process that has the addon as `ring`, and the descriptors given as 3 and so on. */
const processOf = (script: string, fds: number[] = []): ChildProcess =>
	spawn(process.execPath, ['-e', `const ring = require(process.argv[1]);${script}`, ADDON_PATH], {
		stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
	});

const workerOf = (script: string, workerData: unknown) =>
	new Worker(
		`const { parentPort, workerData } = require('node:worker_threads'); const ring = require(workerData.addon);${script}`,
		{ eval: true, workerData: { addon: ADDON_PATH, ...(workerData as object) } },
	);

let folder: string;
let writer: SharedRingWriter;
let path: string;
let readers: SharedRingReader[];
let children: ChildProcess[];

beforeEach(() => {
	folder = mkdtempSync(join(tmpdir(), 'shared-ring-'));
	path = join(folder, 'ring.sock');
	writer = new SharedRingWriter({ slotCount: 4, slotBytes: SLOT_BYTES });
	writer.listen(path);
	readers = [];
	children = [];
});

afterEach(async () => {
	for (const reader of readers) reader.close();
	writer.close();
	for (const child of children) {
		if (child.exitCode !== null || child.signalCode !== null) continue;
		child.kill('SIGKILL');
		await once(child, 'exit');
	}
	rmSync(folder, { recursive: true });
});

const connect = async (to: string | number = path) => {
	const reader = await SharedRingReader.connect(to);
	readers.push(reader);
	return reader;
};

const start = (script: string, fds?: number[]) => {
	const child = processOf(script, fds);
	children.push(child);
	return child;
};

describe('frames in shared memory', () => {
	it('crosses every format with all that is known of a frame', async () => {
		const reader = await connect();
		expect(reader).toMatchObject({ slotCount: 4, slotBytes: SLOT_BYTES });
		for (const [sequence, format] of (['RGB', 'BGRA', 'RGBA', 'NV12', 'I420', 'UYVY'] as const).entries()) {
			const frame = frameOf(sequence, layoutOf(format, 17, 9));
			const pixels = pixelsOf(0, frame.layout).map((_, index) => index + sequence);
			const slot = writer.write(frame, pixels);
			const memory = target();
			expect(await reader.next(memory)).toEqual({ ...frame, slot, missed: 0 });
			expect(memory.subarray(0, pixels.length)).toEqual(pixels);
			expect(new Set(memory.subarray(pixels.length))).toEqual(new Set([0]));
		}
	});

	it('gives the newest frame and tells how many it left out, to each reader for itself', async () => {
		const [often, seldom] = [await connect(), await connect()];
		await until(() => writer.readerCount === 2);
		const memory = target();
		for (let sequence = 1; sequence <= 9; sequence++) {
			writer.write(frameOf(sequence), pixelsOf(sequence));
			expect(await often.next(memory)).toMatchObject({ sequence, missed: 0 });
			expect(memory[0]).toBe(sequence);
		}
		expect(await seldom.next(memory)).toMatchObject({ sequence: 9, missed: 8 });
	});

	it('finds a frame by its slot until it is written over', async () => {
		const reader = await connect();
		const memory = target();
		const slot = writer.write(frameOf(1), pixelsOf(1));
		expect(reader.read(slot, 1, memory)).toMatchObject({ sequence: 1, slot });
		for (let sequence = 2; sequence <= 5; sequence++) writer.write(frameOf(sequence), pixelsOf(sequence));
		expect(reader.read(slot, 1, memory)).toBeUndefined();
		expect(reader.read(slot, 5, memory)).toMatchObject({ sequence: 5, slot });
	});

	it('goes to a child process at the other end of a pair, and back', async () => {
		const there = ringPair();
		const back = ringPair();
		const child = start(
			`(async () => {
				const reader = new ring.RingReader(4), writer = new ring.RingWriter(4, 4096), target = new Uint8Array(4096);
				writer.adopt(5);
				await reader.open(30000);
				for (let frame; (frame = await reader.next(target)); ) {
					const bytes = 3 * frame.layout.width * frame.layout.height;
					writer.write({ ...frame, durationUs: frame.missed }, target.subarray(0, bytes).map((byte) => 255 - byte));
				}
				writer.close();
				process.disconnect();
			})();`,
			[there[1], back[1]],
		);
		closeSync(there[1]);
		closeSync(back[1]);
		writer.adopt(there[0]);
		const reader = await connect(back[0]);
		const memory = target();
		for (let sequence = 1; sequence <= 20; sequence++) {
			writer.write(frameOf(sequence), pixelsOf(sequence));
			expect(await reader.next(memory)).toMatchObject({ ...frameOf(sequence), durationUs: 0 });
			expect(memory[0]).toBe(255 - sequence);
		}
		writer.close();
		expect(await reader.next(memory)).toBeUndefined();
		expect(await once(child, 'exit')).toEqual([0, null]);
	});

	it('is written by one thread and read by others', async () => {
		const workers = Array.from({ length: 3 }, () =>
			workerOf(
				`(async () => {
					const reader = new ring.RingReader(workerData.path), target = new Uint8Array(4096), seen = [];
					await reader.open(30000);
					parentPort.postMessage('ready');
					for (let frame; (frame = await reader.next(target)); ) {
						if (target[0] !== frame.sequence % 256 || target[383] !== target[0]) throw new Error('torn');
						seen.push(frame.sequence);
					}
					reader.close();
					parentPort.postMessage(seen);
				})();`,
				{ path },
			),
		);
		await Promise.all(workers.map((worker) => once(worker, 'message')));
		const answers = workers.map((worker) => once(worker, 'message'));
		for (let sequence = 1; sequence <= 500; sequence++) {
			writer.write(frameOf(sequence), pixelsOf(sequence));
			if (sequence % 10 === 0) await turn();
		}
		writer.close();
		for (const [seen] of (await Promise.all(answers)) as [number[]][]) {
			expect(seen.at(-1)).toBe(500);
			expect(seen).toEqual([...new Set(seen)].sort((a, b) => a - b));
		}
	});
});

describe('waiting for a frame', () => {
	it('holds up neither the event loop nor the threads that files are read with', async () => {
		const waiting: Promise<unknown>[] = [];
		for (let i = 0; i < 12; i++) waiting.push((await connect()).next(target()));
		await until(() => writer.readerCount === 12);
		for (let i = 0; i < 100; i++) await turn();
		expect((await stat(folder)).isDirectory()).toBe(true);
		writer.write(frameOf(7), pixelsOf(7));
		for (const frame of await Promise.all(waiting)) expect(frame).toMatchObject({ sequence: 7 });
	});

	it('ends with nothing when the reader is closed, and may be done again and again', async () => {
		const reader = await connect();
		const waiting = reader.next(target());
		reader.close();
		reader.close();
		expect(await waiting).toBeUndefined();
		expect(await reader.next(target())).toBeUndefined();
		expect(() => reader.read(0, 0, target())).toThrow(expect.objectContaining({ code: 'ERR_RING' }));
		await until(() => writer.readerCount === 0);
	});

	it('ends with nothing when the writer is closed, after the last frame', async () => {
		const reader = await connect();
		const seen: number[] = [];
		writer.write(frameOf(1), pixelsOf(1));
		for await (const { sequence } of reader.frames(target(), new AbortController().signal)) {
			seen.push(sequence);
			if (sequence === 1) {
				writer.write(frameOf(2), pixelsOf(2));
				writer.close();
			}
		}
		expect(seen).toEqual([1, 2]);
		expect(existsSync(path)).toBe(false);
	});

	it('ends with the signal', async () => {
		const reader = await connect();
		const abort = new AbortController();
		const iteration = reader.frames(target(), abort.signal);
		const waiting = iteration.next();
		abort.abort();
		expect(await waiting).toEqual({ value: undefined, done: true });
		await until(() => writer.readerCount === 0);
	});

	it('fails when the writer is killed, after the last frame', async () => {
		const [here, there] = ringPair();
		const child = start(
			`const writer = new ring.RingWriter(4, 4096);
			writer.adopt(4);
			process.on('message', (frame) => writer.write(frame, new Uint8Array(384)));`,
			[there],
		);
		closeSync(there);
		const reader = await connect(here);
		const first = reader.next(target());
		child.send(frameOf(3));
		expect(await first).toMatchObject({ sequence: 3 });
		const second = reader.next(target());
		child.kill('SIGKILL');
		await expect(second).rejects.toMatchObject({
			code: 'ERR_RING_GONE',
			message: 'The other side of the ring died or hung up.',
		});
		await expect(reader.next(target())).rejects.toMatchObject({ code: 'ERR_RING_GONE' });
	});

	it('does not outlive its worker', async () => {
		const worker = workerOf(
			`const reader = new ring.RingReader(workerData.path), writer = new ring.RingWriter(4, 64);
			reader.open(30000).then(() => {
				reader.next(new Uint8Array(4096));
				parentPort.postMessage('waiting');
			});`,
			{ path },
		);
		await once(worker, 'message');
		await until(() => writer.readerCount === 1);
		await worker.terminate();
		await until(() => writer.readerCount === 0);
		// And neither does one that is shown a frame at that moment.
		for (let i = 0; i < 5; i++) {
			const late = workerOf(
				`const reader = new ring.RingReader(workerData.path), target = new Uint8Array(4096);
				const again = () => reader.next(target).then(again);
				reader.open(30000).then(again).catch(() => {});
				parentPort.postMessage('ready');`,
				{ path },
			);
			await once(late, 'message');
			const ended = late.terminate();
			writer.write(frameOf(i), pixelsOf(i));
			await ended;
		}
		await until(() => writer.readerCount === 0);
		const reader = await connect();
		expect(await reader.next(target())).toMatchObject({ sequence: 4 });
	});

	it('does not keep a process alive that waits for nothing', async () => {
		const child = start(
			`const reader = new ring.RingReader(${JSON.stringify(path)}), writer = new ring.RingWriter(4, 64);
			reader.open(30000).then(() => { process.disconnect(); });`,
		);
		expect(await once(child, 'exit')).toEqual([0, null]);
		const hasty = start(
			`const reader = new ring.RingReader(${JSON.stringify(path)});
			reader.open(30000).then(() => { reader.next(new Uint8Array(4096)); process.exit(3); });`,
		);
		expect(await once(hasty, 'exit')).toEqual([3, null]);
	});
});

describe('the other side', () => {
	const fakeRing = fileURLToPath(new URL('../support/fake_ring.py', import.meta.url));

	/** The first message of a writer: magic, version, role, answer, generation. */
	const hello = (version: number, length = 64) => {
		const bytes = Buffer.alloc(length);
		bytes.write('APframes', 'latin1');
		bytes.writeUInt32LE(version, 8);
		bytes.writeUInt32LE(1, 12);
		return bytes;
	};

	it.each([
		['speaks another version', hello(2), 'ERR_RING_VERSION'],
		['speaks a version of longer words', hello(9, 200), 'ERR_RING_VERSION'],
		['gives no memory', hello(1), 'ERR_RING_HEADER'],
		['speaks something else', Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), 'ERR_RING_HEADER'],
	])('%s: the error says so', async (_, words, code) => {
		const [here, there] = ringPair();
		const connecting = SharedRingReader.connect(here);
		const heard = Buffer.alloc(64);
		expect(readSync(there, heard)).toBe(64);
		expect(heard.toString('latin1', 0, 8)).toBe('APframes');
		expect(heard.readUInt32LE(8)).toBe(1);
		writeSync(there, words);
		await expect(connecting).rejects.toMatchObject({ name: 'SidecarError', code });
		closeSync(there);
	});

	it.each(['unsealed', 'scribbled', 'zeros', 'noise'])('gives memory or words of another kind: %s', async (what) => {
		const path = join(folder, 'fake.sock');
		const fake = spawn('/usr/bin/python3', [fakeRing, 'serve', path, what], { stdio: ['ignore', 'pipe', 'inherit'] });
		try {
			await once(fake.stdout, 'data'); // it listens
			await expect(SharedRingReader.connect(path)).rejects.toMatchObject({ code: 'ERR_RING_HEADER' });
		} finally {
			fake.kill();
		}
	});

	it('is dead or silent: the error says so', async () => {
		const [here, there] = ringPair();
		closeSync(there);
		await expect(SharedRingReader.connect(here)).rejects.toMatchObject({ code: 'ERR_RING_GONE' });
		const silent = ringPair();
		await expect(SharedRingReader.connect(silent[0], { timeoutMs: 1 })).rejects.toMatchObject({
			code: 'ERR_RING_GONE',
		});
		closeSync(silent[1]);
		await expect(SharedRingReader.connect(join(folder, 'none'))).rejects.toMatchObject({
			code: 'ERR_RING_GONE',
			message: 'Nobody listens at the path of the ring.',
		});
	});

	it('is refused by the writer when it speaks another version, and the others are served', async () => {
		const [here, there] = ringPair();
		const reader = await connect();
		writeSync(there, hello(2));
		writer.adopt(here);
		await until(() => writer.readerCount === 1);
		writer.write(frameOf(1), pixelsOf(1));
		expect(await reader.next(target())).toMatchObject({ sequence: 1 });
		closeSync(there);
	});
});

describe('misuse', () => {
	it('is named: arguments', async () => {
		const reader = await connect();
		expect(() => new SharedRingWriter({ slotCount: 3, slotBytes: 64 })).toThrow(
			new TypeError('Expected an integer from 4 to 64 for slotCount but received 3.'),
		);
		expect(() => new SharedRingWriter({ slotCount: 4, slotBytes: 0 })).toThrow(TypeError);
		expect(() => writer.write(frameOf(1), new Uint8Array(383))).toThrow(
			new TypeError('Expected a Uint8Array of 384 elements for data but received 383.'),
		);
		expect(() => writer.write({ ...frameOf(1), capturedUs: 0.5 }, pixelsOf(1))).toThrow(/frame\.capturedUs/);
		expect(() => writer.write(frameOf(1, layoutOf('YV12' as PixelFormat)), pixelsOf(1))).toThrow(/'UYVY'/);
		const large = layoutOf('BGRA', 33, 32);
		expect(() => writer.write(frameOf(1, large), pixelsOf(1, large))).toThrow(
			expect.objectContaining({ code: 'ERR_RING', message: 'The picture does not fit into a slot of the ring.' }),
		);
		await expect(reader.next(new Uint16Array(9) as unknown as Uint8Array)).rejects.toThrow(TypeError);
		await expect(reader.next(new Uint8Array(0))).rejects.toThrow(/a view of memory for target/);
		expect(() => reader.read(99, 1, target())).toThrow(/slot/);
		expect(() => writer.adopt(-1)).toThrow(TypeError);
	});

	it('is named: a target too small, after which the frame is still there', async () => {
		const reader = await connect();
		writer.write(frameOf(1), pixelsOf(1));
		await expect(reader.next(new Uint8Array(383))).rejects.toMatchObject({ code: 'ERR_RING' });
		expect(await reader.next(new Uint8Array(384))).toMatchObject({ sequence: 1 });
	});

	it('is named: two calls at once, and calls after the end', async () => {
		const reader = await connect();
		const first = reader.next(target());
		await expect(reader.next(target())).rejects.toThrow('The reader is at another open or next.');
		writer.write(frameOf(1), pixelsOf(1));
		expect(await first).toMatchObject({ sequence: 1 });
		writer.close();
		writer.close();
		expect(writer.readerCount).toBe(0);
		expect(() => writer.write(frameOf(1), pixelsOf(1))).toThrow(expect.objectContaining({ code: 'ERR_RING' }));
	});

	it('is named: a path where somebody is, and a descriptor that is something else', async () => {
		expect(statSync(path).mode & 0o777).toBe(0o600);
		const other = new SharedRingWriter({ slotCount: 4, slotBytes: 64 });
		expect(() => other.listen(path)).toThrow(expect.objectContaining({ code: 'ERR_RING' }));
		other.close();
		await expect(SharedRingReader.connect(0)).rejects.toMatchObject({ code: 'ERR_RING' });
		expect(fstatSync(0)).toBeDefined(); // which was left open
	});
});

it('puts sockets into a folder of this user alone', () => {
	const runtime = process.env['XDG_RUNTIME_DIR'];
	process.env['XDG_RUNTIME_DIR'] = folder;
	try {
		expect(ringSocketPath('engine')).toBe(join(folder, 'allaprima', 'engine.sock'));
		expect(statSync(join(folder, 'allaprima')).mode & 0o777).toBe(0o700);
		for (const mode of [0o710, 0o701, 0o777]) {
			chmodSync(join(folder, 'allaprima'), mode);
			expect(() => ringSocketPath('engine')).toThrow(/must be a folder of this user alone/);
		}
	} finally {
		if (runtime === undefined) delete process.env['XDG_RUNTIME_DIR'];
		else process.env['XDG_RUNTIME_DIR'] = runtime;
	}
});
