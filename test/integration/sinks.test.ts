// Sinks of one run that show different things without a painting: the built files, and a configuration as a user writes it.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const SIZE = { width: 320, height: 180 };
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;

beforeAll(async () => {
	folder = await openTemporaryFolder();
	await ffmpeg(`-f lavfi -i testsrc2=size=320x180:rate=25:duration=0.4 ${folder.at('clip.mp4')}`);
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

/** Runs with two files as sinks, one with a policy of its own, and gives how light each frame of each is. */
const lightOf = async (own: object, ...flags: string[]) => {
	const configuration = {
		source: 'file:clip.mp4',
		style: 'passthrough',
		pace: 'max',
		sinks: ['file:plain.mkv', { to: 'file:own.mkv', ...own }],
	};
	writeFileSync(folder.at('show.json'), JSON.stringify(configuration));
	const { status, stderr } = spawnSync(
		process.execPath,
		[cli, 'run', '--config', folder.at('show.json'), '--provider', 'cpu', ...flags],
		{ encoding: 'utf8', env: { PATH: process.env['PATH'], HOME: folder.at('home') }, timeout: 60_000 },
	);
	expect(status, stderr).toBe(0);
	const light = async (name: string) => {
		const pixels = await ffmpeg(`-i ${folder.at(name)} -f rawvideo -pix_fmt gray -`);
		const frames = pixels.length / (SIZE.width * SIZE.height);
		return Array.from({ length: frames }, (_, i) => {
			const frame = pixels.subarray((i * pixels.length) / frames, ((i + 1) * pixels.length) / frames);
			return frame.reduce((sum, value) => sum + value, 0) / frame.length;
		});
	};
	return { plain: await light('plain.mkv'), own: await light('own.mkv') };
};

/** The card is dark, the test picture of ffmpeg is not. */
const isSlate = (light: number) => light < 50;

it('a sink with slate shows the card alone, while the other shows the source', async () => {
	const { plain, own } = await lightOf({ failure: 'slate' });
	expect(plain).toHaveLength(10);
	expect(plain.some(isSlate)).toBe(false);
	expect(own).toHaveLength(10);
	expect(own.every(isSlate)).toBe(true);
});

it('under the run’s slate a sink that would let the source pass does not', async () => {
	const { plain, own } = await lightOf({ failure: 'passthrough' }, '--failure', 'slate');
	expect([...plain, ...own]).toHaveLength(20);
	expect([...plain, ...own].every(isSlate)).toBe(true);
});
