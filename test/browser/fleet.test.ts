// What the page shows of a fleet, in a real browser: a sidecar whose engine is elsewhere, two workers, and one of them killed.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { FleetView } from '../../sidecar/control/http/served.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { EchoWorker } from '../support/fleet.ts';
import { NatsServer } from '../support/nats.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let nats: NatsServer;
let one: EchoWorker;
let sidecar: ChildProcess;
let url: string;
let browser: Browser;
let page: Page;
const complaints: string[] = [];
beforeAll(async () => {
	folder = await openTemporaryFolder();
	nats = await NatsServer.start();
	one = await EchoWorker.start(nats.url, 'one', 60);
	const args = ['--engine', nats.url, '--size', '64x64', '--fps', '8', '--http', '0', '--log-json'];
	sidecar = spawn(process.execPath, [cli, 'run', ...args], {
		env: { PATH: process.env['PATH'], HOME: folder.at('home') },
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	const said: string[] = [];
	url = await new Promise<string>((resolve, reject) => {
		createInterface({ input: sidecar.stderr! }).on('line', (line) => {
			said.push(line);
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
	page.on('pageerror', ({ message }) => complaints.push(message));
});
afterAll(async () => {
	await browser?.close();
	if (sidecar?.exitCode === null) {
		const exited = once(sidecar, 'exit');
		sidecar.kill('SIGTERM');
		await exited;
	}
	await one?.kill();
	await nats?.[Symbol.asyncDispose]();
	await folder?.[Symbol.asyncDispose]();
});

test('the page shows who paints, what, and who took over', async () => {
	await page.goto(url);
	await page.locator('body[data-link=open][data-engine=painting]').waitFor({ timeout: 30_000 });
	await page.locator('#fleet summary').click();
	const cells = (row: string) => page.locator(`#fleet tr[${row}] > *`).allTextContents();
	const channel = () => cells('data-channel=main');
	await page.locator('#fleet tr[data-worker=one]').waitFor();
	expect((await channel())[1]).toBe('one');
	expect((await channel()).at(-1)).toBe('0');
	// The page paints small pictures of styles, too.
	expect((await cells('data-worker=one')).slice(0, 2)).toEqual(['one', expect.stringMatching(/^[12] of 32$/)]);
	const stream = page.locator('#fleet .stream-row').filter({ hasText: '64×64' });
	expect((await stream.locator('> *').allTextContents()).slice(0, 2)).toEqual(['64×64', 'leased']);
	expect(await page.locator('#fleet .engine').textContent()).toBe(nats.url);

	await using two = await EchoWorker.start(nats.url, 'two', 120);
	await page.locator('#fleet tr[data-worker=two]').waitFor();
	await one.kill();
	await expect
		.poll(channel, { timeout: 20_000 })
		.toEqual(['main', 'two', expect.any(String), expect.any(String), '2', '1']);
	await expect.poll(() => page.locator('#fleet tr[data-worker]').count(), { timeout: 10_000 }).toBe(1);

	await two.kill();
	await expect.poll(async () => (await channel())[1], { timeout: 20_000 }).toBe('nobody');
	await page.getByText('No worker answers.').waitFor();
	expect(complaints).toEqual([]);
});

test('the same by the API', async () => {
	await using three = await EchoWorker.start(nats.url, 'three', 180);
	const read = async () => (await (await fetch(new URL('/api/fleet', url))).json()) as FleetView;
	await expect.poll(async () => (await read()).channels[0]?.worker, { timeout: 20_000 }).toBe('three');
	expect(await read()).toMatchObject({
		engine: nats.url,
		channels: [{ channel: 'main', worker: 'three', placements: 3 }],
		workers: [{ worker: 'three', host: 'test' }],
	});
	const own = expect.objectContaining({ size: { width: 64, height: 64 }, isLeased: true });
	expect((await read()).workers[0]!.streams).toContainEqual(own);
	await expect.poll(async () => (await read()).workers[0]?.queueMs, { timeout: 10_000 }).toBeDefined();
	expect(three.isDrained).toBe(false);
});
