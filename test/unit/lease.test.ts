import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Lease, type LeaseStore } from '../../sidecar/fleet/leases.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A table in memory, whose answers to renewals come when `answer` says so. */
const tableOf = (answer: (renewal: number) => Promise<unknown>) => {
	let entry: { value: string; revision: number } | undefined;
	let revision = 0;
	let renewals = 0;
	const store: LeaseStore = {
		ttlMs: 3000,
		create: async (_, value) => (entry ? undefined : (entry = { value, revision: ++revision }).revision),
		update: async (_, value, expected) => {
			const isTheirs = entry?.revision === expected;
			if (isTheirs) entry = { value, revision: ++revision };
			const written = isTheirs ? revision : undefined;
			await answer(++renewals);
			return written;
		},
		delete: async (_, expected) => void (entry?.revision === expected && (entry = undefined)),
		get: async () => entry,
	};
	return { store, entry: () => entry, put: (value: string) => (entry = { value, revision: ++revision }) };
};

const claim = async (store: LeaseStore) => {
	const onLost = vi.fn();
	const lease = await Lease.claim(store, 's', { worker: 'w', line: 'l' }, { nowMs: () => performance.now(), onLost });
	return { lease: lease!, onLost };
};

const never = new Promise(() => {});
const later = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

test.each([
	['lost', () => never],
	['two seconds late', () => later(2000)],
])('a lease outlives an answer that is %s', async (_, slow) => {
	const { store, entry } = tableOf((renewal) => (renewal === 1 ? slow() : Promise.resolve()));
	const { lease, onLost } = await claim(store);
	await vi.advanceTimersByTimeAsync(10_000);
	expect(onLost).not.toHaveBeenCalled();
	expect(lease.holds).toBe(true);
	await lease.release();
	expect(entry()).toBeUndefined();
});

test('a lease lives with a table that answers after 0.8 s each time', async () => {
	const { store } = tableOf(() => later(800));
	const { lease, onLost } = await claim(store);
	await vi.advanceTimersByTimeAsync(10_000);
	expect(onLost).not.toHaveBeenCalled();
	expect(lease.holds).toBe(true);
});

test('a lease is believed in no longer where nothing is answered any more', async () => {
	const { store } = tableOf(() => never);
	const { lease, onLost } = await claim(store);
	await vi.advanceTimersByTimeAsync(2399);
	expect(lease.holds).toBe(true);
	await vi.advanceTimersByTimeAsync(1000);
	expect(lease.holds).toBe(false);
	expect(onLost).toHaveBeenCalledTimes(1);
});

test('a lease that another has written is lost at the next renewal, and the entry is left to him', async () => {
	const { store, entry, put } = tableOf(() => Promise.resolve());
	const { lease, onLost } = await claim(store);
	put('another');
	await vi.advanceTimersByTimeAsync(601);
	expect(onLost).toHaveBeenCalledTimes(1);
	expect(lease.holds).toBe(false);
	await lease.release();
	expect(entry()?.value).toBe('another');
});
