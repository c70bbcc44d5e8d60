// Leases in the key-value table of a real nats-server: one holder at a time, whatever happens to it.
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Lease, revoke, type LeaseStore } from '../../sidecar/fleet/leases.ts';
import { until } from '../support/engines.ts';
import { NatsBus } from '../support/fleet.ts';
import { NatsServer, TcpRelay } from '../support/nats.ts';

let nats: NatsServer;
beforeAll(async () => {
	nats = await NatsServer.start();
});
afterAll(async () => {
	await nats[Symbol.asyncDispose]();
});

const nowMs = () => performance.now();
const serverOf = (url: string) => url.replace('nats://', '');

const open = async (
	url = nats.url,
): Promise<{ bus: Awaited<ReturnType<typeof NatsBus.connect>>; store: LeaseStore }> => {
	const bus = await NatsBus.connect({ url, server: serverOf(url) });
	return { bus, store: await bus.leases() };
};

const claim = async (store: LeaseStore, stream: string, line: string, clock = nowMs) => {
	let isLost = false;
	const lease = await Lease.claim(
		store,
		stream,
		{ worker: 'w', line },
		{ nowMs: clock, onLost: () => (isLost = true) },
	);
	return { lease, isLost: () => isLost };
};

describe('a lease', () => {
	it('is had by one of two workers that claim a stream in the same moment', async () => {
		const [one, two] = [await open(), await open()];
		for (let i = 0; i < 20; i++) {
			const claims = await Promise.all([claim(one.store, `both-${i}`, 'a'), claim(two.store, `both-${i}`, 'b')]);
			expect(claims.filter(({ lease }) => lease?.holds)).toHaveLength(1);
			for (const { lease } of claims) await lease?.release();
		}
		await one.bus[Symbol.asyncDispose]();
		await two.bus[Symbol.asyncDispose]();
	});

	it('has a larger number each time, also after it was given back or taken away', async () => {
		const { bus, store } = await open();
		const first = await claim(store, 'numbers', 'a');
		await first.lease!.release();
		const second = await claim(store, 'numbers', 'b');
		expect(second.lease!.number).toBeGreaterThan(first.lease!.number);
		expect(await revoke(store, 'numbers')).toEqual({ worker: 'w', line: 'b' });
		const third = await claim(store, 'numbers', 'c');
		expect(third.lease!.number).toBeGreaterThan(second.lease!.number);
		await until(() => second.isLost());
		expect(second.lease!.holds).toBe(false);
		expect(third.lease!.holds).toBe(true);
		await third.lease!.release();
		await bus[Symbol.asyncDispose]();
	});

	it('is kept for as long as it is renewed, and free soon after its holder was cut off, who knows it before', async () => {
		await using way = await TcpRelay.to(nats.port);
		const { bus, store } = await open();
		const far = await open(way.url);
		const held = await claim(far.store, 'cut', 'a');
		await sleep(store.ttlMs + 500);
		expect(held.lease!.holds).toBe(true);
		expect((await claim(store, 'cut', 'b')).lease).toBeUndefined();
		way.cut('toServer', 'toClient');
		let heir: Lease | undefined;
		await until(async () => (heir = (await claim(store, 'cut', 'b')).lease) !== undefined);
		expect(held.lease!.holds).toBe(false);
		await heir!.release();
		way.heal();
		await until(() => held.isLost());
		await bus[Symbol.asyncDispose]();
		await far.bus[Symbol.asyncDispose]();
	});

	it('is not believed in by a holder that was stopped meanwhile', async () => {
		const { bus, store } = await open();
		let clockMs = 0;
		const { lease } = await claim(store, 'stopped', 'a', () => clockMs);
		expect(lease!.holds).toBe(true);
		clockMs += store.ttlMs;
		expect(lease!.holds).toBe(false);
		await lease!.release();
		await bus[Symbol.asyncDispose]();
	});

	it('is still there after the server was started again, and its numbers go on', async () => {
		await using own = await NatsServer.start();
		const { bus, store } = await open(own.url);
		const { lease, isLost } = await claim(store, 'restart', 'a');
		await own.stop();
		await own.start();
		await until(() => bus.isConnected);
		await sleep(store.ttlMs / 2);
		expect(isLost()).toBe(false);
		expect(lease!.holds).toBe(true);
		const other = await claim(store, 'other', 'b');
		expect(other.lease!.number).toBeGreaterThan(lease!.number);
		for (const one of [lease, other.lease]) await one!.release();
		await bus[Symbol.asyncDispose]();
	});

	it('is had at once where the server came back without its table, and one was asked for meanwhile', async () => {
		await using own = await NatsServer.start();
		const { bus, store } = await open(own.url);
		const { lease } = await claim(store, 'before', 'a');
		await own.stop();
		await until(() => !bus.isConnected);
		await lease!.release();
		await rm(join(own.folder, 'jetstream'), { recursive: true });
		await own.start();
		await until(() => bus.isConnected);
		const startMs = nowMs();
		const after = await claim(store, 'after', 'a');
		expect(after.lease!.holds).toBe(true);
		expect(nowMs() - startMs).toBeLessThan(900);
		await after.lease!.release();
		await bus[Symbol.asyncDispose]();
	});
});
