// No camera was ever run here: ffmpeg and its v4l2 demuxer are real, the driver below them is simulated
// (test/support/fake-v4l2.c). Errors of opening also come from real files and device nodes.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { type CameraOptions, openCameraSource } from '../../sidecar/ingest/camera-source.ts';
import type { FrameSource } from '../../sidecar/ingest/frame-source.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { ffmpeg, openTemporaryFolder, probeFrames, readFrames, type ReadFrame, ringFor } from '../support/clips.ts';
import { SIMULATED_DEVICE, simulateV4l2, type SimulatedV4l2 } from '../support/simulated-v4l2.ts';

beforeAll(() => setLog({ level: 'silent' }));

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

const open = (options: Partial<CameraOptions> = {}, device = SIMULATED_DEVICE) =>
	openCameraSource(device, { pace: 'source', ...options });

/** The first frames, as a live ring gives them. */
const firstFrames = async (source: FrameSource, count: number): Promise<ReadFrame[]> => {
	const frames: ReadFrame[] = [];
	await readFrames(
		source,
		(frame) => {
			frames.push(frame);
			return frames.length < count;
		},
		ringFor(source, 'newest-wins'),
	);
	return frames;
};

describe('a simulated camera', () => {
	let camera: SimulatedV4l2;
	beforeEach(async () => {
		camera = await simulateV4l2();
		await ffmpeg(`-f lavfi -i testsrc2=size=1280x720 -frames:v 1 -q:v 3 -pix_fmt yuvj422p ${camera.at('camera.jpg')}`);
	});
	afterEach(() => camera[Symbol.asyncDispose]());

	it('gives MJPEG at 1280x720 where nothing is asked for, in full range, stamped by our clock', async () => {
		const source = await open();
		expect(source.info).toMatchObject({
			name: `camera:${SIMULATED_DEVICE}`,
			layout: { format: 'I420', width: 1280, height: 720, matrix: 'bt601', range: 'full' },
			frameRate: { num: 30, den: 1 },
			durationUs: 0,
			isLive: true,
		});
		const startedUs = nowUs();
		const frames = await firstFrames(source, 10);
		for (const [index, { sequence, capturedUs, timestampUs, durationUs, data }] of frames.entries()) {
			expect(capturedUs).toBeGreaterThan(startedUs);
			expect(capturedUs).toBeLessThanOrEqual(nowUs());
			expect(durationUs).toBe(33_333);
			expect(data).toHaveLength((1280 * 720 * 3) / 2);
			if (index === 0) continue;
			expect(sequence).toBeGreaterThan(frames[index - 1]!.sequence);
			expect(timestampUs).toBeGreaterThan(frames[index - 1]!.timestampUs);
		}
	});

	it('gives the raw pixels that were asked for, unchanged', async () => {
		const source = await open({ size: { width: 320, height: 240 }, format: 'yuyv422', fps: 15 });
		expect(source.info).toMatchObject({
			layout: { width: 320, height: 240, range: 'limited' },
			frameRate: { num: 15, den: 1 },
		});
		const frames = await firstFrames(source, 5);
		const first = frames[0]!.data[0]!;
		for (const { data, timestampUs } of frames) {
			const luma = data[0]!;
			expect(data.every((value, index) => value === (index < 320 * 240 ? luma : 128))).toBe(true);
			// The driver's own time, evener than arrival: each of its frames is one luma brighter.
			expect(Math.abs(timestampUs - ((luma - first) * 1e6) / 15)).toBeLessThan(3);
		}
		expect(frames.at(-1)!.data[0]).toBeGreaterThanOrEqual(first + 4);
	});

	it('gives the nearest rate that its driver has', async () => {
		await using source = await open({ format: 'yuyv422', fps: 120 });
		expect(source.info.frameRate).toEqual({ num: 30, den: 1 });
	});

	it('shows what it sees now, not what it saw before the run began', async () => {
		const source = await open({ format: 'yuyv422' });
		await new Promise((resolve) => setTimeout(resolve, 1000));
		const startedUs = nowUs();
		const frames = await firstFrames(source, 5);
		// The pipes hold less than a frame: had the camera waited for us, its second would come in one burst.
		expect(frames.at(-1)!.capturedUs - startedUs).toBeGreaterThan(3 * 33_000);
	});

	it('is not waited for by whoever is slow: the ring drops', async () => {
		const source = await open({ format: 'yuyv422' });
		const ring = ringFor(source, 'newest-wins', 1);
		const sequences: number[] = [];
		await readFrames(
			source,
			async ({ sequence }) => {
				sequences.push(sequence);
				await new Promise((resolve) => setTimeout(resolve, 200));
				return sequences.length < 4;
			},
			ring,
		);
		expect(ring.droppedCount).toBeGreaterThan(5);
		expect(sequences.at(-1)! - sequences[0]!).toBeGreaterThan(8);
	});

	it('that is unplugged ends the run at once with an error that says so', async () => {
		await camera.tell('export V4L2_FRAMES=30');
		const source = await open({ format: 'yuyv422' });
		const error = await firstFrames(source, 1000).catch((cause: unknown) => cause);
		expect(error).toMatchObject({
			code: 'ERR_SOURCE_READ',
			message: expect.stringMatching(/Camera \/dev\/null: it was unplugged.*Plug it in again/),
		});
	});

	it('that is unplugged before the run began is told of by the run', async () => {
		const source = await open({ format: 'yuyv422' });
		await camera.signal('SIGKILL');
		await expect(firstFrames(source, 1)).rejects.toMatchObject({ code: 'ERR_SOURCE_READ' });
	});

	it('whose ffmpeg is killed ends the run at once', async () => {
		const source = await open({ format: 'yuyv422' });
		let killedUs = 0;
		const run = readFrames(
			source,
			async () => {
				if (killedUs) return;
				killedUs = nowUs();
				await camera.signal('SIGKILL');
			},
			ringFor(source, 'newest-wins'),
		);
		await expect(run).rejects.toMatchObject({
			code: 'ERR_SOURCE_READ',
			message: expect.stringMatching(/stopped giving frames/),
		});
		expect(nowUs() - killedUs).toBeLessThan(3_000_000);
	});

	it('that stalls is given up after a while, and its ffmpeg is ended', async () => {
		const source = await open({ format: 'yuyv422', stallMs: 500 });
		let isStopped = false;
		const run = readFrames(
			source,
			async () => {
				if (!isStopped) await camera.signal('SIGSTOP');
				isStopped = true;
			},
			ringFor(source, 'newest-wins'),
		);
		await expect(run).rejects.toMatchObject({
			code: 'ERR_SOURCE_READ',
			message: expect.stringMatching(/no frame came for 0\.5 s/),
		});
		await expect(camera.signal('SIGCONT')).rejects.toMatchObject({ code: 'ESRCH' });
	});

	it('that stays there and gives nothing any more is given up too', async () => {
		await camera.tell('export V4L2_FRAMES=20 V4L2_END=stall');
		const source = await open({ format: 'yuyv422', stallMs: 500 });
		await expect(firstFrames(source, 1000)).rejects.toThrow(/no frame came for 0\.5 s/);
		await expect(camera.signal('SIGCONT')).rejects.toMatchObject({ code: 'ESRCH' });
	});

	it('ends cleanly when the run does, and when it never began', async () => {
		const source = await open({ format: 'yuyv422' });
		await firstFrames(source, 2);
		await expect(camera.signal('SIGCONT')).rejects.toMatchObject({ code: 'ESRCH' });
		const unused = await open({ format: 'yuyv422' });
		await unused[Symbol.asyncDispose]();
		await expect(camera.signal('SIGCONT')).rejects.toMatchObject({ code: 'ESRCH' });
	});

	it('that does not offer what was asked for says what it offers', async () => {
		await expect(open({ size: { width: 1920, height: 1080 } })).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(
				/does not offer 1920x1080.*yuyv422 640x480 320x240 1280x720; mjpeg 1280x720 640x480/,
			),
		});
		await expect(open({ format: 'h264' })).rejects.toThrow(/does not offer h264/);
		await expect(open({ format: 'mjpeg', size: { width: 320, height: 240 } })).rejects.toThrow(/mjpeg at 320x240/);
	});

	it.each([
		['VIDIOC_S_FMT', constants.errno.EBUSY, /another program uses it.*fuser/],
		['VIDIOC_STREAMON', constants.errno.EBUSY, /another program uses it/],
		['VIDIOC_STREAMON', constants.errno.ENOSPC, /USB bus has no room.*--camera-size/],
		['VIDIOC_QUERYCAP', constants.errno.ENOTTY, /this is no video device/],
		['VIDIOC_G_INPUT', constants.errno.EIO, /ffmpeg cannot read it \(.*Input\/output error/],
		['open', constants.errno.EACCES, /group \(sudo usermod -aG video/],
		['open', constants.errno.ENXIO, /there is no such device/],
	])('whose driver refuses %s with error %i is explained', async (request, code, message) => {
		await camera.tell(`export V4L2_FAIL='${request} ${code}'`);
		await expect(open()).rejects.toMatchObject({ code: 'ERR_SOURCE', message: expect.stringMatching(message) });
	});

	it('that is one for output only is explained', async () => {
		await camera.tell('export V4L2_OUTPUT=/dev/null');
		await expect(open()).rejects.toThrow(/gives no pictures/);
	});
});

describe('a simulated camera, as a user types it', () => {
	let devices: SimulatedV4l2;
	beforeEach(async () => {
		devices = await simulateV4l2();
	});
	afterEach(() => devices[Symbol.asyncDispose]());

	const run = (...args: string[]) =>
		spawnSync(
			process.execPath,
			[cli, 'run', '--source', `camera:${SIMULATED_DEVICE}`, '--http', 'off', '--provider', 'cpu', ...args],
			{
				encoding: 'utf8',
				env: { PATH: process.env['PATH'], HOME: devices.at('home'), ALLAPRIMA_FFMPEG: devices.at('ffmpeg') },
				timeout: 50_000,
			},
		);

	it('plays into a simulated virtual camera, at its own size', async () => {
		const camera = ['--camera-size', '640x480', '--camera-format', 'yuyv422', '--fps', '15'];
		const { status, stderr } = run(
			...camera,
			'--sink',
			`v4l2:${SIMULATED_DEVICE}`,
			'--style',
			'passthrough',
			'--duration',
			'4',
		);
		expect(status, stderr).toBe(0);
		const bytes = (640 * 480 * 3) / 2;
		const all = await readFile(devices.at('output.yuv'));
		expect(all.length % bytes).toBe(0);
		expect(all.length / bytes).toBeGreaterThan(5);
		// Black at first, and a moving picture in the end.
		const frame = (index: number) => all.subarray(index * bytes, (index + 1) * bytes);
		expect(
			frame(0)
				.subarray(0, 640 * 480)
				.every((luma) => luma === 16),
		).toBe(true);
		expect(frame(all.length / bytes - 1).equals(frame(1))).toBe(false);
	});

	it('that is unplugged ends the run with exit code 1 and one line, and what was recorded is whole', async () => {
		await devices.tell('export V4L2_FRAMES=90');
		const recording = devices.at('recording.mp4');
		const flags = ['--camera-format', 'yuyv422', '--log-level', 'silent', '--style', 'passthrough'];
		const { status, stderr } = run('--sink', `file:${recording}`, ...flags);
		expect((await probeFrames(recording)).length).toBeGreaterThan(10);
		expect(status).toBe(1);
		expect(stderr).toMatch(
			/^allaprima: Camera \/dev\/null: it was unplugged, or lost its power\. Plug it in again\..*\n$/,
		);
	});
});

describe('a camera that is none, with the real ffmpeg', () => {
	let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
	beforeAll(async () => {
		folder = await openTemporaryFolder();
		await writeFile(folder.at('file'), 'no camera');
	});
	afterAll(() => folder[Symbol.asyncDispose]());

	it.each([
		['a number without a device', () => '63', /Camera \/dev\/video63: there is no such device/],
		['a path that is not there', () => folder.at('absent'), /there is no such device/],
		['a file', () => folder.at('file'), /this is no device.*camera:\/dev\/video0/],
		['a folder', () => folder.at('.'), /this is no device/],
		['/dev/null', () => '/dev/null', /this is no video device/],
		['/dev/zero', () => '/dev/zero', /this is no video device/],
	])('is refused: %s', async (_, device, message) => {
		await expect(open({}, device())).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(message),
		});
	});

	it('is refused where the node has no driver behind it', async (context) => {
		const node = folder.at('video0');
		if (spawnSync('mknod', [node, 'c', '81', '63']).status !== 0) {
			context.skip('needs root, to make a device node');
			return;
		}
		await expect(open({}, node)).rejects.toThrow(/there is no such device/);
		await rm(node);
	});

	it('is told apart where it may not be opened, by who is not in its group', async (context) => {
		const node = folder.at('video1');
		if (spawnSync('mknod', ['-m', '660', node, 'c', '81', '63']).status !== 0) {
			context.skip('needs root, to make a device node and to be somebody else');
			return;
		}
		await chmod(folder.at('.'), 0o755);
		await copyFile(new URL('../../dist/video-device.js', import.meta.url), folder.at('video-device.mjs'));
		const script = `import { faultOfFile } from './video-device.mjs'; console.log(await faultOfFile('${node}'));`;
		const ask = (identity: { uid?: number; gid?: number }) =>
			spawnSync(process.execPath, ['--input-type=module', '-e', script], {
				encoding: 'utf8',
				cwd: folder.at('.'),
				...identity,
			}).stdout.trim();
		expect(ask({ uid: 65_534, gid: 65_534 })).toBe('forbidden');
		expect(ask({})).toBe('undefined');
	});

	it('lists the devices there are, or says that there are none', async () => {
		const expected = existsSync('/sys/class/video4linux/video0')
			? /Video devices here: .*\(\/dev\/video/
			: /no video device/;
		await expect(open({}, folder.at('absent'))).rejects.toThrow(expected);
	});

	it('has no pace but its own, and no other system than Linux', async () => {
		await expect(open({ pace: 'max' })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: expect.stringMatching(/own pace.*--pace max/),
		});
		await expect(open({ platform: 'darwin' })).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/Linux so far.*darwin/),
		});
	});
});
