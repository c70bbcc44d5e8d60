import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { httpAccessOf, isLoopback } from '../../sidecar/config/http-access.ts';
import { loadConfiguration } from '../../sidecar/config/load-config.ts';
import { openTemporaryFolder } from '../support/clips.ts';

const TOKEN = 'wet-on-wet-0123456789';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

/** As a file and a flag say it, and what the environment has. */
const access = async ({
	file,
	http,
	environment = {},
}: { file?: object; http?: string; environment?: Record<string, string> } = {}) => {
	const all = { HOME: folder.at('empty-home'), ...environment };
	const path = folder.at('allaprima.json');
	await writeFile(path, JSON.stringify(file ?? {}));
	const flags = http === undefined ? {} : { http };
	return await httpAccessOf(await loadConfiguration({ flags, environment: all, file: path }), all);
};

const tokenFile = async (text: string, mode: number, name = 'token'): Promise<string> => {
	const path = folder.at(name);
	await writeFile(path, text);
	await chmod(path, mode);
	return path;
};

describe('where the page is', () => {
	test('on this machine alone, for all of it, unless something is said', async () => {
		expect(await access()).toEqual({ host: '127.0.0.1', port: 7717, hosts: ['127.0.0.1'] });
		expect(await access({ http: '8080' })).toMatchObject({ host: '127.0.0.1', port: 8080 });
		expect(await access({ http: 'localhost:8080' })).toMatchObject({ host: '127.0.0.1', port: 8080 });
		expect(await access({ http: '[::1]:8080' })).toMatchObject({ host: '::1', port: 8080 });
		expect(await access({ http: 'off' })).toBeUndefined();
	});

	test.each(['0.0.0.0', '[::]', '192.168.1.5', 'studio.lan', '128.0.0.1', '0177.0.0.1', '127.0.0.1.example.org', '0'])(
		'%s is reached from elsewhere, and refused without a token',
		async (host) => {
			await expect(access({ http: `${host}:7717` })).rejects.toMatchObject({
				code: 'ERR_CONFIG',
				message: expect.stringMatching(/takes a token: set ALLAPRIMA_HTTP_TOKEN or http\.tokenFile/),
			});
			const environment = { ALLAPRIMA_HTTP_TOKEN: TOKEN };
			expect(await access({ http: `${host}:7717`, environment })).toMatchObject({ port: 7717, token: TOKEN });
		},
	);

	test('in a file, with names of its own; a flag says another port and leaves the token in force', async () => {
		await tokenFile(`${TOKEN}\n`, 0o600);
		const file = { http: { host: '0.0.0.0', hosts: ['Paint.example.org'], tokenFile: 'token' } };
		const hosts = ['0.0.0.0', 'paint.example.org'];
		expect(await access({ file })).toEqual({ host: '0.0.0.0', port: 7717, hosts, token: TOKEN });
		expect(await access({ file, http: '8080' })).toEqual({ host: '0.0.0.0', port: 8080, hosts, token: TOKEN });
		expect(await access({ file, http: '192.168.1.5:80' })).toMatchObject({ host: '192.168.1.5', token: TOKEN });
	});

	test.each(['a b:80', 'host:70000', 'http://127.0.0.1:80', '127.0.0.1:', ':80'])('%s is refused', async (http) => {
		await expect(access({ http })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
	});

	test('what is this machine alone', () => {
		expect(['127.0.0.1', '127.9.9.9', '::1', 'localhost', 'LOCALHOST'].filter((host) => !isLoopback(host))).toEqual([]);
		expect(['0.0.0.0', '::', '10.0.0.1', '127.1', '::ffff:127.0.0.1'].filter(isLoopback)).toEqual([]);
	});
});

describe('a token', () => {
	test.each(['short', 'fifteen-letters', 'has a space in the middle of it', 'x'.repeat(257), 'naïve-but-long-enough'])(
		'%s is refused and not repeated',
		async (token) => {
			const failing = access({ environment: { ALLAPRIMA_HTTP_TOKEN: token } });
			await expect(failing).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.not.stringContaining(token) });
			await expect(failing).rejects.toThrow(/Expected 16 to 256/);
		},
	);

	test('of the chat is one of its own', async () => {
		const environment = { ALLAPRIMA_HTTP_TOKEN: TOKEN, ALLAPRIMA_CHAT_TOKEN: TOKEN };
		await expect(access({ environment })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		const own = { ...environment, ALLAPRIMA_CHAT_TOKEN: 'only-for-the-chat' };
		expect(await access({ environment: own })).toMatchObject({ token: TOKEN, chatToken: 'only-for-the-chat' });
		await expect(
			access({ http: '0.0.0.0:7717', environment: { ALLAPRIMA_CHAT_TOKEN: 'only-for-the-chat' } }),
		).rejects.toMatchObject({ code: 'ERR_CONFIG' });
	});

	test.each([
		[0o644, /mode 644.*chmod 600/s],
		[0o604, /mode 604/],
		[0o602, /mode 602/],
	])('in a file of mode %o is refused', async (mode, message) => {
		await tokenFile(TOKEN, mode);
		const failing = access({ file: { http: { tokenFile: 'token' } } });
		await expect(failing).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(message) });
	});

	test('in a file of mode 640 is taken: a service has a group of its own', async () => {
		await tokenFile(TOKEN, 0o640);
		expect(await access({ file: { http: { tokenFile: 'token' } } })).toMatchObject({ token: TOKEN });
	});

	test('in no file, in a folder or in an endless one is refused', async () => {
		await mkdir(folder.at('folder'), { recursive: true });
		for (const path of ['nowhere', 'folder', '/dev/zero'])
			await expect(access({ file: { http: { tokenFile: path } } })).rejects.toThrow(/token file .* cannot be read/);
		await tokenFile('x'.repeat(100_000), 0o600, 'long');
		await expect(access({ file: { http: { tokenFile: 'long' } } })).rejects.toThrow(/got 4096 characters/);
	});
});
