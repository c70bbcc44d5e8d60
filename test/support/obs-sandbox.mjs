// Xvfb and OBS, and a unix socket through which obs-websocket is reached: node obs-sandbox.mjs FOLDER PORT [OBS-FLAG...]
// obs-websocket listens on every address; so as root this runs in a network namespace of its own (obs.ts), from which
// only the unix socket leads out. Says {"obs": pid, "display": ":N"} when OBS runs, then {"exit": code, "signal": name}.
// A line on stdin closes the window of OBS; when stdin ends it ends all of it, for then the tests are gone.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const [folder = '', port = '', ...flags] = process.argv.slice(2);
const say = (/** @type {object} */ message) => process.stdout.write(`${JSON.stringify(message)}\n`);

if (process.env['OBS_SANDBOX_OWN_NETWORK']) spawnSync('ip', ['link', 'set', 'lo', 'up']);

// Left to itself, Xvfb takes the same number in two namespaces: it sees its abstract socket to be free in each.
const display = `:${100 + (process.pid % 50_000)}`;
const xvfb = spawn('Xvfb', [display, '-displayfd', '3', '-screen', '0', '1280x800x24', '-nolisten', 'tcp'], {
	stdio: ['ignore', 'ignore', 'ignore', 'pipe'],
});
await once(createInterface({ input: /** @type {import('node:stream').Readable} */ (xvfb.stdio[3]) }), 'line');

const server = createServer((client) => {
	const target = connect(Number(port), '127.0.0.1');
	for (const [from, to] of [
		[client, target],
		[target, client],
	]) {
		from?.pipe(/** @type {import('node:net').Socket} */ (to));
		from?.on('error', () => to?.destroy());
		from?.on('close', () => to?.destroy());
	}
}).listen(join(folder, 'websocket.sock'));

const preload = process.env['OBS_PRELOAD'];
const log = createWriteStream(join(folder, 'obs.log'), { flags: 'a' });
await once(log, 'open');
const obs = spawn('obs', ['--multi', '--disable-missing-files-check', '--websocket_ipv4_only', ...flags], {
	env: { ...process.env, DISPLAY: display, ...(preload ? { LD_PRELOAD: preload } : {}) },
	stdio: ['ignore', log, log],
});
obs.once('exit', (code, signal) => {
	say({ exit: code, signal });
	server.close();
	xvfb.kill();
});
xvfb.once('exit', () => process.exit());
// Not SIGINT, which OBS 29 obeys within its signal handler, whatever it interrupts: closing amid a paint, it crashes.
const closeWindow = fileURLToPath(new URL('./close_window.py', import.meta.url));
createInterface({ input: process.stdin })
	.on('line', () =>
		spawn('/usr/bin/python3', [closeWindow, 'OBS '], {
			env: { ...process.env, DISPLAY: display },
			stdio: ['ignore', 'ignore', 'inherit'],
		}),
	)
	.once('close', () => {
		if (!obs.kill('SIGKILL')) xvfb.kill();
	});
say({ obs: obs.pid, display });
