import { join } from 'node:path';
import { FfmpegChild, fileUrl } from '../ffmpeg.ts';
import type { FrameRate, PictureLayout, PixelFormat } from '../frame/frame.ts';

/** Of a recording's folder. It plays anywhere that plays H.264 4:4:4 Predictive, for people to look into. */
export const VIDEO_FILE = 'frames.mkv';

const RAW_FORMAT: Record<PixelFormat, string> = {
	RGB: 'rgb24',
	BGRA: 'bgra',
	RGBA: 'rgba',
	NV12: 'nv12',
	I420: 'yuv420p',
	UYVY: 'uyvy422',
};

/** The same samples in the order that a codec keeps them. Alpha is not painted, and not kept. */
const CODEC_FORMAT: Record<PixelFormat, string> = {
	RGB: 'bgr24',
	BGRA: 'bgr0',
	RGBA: 'bgr0',
	NV12: 'yuv420p',
	I420: 'yuv420p',
	UYVY: 'yuv422p',
};

/**
 * x264 without loss: 8 ms a frame of 1280x720 on one core, where FFV1 takes 18 and Ut Video 7 at twice the size. It wants
 * even sides of subsampled pictures; for others FFV1.
 */
const codecOf = ({ format, width, height }: PictureLayout): string[] => {
	const pixels = CODEC_FORMAT[format];
	const isRgb = pixels.startsWith('bgr');
	if (!isRgb && (width % 2 === 1 || height % 2 === 1)) return ['-c:v', 'ffv1', '-level', '3', '-pix_fmt', pixels];
	return ['-c:v', isRgb ? 'libx264rgb' : 'libx264', '-qp', '0', '-preset', 'ultrafast', '-pix_fmt', pixels];
};

const QUIET = ['-hide_banner', '-nostats', '-loglevel', 'error'];

const rawVideo = ({ format, width, height }: PictureLayout): string[] =>
	`-f rawvideo -pix_fmt ${RAW_FORMAT[format]} -video_size ${width}x${height}`.split(' ');

/** Takes pictures of the layout, tightly packed, on its stdin. Errors: ERR_RUNTIME. */
export const startVideoWriter = (
	folder: string,
	layout: PictureLayout,
	{ num, den }: FrameRate,
): Promise<FfmpegChild> => {
	const input = [...rawVideo(layout), '-framerate', `${num}/${den}`, '-i', 'pipe:0'];
	// Written as it comes, so that what was recorded before a crash can be read.
	const output = ['-threads', '1', '-flush_packets', '1', '-f', 'matroska', fileUrl(join(folder, VIDEO_FILE))];
	return FfmpegChild.start('ffmpeg', [...QUIET, '-y', ...input, ...codecOf(layout), ...output], { stdin: true });
};

/** Gives the pictures as they were, on its stdout. What is no Matroska is not read: a list of other files. Errors: ERR_RUNTIME. */
export const startVideoReader = (folder: string, layout: PictureLayout): Promise<FfmpegChild> => {
	const input = [
		...'-nostdin -threads 2 -f matroska -i'.split(' '),
		fileUrl(join(folder, VIDEO_FILE)),
		'-map',
		'0:v:0',
	];
	const output = ['-fps_mode', 'passthrough', '-threads', '1', ...rawVideo(layout), '-flush_packets', '1', 'pipe:1'];
	return FfmpegChild.start('ffmpeg', [...QUIET, ...input, ...output]);
};
