import { createHash } from 'node:crypto';
import { basename } from 'node:path';
import { REFERENCE_NAME_MAX } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import { FfmpegChild } from '../ffmpeg.ts';
import { rgbLayout, type Picture, type Size } from '../frame/frame.ts';
import type { ReferencePicture } from '../parameters.ts';
import { readGuarded } from './file-guard.ts';
import { orientationOf, plainImageOf } from './image-chunks.ts';
import { imageHeaderOf, type ImageHeader } from './image-header.ts';

/**
 * Pictures that show a style, from files and from whoever sends them: PNG, JPEG, WebP and GIF. What they say of their size is
 * looked at before anything is decoded, which a process of its own does, with bounds.
 */
export const REFERENCE_BYTES_MAX = 64 * 1024 * 1024;
/** A smaller one shows nothing of a style. */
const SIDE_PX_MIN = 16;
const SIDE_PX_MAX = 8192;
/** Of which ffmpeg holds two or three copies. */
const PIXELS_MAX = 50_000_000;
/** The longer side of what is kept. */
const KEPT_SIDE_PX = 1024;

const DECODE_MS = 10_000;
/** Of one allocation. */
const DECODER_BYTES_MAX = 512 * 1024 * 1024;
const DECODERS: Record<ImageHeader['type'], [format: string, codec: string]> = {
	png: ['png_pipe', 'png'],
	jpg: ['jpeg_pipe', 'mjpeg'],
	webp: ['webp_pipe', 'webp'],
	gif: ['gif', 'gif'],
};

/** A picture whose header is good. */
export interface CheckedImage {
	/** Without what need not be decoded. */
	bytes: Buffer;
	header: ImageHeader;
	/** As Exif has it, 1 to 8. */
	orientation: number;
	/** For messages. */
	what: string;
}

/** Looks at the header alone. Errors: ERR_STYLE. */
export const checkImage = (given: Buffer, what: string): CheckedImage => {
	const refuse = (reason: string): never => {
		throw new SidecarError('ERR_STYLE', `${what} ${reason}`);
	};
	if (given.length > REFERENCE_BYTES_MAX) refuse(`has ${given.length} bytes, expected at most ${REFERENCE_BYTES_MAX}`);
	const found = imageHeaderOf(given);
	const bytes = found && plainImageOf(given, found);
	const header = bytes && imageHeaderOf(bytes);
	if (!header) return refuse('is no picture that is understood, expected a PNG, JPEG, WebP or GIF file');
	const { width, height } = header;
	if (Math.min(width, height) < SIDE_PX_MIN || Math.max(width, height) > SIDE_PX_MAX)
		refuse(`has ${width}x${height} px, expected sides of ${SIDE_PX_MIN} to ${SIDE_PX_MAX} px`);
	if (width * height > PIXELS_MAX) refuse(`has ${width * height} pixels, expected at most ${PIXELS_MAX}`);
	return { bytes, header, orientation: orientationOf(given, header), what };
};

/** Reads and decodes a file. Errors: ERR_STYLE, ERR_RUNTIME where there is no ffmpeg. */
export const readReference = async (path: string): Promise<{ name: string; picture: ReferencePicture }> => {
	const bytes = await readGuarded(path, { byteLengthMax: REFERENCE_BYTES_MAX, follow: true });
	return { name: nameOf(basename(path)), picture: await decodeReference(checkImage(bytes, path)) };
};

/** A name as it may be shown and kept. */
export const nameOf = (name: string): string => {
	// What a terminal would obey is to be in no name.
	const plain = name.replace(/[\u0000-\u001f\u007f-\u009f]/g, '').trim();
	return plain.slice(0, REFERENCE_NAME_MAX) || 'picture';
};

/** The picture the right way up, over white where it lets through. Errors: ERR_STYLE, ERR_RUNTIME. */
export const decodeReference = async (image: CheckedImage): Promise<ReferencePicture> => {
	const { header, orientation } = image;
	const size = keptSizeOf(header);
	const hasAlpha = header.type !== 'jpg';
	const pixels = await decode(image, size, hasAlpha);
	const opaque = hasAlpha ? overWhite(pixels) : pixels;
	return referenceOf(turned({ ...rgbLayout(size), data: opaque }, orientation));
};

export const referenceOf = (picture: Picture): ReferencePicture => {
	const hash = createHash('sha256').update(`${picture.width}x${picture.height}\n`).update(picture.data);
	return Object.freeze({ id: hash.digest('hex').slice(0, 32), picture: Object.freeze(picture) });
};

/** The same aspect, with no side longer than what is kept. */
export const keptSizeOf = ({ width, height }: Size): Size => {
	const scale = Math.min(1, KEPT_SIDE_PX / Math.max(width, height));
	return { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) };
};

/** RGBA with the alpha multiplied in, or RGB. Colours of what cannot be seen must not bleed into the rest as it is scaled. */
const decode = async (
	{ bytes, header, what }: CheckedImage,
	{ width, height }: Size,
	hasAlpha: boolean,
): Promise<Uint8Array> => {
	const [format, codec] = DECODERS[header.type];
	const scale = `scale=${width}:${height}:flags=area+accurate_rnd+full_chroma_int+full_chroma_inp`;
	const refuse = (reason: string): never => {
		throw new SidecarError('ERR_STYLE', `${what} cannot be decoded (${reason}). Expected a whole picture.`);
	};
	await using child = await FfmpegChild.start(
		'ffmpeg',
		[
			`-v error -xerror -max_alloc ${DECODER_BYTES_MAX} -protocol_whitelist pipe`,
			`-f ${format} -codec:v ${codec} -err_detect explode -max_pixels ${PIXELS_MAX} -threads 1 -noautorotate -i pipe:0`,
			`-an -frames:v 1 -filter_threads 1 -vf ${hasAlpha ? `format=gbrap,premultiply=inplace=1,${scale}` : scale}`,
			`-f rawvideo -pix_fmt ${hasAlpha ? 'rgba' : 'rgb24'} pipe:1`,
		].flatMap((options) => options.split(' ')),
		{ stdin: true },
	);
	let isLate = false;
	const timer = setTimeout(() => {
		isLate = true;
		void child.stop();
	}, DECODE_MS);
	try {
		child.stdin.end(bytes);
		const pixels = new Uint8Array((hasAlpha ? 4 : 3) * width * height);
		let byteLength = 0;
		for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
			if (byteLength + chunk.length > pixels.length) return refuse('more than one picture');
			pixels.set(chunk, byteLength);
			byteLength += chunk.length;
		}
		const code = await child.exited;
		if (code !== 0 || byteLength < pixels.length) refuse(child.reason);
		return pixels;
	} catch (error) {
		return isLate ? refuse(`it took more than ${DECODE_MS / 1000} s`) : Promise.reject(error as Error);
	} finally {
		clearTimeout(timer);
	}
};

/** RGB of RGBA whose alpha is multiplied in. */
const overWhite = (rgba: Uint8Array): Uint8Array => {
	const rgb = new Uint8Array((rgba.length / 4) * 3);
	for (let from = 0, to = 0; from < rgba.length; from += 4) {
		const white = 255 - rgba[from + 3]!;
		for (let channel = 0; channel < 3; channel++) rgb[to++] = Math.min(255, rgba[from + channel]! + white);
	}
	return rgb;
};

/** As Exif says that it is to be turned. */
const turned = (picture: Picture, orientation: number): Picture => {
	if (orientation === 1) return picture;
	const { width, height, data } = picture;
	const isTransposed = orientation >= 5;
	const size = isTransposed ? { width: height, height: width } : { width, height };
	const isMirrored = [2, 3, 7, 8].includes(orientation);
	const isUpsideDown = [3, 4, 6, 7].includes(orientation);
	const target = new Uint8Array(data.length);
	for (let y = 0, to = 0; y < size.height; y++)
		for (let x = 0; x < size.width; x++) {
			const column = isTransposed ? y : x;
			const row = isTransposed ? x : y;
			const from = (isUpsideDown ? height - 1 - row : row) * width + (isMirrored ? width - 1 - column : column);
			for (let channel = 0; channel < 3; channel++) target[to++] = data[3 * from + channel]!;
		}
	return { ...rgbLayout(size), data: target };
};
