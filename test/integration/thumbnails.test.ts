// Thumbnails of styles out of a real run: the page's server, the engine's process and models/lite, from dist/.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { RunReport, ServerState } from '../../sidecar/control/http/served.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { enginePids, until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { decodePng, type RgbaPicture } from '../support/png.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let sidecar: ChildProcess;
let base: string;

const open = async (...more: string[]) => {
	const port = await freePort();
	base = `http://127.0.0.1:${port}/api`;
	const args = `run --source scene --sink null --provider cpu --size 320x192 --fps 8 --http ${port}`.split(' ');
	sidecar = spawn(process.execPath, [cli, ...args, ...more], {
		stdio: 'ignore',
		env: { PATH: process.env['PATH'], HOME: folder.at('home'), XDG_RUNTIME_DIR: folder.at('.') },
	});
	await until(async () => (await state().catch(() => undefined))?.run.engine.state === 'painting', 60_000);
};
const close = async () => {
	if (sidecar?.exitCode !== null) return;
	const exited = once(sidecar, 'exit');
	sidecar.kill('SIGTERM');
	await exited;
};

const get = async <T>(path: string) => (await (await fetch(`${base}${path}`)).json()) as T;
const state = () => get<ServerState>('/state');
/** Asks again while there is none yet. */
const thumbnail = async (style: string): Promise<RgbaPicture> => {
	let picture: Buffer | undefined;
	await until(async () => {
		const answer = await fetch(`${base}/thumbnails/${style}`);
		const body = Buffer.from(await answer.arrayBuffer());
		if (answer.status === 200) picture = body;
		else expect(answer.status).toBe(503);
		return picture !== undefined;
	}, 60_000);
	return decodePng(picture!);
};

/** Mean difference of two pictures of one size, of 255. */
const difference = (a: RgbaPicture, b: RgbaPicture): number =>
	a.data.reduce((sum, value, i) => sum + Math.abs(value - b.data[i]!), 0) / (3 * a.width * a.height);
/** A pencil sketch is nearly grey, as the scene is not. */
const chroma = ({ data, width, height }: RgbaPicture): number => {
	let sum = 0;
	for (let i = 0; i < data.length; i += 4)
		sum += Math.max(...data.subarray(i, i + 3)) - Math.min(...data.subarray(i, i + 3));
	return sum / (width * height);
};

beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await close();
	await folder?.[Symbol.asyncDispose]();
});

describe('in a run', () => {
	beforeAll(async () => await open('--style', 'oil-painting'), 90_000);
	afterAll(close);

	test('those of two styles differ from each other and from the source, and show the same scene', async () => {
		const [pencil, oil, source] = [
			await thumbnail('pencil-sketch'),
			await thumbnail('oil-painting'),
			await thumbnail('passthrough'),
		];
		for (const { width, height } of [pencil, oil, source]) {
			expect([width % 32, height % 32]).toEqual([0, 0]);
			expect(width * height).toBeLessThan(320 * 192);
		}
		expect(chroma(pencil)).toBeLessThan(15);
		expect(chroma(oil)).toBeGreaterThan(30);
		expect(difference(pencil, oil)).toBeGreaterThan(25);
		// A painting of this scene, and neither the scene itself nor another.
		expect(difference(oil, source)).toBeGreaterThan(4);
		expect(difference(oil, source)).toBeLessThan(30);
	});

	test('they are painted by the process that paints the channel, and the painting goes on in its own style', async () => {
		expect(enginePids(sidecar.pid)).toHaveLength(1);
		const before = await state();
		await Promise.all(['anime', 'van-gogh', 'watercolor'].map(thumbnail));
		const after = await state();
		expect(after.control).toEqual(before.control);
		expect(after.run.framesOut).toBeGreaterThan(before.run.framesOut);
		expect(after.run.engine.restarts).toBe(0);
		expect(enginePids(sidecar.pid)).toHaveLength(1);
	});

	test('a change of style is made meanwhile', async () => {
		const paintings = ['ukiyo-e', 'render-3d', 'comic-halftone'].map(thumbnail);
		await fetch(`${base}/styles/pencil-sketch/activate`, { method: 'POST' });
		await Promise.all(paintings);
		const switched = async () => (await get<RunReport>('/report')).styleSwitches.map(({ style }) => style);
		await expect.poll(switched, { timeout: 20_000 }).toEqual(['pencil-sketch']);
	});

	test('panic hides them, and afterwards they come back', async () => {
		await fetch(`${base}/panic/on`, { method: 'POST' });
		for (const style of ['oil-painting', 'passthrough'])
			expect((await fetch(`${base}/thumbnails/${style}`)).status).toBe(409);
		await fetch(`${base}/panic/off`, { method: 'POST' });
		await thumbnail('oil-painting');
	});

	test('the engine is killed while it paints one: the run recovers, and so do they, in one process', async () => {
		const [pid] = enginePids(sidecar.pid);
		const asked = ['oil-painting', 'anime', 'watercolor', 'van-gogh'].map((style) =>
			fetch(`${base}/thumbnails/${style}`).then(({ status }) => status),
		);
		process.kill(pid!, 'SIGKILL');
		for (const status of await Promise.all(asked)) expect([200, 503]).toContain(status);
		await until(async () => {
			const { run } = await state();
			return run.engine.restarts === 1 && run.engine.state === 'painting';
		});
		expect(chroma(await thumbnail('pencil-sketch'))).toBeLessThan(15);
		const { run } = await state();
		await until(async () => (await state()).run.framesOut > run.framesOut);
		expect(enginePids(sidecar.pid)).toHaveLength(1);
		expect(enginePids(sidecar.pid)).not.toContain(pid);
		expect(sidecar.exitCode).toBeNull();
	}, 90_000);
});

test('under the failure policy slate a painting is given, and never the source', async () => {
	await open('--failure', 'slate');
	await thumbnail('pencil-sketch');
	expect((await fetch(`${base}/thumbnails/passthrough`)).status).toBe(404);
}, 90_000);
