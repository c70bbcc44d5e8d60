import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FrameSink } from '../../sidecar/egress/frame-sink.ts';
import { type Frame, type Picture, pictureByteLength, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { FrameRing } from '../../sidecar/frame/ring.ts';
import { slotByteLength, type FrameSource, type SourceEnd } from '../../sidecar/ingest/frame-source.ts';

const execute = promisify(execFile);
const OPTIONS = { maxBuffer: 1 << 28, encoding: 'buffer' } as const;

/** A folder of its own that goes away with its tests. */
export const openTemporaryFolder = async (): Promise<AsyncDisposable & { at(name: string): string }> => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-'));
	return {
		at: (name) => join(folder, name),
		[Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
	};
};

/** Runs ffmpeg; the arguments are split at spaces. */
export const ffmpeg = async (args: string): Promise<Buffer> =>
	(await execute('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args.split(' ')], OPTIONS)).stdout;

export interface ProbedFrame {
	timeS: number;
	width: number;
	height: number;
	pixelFormat: string;
	colour: string;
}

/** What ffprobe, an independent reader, finds in a file. */
export const probeFrames = async (path: string): Promise<ProbedFrame[]> => {
	const entries = 'frame=pts_time,width,height,pix_fmt,color_range,color_space';
	const { stdout } = await execute('ffprobe', [
		'-v',
		'error',
		'-select_streams',
		'v:0',
		'-show_entries',
		entries,
		'-of',
		'json',
		path,
	]);
	const { frames } = JSON.parse(stdout) as {
		frames: {
			pts_time: string;
			width: number;
			height: number;
			pix_fmt: string;
			color_range?: string;
			color_space?: string;
		}[];
	};
	return frames.map((frame) => ({
		timeS: Number(frame.pts_time),
		width: frame.width,
		height: frame.height,
		pixelFormat: frame.pix_fmt,
		colour: `${frame.color_space} ${frame.color_range}`,
	}));
};

/** Codec, start and length of each stream, as ffprobe says. */
export const probeStreams = async (
	path: string,
): Promise<{ type: string; codec: string; startS: number; endS: number }[]> => {
	const { stdout } = await execute('ffprobe', ['-v', 'error', '-show_streams', '-show_packets', '-of', 'json', path]);
	const { streams, packets } = JSON.parse(stdout) as {
		streams: { index: number; codec_type: string; codec_name: string; start_time: string }[];
		packets: { stream_index: number; pts_time: string; duration_time?: string }[];
	};
	return streams.map(({ index, codec_type, codec_name, start_time }) => ({
		type: codec_type,
		codec: codec_name,
		startS: Number(start_time),
		endS: packets
			.filter(({ stream_index }) => stream_index === index)
			.reduce((end, { pts_time, duration_time }) => Math.max(end, Number(pts_time) + Number(duration_time ?? 0)), 0),
	}));
};

/** Decodes the audio to mono floats at 48 kHz; silence stands for what is missing before it starts. */
export const decodeAudio = async (path: string): Promise<Float32Array> => {
	const bytes = await ffmpeg(`-i ${path} -map 0:a:0 -af aresample=async=1:first_pts=0 -ac 1 -ar 48000 -f f32le -`);
	return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
};

/** A frame with its pixels copied out of the ring. */
export interface ReadFrame extends Frame {
	data: Uint8Array;
}

/** A ring for the source, as the app makes one. */
export const ringFor = (source: FrameSource, mode: 'wait' | 'newest-wins' = 'wait', slotCount = 3): FrameRing =>
	new FrameRing({ slotCount, slotBytes: slotByteLength(source.info), mode });

/** Runs a source to its end, or until `visit` gives false. */
export const readFrames = async (
	source: FrameSource,
	visit: (frame: ReadFrame) => Promise<boolean | void> | boolean | void,
	ring = ringFor(source),
): Promise<SourceEnd> => {
	const stop = new AbortController();
	const bytes = pictureByteLength(source.info.layout);
	const run = source.run(ring, stop.signal).then(
		(end) => (ring.close(), end),
		(error: unknown) => {
			ring.fail(error);
			throw error;
		},
	);
	try {
		for await (const frame of ring.frames(stop.signal)) {
			const data = ring.bytes(frame.slot).slice(0, bytes);
			ring.release(frame);
			if ((await visit({ ...frame, data })) === false) stop.abort();
		}
	} finally {
		stop.abort();
		await run.catch(() => {});
	}
	return run;
};

/** All frames of a source. */
export const readAll = async (source: FrameSource): Promise<{ frames: ReadFrame[]; end: SourceEnd }> => {
	const frames: ReadFrame[] = [];
	const end = await readFrames(source, (frame) => void frames.push(frame));
	return { frames, end };
};

export const toStyled = (frame: ReadFrame, picture: Picture = { ...frame.layout, data: frame.data }): StyledFrame => ({
	sequence: frame.sequence,
	capturedUs: frame.capturedUs,
	timestampUs: frame.timestampUs,
	durationUs: frame.durationUs,
	epoch: 0,
	kind: 'painting',
	source: picture,
	picture,
});

/** Sends a source's frames to a sink as they are, `limit` of them, and finishes it. */
export const copyFrames = async (source: FrameSource, sink: FrameSink, limit = Infinity): Promise<SourceEnd> => {
	let count = 0;
	const end = await readFrames(source, async (frame) => {
		await sink.present(toStyled(frame));
		return ++count < limit;
	});
	await sink.finish();
	return end;
};

/** Command lines of living processes that name a path: an ffmpeg that outlived its run would be one. */
export const commandsNaming = async (path: string): Promise<string[]> => {
	const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
	const lines = await Promise.all(processes.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
	return lines.filter((line) => line.includes(path));
};
