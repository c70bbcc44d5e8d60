import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { forgetPair, isPaired, keepPair, pairOf, pairsPath, readPairs } from '../../sidecar/config/pairs.ts';
import { PAIRING_PORT, type Pair } from '../../sidecar/config/schema/pairing.ts';
import { natsConfiguration } from '../../sidecar/fleet/nats-server.ts';
import { ownAddresses, ownName, ownNames } from '../../sidecar/fleet/own-addresses.ts';
import { formatCode, newSecret, parseCode } from '../../sidecar/fleet/pairing-code.ts';
import { explainMissed } from '../../sidecar/fleet/reach.ts';

const PLACES = [
	{ host: '192.168.1.20', port: PAIRING_PORT },
	{ host: 'fd00::20', port: 40_123 },
	{ host: 'studio.lan', port: PAIRING_PORT },
];

describe('a code', () => {
	it('is read as it was shown, whoever types it', () => {
		const secret = newSecret();
		const code = formatCode({ secret, places: PLACES });
		expect(code).toMatch(/^[0-9A-Z]{4}-[0-9A-Z]{4}-[0-9A-Z]{4}@192\.168\.1\.20,\[fd00::20\]:40123,studio\.lan$/);
		for (const typed of [code, ` ${code.toLowerCase()} `, code.replaceAll('-', ''), code.replaceAll('-', ' ')])
			expect(parseCode(typed)).toEqual({ secret, places: PLACES });
		expect(parseCode(`${secret}@::1`).places).toEqual([{ host: '::1', port: PAIRING_PORT }]);
		const short = formatCode({ secret, places: [] });
		expect(short).toMatch(/^\w{4}-\w{4}-\w{4}$/);
		expect(parseCode(short)).toEqual({ secret, places: [] });
	});

	it('has letters that are taken for digits read as these', () => {
		const zeros = newSecret(() => 0);
		expect(parseCode(`${zeros.replaceAll('0', 'o')}@a`).secret).toBe(zeros);
		const ones = newSecret(() => 1);
		expect(parseCode(`${ones.replaceAll('1', 'l')}@a`).secret).toBe(ones);
	});

	it('is another each time, of all its letters', () => {
		const secrets = Array.from({ length: 200 }, () => newSecret());
		expect(new Set(secrets).size).toBe(200);
		expect(new Set(secrets.join('')).size).toBe(32);
	});

	it('with one wrong letter is noticed before anybody is asked', () => {
		const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
		fc.assert(
			fc.property(
				fc.array(fc.nat(31), { minLength: 11, maxLength: 11 }),
				fc.nat(11),
				fc.integer({ min: 1, max: 31 }),
				(numbers, at, by) => {
					const left = [...numbers];
					const secret = newSecret(() => left.shift()!);
					const wrong = alphabet[(alphabet.indexOf(secret[at]!) + by) % 32]!;
					const typed = secret.slice(0, at) + wrong + secret.slice(at + 1);
					expect(() => parseCode(`${typed}@a`)).toThrow(/mistyped/);
				},
			),
		);
	});

	it.each([
		['', /no code/],
		['K7QM-2XVD', /Expected 12 letters and digits, .* got 8\./],
		['U'.repeat(12), /a U, among them/],
		['x'.repeat(2000), /no code/],
		['000000000000@a@b', /no code/],
		['000000000000@', /After the @/],
		['000000000000@a b', /After the @/],
		['000000000000@[192.168.1.1]', /After the @/],
		['000000000000@a:0', /After the @/],
		['000000000000@a:65536', /After the @/],
		['000000000000@http://a', /After the @/],
		[`000000000000@${Array(9).fill('a').join(',')}`, /8 addresses at most/],
	])('%j is refused', (text, why) => {
		expect(() => parseCode(text)).toThrow(why);
		expect(() => parseCode(text)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
	});
});

describe('where a machine is', () => {
	const of = (...addresses: string[]) => addresses.map((address) => ({ address, internal: false }));

	it('is said by wire before by air, IPv4 before IPv6, without what means nothing elsewhere', () => {
		const interfaces = {
			lo: [{ address: '127.0.0.1', internal: true }],
			wlan0: of('192.168.1.21', 'fe80::1'),
			docker0: of('172.17.0.1'),
			eth0: of('fd00::20', '192.168.1.20', '169.254.3.4'),
		};
		expect(ownAddresses(interfaces)).toEqual(['192.168.1.20', '192.168.1.21', 'fd00::20']);
		expect(ownAddresses({})).toEqual([]);
	});

	it('is also a name, where it has one that others can use', () => {
		expect(ownName('gaming pc.lan')).toBe('gaming-pc');
		expect(ownName('')).toBe('machine');
		expect(ownNames('gaming-pc.lan')).toEqual(['gaming-pc.local', 'gaming-pc']);
		expect(ownNames('localhost')).toEqual([]);
		expect(ownNames('käse')).toEqual([]);
	});

	it('is explained where nobody answers', () => {
		const lines = explainMissed([
			{ host: 'fd00::1', port: 7721, code: 'ECONNREFUSED' },
			{ host: '10.0.0.1', port: 7721, code: 'ETIMEDOUT' },
			{ host: '10.0.0.2', port: 7721, code: 'ENETUNREACH' },
			{ host: '10.0.0.3', port: 7721, code: 'EODD' },
		]).split('\n');
		expect(lines[0]).toMatch(/^\[fd00::1\], port 7721: .*nothing waits there/);
		expect(lines[1]).toMatch(/firewall/);
		expect(lines[2]).toMatch(/another network/);
		expect(lines[3]).toMatch(/EODD/);
	});
});

describe('what was agreed', () => {
	let folder: string;
	let environment: Record<string, string>;
	beforeEach(async () => {
		folder = await mkdtemp(join(tmpdir(), 'allaprima-pairs-'));
		environment = { HOME: folder, XDG_CONFIG_HOME: join(folder, 'config') };
	});
	afterEach(async () => {
		await rm(folder, { recursive: true, force: true });
	});

	const certificateOf = (name: string): string =>
		`-----BEGIN CERTIFICATE-----\n${Buffer.from(name).toString('base64')}\n-----END CERTIFICATE-----\n`;
	const pair = (name: string, over: Partial<Pair> = {}): Pair => ({
		name,
		isHost: false,
		addresses: ['192.168.1.20'],
		port: 7720,
		token: 't'.repeat(43),
		certificate: certificateOf(name),
		...over,
	});

	it('is kept under its name, the newest first, for this user alone', async () => {
		expect(await readPairs(environment)).toEqual([]);
		await keepPair(pair('one'), environment);
		await keepPair(pair('two'), environment);
		await keepPair(pair('one', { port: 7000 }), environment);
		expect((await readPairs(environment)).map(({ name, port }) => [name, port])).toEqual([
			['one', 7000],
			['two', 7720],
		]);
		expect((await stat(pairsPath(environment))).mode & 0o777).toBe(0o600);
		expect((await stat(join(folder, 'config', 'allaprima'))).mode & 0o777).toBe(0o700);
		expect((await pairOf('paired', environment)).name).toBe('one');
		expect((await pairOf('paired:two', environment)).name).toBe('two');
		await expect(pairOf('paired:three', environment)).rejects.toThrow(/not paired with three. It is with one, two/);
	});

	it('is known by its certificate: another machine of its name has another name here', async () => {
		await keepPair(pair('one'), environment);
		const other = { certificate: certificateOf('another'), token: 'u'.repeat(43) };
		expect((await keepPair(pair('one', other), environment)).name).toBe('one-2');
		expect((await keepPair(pair('one', { ...other, port: 7000 }), environment)).name).toBe('one-2');
		const own = { isHost: true, certificate: certificateOf('own') };
		expect((await keepPair(pair('one', own), environment)).name).toBe('one-3');
		expect((await readPairs(environment)).map(({ name, port }) => [name, port])).toEqual([
			['one-3', 7720],
			['one-2', 7000],
			['one', 7720],
		]);
		expect((await pairOf('paired:one', environment)).token).toBe('t'.repeat(43));
		const long = 'x'.repeat(64);
		await keepPair(pair(long), environment);
		expect((await keepPair(pair(long, other), environment)).name).toBe(`${long.slice(0, 61)}-2`);
	});

	it('is not forgotten by a name that two have', async () => {
		await keepPair(pair('one'), environment);
		const pairs = [pair('one'), pair('one', { isHost: true, certificate: certificateOf('own') })];
		await writeFile(pairsPath(environment), JSON.stringify({ format: 'allaprima-pairs', formatVersion: 1, pairs }));
		await expect(forgetPair('one', environment)).rejects.toThrow(/2 machines of the name one/);
		expect(await readPairs(environment)).toHaveLength(2);
	});

	it('is forgotten by name', async () => {
		await keepPair(pair('one'), environment);
		expect(await forgetPair('two', environment)).toBeUndefined();
		expect((await forgetPair('one', environment))?.name).toBe('one');
		await expect(pairOf('paired', environment)).rejects.toThrow(/allaprima pair/);
	});

	it('is not read where others may read it too, and not lost where it cannot be read', async () => {
		await keepPair(pair('one'), environment);
		await chmod(pairsPath(environment), 0o644);
		await expect(readPairs(environment)).rejects.toThrow(/mode 644.*chmod 600/);
		await chmod(pairsPath(environment), 0o600);
		await writeFile(pairsPath(environment), 'not JSON');
		await expect(keepPair(pair('two'), environment)).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		expect(await readFile(pairsPath(environment), 'utf8')).toBe('not JSON');
		await writeFile(pairsPath(environment), '{"format":"allaprima-pairs","formatVersion":1,"pairs":[],"more":1}');
		await expect(readPairs(environment)).rejects.toThrow(/more/);
	});

	it('is meant by paired and nothing like it', () => {
		expect(['paired', 'paired:one', 'pairedwith', 'nats://paired', 'local'].map(isPaired)).toEqual([
			true,
			true,
			false,
			false,
			false,
		]);
	});

	it('is told to nats-server in its own words, whatever the folder is called', () => {
		const text = natsConfiguration('/a "b"\\c', { port: 7720, token: 'secret' });
		expect(text).toContain('listen: "0.0.0.0:7720"');
		expect(text).toContain('cert_file: "/a \\"b\\"\\\\c/cert.pem"');
		expect(text).toContain('token: "secret"');
	});
});
