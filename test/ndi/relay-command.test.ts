// `allaprima relay` as a rig runs it: the real command with models/lite, the real libndi, in a network of its own.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { enginePids, until } from '../support/engines.ts';
import { NATS_PROGRAM } from '../support/machine.ts';
import { FIRST, openNdiNetwork, SECOND, type SeenFrame } from '../support/ndi.ts';
import { askRelay, startRelay as start, startRelayThatCanHang } from '../support/relay-command.ts';

const LUMA = { source: 180, slate: 37 };
const near = (luma: number, wanted: number) => Math.abs(luma - wanted) <= 6;
const isSource = ({ luma }: SeenFrame) => near(luma, LUMA.source);
const isSlate = ({ luma }: SeenFrame) => near(luma, LUMA.slate);
/** The source's grey, painted in ink: neither the source's own nor the slate's. */
const isPainting = (frame: SeenFrame) => !isSource(frame) && !isSlate(frame);
/** Sources take the first ports, in the order in which they start; painted streams the next. */
const THIRD = '127.0.0.1:5963';
const FOURTH = '127.0.0.1:5964';

let network: Awaited<ReturnType<typeof openNdiNetwork>>;
let folder: string;
beforeEach(async () => {
	network = await openNdiNetwork();
	folder = mkdtempSync(join(tmpdir(), 'allaprima-relay-'));
});
afterEach(async () => {
	await network[Symbol.asyncDispose]();
	rmSync(folder, { recursive: true, force: true });
});

const startRelay = (...flags: string[]) => start(network, ...flags);
const PENCIL = ['--in', FIRST, '--out', 'OUT', '--style', 'pencil-sketch', '--no-when-watched'];
const ask = (path: string, token?: string) => askRelay(network, path, token);

/** Does what systemd does with WatchdogSec=4, WatchdogSignal=SIGKILL, and says what it is told. */
const SYSTEMD = `
import os, signal, socket, subprocess, sys
listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
listening.bind(sys.argv[1])
child = subprocess.Popen(sys.argv[2:], env={**os.environ, 'NOTIFY_SOCKET': sys.argv[1], 'WATCHDOG_USEC': '4000000'})
print(f'started {child.pid}', flush=True)
listening.settimeout(60)
while True:
    try:
        for line in listening.recv(4096).decode().splitlines():
            print(line, flush=True)
            if line == 'READY=1': listening.settimeout(4)
    except TimeoutError:
        child.send_signal(signal.SIGKILL)
        print('killed', flush=True)
        break
child.wait()
sys.stdin.read()
`;

/** Asks for the source itself and then for panic, each once it was told that what came before is in force. */
const OSC_CONTROLLER = `
import { createSocket } from 'node:dgram';
import { fromBuffer, toBuffer } from 'osc-min';
const socket = createSocket('udp4');
const send = (address, ...args) => socket.send(toBuffer({ address, args }), 7718, '127.0.0.1');
const next = { '/allaprima/style "pencil-sketch"': ['/allaprima/channel/OUT/style', { type: 'string', value: 'passthrough' }],
	'/allaprima/style "passthrough"': ['/allaprima/panic', { type: 'integer', value: 1 }] };
socket.on('message', (datagram) => {
	const { address, args } = fromBuffer(datagram);
	const line = address + ' ' + JSON.stringify(args[0].value);
	console.log(line);
	if (next[line]) setTimeout(() => send(...next[line]), 500);
});
send('/allaprima/state');
`;

const isReady = () => until(async () => (await ask('/readyz')).status === 200, 60_000);

describe('a relay of one channel', () => {
	it('paints at the rate, with the timecodes of the source, and says how it goes', async () => {
		await network.source('CAM');
		startRelay(...PENCIL);
		const viewer = await network.viewer(SECOND);
		await isReady();
		await viewer.one(isPainting, 'a painting', 60_000);
		const frames = await viewer.more(60);
		expect(new Set(frames.map(({ rate, width, height }) => `${rate} ${width}x${height}`))).toEqual(
			new Set(['30/1 1280x720']),
		);
		const steps = frames.slice(1).map(({ timecode }, i) => timecode - frames[i]!.timecode);
		expect(steps.every((step) => step > 0n)).toBe(true);
		expect(frames.filter(isPainting).length).toBeGreaterThan(30);
		const { text } = await ask('/metrics');
		expect(text).toMatch(/allaprima_ndi_frames_sent_total\{channel="OUT",shown="painting"\} [1-9]/);
		expect(text).toMatch(/allaprima_ndi_connections\{channel="OUT"\} 1/);
		expect(await ask('/healthz')).toEqual({ status: 200, text: 'ok\n' });
		await until(async () => (await ask('/api/thumbnails/oil-painting?channel=OUT')).status === 200);
	});

	it('paints a source of another shape at its own size', async () => {
		await network.source('CAM', { width: 640, height: 480 });
		startRelay(...PENCIL);
		const viewer = await network.viewer(SECOND);
		expect(await viewer.one(isPainting, 'a painting', 60_000)).toMatchObject({ width: 640, height: 480 });
	});

	it('is steered by the command line: a style, the source itself, and panic', async () => {
		await network.source('CAM');
		startRelay(...PENCIL);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		network.run(process.execPath, 'dist/cli.js', 'style', 'passthrough', '--channel', 'OUT');
		await viewer.one(isSource, 'the source');
		network.run(process.execPath, 'dist/cli.js', 'panic', 'on');
		await viewer.one(isSlate, 'the slate');
		expect((await viewer.more(10)).every(isSlate)).toBe(true);
		network.run(process.execPath, 'dist/cli.js', 'panic', 'off');
		await viewer.one(isSource, 'the source again');
		network.run(process.execPath, 'dist/cli.js', 'style', 'pencil-sketch');
		await viewer.one(isPainting, 'paint again');
	});

	it('is steered by OSC, which is told what is in force, and answers other machines only with its token', async () => {
		await network.source('CAM');
		const settings = ['--log-level', 'error', '--osc', '7718', '--http', '0.0.0.0:7717'];
		const command = [process.execPath, 'dist/cli.js', 'relay', ...settings, ...PENCIL];
		network.run('env', 'ALLAPRIMA_HTTP_TOKEN=a-token-for-the-relay', ...command);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		await using osc = network.run(process.execPath, '--input-type=module', '-e', OSC_CONTROLLER);
		await osc.untilLine('/allaprima/style "pencil-sketch"');
		await viewer.one(isSource, 'the source');
		await osc.untilLine('/allaprima/style "passthrough"');
		await viewer.one(isSlate, 'the slate');
		await osc.untilLine('/allaprima/panic 1');
		expect((await ask('/api/state')).status).toBe(401);
		expect((await ask('/api/state', 'a-token-of-nobody-at-all')).status).toBe(401);
		const { status, text } = await ask('/api/state', 'a-token-for-the-relay');
		expect([status, JSON.parse(text)]).toMatchObject([200, { channels: ['OUT'], control: { panic: true } }]);
	});

	it('shows the source while the engine is dead, with no frame missing, and paints again', async () => {
		await network.source('CAM');
		const relay = startRelay(...PENCIL, '--stale-after-ms', '200');
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		const [engine] = enginePids(relay.process.pid!);
		process.kill(engine!, 'SIGKILL');
		await viewer.one(isSource, 'the source');
		await viewer.one(isPainting, 'a painting again', 60_000);
		const numbers = viewer.frames.slice(5).map(({ noted }) => noted!);
		expect(numbers.slice(1).every((n, i) => n === numbers[i]! + 1)).toBe(true);
	});

	it('paints with a worker by --engine, shows the source while there is none, and paints with the next', async () => {
		await network.source('CAM');
		const configuration = join(folder, 'nats.conf');
		writeFileSync(
			configuration,
			`listen: "127.0.0.1:4222"\nmax_payload: 8MB\njetstream { store_dir: "${folder}/nats" }`,
		);
		const run = async (words: string, ...command: string[]) => {
			const running = network.run('sh', '-c', 'exec "$@" 2>&1', 'sh', ...command);
			await running.until((lines) => lines.find((line) => line.includes(words)), words, 60_000);
			return running;
		};
		const server = await run('Server is ready', NATS_PROGRAM, '-c', configuration);
		const url = 'nats://127.0.0.1:4222';
		const startWorker = (name: string) => {
			const flags = ['worker', '--nats', url, '--name', name, '--provider', 'cpu'];
			return run('worker offers itself', process.execPath, 'dist/cli.js', ...flags);
		};
		const first = await startWorker('first');
		const relay = startRelay(...PENCIL, '--stale-after-ms', '200', '--engine', url);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		expect(enginePids(relay.process.pid!)).toEqual([]);
		expect((await ask('/api/fleet')).text).toContain('"worker":"first"');
		first.kill();
		await viewer.one(isSource, 'the source');
		const second = await startWorker('second');
		await viewer.one(isPainting, 'a painting again', 60_000);
		const numbers = viewer.frames.slice(5).map(({ noted }) => noted!);
		expect(numbers.slice(1).every((n, i) => n === numbers[i]! + 1)).toBe(true);
		for (const running of [second, server]) running.kill();
	}, 180_000);

	it('shows the source while the engine is stopped, with no frame missing, and paints again with another', async () => {
		await network.source('CAM');
		const relay = startRelay(...PENCIL, '--stale-after-ms', '200');
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		const [engine] = enginePids(relay.process.pid!);
		process.kill(engine!, 'SIGSTOP');
		await viewer.one(isSource, 'the source');
		await viewer.one(isPainting, 'a painting again', 60_000);
		expect(enginePids(relay.process.pid!)).not.toContain(engine);
		const numbers = viewer.frames.slice(5).map(({ noted }) => noted!);
		expect(numbers.slice(1).every((n, i) => n === numbers[i]! + 1)).toBe(true);
	});

	it.each(['passthrough', 'hold', 'slate'])('goes on with %s while its event loop stands still', async (failure) => {
		await network.source('CAM');
		const flags = [...PENCIL, '--failure', failure, '--hold-s', '1', '--stale-after-ms', '200'];
		const relay = startRelayThatCanHang(network, ...flags);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		const before = viewer.frames.length;
		relay.process.kill('SIGUSR2');
		// A hold ends meanwhile.
		await viewer.one(failure === 'passthrough' ? isSource : isSlate, 'what the policy says');
		await viewer.one(isPainting, 'a painting again', 60_000);
		const meanwhile = viewer.frames.slice(before);
		const numbers = meanwhile.map(({ noted }) => noted!);
		if (failure !== 'passthrough') expect(meanwhile.filter(isSource)).toEqual([]);
		else expect(numbers.slice(1).every((n, i) => n === numbers[i]! + 1)).toBe(true);
	});

	it('under slate lets no frame of the source out: not at the start, not through a dead engine, not in pass-through', async () => {
		await network.source('CAM');
		const relay = startRelay(...PENCIL, '--failure', 'slate', '--stale-after-ms', '200');
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		for (const pid of enginePids(relay.process.pid!)) process.kill(pid, 'SIGKILL');
		await viewer.one(isSlate, 'the slate');
		await viewer.one(isPainting, 'a painting again', 60_000);
		network.run(process.execPath, 'dist/cli.js', 'style', 'passthrough');
		await viewer.one(isSlate, 'the slate instead of the source');
		await viewer.more(30);
		expect(viewer.frames.filter(isSource)).toEqual([]);
	});

	it('killed under passthrough, its viewers are with the source', async () => {
		await network.source('CAM');
		const relay = startRelay(...PENCIL);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		relay.kill();
		await viewer.one(isSource, 'the source');
		expect((await viewer.more(10)).every(isSource)).toBe(true);
	});

	it('killed under slate, its viewers have nothing any more, and nothing of the source', async () => {
		await network.source('CAM');
		const relay = startRelay(...PENCIL, '--failure', 'slate');
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		relay.kill();
		await sleep(1000); // what was on its way has come
		const { length } = viewer.frames;
		await sleep(2000);
		expect(viewer.frames).toHaveLength(length);
		expect(viewer.frames.filter(isSource)).toEqual([]);
	});

	it('keeps its viewers while its source is gone, and paints it again when it is back', async () => {
		const source = await network.source('CAM');
		startRelay(...PENCIL);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		source.kill();
		await viewer.one(isSlate, 'the slate after the last picture');
		await until(async () => (await ask('/readyz')).text.startsWith('OUT: no frames from '));
		expect((await ask('/healthz')).status).toBe(200);
		await network.source('CAM');
		await viewer.one(isPainting, 'a painting again', 60_000);
	});
});

describe('a service', () => {
	it('tells systemd that it is ready and lives; hung, it is killed, and its viewers are with the source within 5 s', async () => {
		await network.source('CAM');
		const command = [process.execPath, 'dist/cli.js', 'relay', '--log-level', 'error', '--in', FIRST, '--out', 'OUT'];
		const systemd = network.run('python3', '-c', SYSTEMD, join(folder, 'notify'), ...command, '--no-when-watched');
		const pid = Number((await systemd.untilLine('started')).split(' ')[1]);
		const viewer = await network.viewer(SECOND);
		await viewer.one(isPainting, 'a painting', 60_000);
		await systemd.untilLine('STATUS=1 channel');
		expect(systemd.lines).toContain('READY=1');
		const fed = systemd.lines.filter((line) => line === 'WATCHDOG=1').length;
		await viewer.more(150);
		expect(systemd.lines.filter((line) => line === 'WATCHDOG=1').length).toBeGreaterThan(fed + 1);
		expect(systemd.lines).not.toContain('killed');
		process.kill(pid, 'SIGSTOP');
		const hungAt = Date.now();
		await viewer.one(isSource, 'the source', 30_000);
		console.log(`${((Date.now() - hungAt) / 1000).toFixed(1)} s from the hang to the source`);
		expect(systemd.lines).toContain('killed');
	});

	it.each([
		['nothing', '/nowhere', /ndi\.video/],
		['a text file', 'package.json', /package\.json/],
	])('without a runtime, with %s in its place, says what to do and ends with 4', async (_, runtime, message) => {
		const script = `const { spawnSync } = require('node:child_process');
			const { status, stderr } = spawnSync(process.execPath,
				['dist/cli.js', 'relay', '--in', '${FIRST}', '--out', 'OUT', '--runtime', '${runtime}'], { encoding: 'utf8' });
			console.log(JSON.stringify({ status, stderr }));`;
		await using run = network.run(process.execPath, '-e', script);
		const { status, stderr } = JSON.parse(await run.untilLine('{')) as { status: number; stderr: string };
		expect(status).toBe(4);
		expect(stderr).toMatch(message);
		expect(stderr).not.toMatch(/internal error|\n\s+at /);
	});
});

describe('a relay of several channels', () => {
	const write = (channels: object[]): string => {
		const path = join(folder, 'rig.json');
		writeFileSync(path, JSON.stringify({ style: 'pencil-sketch', ndi: { onlyWhenWatched: false, channels } }));
		return path;
	};

	const cam = { in: FIRST, out: 'CAM (Painted)' };

	it('reads its configuration again: the channel that is the same loses no frame', async () => {
		await network.source('CAM', { num: 15 });
		await network.source('GUEST', { num: 15 });
		const config = write([cam]);
		const relay = startRelay('--config', config);
		const viewer = await network.viewer(THIRD);
		await viewer.one(isPainting, 'a painting', 60_000);
		write([cam, { in: SECOND, style: 'passthrough', out: 'Guest' }]);
		relay.kill('SIGHUP');
		const guest = await network.viewer(FOURTH);
		await guest.one(isSource, 'the guest');
		writeFileSync(config, '{ "style": ');
		relay.kill('SIGHUP'); // is logged, and changes nothing
		await guest.more(10);
		write([cam]);
		relay.kill('SIGHUP');
		await until(async () => !(await ask('/metrics')).text.includes('channel="Guest"'), 20_000);
		await viewer.more(10);
		const numbers = viewer.frames.slice(5).map(({ noted }) => noted!);
		expect(numbers.slice(1).every((n, i) => n === numbers[i]! + 1)).toBe(true);
		write([{ ...cam, style: 'passthrough' }]);
		relay.kill('SIGHUP');
		await viewer.one(isSource, 'the source, of a channel that was started anew');
	});

	it('goes on with one while the other has no source', async () => {
		await network.source('CAM', { num: 15 });
		startRelay('--config', write([cam, { in: 'NOBODY', out: 'Empty' }]));
		// Which of the two is first at a port is the runtime's affair.
		const viewers = [await network.viewer(SECOND), await network.viewer(THIRD)];
		await Promise.any(viewers.map((viewer) => viewer.one(isPainting, 'a painting', 60_000)));
		await until(async () => (await ask('/readyz')).text === 'Empty: no frames from NOBODY\n');
		expect((await ask('/healthz')).status).toBe(200);
	});
});
