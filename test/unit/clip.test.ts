import { Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import type { ProbedFile, ProbedStream } from '../../sidecar/ffmpeg.ts';
import { describeClip, endWarnings } from '../../sidecar/ingest/clip.ts';
import { PipeReader } from '../../sidecar/ingest/pipe-reader.ts';

const VIDEO: ProbedStream = {
	index: 0,
	codec_type: 'video',
	width: 720,
	height: 576,
	pix_fmt: 'yuv420p',
	avg_frame_rate: '25/1',
	start_time: '0.000000',
	duration: '4.000000',
};
const clipOf = (video: Partial<ProbedStream>, format: ProbedFile['format'] = {}, others: ProbedStream[] = []) =>
	describeClip('clip.mp4', { streams: [{ ...VIDEO, ...video }, ...others], format });

describe('clip', () => {
	it.each<[string, Partial<ProbedStream>, [number, number]]>([
		['as it is', {}, [720, 576]],
		['wide pixels', { sample_aspect_ratio: '16:15' }, [768, 576]],
		['wide screen', { sample_aspect_ratio: '64:45' }, [1024, 576]],
		['tall pixels', { height: 480, sample_aspect_ratio: '8:9' }, [720, 540]],
		['nearly square', { sample_aspect_ratio: '2880:2881' }, [720, 576]],
		['unknown ratio', { sample_aspect_ratio: '0:1' }, [720, 576]],
		['turned', { side_data_list: [{ rotation: -90 }] }, [576, 720]],
		['upside down', { side_data_list: [{ rotation: 180 }] }, [720, 576]],
		['turned, wide pixels', { sample_aspect_ratio: '16:15', side_data_list: [{ rotation: 270 }] }, [576, 768]],
	])('shows %s at the size a player would', (_, video, [width, height]) => {
		expect(clipOf(video).layout).toMatchObject({ width, height });
	});

	it.each<[string, Partial<ProbedStream>, object]>([
		['small and untagged', {}, { matrix: 'bt601', range: 'limited' }],
		['large and untagged', { width: 1280, height: 544 }, { matrix: 'bt709', range: 'limited' }],
		['tagged against its size', { color_space: 'bt709' }, { matrix: 'bt709', range: 'limited' }],
		['full range', { color_range: 'pc' }, { matrix: 'bt601', range: 'full' }],
		['from a camera, full range', { pix_fmt: 'yuvj422p' }, { matrix: 'bt601', range: 'full' }],
		['RGB', { pix_fmt: 'gbrp', color_range: 'pc', color_space: 'gbr' }, { matrix: 'bt601', range: 'limited' }],
	])('knows the colours of a clip that is %s', (_, video, colours) => {
		expect(clipOf(video).layout).toMatchObject(colours);
	});

	it.each([
		['yuv420p', false],
		['yuvj420p', false],
		['gbrp', false],
		['bgr0', false],
		['yuva444p10le', true],
		['argb', true],
		['gbrap12le', true],
		['ya8', true],
	])('knows whether %s has alpha, which then is of limited range', (pix_fmt, hasAlpha) => {
		const clip = clipOf({ pix_fmt, color_range: 'pc' });
		expect(clip.hasAlpha).toBe(hasAlpha);
		if (hasAlpha) expect(clip).toMatchObject({ layout: { range: 'limited' }, convertColour: true });
	});

	it('converts what I420 cannot carry, and warns of HDR', () => {
		expect(clipOf({}).convertColour).toBe(false);
		expect(clipOf({ pix_fmt: 'gbrp' }).convertColour).toBe(true);
		const hdr = clipOf({ color_space: 'bt2020nc', color_transfer: 'smpte2084' });
		expect(hdr.convertColour).toBe(true);
		expect(hdr.warnings.join()).toMatch(/HDR/);
	});

	it('puts the audio in the time of the frames', () => {
		const audio: ProbedStream = { index: 1, codec_type: 'audio', start_time: '1.400000' };
		const clip = clipOf({ start_time: '1.480000' }, { start_time: '1.400000' }, [audio]);
		expect(clip.audioStartUs).toBe(-80_000);
		expect(clip.originUs).toBe(80_000);
	});

	it('reads the length from the stream, from the tag of Matroska, or from a file without audio', () => {
		expect(clipOf({}).durationUs).toBe(4_000_000);
		const { duration: _, ...bare } = VIDEO;
		const lengthOf = (stream: ProbedStream, others: ProbedStream[] = []) =>
			describeClip('clip.mkv', { streams: [stream, ...others], format: { duration: '9.5' } }).durationUs;
		expect(lengthOf({ ...bare, tags: { DURATION: '00:01:02.500000000' } })).toBe(62_500_000);
		expect(lengthOf(bare)).toBe(9_500_000);
		expect(lengthOf(bare, [{ index: 1, codec_type: 'audio' }])).toBeUndefined();
	});
});

describe('the end of a clip', () => {
	const clip = clipOf({});
	const end = { endUs: 4_000_000, cutFrame: false, exitCode: 0, messages: [] };

	it('says nothing of a whole one, or of one a frame short', () => {
		expect(endWarnings(clip, end)).toEqual([]);
		expect(endWarnings(clip, { ...end, endUs: 3_960_000 })).toEqual([]);
	});

	it('says what was promised and what came', () => {
		const [warning] = endWarnings(clip, { ...end, endUs: 1_480_000, messages: ['File ended prematurely'] });
		expect(warning).toMatch(/promises 4\.00 s.*ends after 1\.48 s.*File ended prematurely/);
	});

	it('passes on what ffmpeg complained about', () => {
		expect(endWarnings(clip, { ...end, messages: ['error while decoding MB 3 4'] })[0]).toMatch(/damaged.*MB 3 4/);
		expect(endWarnings(clip, { ...end, exitCode: 1 })[0]).toMatch(/damaged/);
	});
});

describe('pipe reader', () => {
	it('reads exact lengths, however the bytes arrive', async () => {
		const reader = new PipeReader(Readable.from([Buffer.from([1]), Buffer.from([2, 3, 4, 5]), Buffer.from([6])]));
		const target = new Uint8Array(3);
		expect(await reader.read(target)).toBe(3);
		expect([...target]).toEqual([1, 2, 3]);
		expect(await reader.hasMore()).toBe(true);
		expect(await reader.read(target)).toBe(3);
		expect([...target]).toEqual([4, 5, 6]);
		expect(await reader.hasMore()).toBe(false);
		expect(await reader.read(target)).toBe(0);
	});

	it('says how much there was of a last part', async () => {
		const reader = new PipeReader(Readable.from([Buffer.from([1, 2])]));
		expect(await reader.read(new Uint8Array(5))).toBe(2);
	});
});
