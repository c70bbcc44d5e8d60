// `allaprima run` as a user types it: real clips, the real model, the built files.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { commandsNaming, ffmpeg, openTemporaryFolder, probeFrames, probeStreams } from '../support/clips.ts';
import { copyOfLite, editManifest } from '../support/lite.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const at = (name: string) => folder.at(name);

beforeAll(async () => {
	folder = await openTemporaryFolder();
	const picture = '-f lavfi -i testsrc2=size=320x180:rate=25:duration=1';
	await ffmpeg(`${picture} -f lavfi -i sine=duration=1 -c:a aac -shortest ${at('clip.mp4')}`);
	// A variable rate: every frame of the second half is shown twice as long.
	await ffmpeg(`${picture} -vf setpts='if(lt(N,12),N,12+(N-12)*2)/25/TB' -fps_mode vfr ${at('uneven.mkv')}`);
	await ffmpeg(`${picture} -c:v libx264 -g 5 -f mpegts ${at('cut.ts')}`);
	truncateSync(at('cut.ts'), Math.round(readFileSync(at('cut.ts')).length / 2));
	await ffmpeg(
		`-f lavfi -i testsrc2=size=64x64:rate=25:duration=0.2 -vf format=rgb24,crop=1:1 -c:v ffv1 -pix_fmt bgr0 ${at('dot.mkv')}`,
	);
	await ffmpeg(`-f lavfi -i testsrc2=size=7680x4320:rate=25:duration=0.12 -c:v mjpeg ${at('8k.mkv')}`);
	writeFileSync(at('text.mp4'), 'This is a letter, not a film.\n');
	writeFileSync(at('empty.mp4'), '');
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const run = (args: string[], environment: Record<string, string> = {}) =>
	spawnSync(process.execPath, [cli, 'run', '--pace', 'max', '--provider', 'cpu', ...args], {
		encoding: 'utf8',
		env: { PATH: process.env['PATH'], HOME: at('home'), ...environment },
		timeout: 120_000,
	});

const paintFile = (source: string, out: string, ...args: string[]) =>
	run(['--source', `file:${at(source)}`, '--sink', `file:${at(out)}`, ...args]);

const differenceFrom = (a: string, b: string): number => {
	// ffmpeg's own measure: mean squared error over all planes and frames.
	const log = spawnSync('ffmpeg', ['-nostdin', '-i', a, '-i', b, '-lavfi', 'psnr', '-f', 'null', '-'], {
		encoding: 'utf8',
	});
	return Number(/average:([\d.]+|inf)/.exec(log.stderr)?.[1]?.replace('inf', 'Infinity'));
};

describe('painting a clip', () => {
	it('gives as many frames as it took, at their times, with the audio, and a whole report', async () => {
		const result = paintFile('clip.mp4', 'painted.mp4', '--report', at('report.json'));
		expect(result.stderr).toMatch(/25 of 25 frames painted|25 frames painted of 25/);
		expect(result.status).toBe(0);

		const [before, after] = [await probeFrames(at('clip.mp4')), await probeFrames(at('painted.mp4'))];
		expect(after).toHaveLength(before.length);
		expect(after[0]).toMatchObject({ width: 320, height: 180 });
		after.forEach(({ timeS }, i) => expect(timeS).toBeCloseTo(before[i]!.timeS, 4));
		const audio = (await probeStreams(at('painted.mp4'))).find(({ type }) => type === 'audio')!;
		const original = (await probeStreams(at('clip.mp4'))).find(({ type }) => type === 'audio')!;
		expect(audio.codec).toBe('aac');
		expect(Math.abs(audio.endS - original.endS)).toBeLessThan(0.04);
		expect(differenceFrom(at('clip.mp4'), at('painted.mp4'))).toBeLessThan(32); // dB: this is a painting; passthrough is above 38

		// onnxruntime would tell Microsoft which model was run, and keeps what it has to tell here.
		expect(existsSync(at('home/.cache/Microsoft'))).toBe(false);

		const report = JSON.parse(readFileSync(at('report.json'), 'utf8')) as Report;
		const fields =
			'model provider int8Graphs size batchSize steps framesIn framesOut framesDropped framesRepeated framesReused framesUnpainted fps latencyMs stagesMs ' +
			'sideStreamMs mainStreamMs styleSwitches engineRestarts firstPaintingMs rssPeakMiB commit machine date';
		expect(Object.keys(report).sort()).toEqual(fields.split(' ').sort());
		expect(report).toMatchObject({ model: 'lite', provider: 'cpu', framesIn: 25, framesOut: 25, framesDropped: 0 });
		expect(Object.keys(report.stagesMs)).toEqual(
			expect.arrayContaining(['convert', 'flow', 'te', 'vaeEncode', 'noise', 'warp', 'cond', 'unet', 'vaeDecode']),
		);
		expect(report.latencyMs.p50).toBeGreaterThan(0);
		expect(report.sideStreamMs).toBeGreaterThan(0);
		expect(report.mainStreamMs).toBeGreaterThan(0);
		expect(report.rssPeakMiB).toBeLessThan(1536);
	});

	it('keeps the times of a variable rate', async () => {
		expect(paintFile('uneven.mkv', 'uneven.mp4').status).toBe(0);
		const [before, after] = [await probeFrames(at('uneven.mkv')), await probeFrames(at('uneven.mp4'))];
		expect(after).toHaveLength(25);
		after.forEach(({ timeS }, i) => expect(timeS).toBeCloseTo(before[i]!.timeS - before[0]!.timeS, 3));
	});

	it('gives back the clip under passthrough', () => {
		expect(paintFile('clip.mp4', 'same.mp4', '--style', 'passthrough').status).toBe(0);
		expect(differenceFrom(at('clip.mp4'), at('same.mp4'))).toBeGreaterThan(38);
	});

	it('paints all frames up to the cut of a clip cut in the middle, and warns', async () => {
		const result = paintFile('cut.ts', 'cut.mp4');
		expect(result.status).toBe(0);
		expect(result.stderr).toMatch(/"level":"warn".*(cut|damaged)/);
		const frames = await probeFrames(at('cut.mp4'));
		expect(frames.length).toBeGreaterThan(5);
		expect(frames.length).toBeLessThan(25);
		expect(result.stderr).toMatch(new RegExp(`${frames.length} (of ${frames.length} )?frames painted`));
	});

	it('takes a picture of one pixel and one of 7680x4320', async () => {
		expect(paintFile('dot.mkv', 'dot.mkv.mp4').stderr).toMatch(/frames painted/);
		expect((await probeFrames(at('dot.mkv.mp4')))[0]).toMatchObject({ width: 1, height: 1 });
		const result = paintFile('8k.mkv', '8k.mp4', '--output', 'painted');
		expect(result.status).toBe(0);
		expect((await probeFrames(at('8k.mp4')))[0]).toMatchObject({ width: 512, height: 288 });
	});

	it('paints the built-in scene, and ends after the frames it was asked for', async () => {
		const result = run(['--sink', `file:${at('scene.mp4')}`, '--style', 'pencil-sketch', '--frames', '5', '--json']);
		expect(result.status).toBe(0);
		expect(JSON.parse(result.stdout)).toMatchObject({ framesOut: 5 });
		expect(await probeFrames(at('scene.mp4'))).toHaveLength(5);
	});

	it('paints a backdrop where nothing is filmed: another seed is another picture', async () => {
		for (const seed of ['', ':7']) {
			const result = run([
				'--source',
				`backdrop${seed}`,
				'--sink',
				`file:${at(`backdrop${seed}.mkv`)}`,
				'--frames',
				'5',
			]);
			expect(result.stderr).toContain('5 frames painted');
			expect(await probeFrames(at(`backdrop${seed}.mkv`))).toHaveLength(5);
		}
		expect(differenceFrom(at('backdrop.mkv'), at('backdrop:7.mkv'))).toBeLessThan(20);
		const refused = run(['--source', 'backdrop:blue']);
		expect(refused.status).toBe(2);
		expect(refused.stderr).toContain('backdrop (backdrop:SEED)');
	});

	it('writes what it has painted when it is interrupted, and leaves no child behind', async () => {
		const child = spawn(
			process.execPath,
			[cli, 'run', '--sink', `file:${at('interrupted.mp4')}`, '--pace', 'max', '--provider', 'cpu'],
			{
				stdio: ['ignore', 'ignore', 'pipe'],
			},
		);
		let log = '';
		let isInterrupted = false;
		child.stderr.on('data', (data) => {
			log += data;
			if (isInterrupted || !/progress/.test(log)) return;
			isInterrupted = true; // a second signal would end it at once
			child.kill('SIGINT');
		});
		const [code] = await once(child, 'exit');
		expect(log).toMatch(/frames painted/);
		expect(code).toBe(0);
		expect((await probeFrames(at('interrupted.mp4'))).length).toBeGreaterThan(0);
		expect(await commandsNaming(at('interrupted'))).toEqual([]);
	});
});

describe('bad input ends with a word, the right code, and nothing that looks whole', () => {
	it.each([
		['a missing file', 'absent.mp4', 2, /there is no such file/],
		['a text file named .mp4', 'text.mp4', 2, /text\.mp4/],
		['a file of no bytes', 'empty.mp4', 2, /0 bytes/],
	])('%s', (_, source, status, message) => {
		const result = paintFile(source, 'never.mp4');
		expect(result.stderr).toMatch(message);
		expect(result.stderr).not.toMatch(/^\s+at .*\d+:\d+/m);
		expect(result.status).toBe(status);
		expect(readdirSync(at('.')).filter((name) => name.includes('never'))).toEqual([]);
	});

	it.each([
		[
			'one byte of a graph changed',
			/unet\.onnx has sha256/,
			async (model: string) => {
				const bytes = readFileSync(`${model}/unet.onnx`);
				bytes[1000]! ^= 1;
				writeFileSync(`${model}/unet.onnx`, bytes);
			},
		],
		[
			'a graph with another shape',
			/\[batch, 128, 128, 3\].*\[batch, 64, 64, 3\]/,
			(model: string) => editManifest(model, ({ graphs }) => (graphs.te_vision.inputs[0].shape = ['batch', 64, 64, 3])),
		],
	])('%s', async (_, message, damage) => {
		const model = await copyOfLite();
		await damage(model);
		const result = paintFile('clip.mp4', 'never.mp4', '--model', model);
		expect(result.stderr).toMatch(message);
		expect(result.stderr).not.toMatch(/^\s+at .*\d+:\d+/m);
		expect(result.status).toBe(3);
		expect(existsSync(at('never.mp4'))).toBe(false);
	});

	it('a virtual camera that is to be fed as fast as can be', () => {
		const result = run(['--sink', 'v4l2:/dev/video10', '--sink', `file:${at('never.mp4')}`]);
		expect(result.stderr).toMatch(/virtual camera, NDI and SRT show live pictures/);
		expect(result.status).toBe(2);
		expect(existsSync(at('never.mp4'))).toBe(false);
	});

	it('ffmpeg absent', () => {
		const without = run(['--source', `file:${at('clip.mp4')}`, '--sink', `file:${at('no-ffmpeg.mp4')}`], {
			PATH: at('.'),
		});
		expect(without.stderr).toMatch(/ffprobe was not found|ffmpeg was not found/);
		expect(without.status).toBe(4);
		expect(existsSync(at('no-ffmpeg.mp4'))).toBe(false);
	});

	it('a full disk', (context) => {
		if (process.getuid?.() !== 0) return context.skip('only root can mount a small disk');
		mkdirSync(at('disk'));
		execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', at('disk')]);
		try {
			const result = run(['--sink', `file:${at('disk/full.mp4')}`, '--frames', '40']);
			expect(result.stderr).toMatch(/No space left|disk is full/);
			expect(result.stderr).not.toMatch(/^\s+at .*\d+:\d+/m);
			expect(result.status).toBe(1);
			expect(readdirSync(at('disk'))).toEqual([]);
		} finally {
			execFileSync('umount', [at('disk')]);
		}
	});
});
