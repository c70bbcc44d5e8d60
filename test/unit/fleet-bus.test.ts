import { expect, test, vi } from 'vitest';
import { pairAccessOf } from '../../sidecar/fleet/fleet-bus.ts';
import type { Missed, Place, Reach } from '../../sidecar/fleet/reach.ts';

/** What answers, and why the others do not. */
const codes: Record<string, string> = {};
vi.mock('../../sidecar/fleet/reach.ts', async (original) => ({
	...(await original<object>()),
	reach: async (places: readonly Place[]): Promise<Reach> => ({
		reached: places.filter(({ host }) => codes[host] === undefined),
		missed: places.flatMap((place): Missed[] => (codes[place.host] ? [{ ...place, code: codes[place.host]! }] : [])),
	}),
}));

const accessTo = (addresses: string[]) =>
	pairAccessOf('paired', { name: 'one', isHost: false, addresses, port: 7720, token: 't', certificate: 'c' });

test('ways that were not there in time are tried later, but for addresses that say nothing', async () => {
	Object.assign(codes, {
		'one.local': 'ETIMEDOUT',
		one: 'ENOTFOUND',
		'192.168.1.7': 'ECONNREFUSED',
		'172.17.0.1': 'ETIMEDOUT',
		'fe80::1': 'ETIMEDOUT',
	});
	const access = await accessTo(['172.17.0.1', 'one.local', 'fe80::1', '192.168.1.20', 'one', '192.168.1.7', '::1']);
	expect(access.server).toBe('192.168.1.20:7720');
	expect(access.servers).toEqual(['192.168.1.20:7720', '[::1]:7720', 'one.local:7720', 'one:7720', '192.168.1.7:7720']);
});

test('where nothing answers that is said, and why', async () => {
	await expect(accessTo(['one.local', '172.17.0.1'])).rejects.toThrow(/one is not reached:\none\.local, port 7720: /);
});
