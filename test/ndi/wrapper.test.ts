import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect, test } from 'vitest';
import { exitCodeOf } from '../../sidecar/errors.ts';
import { notifySystemd, openNdi } from '../../sidecar/ndi.ts';
import { isRuntimeThere, openNdiNetwork } from '../support/ndi.ts';

const refusalOf = (runtimePath: string) => {
	try {
		openNdi({ runtimePath });
	} catch (error) {
		return error as { code: string; message: string };
	}
	throw new Error('it was loaded');
};

test('a runtime that is missing or none is refused as ERR_NDI, with where it was sought and where to get one', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-ndi-'));
	const absent = refusalOf(folder);
	expect(absent.code).toBe('ERR_NDI');
	expect(exitCodeOf(absent)).toBe(4);
	expect(absent.message).toContain(folder);
	expect(absent.message).toContain('https://ndi.video');
	await writeFile(join(folder, 'libndi.so.6'), 'not a library');
	expect(refusalOf(folder).message).toContain('no library');
	expect(() => openNdi({ runtimePath: 5 as unknown as string })).toThrow(TypeError);
	await rm(folder, { recursive: true });
});

test('systemd is told by a datagram, to a path and to an abstract name', async () => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-systemd-'));
	delete process.env['NOTIFY_SOCKET'];
	expect(notifySystemd('READY=1')).toBe(false);
	for (const path of [join(folder, 'notify'), `@allaprima-test-${process.pid}`]) {
		process.env['NOTIFY_SOCKET'] = path;
		expect(notifySystemd('READY=1')).toBe(false); // nobody listens
		const script = `import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1].replace("@", "\\0", 1) if sys.argv[1][0] == "@" else sys.argv[1])
print("up", flush=True)
print(s.recv(99).decode(), flush=True)`;
		const listener = spawn('/usr/bin/python3', ['-c', script, path], { stdio: ['ignore', 'pipe', 'inherit'] });
		const lines = createInterface({ input: listener.stdout })[Symbol.asyncIterator]();
		expect((await lines.next()).value).toBe('up');
		expect(notifySystemd('READY=1\nSTATUS=painting')).toBe(true);
		expect((await lines.next()).value).toBe('READY=1');
		expect((await lines.next()).value).toBe('STATUS=painting');
	}
	delete process.env['NOTIFY_SOCKET'];
	await rm(folder, { recursive: true });
});

(isRuntimeThere() ? test : test.skip)(
	'our sender and receiver meet, refuse misuse and end with their worker',
	async () => {
		await using network = await openNdiNetwork();
		const process_ = network.run(process.execPath, 'test/support/ndi-wrapper.process.mjs');
		const said = JSON.parse(await process_.untilLine('{', 30_000)) as Record<string, unknown>;
		expect(said).toMatchObject({
			runtime: { hasFailover: true },
			format: {
				layout: { format: 'UYVY', width: 320, height: 180, matrix: 'bt601', range: 'limited' },
				frameRate: { num: 25, den: 1 },
				isInterlaced: false,
			},
			layouts: 1,
			afterClose: [true, null],
			misuse: [
				'TypeError: Expected a name for name but received an empty one.',
				'TypeError: Expected a name or a url for input but received neither.',
				'TypeError: Expected BGRA of 320x180 for picture but received BGRA of 10x180.',
				'TypeError: Expected a Uint8Array of 230400 bytes or more for picture.data but received 5.',
				'TypeError: Expected a bigint of 64 bits for timecode but received a larger one.',
			],
		});
		expect(JSON.stringify(said['found'])).toContain('(FILE)');
		// 200 of 255 in every channel.
		expect(Math.abs((said['luma'] as number) - (16 + (200 * 219) / 255))).toBeLessThanOrEqual(2);
		const timecodes = said['timecodes'] as number[];
		expect(timecodes.every((timecode, i) => i === 0 || timecode > timecodes[i - 1]!)).toBe(true);
		if (process_.process.exitCode === null) await once(process_.process, 'exit');
		expect(process_.process.exitCode).toBe(0);
	},
);
