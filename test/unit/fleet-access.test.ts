import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fleetAccessOf } from '../../sidecar/config/fleet-access.ts';
import { loadConfiguration } from '../../sidecar/config/load-config.ts';

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-access-'));
	await writeFile(join(folder, 'own.creds'), 'credentials');
	await writeFile(join(folder, 'large.creds'), 'x'.repeat(70_000));
});
afterAll(async () => {
	await rm(folder, { recursive: true, force: true });
});

describe('what opens the NATS server', () => {
	it('is nothing, a token, a user or a file, from the environment and the configuration', async () => {
		expect(await fleetAccessOf('nats://studio.lan:4223', {}, {})).toEqual({
			url: 'nats://studio.lan:4223',
			server: 'studio.lan:4223',
		});
		expect(await fleetAccessOf('nats://[::1]', {}, { ALLAPRIMA_NATS_TOKEN: 't' })).toMatchObject({ token: 't' });
		const user = { ALLAPRIMA_NATS_USER: 'cam', ALLAPRIMA_NATS_PASSWORD: 'p' };
		expect(await fleetAccessOf('nats://a', {}, user)).toMatchObject({ user: 'cam', password: 'p' });
		const { credentials } = await fleetAccessOf('nats://a', { credsFile: join(folder, 'own.creds') }, {});
		expect(Buffer.from(credentials!).toString()).toBe('credentials');
	});

	it('is encrypted where the scheme or a certificate says so', async () => {
		expect((await fleetAccessOf('tls://a', {}, {})).tls).toEqual({});
		const caFile = join(folder, 'own.creds');
		expect((await fleetAccessOf('nats://a', { caFile }, {})).tls).toEqual({ caFile });
	});

	it.each([
		['http://a', {}, {}, /nats:\/\/HOST/],
		['nats://me:secret@a', {}, {}, /for the environment/],
		['nats://a/b', {}, {}, /without a user or a path/],
		['nats://a', {}, { ALLAPRIMA_NATS_TOKEN: 'secret', ALLAPRIMA_NATS_USER: 'u' }, /2 are set/],
		['nats://a', {}, { ALLAPRIMA_NATS_USER: 'u' }, /go together/],
		['nats://a', { certFile: 'x' }, {}, /go together/],
		['nats://a', { credsFile: 'none.creds' }, {}, /fleet.credsFile .* cannot be read \(ENOENT\)/],
		['nats://a', { credsFile: 'large.creds' }, {}, /70000 bytes/],
		['nats://a', { caFile: '.' }, {}, /cannot be read/],
	])('%s %j %j is refused, and no secret said', async (url, files, environment, why) => {
		const absolute = Object.fromEntries(Object.entries(files).map(([key, file]) => [key, join(folder, file)]));
		const refused = fleetAccessOf(url, absolute, environment);
		await expect(refused).rejects.toThrow(why);
		await expect(refused).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		await expect(refused).rejects.toThrow(/^(?![\s\S]*secret)/);
	});
});

describe('the configuration', () => {
	it('takes an engine elsewhere, and paths from where the file lies', async () => {
		const file = join(folder, 'allaprima.json');
		await writeFile(file, JSON.stringify({ engine: 'tls://studio.lan', fleet: { caFile: 'ca.pem', deadlineMs: 100 } }));
		const { engine, fleet } = await loadConfiguration({ flags: {}, environment: {}, file });
		expect(engine).toBe('tls://studio.lan');
		expect(fleet).toEqual({ caFile: join(folder, 'ca.pem'), deadlineMs: 100 });
	});

	it('paints here unless told otherwise, and knows the variables', async () => {
		const environment = { ALLAPRIMA_NATS_TOKEN: 't', HOME: folder, XDG_CONFIG_HOME: folder };
		const { engine, fleet } = await loadConfiguration({ flags: {}, environment });
		expect([engine, fleet]).toEqual(['local', { deadlineMs: 300 }]);
	});

	it.each(['http://a', 'nats://', 'nats://a:b:c', 'nats://u:p@a', 'nats://a/b', 'elsewhere'])(
		'refuses the engine %s',
		async (engine) => {
			const refused = loadConfiguration({ flags: { engine }, environment: { HOME: folder, XDG_CONFIG_HOME: folder } });
			await expect(refused).rejects.toThrow(/expected local, paired or paired:NAME .* or a NATS server/);
		},
	);
});
