import { writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { loadConfiguration, type FlagValue } from '../../sidecar/config/load-config.ts';
import { oscSettingsOf, type OscSettings } from '../../sidecar/config/osc-settings.ts';
import { openTemporaryFolder } from '../support/clips.ts';

/** What a file, the environment and flags together say. */
const settings = async (
	osc: unknown,
	{ flag, variable }: { flag?: FlagValue; variable?: string } = {},
): Promise<OscSettings | undefined> => {
	await using folder = await openTemporaryFolder();
	await writeFile(folder.at('allaprima.json'), JSON.stringify(osc === undefined ? {} : { osc }));
	const configuration = await loadConfiguration({
		file: folder.at('allaprima.json'),
		flags: flag === undefined ? {} : { osc: flag },
		environment: { HOME: folder.at('.'), ALLAPRIMA_OSC: variable },
	});
	return oscSettingsOf(configuration);
};

const local = { host: '127.0.0.1', port: 7718, allow: [], feedback: [] };

describe('OSC', () => {
	test('is off unless something is said', async () => {
		expect(await settings(undefined)).toBeUndefined();
		expect(await settings('off')).toBeUndefined();
		expect(await settings(9000, { flag: 'off' })).toBeUndefined();
	});

	test('listens on this machine alone', async () => {
		expect(await settings({})).toEqual(local);
		expect(await settings(9000)).toEqual({ ...local, port: 9000 });
		expect(await settings({ host: 'localhost' })).toEqual(local);
		expect(await settings(undefined, { flag: '9000' })).toEqual({ ...local, port: 9000 });
		expect(await settings(9000, { variable: '9001' })).toEqual({ ...local, port: 9001 });
	});

	test('keeps the list of a file where a flag says another port', async () => {
		const file = { port: 9000, host: '0.0.0.0', allow: ['10.0.0.5'], feedback: ['10.0.0.5:9001', 'localhost:9002'] };
		const feedback = [
			{ address: '10.0.0.5', port: 9001 },
			{ address: '127.0.0.1', port: 9002 },
		];
		expect(await settings(file, { flag: '9009' })).toEqual({ ...file, port: 9009, feedback });
		expect(await settings({ allow: ['10.0.0.5'] }, { flag: '0.0.0.0:9009' })).toMatchObject({
			host: '0.0.0.0',
			port: 9009,
			allow: ['10.0.0.5'],
		});
	});

	test('speaks IPv6 where it listens there', async () => {
		expect(await settings({ host: '::1', feedback: ['[::1]:9000', 'localhost:9001'] })).toEqual({
			...local,
			host: '::1',
			feedback: [
				{ address: '::1', port: 9000 },
				{ address: '::1', port: 9001 },
			],
		});
	});

	test.each(['0.0.0.0', '::', '192.168.1.2', 'fe80::5'])(
		'does not listen at %s without a list of who may send',
		async (host) => {
			for (const allow of [undefined, []])
				await expect(settings({ host, ...(allow && { allow }) })).rejects.toMatchObject({
					code: 'ERR_CONFIG',
					message: expect.stringMatching(/OSC knows no password: list the addresses that may send under osc\.allow/),
				});
			await expect(
				settings(undefined, { flag: host.includes(':') ? `[${host}]:9000` : `${host}:9000` }),
			).rejects.toThrow(/osc\.allow/);
		},
	);

	test.each<[unknown, RegExp]>([
		[65_536, /expected number to be <=65535/],
		['on', /expected a port of 0 to 65535, ADDRESS:PORT, off, or in a file/],
		[{ port: 9000, ports: 1 }, /Unrecognized key: "ports"/],
		[{ host: 'studio.lan' }, /expected an address of this machine/],
		[{ allow: ['0.0.0.0/0'] }, /expected an address, such as 192\.168\.1\.20/],
		[{ allow: ['localhost'] }, /expected an address/],
		[{ feedback: ['10.0.0.5'] }, /expected ADDRESS:PORT/],
		[{ feedback: ['10.0.0.5:0'] }, /expected ADDRESS:PORT/],
		[{ feedback: ['::1:9000'] }, /expected ADDRESS:PORT/],
		[{ feedback: ['studio.lan:9000'] }, /expected ADDRESS:PORT/],
		[{ feedback: ['http://10.0.0.5:9000'] }, /expected ADDRESS:PORT/],
		[{ feedback: ['10.0.0.5:9000'] }, /cannot leave this machine from 127\.0\.0\.1\. Set osc\.host/],
		[{ host: '0.0.0.0', allow: ['10.0.0.5'], feedback: ['[fe80::5]:9000'] }, /an address of IPv6/],
	])('%j is refused', async (osc, message) => {
		await expect(settings(osc)).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: expect.stringMatching(message),
		});
	});
});
