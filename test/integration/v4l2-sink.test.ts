// No virtual camera was ever run here: ffmpeg and its v4l2 muxer are real, the driver below them is simulated
// (test/support/fake-v4l2.c). Errors of opening also come from real files and device nodes.
import { readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { constants } from 'node:os';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { FrameSink, SinkSetup } from '../../sidecar/egress/frame-sink.ts';
import { openV4l2Sink } from '../../sidecar/egress/v4l2-sink.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import type { Picture, StyledFrame } from '../../sidecar/frame/frame.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder, toStyled } from '../support/clips.ts';
import { SIMULATED_DEVICE, simulateV4l2, type SimulatedV4l2 } from '../support/simulated-v4l2.ts';

beforeAll(() => setLog({ level: 'silent' }));

const SETUP: SinkSetup = { size: { width: 64, height: 48 }, fit: 'cover', frameRate: { num: 25, den: 1 } };
const PICTURE_BYTES = (64 * 48 * 3) / 2;

/** A frame of one grey. */
const grey = (sequence: number, value: number, size = SETUP.size): StyledFrame => {
	const data = new Uint8Array(3 * size.width * size.height).fill(value);
	const picture: Picture = { format: 'RGB', ...size, matrix: 'bt709', range: 'full', data };
	const timestampUs = sequence * 40_000;
	return toStyled(
		{ sequence, slot: 0, capturedUs: 0, timestampUs, durationUs: 40_000, layout: picture, data },
		picture,
	);
};

/** Waits until something is so; what never is fails by the test's own time limit. */
const until = async (isSo: () => Promise<boolean>): Promise<void> => {
	while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 10));
};

describe('a simulated virtual camera', () => {
	let device: SimulatedV4l2;
	beforeEach(async () => {
		device = await simulateV4l2();
	});
	afterEach(() => device[Symbol.asyncDispose]());

	const bytesWritten = async () => (await stat(device.at('output.yuv')).catch(() => undefined))?.size ?? 0;
	/** The luma of each frame that came out. */
	const lumas = async () => {
		const all = await readFile(device.at('output.yuv'));
		expect(all.length % PICTURE_BYTES).toBe(0);
		return Array.from({ length: all.length / PICTURE_BYTES }, (_, k) => all[k * PICTURE_BYTES]!);
	};
	/** As a slow painter does: each frame when the last is out. */
	const presentInTurn = async (sink: FrameSink, values: number[]) => {
		for (const [sequence, value] of values.entries()) {
			await until(async () => (await bytesWritten()) === (1 + sequence) * PICTURE_BYTES); // black came first
			await sink.present(grey(sequence, value));
		}
	};

	it('shows black, then every frame in order, in BT.601 of limited range', async () => {
		await using sink = await openV4l2Sink(SIMULATED_DEVICE, SETUP);
		expect(sink.name).toBe(`v4l2:${SIMULATED_DEVICE}`);
		await presentInTurn(sink, [0, 128, 255]);
		await sink.finish();
		expect(await lumas()).toEqual([16, 16, 126, 235]);
	});

	it('keeps one size, whatever is painted, and an even one', async () => {
		await using sink = await openV4l2Sink(SIMULATED_DEVICE, { ...SETUP, size: { width: 65, height: 49 } });
		await sink.present(grey(0, 255, { width: 128, height: 32 }));
		await sink.finish();
		expect(await readFile(device.at('arguments'), 'utf8')).toMatch(/-video_size 64x48 /);
		expect(await lumas()).toHaveLength(2);
	});

	it('never waits for a device that stalls: frames are left out, and the newest comes when it wakes', async () => {
		await using sink = await openV4l2Sink(SIMULATED_DEVICE, { ...SETUP, size: { width: 640, height: 480 } });
		await device.signal('SIGSTOP');
		const startedUs = nowUs();
		for (let sequence = 0; sequence < 100; sequence++)
			await sink.present(grey(sequence, sequence, { width: 640, height: 480 }));
		expect(nowUs() - startedUs).toBeLessThan(1_000_000);
		await device.signal('SIGCONT');
		await sink.finish();
		const all = await readFile(device.at('output.yuv'));
		const bytes = (640 * 480 * 3) / 2;
		expect(all.length / bytes).toBeLessThan(10);
		expect(Math.abs(all[all.length - bytes]! - (16 + (99 * 219) / 255))).toBeLessThan(2);
	});

	it('that stalls for good does not keep the run from ending', async () => {
		const sink = await openV4l2Sink(SIMULATED_DEVICE, SETUP);
		await device.signal('SIGSTOP');
		await sink.present(grey(0, 0));
		await sink.finish();
		await sink[Symbol.asyncDispose]();
		await expect(device.signal('SIGCONT')).rejects.toMatchObject({ code: 'ESRCH' });
	});

	/** Presents until the sink has noticed; gives what it says. */
	const presentUntilLost = async (sink: FrameSink): Promise<unknown> => {
		let error: unknown;
		await until(() =>
			sink.present(grey(0, 0)).then(
				() => false,
				(cause: unknown) => {
					error = cause;
					return true;
				},
			),
		);
		return error;
	};

	it('that is lost while running fails the next frame, and says how to get it back', async () => {
		await using sink = await openV4l2Sink(SIMULATED_DEVICE, SETUP);
		await device.signal('SIGKILL');
		expect(await presentUntilLost(sink)).toMatchObject({
			code: 'ERR_SINK_WRITE',
			message: expect.stringMatching(/\/dev\/null was lost.*modprobe v4l2loopback/),
		});
		await expect(sink.finish()).rejects.toMatchObject({ code: 'ERR_SINK_WRITE' });
	});

	it('that takes no more frames says why, in the words of ffmpeg', async () => {
		await symlink('/dev/full', device.at('output.yuv'));
		// Black may be refused so soon that it is the opening that fails.
		const error = await openV4l2Sink(SIMULATED_DEVICE, SETUP).then(presentUntilLost, (cause: unknown) => cause);
		expect(error).toMatchObject({
			code: expect.stringMatching(/^ERR_SINK/),
			message: expect.stringMatching(
				/(was lost|cannot write to it) \((?!video|frame|Input).*: No space left on device/,
			),
		});
	});

	it.each([
		['open', constants.errno.EACCES, /group \(sudo usermod -aG video/],
		['open', constants.errno.ENXIO, /there is no such device.*modprobe/],
		['VIDIOC_S_FMT', constants.errno.EBUSY, /another program feeds it.*fuser/],
		['VIDIOC_G_FMT', constants.errno.EIO, /ffmpeg cannot write to it \(.*VIDIOC_G_FMT\): Input\/output error/],
	])('whose driver refuses %s with error %i is explained', async (request, code, message) => {
		await device.tell(`export V4L2_FAIL='${request} ${code}'`);
		await expect(openV4l2Sink(SIMULATED_DEVICE, SETUP)).rejects.toMatchObject({
			code: 'ERR_SINK',
			message: expect.stringMatching(message),
		});
	});

	it('that is a camera is explained', async () => {
		await device.tell('unset V4L2_OUTPUT');
		await expect(openV4l2Sink(SIMULATED_DEVICE, SETUP)).rejects.toThrow(/takes no pictures.*modprobe/);
	});
});

describe('a virtual camera that is none, with the real ffmpeg', () => {
	let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
	beforeAll(async () => {
		folder = await openTemporaryFolder();
		await writeFile(folder.at('file'), 'kept');
	});
	afterAll(() => folder[Symbol.asyncDispose]());

	it.each([
		[
			'a number without a device',
			() => '63',
			/no such device.*modprobe v4l2loopback devices=1 video_nr=63 exclusive_caps=1 card_label="Alla Prima".*v4l2loopback-dkms/,
		],
		[
			'a path that is not there',
			() => folder.at('absent'),
			/no such device.*modprobe v4l2loopback devices=1 exclusive/,
		],
		['a file', () => folder.at('file'), /this is no device.*v4l2:\/dev\/video10/],
		['/dev/null', () => '/dev/null', /this is no video device/],
	])('is refused: %s', async (_, device, message) => {
		await expect(openV4l2Sink(device(), SETUP)).rejects.toMatchObject({
			code: 'ERR_SINK',
			message: expect.stringMatching(message),
		});
		expect(await readFile(folder.at('file'), 'utf8')).toBe('kept');
	});

	it('is for Linux so far', async () => {
		await expect(openV4l2Sink('10', SETUP, { platform: 'win32' })).rejects.toThrow(/Linux so far.*win32/);
	});
});
