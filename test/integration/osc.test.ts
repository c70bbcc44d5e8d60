// A controller beside `allaprima run`: it chooses a style, and its buttons light up.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTemporaryFolder } from '../support/clips.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { OscClient } from '../support/osc.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const start = (...args: string[]) => {
	const child = spawn(
		process.execPath,
		[cli, 'run', '--source', 'scene', '--sink', 'null', '--provider', 'cpu', ...args],
		{
			env: { PATH: process.env['PATH'], HOME: folder.at('home') },
			stdio: ['ignore', 'ignore', 'pipe'],
		},
	);
	let log = '';
	child.stderr.on('data', (data) => (log += data));
	return { child, ended: once(child, 'exit') as Promise<[code: number]>, log: () => log };
};

it('a run obeys two controllers and the page, tells each of all changes, and ends cleanly', async () => {
	const http = await freePort();
	const { child, ended, log } = start('--osc', '0', '--http', String(http), '--size', '256x160', '--fps', '5');
	await until(() => /"host":"127\.0\.0\.1","port":\d+,"msg":"osc"/.test(log()), 120_000);
	const port = Number(/"port":(\d+),"msg":"osc"/.exec(log())![1]);
	await using fader = await OscClient.open(port);
	await using buttons = await OscClient.open(port);

	await buttons.send('/allaprima/state');
	await until(() => buttons.value('/allaprima/style/oil-painting') === 1);
	await fader.send('/allaprima/style', 'anime');
	await until(() => buttons.value('/allaprima/style/anime') === 1);
	expect(buttons.value('/allaprima/style/oil-painting')).toBe(0);
	await buttons.send('/allaprima/panic', true);
	await until(() => fader.value('/allaprima/panic') === 1);

	const asked = await fetch(`http://127.0.0.1:${http}/api/commands`, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ type: 'strength', value: 0.5 }),
	});
	expect(await asked.json()).toMatchObject({ control: { style: 'anime', panic: true, strength: 0.5 } });
	await until(() => [fader, buttons].every((client) => client.value('/allaprima/strength') === 0.5));

	child.kill('SIGINT');
	expect(await ended).toEqual([0, null]);

	await using taken = await OscClient.open(port);
	const refused = start('--osc', String(taken.port), '--http', 'off', '--size', '256x160');
	expect(await refused.ended).toEqual([2, null]);
	expect(refused.log()).toMatch(/UDP port \d+ of 127\.0\.0\.1 is taken, perhaps by another allaprima\. Choose another/);
});
