// Our own sender and receiver, in one process, over the real libndi: says what came of it as one line of JSON. A worker that
// ends with both of them open must not take the process with it.
import { once } from 'node:events';
import { isMainThread, Worker } from 'node:worker_threads';
import { setTimeout } from 'node:timers/promises';
import { findNdiSources, NdiReceiver, NdiSender, openNdi } from '../../dist/ndi.js';

const layout = /** @type {const} */ ({ format: 'BGRA', width: 320, height: 180, matrix: 'bt709', range: 'full' });
const runtime = openNdi();
const sender = new NdiSender({ name: isMainThread ? 'FILE' : 'WORKER', layout, frameRate: { num: 25, den: 1 } });
const receiver = new NdiReceiver({ url: isMainThread ? '127.0.0.1:5961' : '127.0.0.1:5962', receiverName: 'wrapper' });
const picture = { ...layout, data: new Uint8Array(4 * 320 * 180).fill(200) };
let sent = 0n;
const sending = setInterval(() => sender.send(picture, { timecode: 1000n + sent++ }), 40);

const format = await receiver.open(10_000);
const target = new Uint8Array(2 * 320 * 180);
const frames = [];
for (let i = 0; i < 10; i++) frames.push(await receiver.next(target));

if (isMainThread) {
	const found = await findNdiSources({ extraIps: '127.0.0.1', waitMs: 500 });
	const worker = new Worker(new URL(import.meta.url));
	await once(worker, 'message');
	await worker.terminate();

	clearInterval(sending);
	await setTimeout(500); // what was sent has come
	await receiver.next(target);
	const waiting = receiver.next(target);
	receiver.close();
	const misuse = [];
	for (const wrong of [
		() => new NdiSender({ name: '', layout, frameRate: { num: 25, den: 1 } }),
		() => new NdiReceiver({}),
		() => sender.send({ ...picture, width: 10 }),
		() => sender.send({ ...picture, data: new Uint8Array(5) }),
		() => sender.send(picture, { timecode: 1n << 70n }),
	])
		try {
			wrong();
		} catch (error) {
			misuse.push(String(error));
		}
	await setTimeout(100);
	const state = sender.state();
	console.log(
		JSON.stringify({
			runtime,
			format,
			found,
			luma: target[1],
			timecodes: frames.map((frame) => Number(frame?.timecode)),
			layouts: new Set(frames.map((frame) => JSON.stringify(frame?.layout))).size,
			afterClose: [(await waiting) === undefined || 'a frame', (await receiver.next(target)) ?? null],
			misuse,
			state,
		}),
	);
	clearInterval(sending);
	sender.close();
} else {
	const { parentPort } = await import('node:worker_threads');
	parentPort?.postMessage('running');
	await setTimeout(60_000);
}
