import type { Size } from '../frame/frame.ts';

/** How one kind of file is encoded. */
export interface Container {
	muxer: string;
	video: 'x264' | 'vp9';
	/** Audio codecs, by ffmpeg's names, that are copied into it; others are transcoded. */
	audioCopied: readonly string[];
	audioEncoder: readonly string[];
	/** Of the muxer. */
	options: readonly string[];
}

const AAC = ['aac', '-b:a', '192k'];
/** 90 kHz holds the usual rates exactly and any time to 6 µs; the index goes to the front, so that a part of the file plays. */
const MP4_OPTIONS = ['-video_track_timescale', '90000', '-movflags', '+faststart'];

/**
 * By extension. Matroska and WebM keep times to the millisecond, the only unit ffmpeg's muxer knows;
 * mp4 and mov keep them to 6 µs.
 */
export const CONTAINERS: Readonly<Record<string, Container>> = {
	'.mp4': {
		muxer: 'mp4',
		video: 'x264',
		audioCopied: ['aac', 'mp3', 'ac3', 'eac3', 'alac', 'opus', 'flac'],
		audioEncoder: AAC,
		options: MP4_OPTIONS,
	},
	'.mov': {
		muxer: 'mov',
		video: 'x264',
		audioCopied: ['aac', 'mp3', 'ac3', 'eac3', 'alac', 'pcm_s16le', 'pcm_s16be', 'pcm_s24le', 'pcm_f32le'],
		audioEncoder: AAC,
		options: MP4_OPTIONS,
	},
	'.mkv': {
		muxer: 'matroska',
		video: 'x264',
		audioCopied: [
			['aac', 'mp2', 'mp3', 'ac3', 'eac3', 'dts', 'truehd', 'alac', 'opus', 'vorbis', 'flac'],
			['pcm_u8', 'pcm_s16le', 'pcm_s16be', 'pcm_s24le', 'pcm_s32le', 'pcm_f32le'],
		].flat(),
		audioEncoder: AAC,
		options: [],
	},
	'.webm': {
		muxer: 'webm',
		video: 'vp9',
		audioCopied: ['opus', 'vorbis'],
		audioEncoder: ['libopus', '-b:a', '160k'],
		options: [],
	},
};

/**
 * x264 without B-frames: then mp4 states every frame's length rightly at a variable rate, and no player shows
 * the first frame late. An odd size is kept exactly: 4:2:0 cannot say it in H.264, so those files are 4:4:4,
 * while VP9 can.
 */
export const videoArguments = ({ video }: Container, { width, height }: Size): string[] => {
	if (video === 'vp9') {
		return [
			['-c:v', 'libvpx-vp9', '-deadline', 'realtime', '-cpu-used', '8', '-row-mt', '1'],
			['-crf', '30', '-b:v', '0', '-threads', '2', '-pix_fmt', 'yuv420p'],
		].flat();
	}
	const odd = width % 2 === 1 || height % 2 === 1;
	return [
		['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '18', '-bf', '0'],
		['-threads', '2', '-pix_fmt', odd ? 'yuv444p' : 'yuv420p'],
	].flat();
};
