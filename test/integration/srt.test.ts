// A run that sends what it paints by SRT, and another that receives it: the built command, ffmpeg and libsrt on loopback.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { ffmpeg } from '../support/clips.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PASSPHRASE = 'a-very-secret-passphrase';

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-srt-'));
});
afterAll(async () => {
	await rm(folder, { recursive: true, force: true });
});

/** A run of the scene's size, with its words. */
class Run implements AsyncDisposable {
	readonly child: ChildProcess;
	said = '';

	constructor(args: string[], passphrase = PASSPHRASE) {
		const flags = ['run', '--style', 'passthrough', '--size', '128x96', '--http', 'off', ...args];
		this.child = spawn(process.execPath, [CLI, ...flags], {
			env: { ...process.env, ALLAPRIMA_SRT_PASSPHRASE: passphrase, ALLAPRIMA_LOG_LEVEL: 'debug' },
			stdio: ['ignore', 'ignore', 'pipe'],
		});
		this.child.stderr!.on('data', (text: Buffer) => (this.said += text.toString()));
	}

	async says(what: string): Promise<void> {
		await until(() => {
			if (this.child.exitCode !== null) throw new Error(`it ended with ${this.child.exitCode}:\n${this.said}`);
			return this.said.includes(what);
		}, 60_000);
	}

	async end(signal: NodeJS.Signals = 'SIGINT'): Promise<number | null> {
		if (this.child.exitCode === null && this.child.signalCode === null) {
			const exited = once(this.child, 'exit');
			this.child.kill(signal);
			await exited;
		}
		return this.child.exitCode;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.end('SIGKILL');
	}
}

it('pictures come through, encrypted; a sender that dies is waited for, and one with another passphrase is not let in', async () => {
	const port = await freePort();
	const [report, got] = [join(folder, 'report.json'), join(folder, 'got.mkv')];
	const address = `srt://127.0.0.1:${port}?mode=listener&latency=60`;
	await using receiver = new Run(['--source', address, '--sink', `file:${got}`, '--report', report]);
	await receiver.says('waiting for the SRT sender');
	const sending = ['--source', 'scene', '--fps', '15', '--sink', `srt://127.0.0.1:${port}?latency=60`];
	await using stranger = new Run(sending, 'another-passphrase');
	await stranger.says('no SRT receiver');
	await stranger.end();
	expect(receiver.said).not.toContain('"msg":"painting"');

	await using sender = new Run(sending);
	await receiver.says('"msg":"painting"');
	await sender.end('SIGKILL');
	await receiver.says('SRT sender lost');
	await using next = new Run(sending);
	await receiver.says('SRT sender is back');
	await sleep(1000);
	expect(await receiver.end()).toBe(0);
	expect(await next.end()).toBe(0);
	const { framesIn, framesOut } = JSON.parse(await readFile(report, 'utf8')) as Report;
	expect(framesIn).toBeGreaterThan(10);
	expect(framesOut).toBeGreaterThan(10);
	const middle = await ffmpeg(`-sseof -0.3 -i ${got} -frames:v 1 -f rawvideo -pix_fmt gray pipe:1`);
	expect(middle.length).toBe(640 * 360);
	expect(Math.max(...middle.subarray(0, 50_000)) - Math.min(...middle.subarray(0, 50_000))).toBeGreaterThan(30);
	for (const { said } of [receiver, stranger, sender, next]) expect(said).not.toMatch(/secret|another-pass/);
	expect(await readFile(report, 'utf8')).not.toContain(PASSPHRASE);
}, 120_000);
