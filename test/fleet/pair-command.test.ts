// Two machines that are paired as it is typed: the built command, a nats-server of its own, and models/lite.
import { once } from 'node:events';
import { chmod, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it } from 'vitest';
import type { Pair } from '../../sidecar/config/schema/pairing.ts';
import { newSecret } from '../../sidecar/fleet/pairing-code.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { Machine, NATS_PROGRAM, Running } from '../support/machine.ts';

const closers: (() => PromiseLike<unknown> | void)[] = [];
afterEach(async () => {
	for (const close of closers.splice(0).reverse()) await close();
});

describe('allaprima pair', () => {
	const homes: string[] = [];
	const machine = async (): Promise<Machine> => {
		homes.push(await mkdtemp(join(tmpdir(), 'allaprima-home-')));
		return new Machine(homes.at(-1)!);
	};
	afterAll(async () => {
		for (const home of homes) await rm(home, { recursive: true, force: true });
	});

	const PAIRED = '.config/allaprima/paired.json';
	const RUN = ['run', '--engine', 'paired', '--size', '128x96', '--frames', '8', '--pace', 'max'];

	const isOpen = async (port: number): Promise<boolean> => {
		const socket = connect(port, '127.0.0.1');
		return await once(socket, 'connect').then(
			() => (socket.destroy(), true),
			() => false,
		);
	};

	it('joins two machines, of which one paints for the other from then on, after restarts too', async () => {
		const [painter, streamer] = [await machine(), await machine()];
		const port = await freePort();
		const addresses = ['--address', '::1', '--address', '127.0.0.1'];
		const shown = painter.start('pair', '--name', 'gaming-pc', '--port', `${port}`, ...addresses);
		closers.push(() => shown.end());
		const [, code] = await shown.says(/allaprima pair (\S+@\[::1\]\S*)/);
		expect(shown.stdout).toContain('@127.0.0.1');
		const typed = await streamer.allaprima('pair', code!);
		await shown.over;
		expect([typed.stderr, typed.code, shown.stderr, shown.code]).toEqual(['', 0, '', 0]);
		expect(typed.stdout).toContain('allaprima run --engine paired');
		expect(shown.stdout).toContain('allaprima worker');
		expect(await isOpen(port)).toBe(false); // nothing is left behind

		const pairs = await Promise.all([painter, streamer].map((one) => readFile(one.at(PAIRED), 'utf8')));
		const [{ token }, own] = pairs.map((text) => (JSON.parse(text) as { pairs: Pair[] }).pairs[0]!) as [Pair, Pair];
		expect(own).toMatchObject({ name: 'gaming-pc', isHost: false, port, token });
		for (const one of [painter, streamer]) expect((await stat(one.at(PAIRED))).mode & 0o777).toBe(0o600);
		for (const file of ['key.pem', 'nats.conf'])
			expect((await stat(painter.at(`.config/allaprima/fleet-server/${file}`))).mode & 0o777).toBe(0o600);
		for (const { stdout, stderr } of [shown, typed]) expect(stdout + stderr).not.toContain(token);

		const early = await streamer.allaprima(...RUN);
		expect([early.code, early.stderr]).toEqual([
			4,
			expect.stringMatching(/gaming-pc is not reached.*allaprima worker/s),
		]);

		const paint = async () => {
			const worker = painter.start('worker', '--name', 'painter', '--provider', 'cpu');
			closers.push(() => worker.end());
			await worker.says(/worker offers itself/);
			return worker;
		};
		const worker = await paint();
		const run = await streamer.allaprima(...RUN, '--json');
		expect([run.code, JSON.parse(run.stdout || '{}')]).toMatchObject([0, { framesIn: 8, framesOut: 8 }]);
		await worker.end();
		expect(worker.code).toBe(0);
		expect(await isOpen(port)).toBe(false);

		const again = await paint();
		const workers = await streamer.allaprima('worker', 'list', '--json');
		expect([workers.code, JSON.parse(workers.stdout || '[]')]).toMatchObject([0, [{ worker: 'painter' }]]);
		const doctor = await streamer.allaprima('doctor');
		expect(doctor.stdout).toMatch(/ok +paired machine +gaming-pc, reached at /);
		await again.end('SIGKILL');
		await until(async () => !(await isOpen(port)));
		for (const { stdout, stderr } of [worker, run, again, workers]) expect(stdout + stderr).not.toContain(token);

		expect((await streamer.allaprima('doctor')).stdout).toMatch(/ok +paired machine +gaming-pc, not reached: .*port/);
		const listed = await streamer.allaprima('pair', 'list', '--json');
		expect(JSON.parse(listed.stdout)).toMatchObject([{ name: 'gaming-pc', isHost: false, port }]);
		expect(listed.stdout).not.toContain(token);
		expect((await painter.allaprima('pair', 'forget', 'gaming-pc')).code).toBe(0);
		expect((await painter.allaprima('worker')).stderr).toContain('not paired');

		// Paired anew with somebody else, at the same place: it is another machine for who knew it before.
		const anew = painter.start('pair', '--port', `${port}`, ...addresses);
		closers.push(() => anew.end());
		await anew.says(/allaprima pair/);
		const stranger = await streamer.allaprima('worker', 'list');
		expect([stranger.code, stranger.stderr]).toEqual([4, expect.stringContaining('allaprima pair')]);
		expect(stranger.stderr).not.toContain(token);
	}, 180_000);

	it('says what is wrong', async () => {
		const [one, other] = [await machine(), await machine()];
		const mistyped = await one.allaprima('pair', 'K7QM-2XVD-9RT0@127.0.0.1');
		expect([mistyped.code, mistyped.stderr]).toEqual([2, expect.stringMatching(/mistyped/)]);
		const read = await one.piped('K7QM-2XVD-9RT0@127.0.0.1\n', 'pair', '-');
		expect([read.code, read.stderr]).toEqual([2, expect.stringMatching(/mistyped/)]);
		const none = await one.piped('', 'pair', '-');
		expect([none.code, none.stderr]).toEqual([2, expect.stringMatching(/No code came on standard input/)]);
		const unpaired = await one.allaprima(...RUN);
		expect([unpaired.code, unpaired.stderr]).toEqual([2, expect.stringMatching(/not paired with another/)]);
		const flags = await one.allaprima('pair', 'K7QM-2XVD-9RT0@127.0.0.1', '--minutes', '3');
		expect([flags.code, flags.stderr]).toEqual([2, expect.stringMatching(/--minutes is for the machine that shows/)]);

		const port = await freePort();
		const shown = one.start('pair', '--port', `${port}`, '--address', '127.0.0.1', '--json');
		closers.push(() => shown.end());
		const [line] = await shown.says(/^\{.*\}$/m);
		const { codes } = JSON.parse(line) as { codes: [string, ...string[]] };
		const [, place] = codes[0].split('@');
		const guess = await other.allaprima('pair', `${newSecret()}@${place}`);
		expect([guess.code, guess.stderr]).toEqual([1, expect.stringMatching(/shows another code/)]);
		await shown.says(/A wrong code came from 127\.0\.0\.1\. 2 more/);
		const taken = await other.allaprima('pair', '--port', `${port}`, '--address', '127.0.0.1');
		expect([taken.code, taken.stderr]).toEqual([4, expect.stringMatching(/Another program has port/)]);
		const alone = await one.allaprima('pair', codes[0]);
		expect([alone.code, alone.stderr]).toEqual([1, expect.stringMatching(/Type it on the other/)]);
		await shown.over;
		expect([shown.code, shown.stderr]).toEqual([1, expect.stringMatching(/did not reach port/)]);

		const again = one.start('pair', '--address', '127.0.0.1', '--json');
		closers.push(() => again.end());
		const [, code] = await again.says(/"code":"([^"]+)".*\n/);
		const [, anew] = /@([^"]+)"/.exec(again.stdout)!;
		expect((await other.piped(`${code}@${anew}\n`, 'pair', '-')).code).toBe(0);
		await again.over;

		await chmod(other.at(PAIRED), 0o644);
		const open = await other.allaprima('worker', 'list');
		expect([open.code, open.stderr]).toEqual([2, expect.stringMatching(/chmod 600/)]);
	}, 60_000);

	it('says how to install what is missing', async () => {
		const one = await machine();
		const missing = new Running(['pair'], {
			PATH: process.env['PATH']!,
			HOME: one.home,
			ALLAPRIMA_NATS_SERVER: one.at('nothing'),
		});
		await missing.over;
		expect([missing.code, missing.stderr]).toEqual([4, expect.stringMatching(/ALLAPRIMA_NATS_SERVER names/)]);
		const bare = new Running(['pair'], { PATH: one.home, HOME: one.home, ALLAPRIMA_NATS_SERVER: NATS_PROGRAM });
		await bare.over;
		expect([bare.code, bare.stderr]).toEqual([4, expect.stringMatching(/apt-get install openssl/)]);
	});
});
