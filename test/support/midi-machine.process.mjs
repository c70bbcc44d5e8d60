// Inside the emulated machine: does what it is told by lines of JSON, and answers each with a line.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** The other ends of the ports of snd-virmidi, by path: what is written there is what a controller sends. */
const controllers = new Map();
let log = '';
let run;
let ended;

const start = (args) => {
	run = spawn(process.execPath, [cli, 'run', ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
	run.stderr.on('data', (data) => (log += data));
	ended = new Promise((resolve) => run.on('exit', (code, signal) => resolve({ code, signal })));
};

const plugIn = (path) => {
	const heard = [];
	const reader = spawn('cat', [path], { stdio: ['ignore', 'pipe', 'ignore'] });
	reader.stdout.on('data', (data) => heard.push(...data));
	controllers.set(path, { fd: openSync(path, 'w'), heard, reader });
};

const unplug = async (path) => {
	const { fd, reader } = controllers.get(path);
	controllers.delete(path);
	closeSync(fd);
	const gone = new Promise((resolve) => reader.on('exit', resolve));
	reader.kill('SIGKILL');
	await gone;
};

const WORK = {
	start: ({ args }) => start(args),
	log: () => log,
	stop: async () => {
		run.kill('SIGINT');
		return await ended;
	},
	plugIn: ({ path }) => plugIn(path),
	unplug: ({ path }) => unplug(path),
	send: ({ path, bytes }) => writeSync(controllers.get(path).fd, Buffer.from(bytes)),
	heard: ({ path }) => controllers.get(path).heard,
	fetch: async ({ url, body }) => {
		const posted = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
		const response = await fetch(url, body && posted);
		return { status: response.status, body: await response.text() };
	},
	cli: async ({ args }) => {
		const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
		let output = '';
		for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
		const code = await new Promise((resolve) => child.on('close', resolve));
		return { code, output };
	},
	write: ({ path, text }) => writeFileSync(path, text),
	read: ({ path }) => readFileSync(path, 'utf8'),
};

const answer = (line) => void process.stdout.write(`${JSON.stringify(line)}\n`);

answer({ ready: true });
for await (const line of createInterface(process.stdin)) {
	const { id, what, ...told } = JSON.parse(line);
	Promise.resolve()
		.then(() => WORK[what](told))
		.then(
			(value) => answer({ id, value }),
			(error) => answer({ id, error: String(error) }),
		);
}
