// How two machines are paired: the exchange of a code over real TLS, and who else might be there.
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { Pair } from '../../sidecar/config/schema/pairing.ts';
import { advertise, discover } from '../../sidecar/fleet/discovery.ts';
import { newSecret } from '../../sidecar/fleet/pairing-code.ts';
import { pairingKey } from '../../sidecar/fleet/pairing.ts';
import { typeCode } from '../../sidecar/fleet/pairing-guest.ts';
import { PairingHost } from '../../sidecar/fleet/pairing-host.ts';
import { makeServerIdentity, type ServerIdentity } from '../../sidecar/fleet/server-identity.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { freePort } from '../support/free-port.ts';

setLog({ level: 'silent' });

let identity: ServerIdentity;
let foreign: ServerIdentity;
beforeAll(async () => {
	[identity, foreign] = await Promise.all([makeServerIdentity(), makeServerIdentity()]);
});

const GRANT = { name: 'gaming-pc', addresses: ['127.0.0.1'], port: 7720, token: 't'.repeat(43) };
const closers: (() => PromiseLike<unknown> | void)[] = [];
afterEach(async () => {
	for (const close of closers.splice(0).reverse()) await close();
});

const show = async (over: Partial<Parameters<typeof PairingHost.open>[0]> = {}): Promise<PairingHost> => {
	const secret = over.secret ?? newSecret();
	const host = await PairingHost.open({ identity, secret, grant: GRANT, port: 0, validMs: 60_000, ...over });
	closers.push(() => host[Symbol.asyncDispose]());
	return host;
};

const at = (...ports: number[]) => ports.map((port) => ({ host: '127.0.0.1', port }));

/** Types a code here; `kept` is what was agreed. */
const typeIn = async (
	secret: string,
	ports: number[],
	over: Partial<Parameters<typeof typeCode>[1]> = {},
): Promise<{ kept: Pair[]; error?: { code: string; message: string } }> => {
	const kept: Pair[] = [];
	const keep = async (pair: Pair) => void kept.push(pair);
	const settings = { host: 'obs-pc', check: async () => {}, keep, talkMs: 5000, ...over };
	return await typeCode({ secret, places: at(...ports) }, settings).then(
		() => ({ kept }),
		(error: { code: string; message: string }) => ({ kept, error }),
	);
};

/** A port whose machine drops what comes, as a firewall does: its queue is full, and nobody takes from it. */
const silentPort = async (): Promise<number> => {
	const listen =
		"import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0); print(s.getsockname()[1], flush=True); input()";
	const child = spawn('/usr/bin/python3', ['-c', listen], { stdio: ['pipe', 'pipe', 'inherit'] });
	const [text] = (await once(child.stdout!, 'data')) as [Buffer];
	const port = Number(text.toString());
	const waiting = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
	closers.push(() => {
		for (const socket of waiting) socket.destroy();
		child.kill();
	});
	await once(waiting[0]!, 'connect');
	return port;
};

const outcomeOf = (host: PairingHost) =>
	host.paired().then(
		(guest) => ({ guest }),
		(error: { code: string; message: string }) => ({ error }),
	);

it('is a certificate that no clock finds too new or too old', () => {
	const { validFrom, validTo } = new X509Certificate(identity.certificate);
	expect([validFrom, validTo]).toEqual(['Jan  1 00:00:00 1970 GMT', 'Dec 31 23:59:59 9999 GMT']);
});

describe('a code that is typed', () => {
	it('gives both ends the same, and each the right one', async () => {
		const secret = newSecret();
		const host = await show({ secret });
		const { kept, error } = await typeIn(secret, [host.port]);
		expect(error).toBeUndefined();
		const { name, port, token } = GRANT;
		expect(kept).toEqual([
			{ name, isHost: false, addresses: ['127.0.0.1'], port, token, certificate: identity.certificate },
		]);
		expect(await outcomeOf(host)).toEqual({ guest: { host: 'obs-pc', address: '127.0.0.1' } });
	});

	it('is good once', async () => {
		const secret = newSecret();
		const host = await show({ secret });
		expect((await typeIn(secret, [host.port])).error).toBeUndefined();
		const { kept, error } = await typeIn(secret, [host.port]);
		expect(kept).toEqual([]);
		expect(error).toMatchObject({ code: 'ERR_PAIR', message: expect.stringMatching(/of no use any more/) });
	});

	it('is good once, where two type it at the same moment', async () => {
		const secret = newSecret();
		const host = await show({ secret });
		const both = await Promise.all([typeIn(secret, [host.port]), typeIn(secret, [host.port])]);
		expect(both.flatMap(({ kept }) => kept)).toHaveLength(1);
	});

	it('is good for a while', async () => {
		const secret = newSecret();
		const host = await show({ secret, validMs: 50 });
		const { error } = (await outcomeOf(host)) as { error: { code: string; message: string } };
		expect(error).toMatchObject({ code: 'ERR_PAIR', message: expect.stringMatching(/in time/) });
		expect((await typeIn(secret, [host.port])).error?.message).toMatch(/of no use any more/);
	});

	it('is given nothing for where that could not be kept', async () => {
		const secret = newSecret();
		const host = await show({ secret, keep: () => Promise.reject(new Error('the disk is full')) });
		expect(await typeIn(secret, [host.port])).toMatchObject({ kept: [], error: { code: 'ERR_PAIR' } });
		expect(await outcomeOf(host)).toEqual({ error: new Error('the disk is full') });
	});

	it('is of no use after three wrong ones, also for who has the right one', async () => {
		const secret = newSecret();
		const left: number[] = [];
		const host = await show({ secret, onWrong: (_, tries) => void left.push(tries) });
		const first = await typeIn(newSecret(), [host.port]);
		expect(first).toMatchObject({ kept: [], error: { message: expect.stringMatching(/shows another code/) } });
		for (let guess = 0; guess < 2; guess++) await typeIn(newSecret(), [host.port]);
		expect(left).toEqual([2, 1, 0]);
		const { kept, error } = await typeIn(secret, [host.port]);
		expect([kept, error?.message]).toEqual([[], expect.stringMatching(/of no use any more/)]);
		expect(await outcomeOf(host)).toMatchObject({ error: { message: expect.stringMatching(/guessing/) } });
	});

	it('is not agreed on where what was agreed does not work, and both ends say why', async () => {
		const secret = newSecret();
		const host = await show({ secret });
		const check = () => Promise.reject(Object.assign(new Error('no way to port 7720'), { code: 'ERR_FLEET' }));
		expect(await typeIn(secret, [host.port], { check })).toMatchObject({ kept: [], error: { code: 'ERR_FLEET' } });
		expect(await outcomeOf(host)).toMatchObject({
			error: { code: 'ERR_PAIR', message: expect.stringMatching(/obs-pc .*TCP 7720 through its firewall/) },
		});
	});

	it('finds its machine among several addresses', async () => {
		const secret = newSecret();
		const host = await show({ secret });
		const silent = createTlsServer({ cert: foreign.certificate, key: foreign.key }, (socket) => socket.destroy());
		silent.listen(0, '127.0.0.1');
		await once(silent, 'listening');
		closers.push(() => void silent.close());
		const other = (silent.address() as { port: number }).port;
		const { kept, error } = await typeIn(secret, [await freePort(), other, host.port]);
		expect(error).toBeUndefined();
		expect(kept).toHaveLength(1);
	});

	it('is asked for once of each machine, whatever the ways to it', async () => {
		const wrong: number[] = [];
		const host = await show({ onWrong: (_, left) => void wrong.push(left) });
		const ways = ['127.0.0.1', 'localhost', '127.0.0.2'].map((name) => ({ host: name, port: host.port }));
		const settings = { host: 'obs-pc', check: async () => {}, keep: async () => {} };
		await expect(typeCode({ secret: newSecret(), places: ways }, settings)).rejects.toThrow(/shows another code/);
		expect(wrong).toEqual([2]);
	});

	it('finds its machine beside one with another code', async () => {
		const secret = newSecret();
		const [other, host] = [await show({ identity: foreign }), await show({ secret })];
		expect(await typeIn(secret, [other.port, host.port])).toMatchObject({ kept: [{ name: GRANT.name }] });
	});

	it('is found in the network by mDNS', async () => {
		const loopback = { interface: '127.0.0.1', bind: '0.0.0.0' };
		expect(await discover(loopback)).toEqual([]);
		const told = advertise('gaming-pc', 40_123, loopback);
		closers.push(() => told[Symbol.asyncDispose]());
		expect(await discover(loopback)).toContainEqual({ host: '127.0.0.1', port: 40_123 });
	});

	it('does not wait for a way that says nothing, and says so where there is no other', async () => {
		const silent = await silentPort();
		const secret = newSecret();
		const host = await show({ secret });
		expect((await typeIn(secret, [silent, await freePort(), host.port])).error).toBeUndefined();
		const { error } = await typeIn(newSecret(), [silent]);
		expect(error).toMatchObject({ code: 'ERR_PAIR', message: expect.stringMatching(/no answer: .* firewall/) });
	});

	it('says why where nobody is', async () => {
		const { error } = await typeIn(newSecret(), [await freePort()]);
		expect(error).toMatchObject({ code: 'ERR_PAIR', message: expect.stringMatching(/nothing waits there/) });
	});
});

describe('somebody else in the network', () => {
	it.each([
		['a proof of his own making', () => 'A'.repeat(43)],
		['what was just shown to him', (proof: string) => proof],
	])('who does not know the code is not believed for %s', async (_, proofFor) => {
		const asked: unknown[] = [];
		const impostor = createTlsServer({ cert: foreign.certificate, key: foreign.key }, (socket) => {
			socket.on('error', () => {});
			socket.once('data', (data) => {
				const { proof } = JSON.parse(data.toString()) as { proof: string };
				asked.push(proof);
				socket.write(`${JSON.stringify({ type: 'granted', proof: proofFor(proof), ...GRANT })}\n`);
			});
		});
		impostor.listen(0, '127.0.0.1');
		await once(impostor, 'listening');
		closers.push(() => void impostor.close());
		const secret = newSecret();
		const { kept, error } = await typeIn(secret, [(impostor.address() as { port: number }).port]);
		expect(kept).toEqual([]);
		expect(error).toMatchObject({ code: 'ERR_PAIR', message: expect.stringMatching(/does not know the code/) });
		expect(JSON.stringify(asked)).not.toContain(secret);
	});

	it.each([
		['a certificate of his own', () => foreign],
		// As if he had its key, too: what is shown is of one connection alone.
		['the certificate of the machine', () => identity],
	])('who sits between the two with %s gets nothing', async (_, own) => {
		const secret = newSecret();
		const host = await show({ secret });
		const heard: string[] = [];
		const between = createTlsServer({ cert: own().certificate, key: own().key }, (guest) => {
			const onward = connectTls({ port: host.port, host: '127.0.0.1', rejectUnauthorized: false });
			for (const [from, to] of [
				[guest, onward],
				[onward, guest],
			] as [TLSSocket, TLSSocket][]) {
				from.on('data', (data) => {
					heard.push(data.toString());
					to.write(data);
				});
				from.on('error', () => to.destroy());
				from.on('close', () => to.destroy());
			}
		});
		between.listen(0, '127.0.0.1');
		await once(between, 'listening');
		closers.push(() => void between.close());
		const { kept, error } = await typeIn(secret, [(between.address() as { port: number }).port]);
		expect(kept).toEqual([]);
		expect(error?.code).toBe('ERR_PAIR');
		expect(heard.join('')).toContain('proof');
		expect(heard.join('')).not.toMatch(new RegExp(`${GRANT.token}|${secret}|granted`));
	});

	it('who has made keys before can use none of them on another connection', async () => {
		const bindings = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
		const [one, other] = await Promise.all(bindings.map((binding) => pairingKey('secret', Buffer.from('it'), binding)));
		expect(one).toHaveLength(32);
		expect(one!.equals(other!)).toBe(false);
	});

	it('who guesses on eight connections at once has three tries all the same', async () => {
		const left: number[] = [];
		const host = await show({ onWrong: (_, tries) => void left.push(tries) });
		const guesses = await Promise.all(Array.from({ length: 8 }, () => typeIn(newSecret(), [host.port])));
		expect(left).toEqual([2, 1, 0]);
		expect(guesses.every(({ kept }) => kept.length === 0)).toBe(true);
	});

	it('who repeats what was shown on another connection gets nothing', async () => {
		const secret = newSecret();
		const host = await show({ secret });
		let said = '';
		const listener = createTlsServer({ cert: identity.certificate, key: identity.key }, (socket) => {
			socket.on('error', () => {});
			socket.once('data', (data) => {
				said = data.toString();
				socket.destroy();
			});
		});
		listener.listen(0, '127.0.0.1');
		await once(listener, 'listening');
		closers.push(() => void listener.close());
		await typeIn(secret, [(listener.address() as { port: number }).port]);
		expect(said).toContain('proof');
		const socket = connectTls({ port: host.port, host: '127.0.0.1', rejectUnauthorized: false });
		await once(socket, 'secureConnect');
		socket.write(said);
		const [answer] = (await once(socket, 'data')) as [Buffer];
		socket.destroy();
		expect(JSON.parse(answer.toString())).toEqual({ type: 'refused', reason: 'code' });
	});

	it('who says nothing, too much or nonsense keeps nobody from pairing, and uses up no try', async () => {
		const secret = newSecret();
		const wrong: number[] = [];
		const host = await show({ secret, talkMs: 3000, onWrong: (_, left) => void wrong.push(left) });
		const sockets: Socket[] = [];
		closers.push(() => sockets.forEach((socket) => socket.destroy()));
		const open = (tls: boolean): Socket => {
			const socket = tls
				? connectTls({ port: host.port, host: '127.0.0.1', rejectUnauthorized: false })
				: connect(host.port, '127.0.0.1');
			socket.on('error', () => {});
			sockets.push(socket);
			return socket;
		};
		for (const said of ['GET / HTTP/1.1\r\n\r\n', '']) open(false).write(said);
		const closed: Promise<unknown>[] = [];
		for (const said of ['{}\n', 'nonsense\n', '"'.repeat(20_000), '']) {
			const socket = open(true);
			await once(socket, 'secureConnect');
			socket.write(said);
			socket.resume();
			closed.push(new Promise((resolve) => socket.once('close', resolve)));
		}
		await Promise.all(closed);
		expect((await typeIn(secret, [host.port])).error).toBeUndefined();
		expect(wrong).toEqual([]);
	});
});
