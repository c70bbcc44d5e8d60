import { buffer } from 'node:stream/consumers';
import { SidecarError } from '../errors.ts';
import { FfmpegChild } from '../ffmpeg.ts';
import type { Mask, Size } from '../frame/frame.ts';

/** ffmpeg's readers of single pictures: nothing in a file can choose another. */
const READERS = { png: 'png_pipe', jpg: 'jpeg_pipe', webp: 'webp_pipe' } as const;
const DECODING_MS = 10_000;

export interface MaskImage extends Size {
	type: keyof typeof READERS;
	bytes: Uint8Array;
}

/**
 * The mask that a picture file shows, stretched to a size: its alpha where it has some, else its luminance. Where it
 * grows, pixels stay pixels. Errors: ERR_STYLE, ERR_RUNTIME.
 */
export const decodeMask = async (image: MaskImage, { width, height }: Size, what: string): Promise<Mask> => {
	const shrinks = width < image.width || height < image.height;
	await using child = await FfmpegChild.start(
		'ffmpeg',
		[
			['-hide_banner', '-nostats', '-loglevel', 'error'],
			['-f', READERS[image.type], '-i', 'pipe:0', '-frames:v', '1'],
			['-vf', `format=rgba,scale=${width}:${height}:flags=${shrinks ? 'area' : 'neighbor'}`],
			['-f', 'rawvideo', '-pix_fmt', 'rgba', 'pipe:1'],
		].flat(),
		{ stdin: true },
	);
	const late = setTimeout(() => void child.stop(), DECODING_MS);
	child.stdin.end(image.bytes);
	const rgba = await buffer(child.stdout).catch(() => Buffer.alloc(0));
	await child.exited;
	clearTimeout(late);
	if (rgba.length !== 4 * width * height)
		throw new SidecarError('ERR_STYLE', `${what}: cannot be decoded (${child.reason}). Save it as PNG.`);
	const hasAlpha = rgba.some((value, at) => at % 4 === 3 && value !== 255);
	const data = new Uint8Array(width * height);
	for (let pixel = 0, at = 0; pixel < data.length; pixel++, at += 4)
		data[pixel] = hasAlpha ? rgba[at + 3]! : luminanceOf(rgba[at]!, rgba[at + 1]!, rgba[at + 2]!);
	return { width, height, data };
};

/** BT.709, rounded. */
const luminanceOf = (red: number, green: number, blue: number): number =>
	Math.round(0.2126 * red + 0.7152 * green + 0.0722 * blue);
