import { SidecarError } from '../errors.ts';
import { probeFile, secondsToUs, streamLengthUs } from '../ffmpeg.ts';
import type { AudioTrack } from '../frame/frame.ts';

/** The audio of another file on its way into a recording. */
export interface RecordedAudio extends AudioTrack {
	codec: string;
	/** First sample on ffmpeg's timeline of that file, whose zero is its earliest stream. */
	firstUs: number;
	/** Where that file's video ends, in the frames' time; undefined where the file does not say. */
	videoEndUs?: number;
}

/** Undefined where the file has no audio after all. Errors: ERR_SINK, ERR_RUNTIME. */
export const probeAudio = async (track: AudioTrack): Promise<RecordedAudio | undefined> => {
	const probed = await probeFile(track.path);
	if ('unreadable' in probed) {
		throw new SidecarError(
			'ERR_SINK',
			`${track.path}: its audio was to be copied, but ffprobe cannot read it (${probed.unreadable}). Check the file.`,
		);
	}
	const { streams, format } = probed;
	const audio = streams.find(({ codec_type }) => codec_type === 'audio');
	if (!audio) return undefined;
	const fileStartUs = secondsToUs(format.start_time) ?? 0;
	const video = streams.find(({ codec_type, disposition }) => codec_type === 'video' && !disposition?.attached_pic);
	const videoEndUs = video && (streamLengthUs(video) ?? secondsToUs(format.duration));
	return {
		...track,
		codec: audio.codec_name ?? 'unknown',
		firstUs: (secondsToUs(audio.start_time) ?? fileStartUs) - fileStartUs,
		...(videoEndUs !== undefined && { videoEndUs }),
	};
};
