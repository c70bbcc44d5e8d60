// What paints without a model, and is in Debian: how each is told to paint frames, and to say when one is done.
import { fileURLToPath } from 'node:url';
import { byArrival, byFfmpeg, byOwnClock } from './watched-command.mjs';

/** @typedef {import('./watched-command.mjs').Command} Command */

/**
 * @typedef {{
 *   clip: string,
 *   pictures: string[],
 *   count: number,
 *   style: string,
 *   out?: string,
 * }} Frames The same ones twice: what ffmpeg reads, and as PPM files. The painted ones go to `out`, a pattern with %d from 1 on
 */

/**
 * @typedef {{
 *   name: string,
 *   package: string,
 *   inside: string,
 *   frames: number,
 *   smallFrames: number,
 *   probe: Command,
 *   command: (frames: Frames) => Command,
 *   pace: (lines: import('./watched-command.mjs').Line[]) => import('./watched-command.mjs').Pace,
 * }} Peer `frames` are those of one round; `inside` is what is measured, `probe` fails where it is not installed
 */

export const SIZE = { width: 512, height: 288 };

// Debian's, which has OpenCV.
const PYTHON = '/usr/bin/python3';
const script = fileURLToPath(new URL('./peers.py', import.meta.url));

/** @returns {Peer} */
const opencv = (/** @type {string} */ call, /** @type {string} */ said, /** @type {number} */ frames) => ({
	name: `OpenCV ${said}`,
	package: 'python3-opencv',
	inside: 'decoding to BGR, a pipe, the call',
	frames,
	smallFrames: 3,
	probe: { file: PYTHON, args: ['-c', `import cv2; cv2.${call}`] },
	command: ({ clip, count, out }) => {
		const args = [script, call, clip, `${SIZE.width}x${SIZE.height}`, `${count}`];
		return { file: PYTHON, args: [...args, ...(out ? [out] : [])] };
	},
	pace: byOwnClock,
});

/** @returns {Peer} */
const frei0r = (/** @type {string} */ name) => {
	const filter = `format=bgra,bench=start,frei0r=${name},bench=stop`;
	const nothing = ['-f', 'null', '-'];
	return {
		name: `frei0r ${name}`,
		package: 'frei0r-plugins',
		inside: 'decoding to BGRA and the filter, in one process; p50 and p95 of the filter alone',
		frames: 480,
		smallFrames: 12,
		probe: {
			file: 'ffmpeg',
			args: ['-v', 'error', '-f', 'lavfi', '-i', 'color=size=64x64', '-frames:v', '1', '-vf', filter, ...nothing],
		},
		command: ({ clip, count, out }) => {
			const input = ['-hide_banner', '-nostats', '-nostdin', '-y', '-benchmark', '-threads', '2', '-i', clip];
			const frames = ['-frames:v', `${count}`, '-fps_mode', 'passthrough'];
			const output = out ? ['-vf', `${filter},format=rgb24`, out] : ['-vf', filter, ...nothing];
			return { file: 'ffmpeg', args: [...input, ...frames, ...output] };
		},
		pace: byFfmpeg,
	};
};

const numbered = (/** @type {string} */ pattern, /** @type {number} */ i) => pattern.replace('%d', `${i + 1}`);

/** @returns {Peer} */
const gmic = (
	/** @type {string} */ name,
	/** @type {number} */ frames,
	/** @type {(style: string) => { first: string[], paint: string[], at: number }} */ how,
) => ({
	name: `G'MIC ${name}`,
	package: 'gmic',
	inside: 'reading PPM and the command; frames decoded before',
	frames,
	smallFrames: 2,
	probe: { file: 'gmic', args: ['-v', '-', '1,1'] },
	command: ({ pictures, count, style, out }) => {
		const { first, paint, at } = how(style);
		const each = pictures
			.slice(0, count)
			.flatMap((picture, i) => [
				picture,
				...paint,
				'e',
				'$|',
				...(out ? [`o[${at}]`, numbered(out, i)] : []),
				`rm[${at}]`,
			]);
		return { file: 'gmic', args: ['-v', '-', ...first, ...each] };
	},
	pace: byOwnClock,
});

/** @type {Peer} */
const imagemagick = {
	name: 'ImageMagick -paint 3',
	package: 'imagemagick',
	inside: 'reading PPM and the operator; frames decoded before',
	frames: 24,
	smallFrames: 3,
	probe: { file: 'convert', args: ['-version'] },
	command: ({ pictures, count, out }) => {
		const each = pictures
			.slice(0, count)
			.flatMap((picture, i) => [
				'(',
				picture,
				'-paint',
				'3',
				...(out ? ['-write', numbered(out, i)] : []),
				'-print',
				String.raw`done\n`,
				')',
			]);
		return { file: 'stdbuf', args: ['-oL', 'convert', ...each, 'null:'] };
	},
	pace: byArrival,
};

/** @type {Peer[]} */
export const PEERS = [
	opencv('stylization', 'stylization', 40),
	opencv('pencilSketch', 'pencilSketch', 120),
	opencv('xphoto.oilPainting', 'xphoto.oilPainting(7, 1)', 160),
	frei0r('cartoon'),
	imagemagick,
	// What its plug-in for GIMP starts with.
	gmic('fx_painting', 6, () => ({ first: [], paint: ['fx_painting', '5,2.5,1.5,50,1'], at: 0 })),
	gmic('stylize', 3, (style) => ({ first: [style], paint: ['stylize[1]', '[0]'], at: 1 })),
];
