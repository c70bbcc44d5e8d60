import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { openFileSource } from '../../sidecar/ingest/file-source.ts';
import {
	commandsNaming,
	ffmpeg,
	openTemporaryFolder,
	probeFrames,
	readAll,
	readFrames,
	ringFor,
} from '../support/clips.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

/** Makes a clip and opens it. */
const clip = async (name: string, args: string) => {
	const path = folder.at(name);
	await ffmpeg(`${args} ${path}`);
	return { path, source: await openFileSource(path, { pace: 'max' }) };
};
const picture = (size: string, rate: string, durationS: number) =>
	`-f lavfi -i testsrc2=size=${size}:rate=${rate}:duration=${durationS}`;
const X264 = '-c:v libx264 -preset ultrafast';

describe('file source, times', () => {
	it.each([
		['cfr25.mp4', picture('160x90', '25', 2), 50],
		['ntsc.mp4', picture('160x90', '30000/1001', 2), 60],
		['b-frames.mp4', `${picture('160x90', '25', 2)} -bf 3`, 50],
		['vfr.mkv', `${picture('160x90', '50', 1)} -vf setpts=PTS+mod(N*7\\,5)*0.004/TB -fps_mode passthrough`, 50],
		['transport.ts', picture('160x90', '25', 2), 50],
	])('gives every frame of %s at the time the file says', async (name, args, count) => {
		const { path, source } = await clip(name, `${args} -c:v libx264 -preset superfast`);
		const { frames, end } = await readAll(source);
		const probed = await probeFrames(path);
		expect(frames).toHaveLength(count);
		expect(end).toEqual({ framesRead: count, warnings: [] });
		for (const [index, frame] of frames.entries()) {
			const expectedUs = (probed[index]!.timeS - probed[0]!.timeS) * 1e6;
			expect(Math.abs(frame.timestampUs - expectedUs)).toBeLessThan(20);
			expect(frame.sequence).toBe(index);
			expect(frame.timestampUs + frame.durationUs).toBe(
				frames[index + 1]?.timestampUs ?? frame.timestampUs + frame.durationUs,
			);
		}
	});

	it('gives the pixels of the file, in order', async () => {
		const { path, source } = await clip('pixels.mkv', `${picture('160x90', '25', 1)} -c:v ffv1 -pix_fmt yuv420p`);
		const { frames } = await readAll(source);
		const raw = await ffmpeg(`-i ${path} -f rawvideo -pix_fmt yuv420p -`);
		expect(Buffer.compare(Buffer.concat(frames.map(({ data }) => data)), raw)).toBe(0);
	});

	it('lets frames go in real time when asked to', async () => {
		const { path } = await clip('paced.mkv', `${picture('160x90', '25', 1)} ${X264}`);
		const source = await openFileSource(path, { pace: 'source' });
		const offeredUs: number[] = [];
		const timestampsUs: number[] = [];
		const startedUs = nowUs();
		await readFrames(
			source,
			({ capturedUs, timestampUs }) => {
				offeredUs.push(capturedUs);
				timestampsUs.push(timestampUs);
			},
			ringFor(source, 'newest-wins'),
		);
		expect(offeredUs.length).toBeGreaterThan(0);
		// How late a frame may be depends on the machine; none may leave before its time.
		for (const [index, us] of offeredUs.entries())
			expect(us - startedUs).toBeGreaterThanOrEqual(timestampsUs[index]! - 1000);
	});

	it('waits for whoever is slow, and loses nothing', async () => {
		const { source } = await clip('slow.mkv', `${picture('160x90', '25', 1)} ${X264}`);
		let count = 0;
		await readFrames(
			source,
			async () => {
				count++;
				await new Promise((resolve) => setTimeout(resolve, 5));
			},
			ringFor(source, 'wait', 1),
		);
		expect(count).toBe(25);
	});
});

describe('file source, pictures', () => {
	it('shows a turned clip upright', async () => {
		const { path } = await clip('flat.mp4', `${picture('160x90', '25', 0.2)} ${X264}`);
		const { source } = await clip('turned.mp4', `-display_rotation 90 -i ${path} -c copy`).catch(() =>
			clip('turned.mp4', `-i ${path} -c copy -metadata:s:v rotate=90`),
		);
		expect(source.info.layout).toMatchObject({ width: 90, height: 160 });
		expect((await readAll(source)).frames).toHaveLength(5);
	});

	it.each([
		['odd', '321x181'],
		['the smallest', '1x1'],
	])('keeps a size that is %s, %s', async (_, size) => {
		const { source } = await clip(
			`size-${size}.mkv`,
			`${picture('640x360', '25', 0.4)} -vf scale=${size.replace('x', ':')},setsar=1 -c:v ffv1 -pix_fmt yuv444p`,
		);
		const { frames } = await readAll(source);
		const [width, height] = size.split('x').map(Number);
		expect(source.info.layout).toMatchObject({ width, height });
		expect(frames).toHaveLength(10);
	});

	it('reads 8K through slots of one picture each', async () => {
		const { source } = await clip('8k.mkv', `${picture('7680x4320', '25', 0.08)} -c:v mjpeg -q:v 20 -pix_fmt yuvj420p`);
		const { frames } = await readAll(source);
		expect(frames).toHaveLength(2);
		expect(frames[0]!.data.length).toBe((7680 * 4320 * 3) / 2);
		expect(source.info.layout).toMatchObject({ range: 'full' });
	});

	it('makes pixels square', async () => {
		const { source } = await clip('dvd.mkv', `${picture('720x576', '25', 0.2)} -vf setsar=64/45 ${X264}`);
		expect(source.info.layout).toMatchObject({ width: 1024, height: 576, matrix: 'bt601' });
		expect((await readAll(source)).frames).toHaveLength(5);
	});

	it('scales to the first size where a stream changes it', async () => {
		const large = folder.at('large.ts');
		const small = folder.at('small.ts');
		await ffmpeg(`${picture('320x180', '25', 0.4)} ${X264} ${large}`);
		await ffmpeg(`${picture('160x90', '25', 0.4)} ${X264} ${small}`);
		const changing = folder.at('changing.ts');
		await writeFile(changing, Buffer.concat([await readFile(large), await readFile(small)]));
		const source = await openFileSource(changing, { pace: 'max' });
		const { frames } = await readAll(source);
		expect(source.info.layout).toMatchObject({ width: 320, height: 180 });
		expect(frames).toHaveLength(20);
	});

	it.each([
		['limited', 'tv', 'yuv420p', 235],
		['full', 'pc', 'yuvj420p', 255],
	])('keeps %s range as it is', async (range, tag, pixelFormat, white) => {
		const { source } = await clip(
			`range-${range}.mkv`,
			`-f lavfi -i color=white:size=64x64:duration=0.2 -vf scale=out_range=${tag} -pix_fmt ${pixelFormat} -c:v libx264 -qp 0 -color_range ${tag}`,
		);
		const { frames } = await readAll(source);
		expect(source.info.layout.range).toBe(range);
		expect(frames[0]!.data[0]).toBe(white);
	});

	it('takes the matrix from the file, else by the size', async () => {
		const matrixOf = async (name: string, args: string) => (await clip(name, args)).source.info.layout.matrix;
		expect(await matrixOf('tagged.mp4', `${picture('160x90', '25', 0.1)} ${X264} -colorspace bt709`)).toBe('bt709');
		expect(await matrixOf('sd.mp4', `${picture('160x90', '25', 0.1)} ${X264}`)).toBe('bt601');
		expect(await matrixOf('hd.mp4', `${picture('1280x720', '25', 0.1)} ${X264}`)).toBe('bt709');
	});
});

describe('file source, audio', () => {
	it('says where the audio starts, or that there is none', async () => {
		const silent = await clip('silent.mp4', `${picture('160x90', '25', 1)} ${X264}`);
		expect(silent.source.info.audio).toBeUndefined();
		const sine = '-f lavfi -i sine=duration=1';
		const late = await clip('late.mkv', `${picture('160x90', '25', 1)} -itsoffset 0.4 ${sine} ${X264} -c:a flac`);
		expect(late.source.info.audio?.path).toBe(late.path);
		expect(late.source.info.audio!.startUs).toBeCloseTo(400_000, -3);
		const early = await clip('early.mkv', `-itsoffset 0.4 ${picture('160x90', '25', 1)} ${sine} ${X264} -c:a flac`);
		expect(early.source.info.audio!.startUs).toBeCloseTo(-400_000, -3);
		expect((await readAll(early.source)).frames[0]!.timestampUs).toBe(0);
	});
});

describe('file source, misuse', () => {
	const opening = (name: string) => openFileSource(folder.at(name), { pace: 'max' });

	it.each([
		['words.mp4', 'Not a film at all.\n'.repeat(50), /cannot read it/],
		['words.txt', 'Not a film at all.\n'.repeat(50), /text file|no video|cannot read/],
		['nothing.mp4', '', /0 bytes/],
	])('refuses %s', async (name, content, message) => {
		await writeFile(folder.at(name), content);
		await expect(opening(name)).rejects.toMatchObject({ code: 'ERR_SOURCE', message: expect.stringMatching(message) });
	});

	it('refuses a missing file, a folder, a file without video, and a cover picture', async () => {
		await expect(opening('missing.mp4')).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/no such/),
		});
		await mkdir(folder.at('folder.mp4'));
		await expect(opening('folder.mp4')).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/folder/),
		});
		await ffmpeg(`-f lavfi -i sine=duration=1 ${folder.at('tone.wav')}`);
		await expect(opening('tone.wav')).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/no video/),
		});
		await ffmpeg(
			`-i ${folder.at('tone.wav')} ${picture('64x64', '1', 1)} -map 0 -map 1 -c:v png -frames:v 1 -disposition:v attached_pic ${folder.at('song.mp3')}`,
		);
		await expect(opening('song.mp3')).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/no video/),
		});
	});

	it('gives all frames up to the cut of a clip cut in the middle, and says so', async () => {
		const { path } = await clip('whole.mkv', `${picture('160x90', '25', 4)} ${X264}`);
		const bytes = await readFile(path);
		await writeFile(folder.at('cut.mkv'), bytes.subarray(0, bytes.length / 2));
		const { frames, end } = await readAll(await opening('cut.mkv'));
		expect(frames.length).toBeGreaterThan(30);
		expect(frames.length).toBeLessThan(70);
		expect(end.framesRead).toBe(frames.length);
		expect(end.warnings.join()).toMatch(/is cut: it promises 4\.00 s/);
	});

	it('does the same with an mp4 that has its index in front, and refuses one that lost it', async () => {
		const front = await clip('front.mp4', `${picture('160x90', '25', 4)} ${X264} -movflags +faststart`);
		const frontBytes = await readFile(front.path);
		await writeFile(folder.at('front-cut.mp4'), frontBytes.subarray(0, frontBytes.length / 2));
		const { frames, end } = await readAll(await opening('front-cut.mp4'));
		expect(frames.length).toBeGreaterThan(20);
		expect(end.warnings.join()).toMatch(/is cut/);
		const back = await clip('back.mp4', `${picture('160x90', '25', 4)} ${X264}`);
		const backBytes = await readFile(back.path);
		await writeFile(folder.at('back-cut.mp4'), backBytes.subarray(0, backBytes.length / 2));
		await expect(opening('back-cut.mp4')).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/moov/),
		});
	});

	it('says what to install where ffmpeg is missing', async () => {
		const { path } = await clip('fine.mkv', `${picture('160x90', '25', 0.2)} ${X264}`);
		const kept = process.env['PATH'];
		process.env['PATH'] = folder.at('empty');
		try {
			await expect(openFileSource(path, { pace: 'max' })).rejects.toMatchObject({
				code: 'ERR_RUNTIME',
				message: expect.stringMatching(/apt-get install ffmpeg/),
			});
		} finally {
			process.env['PATH'] = kept;
		}
	});

	it('stops at once when aborted, and leaves no ffmpeg behind', async () => {
		const { path, source } = await clip('aborted.mkv', `${picture('160x90', '25', 4)} ${X264}`);
		let count = 0;
		const end = await readFrames(source, () => ++count < 3);
		expect(count).toBe(3);
		expect(end.warnings).toEqual([]);
		expect(await commandsNaming(path)).toEqual([]);
	});
});
