// A part of the picture is painted: the built files, real clips, the real model, and masks of every kind.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';
import { freePort } from '../support/free-port.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const [WIDTH, HEIGHT] = [320, 180];
const FRAME_BYTES = (WIDTH * HEIGHT * 3) / 2;
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const at = (name: string) => folder.at(name);

/** ffmpeg as it is, but x264 encodes without loss: what a sink gets is what its file has. */
const LOSSLESS = `#!/bin/sh
for argument; do
	shift
	case "$argument" in 18) argument=0 ;; esac
	set -- "$@" "$argument"
done
exec ffmpeg "$@"
`;

const image = (name: string, source: string, filter = 'null') =>
	ffmpeg(`-f lavfi -i ${source} -vf ${filter} -frames:v 1 ${at(name)}`);

beforeAll(async () => {
	folder = await openTemporaryFolder();
	mkdirSync(at('bin'));
	writeFileSync(at('bin/ffmpeg'), LOSSLESS);
	chmodSync(at('bin/ffmpeg'), 0o755);
	symlinkSync(spawnSync('which', ['ffprobe'], { encoding: 'utf8' }).stdout.trim(), at('bin/ffprobe'));
	const clip = `-f lavfi -i testsrc2=size=${WIDTH}x${HEIGHT}:rate=25:duration=0.6`;
	await ffmpeg(`${clip} -vf noise=alls=20:allf=t -c:v libx264 -crf 0 -pix_fmt yuv420p ${at('clip.mp4')}`);
	// The left 120 columns, at another size than the source's.
	await image('left.png', 'color=black:size=640x360', 'drawbox=x=0:y=0:w=240:h=360:color=white:t=fill');
	await image('left.jpg', 'color=black:size=640x360', 'drawbox=x=0:y=0:w=240:h=360:color=white:t=fill');
	await image('alpha.png', 'color=white:size=320x180', "format=rgba,geq=r=255:g=255:b=255:a='if(lt(X,120),255,0)'");
	// Its left 120 columns are opaque, and it is the other clip to the bit.
	const alpha = 'scale=320x180:flags=area,format=gray,loop=-1:1:0[alpha];[0][alpha]alphamerge=shortest=1';
	await ffmpeg(`-i ${at('clip.mp4')} -i ${at('left.png')} -filter_complex [1]${alpha} -c:v ffv1 ${at('alpha.mkv')}`);
	await image('dot.png', 'color=white:size=16x16', 'format=rgb24,crop=1:1');
	await image('empty.png', 'color=black:size=320x180');
	await image('long.png', 'color=white:size=20000x2');
	writeFileSync(at('text.png'), 'This is a letter, not a picture.\n');
	writeFileSync(at('cut.png'), readFileSync(at('left.png')).subarray(0, 120));
	mkdirSync(at('folder.png'));
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const environment = () => ({
	PATH: process.env['PATH'],
	HOME: at('home'),
	XDG_CONFIG_HOME: at('config'),
	ALLAPRIMA_FFMPEG: at('bin/ffmpeg'),
});

const run = (...args: string[]) =>
	spawnSync(
		process.execPath,
		[cli, 'run', '--source', `file:${at('clip.mp4')}`, '--pace', 'max', '--provider', 'cpu', ...args],
		{ encoding: 'utf8', env: environment(), timeout: 120_000 },
	);

const rawOf = (name: string) => ffmpeg(`-i ${at(name)} -f rawvideo -pix_fmt yuv420p -`);

/** Paints, and gives source and result as bytes of I420. */
const painted = async (...args: string[]): Promise<{ source: Buffer; result: Buffer; stderr: string }> => {
	const { status, stderr } = run('--sink', `file:${at('out.mkv')}`, ...args);
	expect(status, stderr).toBe(0);
	const [source, result] = [await rawOf('clip.mp4'), await rawOf('out.mkv')];
	expect(result.length).toBe(source.length);
	expect(source.length).toBe(15 * FRAME_BYTES);
	return { source, result, stderr };
};

/** Of all bytes of the columns from `left` to `right`, in luma and chroma: how many differ. */
const differing = ({ source, result }: { source: Buffer; result: Buffer }, left: number, right: number) => {
	let [count, differ] = [0, 0];
	for (let start = 0; start < source.length; start += FRAME_BYTES) {
		for (const [offset, width, height, half] of [
			[0, WIDTH, HEIGHT, 1],
			[WIDTH * HEIGHT, WIDTH / 2, HEIGHT / 2, 2],
			[(WIDTH * HEIGHT * 5) / 4, WIDTH / 2, HEIGHT / 2, 2],
		] as const)
			for (let y = 0; y < height; y++)
				for (let x = left / half; x < right / half; x++) {
					const byte = start + offset + y * width + x;
					count++;
					if (source[byte] !== result[byte]) differ++;
				}
	}
	return differ / count;
};

describe('a mask', () => {
	it.each(['left.png', 'alpha.png'])('%s: outside every byte is the source’s, in the file too', async (name) => {
		const both = await painted('--region', at(name));
		expect(differing(both, 120, WIDTH)).toBe(0);
		expect(differing(both, 0, 120)).toBeGreaterThan(0.8);
	});

	it('inverted and with a soft edge leaves what is outside of it alone as well', async () => {
		const both = await painted('--region', `${at('left.png')},invert,feather=20`);
		expect(differing(both, 0, 120)).toBe(0);
		expect(differing(both, 160, WIDTH)).toBeGreaterThan(0.8);
		expect(differing(both, 120, 130)).toBeLessThan(differing(both, 160, WIDTH));
	});

	it('of one white pixel paints everything', async () => {
		expect(differing(await painted('--region', at('dot.png')), 0, WIDTH)).toBeGreaterThan(0.8);
	});

	it('that is empty paints nothing, and says so', async () => {
		const both = await painted('--region', at('empty.png'));
		expect(differing(both, 0, WIDTH)).toBe(0);
		expect(both.stderr).toContain('the mask shows nothing of the painting');
	});

	it.each([
		['text.png', /text\.png is no picture that is understood, expected a PNG, JPEG or WebP file/],
		['long.png', /long\.png has 20000x2 px, expected sides of 1 to 8192 px/],
		['cut.png', /cut\.png: cannot be decoded/],
		['folder.png', /folder\.png: is not a regular file/],
		['missing.png', /missing\.png: cannot be read \(ENOENT\)/],
	])('%s is refused before anything is painted, and leaves no file', (name, message) => {
		const { status, stderr } = run('--sink', `file:${at('never.mkv')}`, '--region', at(name));
		expect(status).not.toBe(0);
		expect(stderr).toMatch(message);
		expect(spawnSync('ls', ['-A', at('.')], { encoding: 'utf8' }).stdout).not.toContain('never');
	});

	it('is refused where the words behind it are none', () => {
		const { stderr } = run('--region', 'subject,feather=1000');
		expect(stderr).toMatch(/flag --region \(region\) is not valid/);
	});
});

describe('alpha', () => {
	const args = () => ['--source', `file:${at('alpha.mkv')}`];

	it('of a file: painted is where it is opaque, and outside every byte is the source’s', async () => {
		const both = await painted('--region', 'alpha', ...args());
		expect(differing(both, 120, WIDTH)).toBe(0);
		expect(differing(both, 0, 120)).toBeGreaterThan(0.8);
	});

	it('inverted and with a soft edge', async () => {
		const both = await painted('--region', 'alpha,invert,feather=20', ...args());
		expect(differing(both, 0, 120)).toBe(0);
		expect(differing(both, 160, WIDTH)).toBeGreaterThan(0.8);
		expect(differing(both, 120, 130)).toBeLessThan(differing(both, 160, WIDTH));
	});

	it('of a file that has none is refused before anything is painted', () => {
		const { status, stderr } = run('--sink', `file:${at('never.mkv')}`, '--region', 'alpha');
		expect(status).not.toBe(0);
		expect(stderr).toMatch(/The region is alpha, and file:.*clip\.mp4 has none/);
		expect(spawnSync('ls', ['-A', at('.')], { encoding: 'utf8' }).stdout).not.toContain('never');
	});
});

describe('a preset with a region', () => {
	it('finds its mask beside it', async () => {
		const preset = {
			format: 'allaprima-style',
			formatVersion: 2,
			name: 'half',
			title: 'Half',
			model: 'lite',
			prompt: 'transfer this to oil painting style',
			region: { mask: 'left.png' },
		};
		writeFileSync(at('half.style.json'), JSON.stringify(preset));
		const both = await painted('--style', at('half.style.json'));
		expect(differing(both, 120, WIDTH)).toBe(0);
		expect(differing(both, 0, 120)).toBeGreaterThan(0.8);
	});

	it('gives way to what the command line says', async () => {
		expect(differing(await painted('--style', at('half.style.json'), '--region', 'all'), 120, WIDTH)).toBeGreaterThan(
			0.8,
		);
	});
});

it('with a sink that must not show the source, everything is painted', async () => {
	const both = await painted('--region', at('left.png'), '--failure', 'slate');
	expect(differing(both, 120, WIDTH)).toBeGreaterThan(0.8);
});

it('at the painted size outside a mask is the source as it was painted from', async () => {
	const { status, stderr } = run(
		'--sink',
		`file:${at('small.mkv')}`,
		'--output',
		'painted',
		'--region',
		at('empty.png'),
	);
	expect(status, stderr).toBe(0);
	const same = run('--sink', `file:${at('whole.mkv')}`, '--output', 'painted', '--style', 'passthrough');
	expect(same.status).toBe(0);
	const [a, b] = [await rawOf('small.mkv'), await rawOf('whole.mkv')];
	expect(a.length).toBe(b.length);
	// Scaled in RGB there, in YUV here, which the noise of the clip makes the most of; another frame has other noise.
	const frame = a.length / 15;
	expect(Number.isInteger(frame)).toBe(true);
	const apart = (x: Uint8Array, y: Uint8Array) =>
		x.reduce((sum, value, i) => sum + Math.abs(value - y[i]!), 0) / x.length;
	const [here, next] = [apart(a, b), apart(a.subarray(0, -frame), b.subarray(frame))];
	expect(here).toBeLessThan(0.6 * next);
});

it('switches live, by the command line and by HTTP, and refuses what is none', async () => {
	const port = await freePort();
	const live = spawn(
		process.execPath,
		[cli, 'run', '--source', 'scene', '--sink', 'null', '--provider', 'cpu', '--http', String(port)],
		{ env: environment(), stdio: ['ignore', 'ignore', 'pipe'] },
	);
	const state = async () => (await (await fetch(`http://127.0.0.1:${port}/api/state`)).json()) as { control: object };
	try {
		await expect.poll(async () => (await state().catch(() => undefined))?.control, { timeout: 30_000 }).toBeTruthy();
		expect((await state()).control).toMatchObject({ region: 'all', isRegionOfPreset: true });
		const tell = (what: string) =>
			spawnSync(process.execPath, [cli, 'region', what, '--port', String(port)], {
				encoding: 'utf8',
				env: environment(),
			});
		expect(tell('subject,feather=8')).toMatchObject({ stdout: 'subject,feather=8\n', status: 0 });
		expect((await state()).control).toMatchObject({ region: 'subject,feather=8', isRegionOfPreset: false });
		expect(tell('preset').stdout).toBe('all, as the style says\n');
		expect(tell('/etc/passwd').stderr).toContain('expected a plain file name, without a folder');
		const ask = (region: unknown) =>
			fetch(`http://127.0.0.1:${port}/api/commands`, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify({ type: 'region', region }),
			});
		expect((await ask('changed')).status).toBe(200);
		expect((await ask({ mask: '../../etc/passwd' })).status).toBe(400);
		expect((await ask({ mask: 'nowhere.png' })).status).toBe(400);
		expect((await state()).control).toMatchObject({ region: 'changed' });
	} finally {
		live.kill('SIGINT');
		await once(live, 'exit');
	}
});
