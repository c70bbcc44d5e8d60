import type { FrameRate, PictureLayout } from '../frame/frame.ts';

/** Before every frame; ffmpeg writes no parameters there. */
export const Y4M_FRAME_HEADER = 'FRAME\n';
export const Y4M_HEADER_BYTES_MAX = 256;

/** No codec has more. */
const SIDE_MAX = 65_535;

/** NaN for anything but digits, or for more than are exact. */
const wholeNumber = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : NaN);

/**
 * Reads the first line of a YUV4MPEG2 stream in 4:2:0, as ffmpeg writes it:
 * "YUV4MPEG2 W1280 H720 F30:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL". The header says nothing of the
 * matrix: cameras and JPEG have BT.601. Undefined for another line.
 */
export const parseY4mHeader = (line: string): { layout: PictureLayout; frameRate: FrameRate } | undefined => {
	const [magic, ...fields] = line.trim().split(' ');
	const field = (letter: string) => fields.find((text) => text.startsWith(letter))?.slice(1) ?? '';
	const [width, height] = [wholeNumber(field('W')), wholeNumber(field('H'))];
	const [num = 0, den = 0] = field('F').split(':').map(wholeNumber);
	if (magic !== 'YUV4MPEG2' || !(width > 0 && height > 0) || !field('C').startsWith('420')) return undefined;
	if (Math.max(width, height) > SIDE_MAX) return undefined;
	return {
		layout: {
			format: 'I420',
			width,
			height,
			matrix: 'bt601',
			range: fields.includes('XCOLORRANGE=FULL') ? 'full' : 'limited',
		},
		frameRate: num > 0 && den > 0 ? { num, den } : { num: 30, den: 1 },
	};
};
