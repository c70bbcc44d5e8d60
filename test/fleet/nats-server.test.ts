// The NATS server of a pair as a child: who has it, what becomes of it, and what is said where it cannot be had.
import { existsSync } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FleetServer, readServerIdentity, writeServerIdentity } from '../../sidecar/fleet/nats-server.ts';
import { reach } from '../../sidecar/fleet/reach.ts';
import { makeServerIdentity } from '../../sidecar/fleet/server-identity.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';

setLog({ level: 'silent' });

const unpacked = fileURLToPath(new URL('../../.cache/nats-server/usr/sbin/nats-server', import.meta.url));
const program = existsSync(unpacked) ? unpacked : '/usr/sbin/nats-server';

let folder: string;
let port: number;
const settings = () => ({ program, folder, pair: { port, token: 't'.repeat(43) } });
const isOpen = async () => (await reach([{ host: '127.0.0.1', port }])).reached.length > 0;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-server-'));
	port = await freePort();
	await writeServerIdentity(folder, await makeServerIdentity());
});
afterEach(async () => {
	await rm(folder, { recursive: true, force: true });
});

describe('the server of a pair', () => {
	it('is there, for IPv6 too, until who keeps it ends', async () => {
		{
			await using server = await FleetServer.keep(settings());
			expect(server.pid).toBeGreaterThan(0);
			expect((await reach([{ host: '::1', port }])).reached).toHaveLength(1);
		}
		expect(await isOpen()).toBe(false);
		expect((await stat(join(folder, 'nats.conf'))).mode & 0o777).toBe(0o600);
	});

	it('is one, whoever keeps it, and stays when the one who had it ends', async () => {
		const first = await FleetServer.keep(settings());
		await using second = await FleetServer.keep(settings());
		expect([first.pid === undefined, second.pid === undefined]).toEqual([false, true]);
		await first[Symbol.asyncDispose]();
		await until(() => second.pid !== undefined);
		await until(isOpen);
	});

	it('is there again when it died', async () => {
		await using server = await FleetServer.keep(settings());
		const { pid } = server;
		process.kill(pid!, 'SIGKILL');
		await until(() => server.pid !== undefined && server.pid !== pid);
		await expect(until(isOpen)).resolves.toBeUndefined();
	});

	it('says what is wrong with its files', async () => {
		await rm(join(folder, 'key.pem'));
		await expect(readServerIdentity(folder)).rejects.toThrow(/key\.pem cannot be read \(ENOENT\).*pair forget/);
		await expect(FleetServer.keep(settings())).rejects.toMatchObject({
			code: 'ERR_FLEET',
			message: expect.stringMatching(/nats-server did not start: .*key/),
		});
	});

	it('says what is wrong with the program', async () => {
		const wrong = { ...settings(), program: '/bin/false' };
		await expect(FleetServer.keep(wrong)).rejects.toMatchObject({ code: 'ERR_FLEET' });
		expect(await isOpen()).toBe(false);
	});

	it('is taken to be there where something is, for who connects to find out', async () => {
		await using other = createServer((socket) => socket.destroy()).listen(port, '127.0.0.1');
		await once(other, 'listening');
		await using server = await FleetServer.keep(settings());
		expect(server.pid).toBeUndefined();
	});
});
