// Pages that look on and are gone: the real line, sockets that are cut off in the middle of a picture.
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { latencyOf, WatchedRun } from '../support/watched-run.ts';

const FPS = 12;
const DROPS = 100;

const descriptorsOf = (pid: number) => readdirSync(`/proc/${pid}/fd`).length;
const mebibytesOf = (pid: number) =>
	Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;

it(`a page's websockets, dropped ${DROPS} times: descriptors and memory are given back, and painting goes on`, async () => {
	await using run = await WatchedRun.start(['--fps', String(FPS), '--size', '512x288']);
	const open = async (path: string) => {
		const socket = new WebSocket(`ws://127.0.0.1:${run.port}/api/${path}`);
		socket.on('error', () => {});
		const message = once(socket, 'message');
		const [[answer]] = (await Promise.all([once(socket, 'upgrade'), once(socket, 'open')])) as [[IncomingMessage], []];
		return { socket, message, connection: answer.socket };
	};
	/** As a page does that is closed, killed or taken from the network. */
	const drop = async (index: number) => {
		const [preview, events] = await Promise.all([open('preview'), open('events')]);
		preview.socket.send('next');
		await Promise.all([preview.message, events.message]);
		preview.socket.send('next'); // what is sent next is sent to nobody
		for (const { connection } of [preview, events])
			if (index % 2) connection.resetAndDestroy();
			else connection.destroy();
	};
	await run.more(2 * FPS);
	for (let i = 0; i < 10; i++) await drop(i);
	const before = await run.more(2 * FPS);
	const [descriptors, mebibytes] = [descriptorsOf(run.pid), mebibytesOf(run.pid)];
	for (let i = 0; i < DROPS; i++) await drop(i);
	await run.until(() => descriptorsOf(run.pid) <= descriptors);
	await run.more(2 * FPS);
	await run.until(() => latencyOf(run.seen.slice(-2 * FPS)) < 3 * latencyOf(before));
	expect(mebibytesOf(run.pid) - mebibytes).toBeLessThan(40);
	const { code, report } = await run.finish();
	expect({ code, ...report }).toMatchObject({ code: 0, engineRestarts: 0, framesUnpainted: 0 });
}, 120_000);
