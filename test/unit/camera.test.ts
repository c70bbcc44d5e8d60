import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, it, test } from 'vitest';
import { CameraClock } from '../../sidecar/ingest/camera-clock.ts';
import { chooseCameraMode, describeCameraFormats, parseCameraFormats } from '../../sidecar/ingest/camera-formats.ts';
import { parseY4mHeader } from '../../sidecar/ingest/y4m.ts';
import {
	describeVideoDevices,
	faultOfFile,
	faultOfMessages,
	listVideoDevices,
	videoDevicePath,
} from '../../sidecar/video-device.ts';
import { openTemporaryFolder } from '../support/clips.ts';

// What ffmpeg prints for cameras that people own; none of them was run here.
const C920 = `
[video4linux2,v4l2 @ 0x20485c0] Raw       :     yuyv422 :           YUYV 4:2:2 : 640x480 160x90 160x120 176x144 320x180 320x240 352x288 432x240 640x360 800x448 800x600 864x480 960x720 1024x576 1280x720 1600x896 1920x1080 2304x1296 2304x1536
[video4linux2,v4l2 @ 0x20485c0] Compressed:        h264 :                H.264 : 640x480 160x90 160x120 176x144 320x180 320x240 352x288 432x240 640x360 800x448 800x600 864x480 960x720 1024x576 1280x720 1600x896 1920x1080
[video4linux2,v4l2 @ 0x20485c0] Compressed:       mjpeg :          Motion-JPEG : 640x480 160x90 160x120 176x144 320x180 320x240 352x288 432x240 640x360 800x448 800x600 864x480 960x720 1024x576 1280x720 1600x896 1920x1080
/dev/video0: Immediate exit requested`;
const RASPBERRY_PI = `
[video4linux2,v4l2 @ 0x6b501c0] Raw       :     yuv420p :     Planar YUV 4:2:0 : {32-3280, 2}x{32-2464, 2}
[video4linux2,v4l2 @ 0x6b501c0] Raw       :     yuyv422 :           YUYV 4:2:2 : {32-3280, 2}x{32-2464, 2}
[video4linux2,v4l2 @ 0x6b501c0] Raw       :       rgb24 :     24-bit RGB 8-8-8 : {32-3280, 2}x{32-2464, 2}
[video4linux2,v4l2 @ 0x6b501c0] Compressed:       mjpeg :            JFIF JPEG : {32-3280, 2}x{32-2464, 2}
[video4linux2,v4l2 @ 0x6b501c0] Compressed:        h264 :                H.264 : {32-3280, 2}x{32-2464, 2}
[video4linux2,v4l2 @ 0x6b501c0] Raw       : Unsupported :           YVYU 4:2:2 : {32-3280, 2}x{32-2464, 2}
[video4linux2,v4l2 @ 0x6b501c0] Raw       :        bgr0 : 32-bit BGRA/X 8-8-8-8 : {32-3280, 2}x{32-2464, 2}`;
const EMULATED = `
[video4linux2,v4l2 @ 0x5611adfa0240] Raw       :       rgb24 :                 RGB3 : Emulated : 320x242
[video4linux2,v4l2 @ 0x5611adfa0240] Raw       :       bgr24 :                 BGR3 : Emulated : 320x242
[video4linux2,v4l2 @ 0x5611adfa0240] Raw       :     yuv420p :                 YU12 : Emulated : 320x242`;
/** A laptop's camera, as a later ffmpeg prints it. */
const LAPTOP = `
[in#0 @ 0x572d1cc5e680] Compressed:         mjpeg :          Motion-JPEG : 1280x720 320x180 320x240 352x288 640x360 640x480 848x480 960x540 1920x1080
[in#0 @ 0x572d1cc5e680] Raw       :       yuyv422 :           YUYV 4:2:2 : 640x480 320x180 320x240 352x288 640x360 848x480 960x540 1280x720 1920x1080`;
/** One size and nothing compressed. */
const CAPTURE_CARD = `
[video4linux2,v4l2 @ 0x55fddc42a940] Raw       :     yuyv422 :           YUYV 4:2:2 : 1920x1080
[video4linux2,v4l2 @ 0x55fddc42a940] Raw       :        nv12 :         Y/CbCr 4:2:0 : 1920x1080
[video4linux2,v4l2 @ 0x55fddc42a940] Raw       :     yuv420p :     Planar YUV 4:2:0 : 1920x1080`;

const formatsOf = (listing: string) => parseCameraFormats(listing.split('\n'));
const choose = (listing: string, wish = {}) => {
	const mode = chooseCameraMode(formatsOf(listing), wish);
	return mode && `${mode.format} ${mode.size.width}x${mode.size.height}`;
};

describe("a camera's formats", () => {
	it('are read, with colons in a name and sizes one by one', () => {
		const [raw, h264, mjpeg] = formatsOf(C920);
		expect(raw).toMatchObject({ name: 'yuyv422', isCompressed: false, isEmulated: false, ranges: [] });
		expect(raw!.sizes).toHaveLength(19);
		expect(raw!.sizes[0]).toEqual({ width: 640, height: 480 });
		expect(raw!.sizes.at(-1)).toEqual({ width: 2304, height: 1536 });
		expect([h264, mjpeg].map((format) => [format!.name, format!.isCompressed, format!.sizes.length])).toEqual([
			['h264', true, 17],
			['mjpeg', true, 17],
		]);
	});

	it('are read as ranges of a driver that scales, without what ffmpeg has no name for', () => {
		const formats = formatsOf(RASPBERRY_PI);
		expect(formats.map(({ name }) => name)).toEqual(['yuv420p', 'yuyv422', 'rgb24', 'mjpeg', 'h264', 'bgr0']);
		expect(formats[0]).toMatchObject({
			sizes: [],
			ranges: [{ width: { min: 32, max: 3280, step: 2 }, height: { min: 32, max: 2464, step: 2 } }],
		});
	});

	it('are read where a library emulates them', () => {
		expect(formatsOf(EMULATED)).toEqual(
			['rgb24', 'bgr24', 'yuv420p'].map((name) => ({
				name,
				isCompressed: false,
				isEmulated: true,
				sizes: [{ width: 320, height: 242 }],
				ranges: [],
			})),
		);
	});

	it('are none in what ffmpeg says of another device', () => {
		const messages = ['[video4linux2,v4l2] ioctl(VIDIOC_QUERYCAP): Inappropriate ioctl for device', '/dev/null: x', ''];
		expect(parseCameraFormats(messages)).toEqual([]);
	});

	it('are said for people', () => {
		expect(describeCameraFormats(formatsOf(CAPTURE_CARD))).toBe('yuyv422 1920x1080; nv12 1920x1080; yuv420p 1920x1080');
		expect(describeCameraFormats(formatsOf(RASPBERRY_PI))).toMatch(/^yuv420p 32x32 to 3280x2464 in steps of 2x2; /);
	});
});

describe('the mode of a camera', () => {
	test.each([
		['MJPEG at 720p, which raw could not have at full rate', C920, 'mjpeg 1280x720'],
		['MJPEG at 720p of any size', RASPBERRY_PI, 'mjpeg 1280x720'],
		['the same, whatever the order', LAPTOP, 'mjpeg 1280x720'],
		['what there is, and cheap to convert', CAPTURE_CARD, 'yuyv422 1920x1080'],
		['what is emulated, for want of another', EMULATED, 'yuv420p 320x242'],
		[
			'raw where MJPEG has no more pixels',
			'Compressed: mjpeg : M : 640x480\nRaw : yuyv422 : Y : 640x480',
			'yuyv422 640x480',
		],
		[
			'raw that the bus carries before raw that it does not',
			'Raw : yuyv422 : Y : 1920x1080 640x480 320x240',
			'yuyv422 640x480',
		],
		['the smallest of what is too large', 'Compressed: mjpeg : M : 3840x2160 1920x1080', 'mjpeg 1920x1080'],
		['YUV before RGB', 'Raw : rgb24 : R : 640x480\nRaw : nv12 : N : 640x480', 'nv12 640x480'],
		['anything before H.264', 'Compressed: h264 : H.264 : 1280x720\nRaw : yuyv422 : Y : 320x240', 'yuyv422 320x240'],
		['a range on its own grid', 'Compressed: mjpeg : M : {48-1000, 16}x{32-600, 8}', 'mjpeg 992x600'],
		['a range that begins above', 'Compressed: mjpeg : M : {1920-3840, 2}x{1080-2160, 2}', 'mjpeg 1920x1080'],
	])('is %s', (_, listing, expected) => {
		expect(choose(listing)).toBe(expected);
	});

	test.each([
		[{ size: { width: 640, height: 480 } }, 'yuyv422 640x480'],
		[{ size: { width: 1920, height: 1080 } }, 'mjpeg 1920x1080'],
		[{ size: { width: 2304, height: 1536 } }, 'yuyv422 2304x1536'],
		[{ format: 'yuyv422' }, 'yuyv422 640x480'],
		[{ format: 'h264' }, 'h264 1280x720'],
		[{ format: 'mjpeg', size: { width: 160, height: 90 } }, 'mjpeg 160x90'],
		[{ size: { width: 1000, height: 1000 } }, undefined],
		[{ format: 'nv12' }, undefined],
	])('meets the wish %j, or is none', (wish, expected) => {
		expect(choose(C920, wish)).toBe(expected);
	});

	it('has any size on the grid of a range, and no other', () => {
		expect(choose(RASPBERRY_PI, { size: { width: 1000, height: 562 } })).toBe('mjpeg 1000x562');
		expect(choose(RASPBERRY_PI, { size: { width: 1001, height: 562 } })).toBeUndefined();
		expect(choose(RASPBERRY_PI, { size: { width: 4000, height: 562 } })).toBeUndefined();
	});
});

describe('the header of YUV4MPEG2', () => {
	it('says size, rate and range', () => {
		const line = 'YUV4MPEG2 W1280 H720 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL';
		expect(parseY4mHeader(line)).toEqual({
			layout: { format: 'I420', width: 1280, height: 720, matrix: 'bt601', range: 'full' },
			frameRate: { num: 30_000, den: 1001 },
		});
		expect(parseY4mHeader(line.replace('FULL', 'LIMITED'))?.layout.range).toBe('limited');
		expect(parseY4mHeader('YUV4MPEG2 W2 H2 F0:0 C420mpeg2')?.frameRate).toEqual({ num: 30, den: 1 });
	});

	test.each(['', 'FRAME', 'YUV4MPEG2', 'YUV4MPEG2 W0 H2 C420', 'YUV4MPEG2 Wx Hy C420', 'YUV4MPEG2 W2 H2 C444'])(
		'is not taken from %j',
		(line) => {
			expect(parseY4mHeader(line)).toBeUndefined();
		},
	);
});

describe("a camera's clock", () => {
	const timesOf = (frames: [arrivedUs: number, stampUs: number | undefined][]) => {
		const clock = new CameraClock();
		return frames.map(([arrivedUs, stampUs]) => clock.timestampUs(arrivedUs, stampUs));
	};

	it('keeps the even stamps of the kernel where frames arrive unevenly', () => {
		expect(
			timesOf([
				[1_000_000, 7_000_000],
				[1_090_000, 7_033_333],
				[1_091_000, 7_066_667],
				[1_103_000, 7_100_000],
			]),
		).toEqual([0, 33_333, 66_667, 100_000]);
	});

	it('counts arrival where a driver gives no stamps, or the same one for ever', () => {
		const arrivals = [0, 33_000, 70_000, 3_000_000, 3_033_000];
		expect(timesOf(arrivals.map((us) => [us, undefined]))).toEqual(arrivals);
		expect(timesOf(arrivals.map((us) => [us, 5]))).toEqual(arrivals);
	});

	it('goes on with the frames where the stamps jump, back or far ahead', () => {
		expect(
			timesOf([
				[0, 0],
				[33_000, 33_333],
				[66_000, 9_000_000_000],
				[99_000, 9_000_033_333],
				[132_000, 12],
				[165_000, 33_345],
			]),
		).toEqual([0, 33_333, 66_000, 99_333, 132_000, 165_333]);
	});

	it('never goes back', () => {
		const times = timesOf(Array.from({ length: 200 }, (_, k) => [k * 10_000, ((k * 7919) % 200) * 50_000]));
		for (const [index, us] of times.slice(1).entries()) expect(us).toBeGreaterThan(times[index]!);
	});
});

describe('video devices', () => {
	it('have paths, and numbers for short', () => {
		expect(videoDevicePath('0')).toBe('/dev/video0');
		expect(videoDevicePath('010')).toBe('/dev/video10');
		expect(videoDevicePath('/dev/v4l/by-id/usb-x')).toBe('/dev/v4l/by-id/usb-x');
		expect(videoDevicePath('-i')).toMatch(/^\/.*\/-i$/);
	});

	it('are listed by number, each camera with all its nodes', async () => {
		await using folder = await openTemporaryFolder();
		for (const [file, name] of Object.entries({
			video10: 'Alla Prima',
			video0: 'HD Pro Webcam C920',
			video1: 'HD Pro Webcam C920',
			'v4l-subdev0': 'sensor',
		})) {
			await mkdir(folder.at(file));
			await writeFile(folder.at(`${file}/name`), `${name}\n`);
		}
		await mkdir(folder.at('video2'));
		expect(describeVideoDevices(await listVideoDevices(folder.at('.')))).toBe(
			'HD Pro Webcam C920 (/dev/video0, /dev/video1); without a name (/dev/video2); Alla Prima (/dev/video10)',
		);
		expect(await listVideoDevices(folder.at('none'))).toEqual([]);
	});

	it('are told from what is none by their file alone', async () => {
		await using folder = await openTemporaryFolder();
		await writeFile(folder.at('file'), '');
		expect(await faultOfFile(folder.at('file'))).toBe('no device file');
		expect(await faultOfFile(folder.at('.'))).toBe('no device file');
		expect(await faultOfFile(folder.at('file/below'))).toBe('absent');
		expect(await faultOfFile(folder.at('absent'))).toBe('absent');
		expect(await faultOfFile('/dev/null')).toBeUndefined();
	});

	test.each([
		['Cannot open video device /dev/video0: No such file or directory', 'absent'],
		['Cannot open video device /dev/video0: No such device or address', 'absent'],
		['Cannot open video device /dev/video0: Permission denied', 'forbidden'],
		['Cannot open video device /dev/video0: Device or resource busy', 'busy'],
		['/dev/video0: Device or resource busy', 'busy'],
		['ioctl(VIDIOC_QUERYCAP): Inappropriate ioctl for device', 'no video device'],
		['ioctl(VIDIOC_QUERYCAP): Invalid argument', 'no video device'],
		['ioctl(VIDIOC_G_FMT): Inappropriate ioctl for device', 'no video device'],
		['ioctl(VIDIOC_G_FMT): Invalid argument', 'wrong direction'],
		['Not a video capture device.\n/dev/video1: No such device', 'wrong direction'],
		['ioctl(VIDIOC_STREAMON): No space left on device', 'no bandwidth'],
		['Cannot find a proper format for codec', undefined],
	])('"%s" means: %s', (message, fault) => {
		expect(faultOfMessages(message.split('\n'))).toBe(fault);
	});
});
