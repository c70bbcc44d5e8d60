// What it takes to hand a 1280x720 BGRA frame from one process to another: `node test/bench/ring.bench.mjs [--small]`.
// The clock starts before the writer writes and stops when the reader's JavaScript has the frame in memory of its
// own. The peer, in the same run with the same pace, is a unix socket that the whole frame goes through.
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const { ringPair, SharedRingReader, SharedRingWriter } = await import(
	new URL('../../dist/frame/shared-ring.js', import.meta.url).href
);

const { values: flags } = parseArgs({
	options: { small: { type: 'boolean', default: false }, role: { type: 'string' }, path: { type: 'string' } },
});
const layout = { format: 'BGRA', width: 1280, height: 720, matrix: 'bt709', range: 'full' };
const frameBytes = 4 * layout.width * layout.height;
const frameCount = flags.small ? 40 : 600;
/** Left out: the first frames touch the memory for the first time. */
const warmUpCount = 10;

const nowUs = () => Number(process.hrtime.bigint() / 1000n);

/** Calls `write` at 60 Hz, a little off each time, as a source is. */
const pace = async (/** @type {(sequence: number) => void} */ write) => {
	for (let sequence = 0; sequence < frameCount; sequence++) {
		await sleep(1000 / 60 + 4 * (Math.random() - 0.5));
		write(sequence);
	}
};

const writeRing = async () => {
	const writer = new SharedRingWriter({ slotCount: 4, slotBytes: frameBytes });
	const data = new Uint8Array(frameBytes);
	/** @type {number[]} */
	const writeUs = [];
	writer.adopt(4);
	while (writer.readerCount === 0) await sleep(1);
	await pace((sequence) => {
		data.fill(sequence);
		const capturedUs = nowUs();
		writer.write({ sequence, capturedUs, timestampUs: 0, durationUs: 0, layout }, data);
		writeUs.push(nowUs() - capturedUs);
	});
	process.send?.(writeUs);
	writer.close();
	process.disconnect();
};

const writeSocket = async () => {
	const socket = connect(String(flags.path));
	await once(socket, 'connect');
	const data = Buffer.alloc(frameBytes);
	await pace((sequence) => {
		data.fill(sequence);
		data.writeDoubleLE(nowUs());
		socket.write(Buffer.from(data));
	});
	socket.end();
	process.disconnect();
};

const start = (/** @type {string} */ role, /** @type {string[]} */ args, /** @type {number[]} */ fds) =>
	fork(fileURLToPath(import.meta.url), ['--role', role, ...args, ...(flags.small ? ['--small'] : [])], {
		stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...fds],
	});

const readRing = async () => {
	const [here, there] = ringPair();
	const child = start('ring', [], [there]);
	closeSync(there);
	const written = once(child, 'message');
	const reader = await SharedRingReader.connect(here, { timeoutMs: 30_000 });
	const target = new Uint8Array(new SharedArrayBuffer(frameBytes));
	const handOverUs = [];
	let missed = 0;
	for await (const frame of reader.frames(target, new AbortController().signal)) {
		handOverUs.push(nowUs() - frame.capturedUs);
		missed += frame.missed;
		if (target[frameBytes - 1] !== frame.sequence % 256) throw new Error(`frame ${frame.sequence} is not whole`);
	}
	const [writeUs] = await written;
	return { handOverUs, missed, writeUs: /** @type {number[]} */ (writeUs) };
};

const readSocket = async () => {
	const folder = await mkdtemp(join(tmpdir(), 'ring-bench-'));
	const path = join(folder, 'socket');
	const server = createServer().listen(path);
	const connected = once(server, 'connection');
	start('socket', ['--path', path], []);
	const [socket] = await connected;
	const target = Buffer.alloc(frameBytes);
	const handOverUs = [];
	let filled = 0;
	for await (let /** @type {Buffer} */ chunk of socket) {
		while (chunk.length > 0) {
			const taken = chunk.copy(target, filled);
			filled += taken;
			chunk = chunk.subarray(taken);
			if (filled < frameBytes) continue;
			handOverUs.push(nowUs() - target.readDoubleLE());
			filled = 0;
		}
	}
	server.close();
	await rm(folder, { recursive: true });
	return handOverUs;
};

const statistics = (/** @type {number[]} */ valuesUs) => {
	const sorted = valuesUs.slice(warmUpCount).sort((a, b) => a - b);
	const at = (/** @type {number} */ quantile) => (sorted[Math.floor(quantile * (sorted.length - 1))] ?? NaN) / 1000;
	return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
};

if (flags.role === 'ring') {
	await writeRing();
} else if (flags.role === 'socket') {
	await writeSocket();
} else {
	const ring = await readRing();
	const socketUs = await readSocket();
	const rows = {
		'ring: write, wake, read': statistics(ring.handOverUs),
		'ring: write alone': statistics(ring.writeUs),
		'unix socket': statistics(socketUs),
	};
	console.log(`1280x720 BGRA (3.7 MB) between two processes, ${frameCount} frames at 60 Hz, ms`);
	console.log(`${''.padEnd(24)} ${['p50', 'p95', 'p99'].map((head) => head.padStart(7)).join(' ')}`);
	for (const [what, row] of Object.entries(rows)) {
		console.log(
			`${what.padEnd(24)} ${Object.values(row)
				.map((ms) => ms.toFixed(3).padStart(7))
				.join(' ')}`,
		);
	}
	const ratio = rows['unix socket'].p50 / rows['ring: write, wake, read'].p50;
	console.log(`${ring.missed} frames missed; the socket takes ${ratio.toFixed(1)} times as long (p50)`);
}
