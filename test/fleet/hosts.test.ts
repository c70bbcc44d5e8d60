// Machines of their own, as network namespaces on a switch: what the network does to workers, servers and sidecars that are
// apart. The engine is an echo; servers, clients, processes and the kernel's TCP are real. Most of it is waiting: the tests
// run beside each other, each with a switch of its own.
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { until } from '../support/engines.ts';
import { FAKE_CLOCK } from '../support/faketime.ts';
import { EchoWorker, expectWhole, FarStream, nowUs, painterOf, painters } from '../support/fleet.ts';
import { Hosts, type Host } from '../support/hosts.ts';
import { Machine } from '../support/machine.ts';
import { NatsServer } from '../support/nats.ts';

/** Hosts for what is given in its order: `[server, left, right, camera]`. */
const openStudio = async () => {
	const network = await Hosts.open(4);
	const [server, left, right, camera] = network.hosts as [Host, Host, Host, Host];
	return { server, left, right, camera, [Symbol.asyncDispose]: () => network[Symbol.asyncDispose]() };
};

describe.concurrent('machines that are apart', () => {
	it('of which a worker is cut off, both ways or one: it is left, and paints nothing more of the stream', async () => {
		await using studio = await openStudio();
		const { server, left, right, camera } = studio;
		await using nats = await NatsServer.start({ host: server });
		await using one = await EchoWorker.start(nats.url, 'one', 7, {}, { host: left });
		await using stream = await FarStream.open(nats.url, { host: camera });
		await stream.paints(10);
		await using two = await EchoWorker.start(nats.url, 'two', 201, {}, { host: right });
		const workers = [one, two];
		for (const [worker, host, heir, directions] of [
			[one, left, two, ['in', 'out']],
			[two, right, one, ['out']],
			[one, left, two, ['in']],
		] as const) {
			await host.cut(...directions);
			await until(() => painterOf(stream.shown, workers) === heir);
			await host.heal();
			await until(async () => (await worker.status()).lines.length === 0);
			await stream.paints(10);
		}
		expect(painters(stream.shown, workers)).toEqual(['one', 'two', 'one', 'two']);
		expectWhole(stream.shown);
		expect((await stream.state()).restarts).toBe(3);
	}, 60_000);

	it('of which the camera is cut off: the worker forgets it, and paints again when the plug is in', async () => {
		await using studio = await openStudio();
		const { server, left, camera } = studio;
		await using nats = await NatsServer.start({ host: server });
		await using worker = await EchoWorker.start(nats.url, 'one', 7, {}, { host: left });
		await using stream = await FarStream.open(nats.url, { host: camera });
		await stream.paints();
		await camera.cut('in', 'out');
		await until(() => stream.shown.at(-1)!.kind === 'unpainted');
		await until(async () => (await worker.status()).lines.length === 0);
		await camera.heal();
		await stream.paints();
		expectWhole(stream.shown);
		expect(stream.error()).toBeUndefined();
	}, 60_000);

	it('of which that with the NATS server loses power: the streams are painted again when it is back', async () => {
		await using studio = await openStudio();
		const { server, left, right, camera } = studio;
		await using nats = await NatsServer.start({ host: server });
		await using one = await EchoWorker.start(nats.url, 'one', 7, {}, { host: left });
		await using two = await EchoWorker.start(nats.url, 'two', 201, {}, { host: right });
		await using stream = await FarStream.open(nats.url, { host: camera });
		await stream.paints();
		await server.cut('in', 'out'); // nobody is told that it is gone
		await nats.stop();
		await until(() => stream.shown.at(-1)!.kind === 'unpainted');
		await nats.start();
		await server.heal();
		await stream.paints(10);
		expectWhole(stream.shown);
		expect(painters(stream.shown, [one, two]).length).toBeLessThanOrEqual(2);
		expect(stream.error()).toBeUndefined();
	}, 60_000);

	it('of a cluster of three servers, of which one is lost that has the leases, the worker and the camera', async () => {
		await using studio = await openStudio();
		const { server, left, right, camera } = studio;
		const hosts = [server, left, right];
		const routes = hosts.map(({ address }) => `nats://${address}:6222`).join(', ');
		const [first, ...others] = hosts.map((host, i) => {
			const cluster = `cluster { name: studio, listen: "${host.address}:6222", routes: [${routes}] }`;
			return { host, configuration: `server_name: "${i}"\n${cluster}` };
		}) as [object, object, object];
		await using s0 = await NatsServer.start(first);
		await using s1 = await NatsServer.start(others[0]);
		await using s2 = await NatsServer.start(others[1]);
		const servers = [s0, s1, s2];
		const leader = await leaderOfLeases(s0.url, camera);
		const other = (leader + 1) % 3;
		await using one = await EchoWorker.start(servers[leader]!.url, 'one', 7, {}, { host: hosts[leader]! });
		await using stream = await FarStream.open(servers[leader]!.url, { host: camera });
		await stream.paints(10);
		await using two = await EchoWorker.start(servers[other]!.url, 'two', 201, {}, { host: hosts[other]! });
		await hosts[leader]!.cut('in', 'out');
		await until(() => painterOf(stream.shown, [one, two]) === two);
		await hosts[leader]!.heal();
		await until(async () => (await one.status()).lines.length === 0);
		await stream.paints(10);
		expect(painters(stream.shown, [one, two])).toEqual(['one', 'two']);
		expectWhole(stream.shown);
		expect(stream.error()).toBeUndefined();
	}, 120_000);

	it('of which the server has a full disk: frames pass, and are painted when there is room, or another disk', async () => {
		await using studio = await openStudio();
		const { server, left, camera } = studio;
		await using nats = await NatsServer.start({ host: server, diskKb: 1024 });
		await using worker = await EchoWorker.start(nats.url, 'one', 7, {}, { host: left });
		await using stream = await FarStream.open(nats.url, { host: camera });
		await stream.paints();
		const junk = { name: 'junk', subjects: ['junk'], storage: 'file', retention: 'limits', num_replicas: 1 };
		await stream.request('$JS.API.STREAM.CREATE.junk', JSON.stringify(junk));
		const isFull = async () => (await stream.request('junk', 'x'.repeat(65_536)))?.includes('insufficient resources');
		await until(async () => (await isFull()) === true);
		await until(() => stream.shown.at(-1)!.kind === 'unpainted');
		await until(async () => (await stream.state()).restarts >= 2); // another line has no lease either
		await stream.request('$JS.API.STREAM.PURGE.junk');
		await stream.paints();
		await nats.stop();
		await nats.start(); // with nothing on its disk
		await stream.paints();
		expectWhole(stream.shown);
		expect(painters(stream.shown, [worker])).toEqual(['one']);
		expect(stream.error()).toBeUndefined();
	}, 60_000);

	it('over a link that is too narrow for NV12: the stream goes on as JPEG, at its rate, also with the next worker', async () => {
		await using studio = await openStudio();
		const { server, left, right, camera } = studio;
		await using nats = await NatsServer.start({ host: server, configuration: 'max_payload: 8MB' });
		await using one = await EchoWorker.start(nats.url, 'one', 7, {}, { host: left });
		const painted = { width: 512, height: 288 };
		await using stream = await FarStream.open(nats.url, { host: camera }, { fps: 15, painted, isGrainy: true });
		await stream.paints(10);
		await until(async () => (await stream.state()).encoding === 'nv12');
		await camera.limit(12_000); // of the 27 Mbit/s that NV12 takes
		await until(async () => (await stream.state()).encoding === 'jpeg');
		await stream.paints(5);
		const before = await stream.state();
		const startUs = nowUs();
		await stream.paints(30);
		expect(nowUs() - startUs).toBeLessThan(4_000_000);
		const after = await stream.state();
		expect(after.framesLate - before.framesLate).toBeLessThan(8);
		expect(after.linkBitsPerSecond).toBeLessThan(27e6);
		await using two = await EchoWorker.start(nats.url, 'two', 201, {}, { host: right });
		await one.kill();
		await until(() => painterOf(stream.shown, [one, two]) === two);
		expect(await stream.state()).toMatchObject({ encoding: 'jpeg' });
		expectWhole(stream.shown);
		await camera.limit(undefined);
		await until(async () => (await stream.state()).encoding === 'nv12');
		await stream.paints(5);
		expectWhole(stream.shown);
	}, 60_000);

	it('whose clocks differ by years: a stream is painted, and taken over', async () => {
		await using studio = await openStudio();
		const { server, left, right, camera } = studio;
		await using nats = await NatsServer.start({ host: server });
		await using one = await EchoWorker.start(nats.url, 'one', 7, {}, { host: left, environment: clockAt('+3y') });
		await using stream = await FarStream.open(nats.url, { host: camera, environment: clockAt('-1d') });
		await stream.paints(10);
		const behind = { host: right, environment: clockAt('-30y') };
		await using two = await EchoWorker.start(nats.url, 'two', 201, {}, behind);
		expect(readFileSync(`/proc/${two.process.pid}/maps`, 'utf8')).toContain('libfaketime');
		await one.kill();
		await stream.paints(20);
		expect(painters(stream.shown, [one, two])).toEqual(['one', 'two']);
		expectWhole(stream.shown);
		expect((await stream.state()).framesLate).toBeLessThan(10);
	}, 60_000);

	it('and are paired: they find each other by mDNS, and one paints for the other, whose clock is an hour behind', async () => {
		await using studio = await openStudio();
		const { left, right } = studio;
		const homes = await mkdtemp(join(tmpdir(), 'allaprima-hosts-'));
		const painter = new Machine(join(homes, 'painter'), { host: left });
		const streamer = new Machine(join(homes, 'streamer'), { host: right, environment: clockAt('-1h') });
		const shown = painter.start('pair', '--name', 'gaming-pc');
		try {
			const [, code] = await shown.says(/allaprima pair ([A-Z0-9-]+)\n/);
			const typed = await streamer.allaprima('pair', code!);
			await shown.over;
			expect([typed.stderr, typed.code, shown.stderr, shown.code]).toEqual(['', 0, '', 0]);
			expect(typed.stdout).toContain(`Paired with gaming-pc (${left.address})`);
			const worker = painter.start('worker', '--name', 'painter', '--provider', 'cpu');
			try {
				await worker.says(/worker offers itself/);
				const flags = ['--size', '128x96', '--frames', '8', '--pace', 'max', '--json'];
				const run = await streamer.allaprima('run', '--engine', 'paired', ...flags);
				expect([run.code, JSON.parse(run.stdout || '{}')]).toMatchObject([0, { framesIn: 8, framesOut: 8 }]);
			} finally {
				await worker.end();
			}
		} finally {
			await shown.end();
			await rm(homes, { recursive: true, force: true });
		}
	}, 120_000);
});

/** The number of the server that writes them for the others. */
const leaderOfLeases = async (url: string, host: Host): Promise<number> => {
	let leader: number | undefined;
	await until(async () => {
		// The servers have to find each other first.
		await using probe = await FarStream.open(url, { host }).catch(() => undefined);
		const about = await probe?.request('$JS.API.STREAM.INFO.KV_allaprima-leases');
		if (about) leader = Number((JSON.parse(about) as { cluster: { leader: string } }).cluster.leader);
		return leader !== undefined;
	});
	return leader!;
};

const clockAt = (ahead: string) => ({ ...FAKE_CLOCK, FAKETIME: ahead });
