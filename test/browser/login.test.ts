// The page where the sidecar has a token, and presets that mean ill, in a real browser.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTemporaryFolder } from '../support/clips.ts';
import { presetOf } from '../support/frames.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const TOKEN = 'wet-on-wet-0123456789';
const HOSTILE = `"><script>window.caught = 1</script><img src=x onerror="window.caught = 2">`;

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let sidecar: ChildProcess;
let url: string;
let browser: Browser;
let page: Page;
const environment = () => ({
	PATH: process.env['PATH'],
	HOME: folder.at('home'),
	ALLAPRIMA_HTTP_TOKEN: TOKEN,
	ALLAPRIMA_LOG_LEVEL: 'debug',
});

const said: string[] = [];
beforeAll(async () => {
	folder = await openTemporaryFolder();
	const presets = folder.at('home/.local/share/allaprima/presets');
	await mkdir(presets, { recursive: true });
	const hostile = presetOf('hostile', { title: HOSTILE.slice(0, 80), prompt: HOSTILE });
	await writeFile(`${presets}/hostile.style.json`, JSON.stringify(hostile));
	const args = ['--size', '256x160', '--fps', '8', '--provider', 'cpu', '--http', '0.0.0.0:0', '--log-json'];
	sidecar = spawn(process.execPath, [cli, 'run', ...args], { env: environment(), stdio: ['ignore', 'ignore', 'pipe'] });
	const lines = createInterface({ input: sidecar.stderr! });
	lines.on('line', (line) => said.push(line));
	url = await new Promise<string>((resolve, reject) => {
		lines.on('line', (line) => {
			const found = /"url":"(http:[^"]+)"/.exec(line)?.[1];
			if (found) resolve(found);
		});
		sidecar.once('exit', () => reject(new Error(`the sidecar ended before its page was there: ${said.join('\n')}`)));
	});
	browser = await chromium.launch({
		executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu'],
	});
	page = await browser.newPage();
});
afterAll(async () => {
	await browser?.close();
	if (sidecar?.exitCode === null) {
		const exited = once(sidecar, 'exit');
		sidecar.kill('SIGTERM');
		await exited;
	}
	await folder?.[Symbol.asyncDispose]();
});

const headers = { authorization: `Bearer ${TOKEN}` };
const isOpen = () => page.locator('body[data-link=open][data-epoch]').waitFor({ timeout: 30_000 });

describe('a page of a sidecar with a token', () => {
	test('asks for it, says what is wrong, and then is as ever', async () => {
		const addresses: string[] = [];
		page.on('request', (request) => addresses.push(request.url()));
		page.on('websocket', (socket) => addresses.push(socket.url()));
		await page.goto(url);
		const field = page.getByLabel('Token', { exact: true }).last();
		await field.fill('nobody-knows-this-token');
		await page.keyboard.press('Enter');
		await page.getByText('This token is not known.').waitFor();
		expect(await page.locator('body').getAttribute('data-link')).not.toBe('open');
		await page.keyboard.press('Escape');
		await page.keyboard.press('Escape');
		await field.fill(TOKEN);
		await page.keyboard.press('Enter');
		await isOpen();
		expect(await page.locator('#login').isVisible()).toBe(false);
		await page.locator('button[data-style=pencil-sketch]').click();
		await page.locator('button[data-style=pencil-sketch][aria-pressed=true]').waitFor();
		expect(addresses.some((address) => address.includes('?ticket='))).toBe(true);
		expect(addresses.filter((address) => address.includes(TOKEN))).toEqual([]);
		expect(await page.evaluate('document.cookie + JSON.stringify(localStorage)')).not.toContain(TOKEN);
	});

	test('does not ask again when it is loaded again', async () => {
		await page.reload();
		await isOpen();
		expect(await page.locator('#login').isVisible()).toBe(false);
	});

	test('obeys no key while the token is typed', async () => {
		const other = await browser.newPage();
		await other.goto(url);
		const field = other.locator('#token');
		await field.pressSequentially('p4n]');
		await field.fill(TOKEN);
		await other.keyboard.press('Enter');
		await other.locator('body[data-link=open][data-epoch]').waitFor({ timeout: 30_000 });
		await other.close();
		const state = (await (await fetch(new URL('/api/state', url), { headers })).json()) as {
			control: { panic: boolean; style: string };
		};
		expect(state.control).toMatchObject({ panic: false, style: 'pencil-sketch' });
	});
});

describe('a preset that means ill', () => {
	test('is text on the page, title and prompt', async () => {
		const button = page.locator('button[data-style=hostile]');
		expect(await button.locator('span').textContent()).toBe(HOSTILE.slice(0, 80));
		await button.click();
		await page.locator('button[data-style=hostile][aria-pressed=true]').waitFor();
		await expect.poll(() => page.locator('#prompt').inputValue()).toBe(HOSTILE);
		expect(await page.locator('#tag-style').textContent()).toBe(HOSTILE.slice(0, 80));
		expect(await page.locator('.styles script, .styles img, .stage img').count()).toBe(0);
		expect(await page.evaluate('window.caught')).toBeUndefined();
	});

	test('does nothing in what the API answers', async () => {
		const reader = await browser.newPage({ extraHTTPHeaders: headers });
		for (const path of ['/api', '/api/presets', '/api/state', '/api/nothing<script>window.caught=3</script>']) {
			await reader.goto(new URL(path, url).href);
			expect(await reader.locator('script, img').count()).toBe(0);
			expect(await reader.evaluate('window.caught')).toBeUndefined();
		}
		await reader.close();
	});
});

test('the command line shows the token of the environment', () => {
	const allaprima = (env: NodeJS.ProcessEnv, ...args: string[]) =>
		spawnSync(process.execPath, [cli, ...args], { encoding: 'utf8', env });
	const { ALLAPRIMA_HTTP_TOKEN: _, ...without } = environment();
	expect(allaprima(environment(), 'style', 'anime', '--http', url)).toMatchObject({ status: 0, stdout: 'anime\n' });
	expect(allaprima(without, 'style', 'pencil-sketch', '--http', url)).toMatchObject({
		status: 1,
		stderr: expect.stringMatching(/needs a token.*Set ALLAPRIMA_HTTP_TOKEN\./),
	});
	expect(allaprima(environment(), 'panic', 'off', '--port', new URL(url).port)).toMatchObject({ status: 0 });
	expect(allaprima(environment(), 'style', 'anime', '--http', 'file:///etc/passwd')).toMatchObject({ status: 2 });
});

test('the token is in no line of the log', () => {
	expect(said.length).toBeGreaterThan(2);
	expect(said.filter((line) => line.includes(TOKEN))).toEqual([]);
});
