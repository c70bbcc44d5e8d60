import { access, constants, open, stat } from 'node:fs/promises';
import { SidecarError } from '../errors.ts';
import { type ProbedFile, type ProbedStream, probeFile, secondsToUs, streamLengthUs, usualMatrix } from '../ffmpeg.ts';
import type { ColorMatrix, FrameRate, PictureLayout, Size } from '../frame/frame.ts';

/** What is known about a video file before a frame is decoded. */
export interface Clip {
	path: string;
	/** Index of the video stream in the file. */
	streamIndex: number;
	layout: PictureLayout;
	/** Colours that I420 of ours cannot carry as they are (RGB, BT.2020): ffmpeg converts them to `layout.matrix`. */
	convertColour: boolean;
	/** Then its range is limited: ffmpeg has no I420 with alpha of full range. */
	hasAlpha: boolean;
	frameRate: FrameRate;
	/** From ffmpeg's zero, the start of the earliest stream, to the first frame. */
	originUs: number;
	/** The video's length as the container promises it. */
	durationUs?: number;
	/** First sample of the audio after the first frame. */
	audioStartUs?: number;
	warnings: string[];
}

/** Scaling to whole pixels leaves ratios such as 2880:2881 in files that were meant to be square. */
const SQUARE_ENOUGH = 0.01;

const EXPECTED = 'Expected a video file that ffmpeg can decode (mp4, mov, mkv, webm, ts, avi ...)';

const sourceError = (path: string, seen: string, advice: string, cause?: unknown): SidecarError =>
	new SidecarError('ERR_SOURCE', `${path}: ${seen}. ${EXPECTED}. ${advice}`, { cause });

/** Errors: ERR_SOURCE, ERR_RUNTIME. */
export const openClip = async (path: string): Promise<Clip> => {
	let file: Awaited<ReturnType<typeof stat>>;
	try {
		file = await stat(path);
		await access(path, constants.R_OK);
	} catch (cause) {
		const { code } = cause as NodeJS.ErrnoException;
		if (code === 'EACCES') throw sourceError(path, 'may not be read', 'Check its permissions.', cause);
		throw sourceError(path, 'there is no such file', 'Check the path.', cause);
	}
	if (file.isDirectory()) throw sourceError(path, 'this is a folder', 'Name a file in it.');
	if (file.isFile() && file.size === 0) {
		throw sourceError(path, 'the file is empty (0 bytes)', 'Copy or record it again.');
	}
	const probed = await probeFile(path);
	if ('unreadable' in probed) {
		if (/moov atom not found/.test(probed.unreadable) && (await startsAsMp4(path))) {
			throw sourceError(
				path,
				'its index (the "moov atom" at the end of an mp4) is missing, as when a recording or a copy was cut off',
				'Copy the whole file; recordings that may be cut off are better made as mkv.',
			);
		}
		throw sourceError(path, `ffprobe cannot read it (${probed.unreadable})`, 'Check that it plays elsewhere.');
	}
	return describeClip(path, probed);
};

/** ffprobe misses an index in anything that is called .mp4; a real one begins with the box "ftyp". */
const startsAsMp4 = async (path: string): Promise<boolean> => {
	const file = await open(path);
	try {
		const { buffer } = await file.read({ buffer: Buffer.alloc(8), position: 0 });
		return /ftyp|wide|mdat|free|skip/.test(buffer.toString('latin1', 4));
	} finally {
		await file.close();
	}
};

/** Errors: ERR_SOURCE. */
export const describeClip = (path: string, { streams, format }: ProbedFile): Clip => {
	// ffmpeg's "tty" demuxer paints any .txt file as a terminal would show it.
	if (format.format_name === 'tty') throw sourceError(path, 'this is a text file', 'Name a video file.');
	const video = streams.find(({ codec_type, disposition }) => codec_type === 'video' && !disposition?.attached_pic);
	const audio = streams.find(({ codec_type }) => codec_type === 'audio');
	if (!video?.width || !video.height) {
		const seen = audio ? 'it has audio but no video' : 'it has no video';
		throw sourceError(path, seen, 'Name a file with pictures in it.');
	}

	const size = displayedSize(video);
	const rgb = /^(gbr|rgb|bgr|argb|abgr|pal8|gray|mono)/.test(video.pix_fmt ?? '');
	const hasAlpha = /^(yuva|gbrap|argb|rgba|abgr|bgra|ya\d)/.test(video.pix_fmt ?? '');
	const isFull = !rgb && (video.color_range === 'pc' || video.pix_fmt?.startsWith('yuvj') === true);
	const tagged = taggedMatrix(video.color_space);
	const startUs = secondsToUs(video.start_time) ?? 0;
	const audioStartUs = audio && (secondsToUs(audio.start_time) ?? startUs);
	// Without a word on the stream, the file's length may be its audio's.
	const durationUs = streamLengthUs(video) ?? (audio ? undefined : secondsToUs(format.duration));
	return {
		path,
		streamIndex: video.index,
		layout: {
			format: 'I420',
			...size,
			matrix: rgb ? usualMatrix(size) : (tagged ?? usualMatrix(size)),
			range: isFull && !hasAlpha ? 'full' : 'limited',
		},
		convertColour: rgb || (isFull && hasAlpha) || (video.color_space ?? '').startsWith('bt2020'),
		hasAlpha,
		frameRate: frameRate(video),
		originUs: startUs - (secondsToUs(format.start_time) ?? startUs),
		...(durationUs !== undefined && { durationUs }),
		...(audioStartUs !== undefined && { audioStartUs: audioStartUs - startUs }),
		warnings: /^(smpte2084|arib-std-b67)$/.test(video.color_transfer ?? '')
			? [`${path} is HDR (${video.color_transfer}); it is shown without tone mapping and looks flat.`]
			: [],
	};
};

/** As a player shows it: turned upright, with square pixels. Pixels are added, never thrown away. */
const displayedSize = (video: ProbedStream): Size => {
	let [width, height] = [video.width!, video.height!];
	const [num = 0, den = 0] = (video.sample_aspect_ratio ?? '').split(':').map(Number);
	const ratio = num > 0 && den > 0 ? num / den : 1;
	// An even length, so that the encoder's 4:2:0 is not spoilt by the correction.
	if (ratio > 1 + SQUARE_ENOUGH) width = 2 * Math.round((width * ratio) / 2);
	if (ratio < 1 / (1 + SQUARE_ENOUGH)) height = 2 * Math.round(height / ratio / 2);
	const rotation = video.side_data_list?.find((data) => data.rotation !== undefined)?.rotation ?? 0;
	return Math.abs(rotation) % 180 === 90 ? { width: height, height: width } : { width, height };
};

const taggedMatrix = (colorSpace: string | undefined): ColorMatrix | undefined => {
	switch (colorSpace) {
		case 'bt709':
		case 'bt2020nc':
		case 'bt2020c':
			return 'bt709';
		case 'smpte170m':
		case 'bt470bg':
		case 'fcc':
			return 'bt601';
		default:
			return undefined;
	}
};

const frameRate = ({ avg_frame_rate, r_frame_rate }: ProbedStream): FrameRate => {
	for (const rate of [avg_frame_rate, r_frame_rate]) {
		const [num = 0, den = 0] = (rate ?? '').split('/').map(Number);
		if (num > 0 && den > 0) return { num, den };
	}
	return { num: 25, den: 1 };
};

/** What the user should hear about how a clip ended. */
export const endWarnings = (
	clip: Clip,
	end: { endUs: number; cutFrame: boolean; exitCode: number | undefined; messages: readonly string[] },
): string[] => {
	const warnings = [...clip.warnings];
	const frameUs = (1e6 * clip.frameRate.den) / clip.frameRate.num;
	const missingUs = (clip.durationUs ?? 0) - end.endUs;
	const seconds = (us: number) => `${(us / 1e6).toFixed(2)} s`;
	const said = end.messages.length > 0 ? ` ffmpeg says: ${end.messages.slice(-3).join('; ')}.` : '';
	// Containers round the length and may count a last frame twice; half a second is a cut beyond doubt.
	if (clip.durationUs !== undefined && missingUs > Math.max(2 * frameUs, Math.min(500_000, clip.durationUs / 20))) {
		warnings.push(
			`${clip.path} is cut: it promises ${seconds(clip.durationUs)} of video and ends after ${seconds(end.endUs)}. All frames up to there were used.${said}`,
		);
	} else if (end.cutFrame || end.exitCode !== 0 || end.messages.length > 0) {
		warnings.push(
			`${clip.path} is damaged or cut; the frames that could be decoded were used (up to ${seconds(end.endUs)}).${said}`,
		);
	}
	return warnings;
};
