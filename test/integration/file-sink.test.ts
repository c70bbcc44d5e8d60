import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Egress } from '../../sidecar/egress/egress.ts';
import { openFileSink } from '../../sidecar/egress/file-sink.ts';
import type { SinkSetup } from '../../sidecar/egress/frame-sink.ts';
import { openNullSink } from '../../sidecar/egress/null-sink.ts';
import type { Picture, Size, StyledFrame } from '../../sidecar/frame/frame.ts';
import { openFileSource } from '../../sidecar/ingest/file-source.ts';
import {
	commandsNaming,
	copyFrames,
	decodeAudio,
	ffmpeg,
	openTemporaryFolder,
	probeFrames,
	probeStreams,
} from '../support/clips.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

const picture = (size: string, rate: string, durationS: number) =>
	`-f lavfi -i testsrc2=size=${size}:rate=${rate}:duration=${durationS}`;
const X264 = '-c:v libx264 -preset ultrafast';

/** Makes a clip, sends it through source and sink, and tells where both are. */
const roundTrip = async (name: string, args: string, output: string, limit?: number) => {
	const input = folder.at(name);
	await ffmpeg(`${args} ${input}`);
	await using source = await openFileSource(input, { pace: 'max' });
	const { layout, frameRate, audio } = source.info;
	await using sink = await openFileSink(folder.at(output), {
		size: layout,
		fit: 'cover',
		frameRate,
		...(audio && { audio }),
	});
	await copyFrames(source, sink, limit);
	return { input, output: folder.at(output) };
};

/** A frame of one grey, as I420 the sink takes as it is. */
const greyFrame = (sequence: number, { width, height }: Size, luma = 128): StyledFrame => {
	const data = new Uint8Array(width * height + 2 * Math.ceil(width / 2) * Math.ceil(height / 2)).fill(128);
	data.fill(luma, 0, width * height);
	const picture: Picture = { format: 'I420', width, height, matrix: 'bt601', range: 'limited', data };
	return {
		sequence,
		capturedUs: 0,
		timestampUs: sequence * 40_000,
		durationUs: 40_000,
		epoch: 0,
		kind: 'painting',
		source: picture,
		picture,
	};
};
const SMALL: SinkSetup = { size: { width: 160, height: 90 }, fit: 'cover', frameRate: { num: 25, den: 1 } };

describe('file sink, times', () => {
	it.each([
		['cfr25.mp4', picture('160x90', '25', 2), 'cfr25.out.mp4', 0.1],
		['ntsc.mp4', picture('160x90', '30000/1001', 2), 'ntsc.out.mov', 0.1],
		[
			'vfr.mkv',
			`${picture('160x90', '50', 1)} -vf setpts=PTS+mod(N*7\\,5)*0.004/TB -fps_mode passthrough`,
			'vfr.out.mp4',
			0.1,
		],
		[
			'rates.mkv',
			`${picture('160x90', '50', 1)} -vf select=lt(n\\,10)+not(mod(n\\,4)) -fps_mode passthrough`,
			'rates.out.mp4',
			0.1,
		],
		['millisecond.mp4', picture('160x90', '30000/1001', 1), 'millisecond.out.mkv', 0.51],
		['web.mp4', picture('160x90', '25', 0.4), 'web.out.webm', 0.51],
	])('gives every frame of %s its own time again', async (name, args, output, toleranceMs) => {
		const made = await roundTrip(name, `${args} ${X264}`, output);
		const [before, after] = [await probeFrames(made.input), await probeFrames(made.output)];
		expect(after).toHaveLength(before.length);
		for (const [index, { timeS }] of after.entries()) {
			const expectedS = before[index]!.timeS - before[0]!.timeS;
			expect(Math.abs(timeS - after[0]!.timeS - expectedS) * 1000).toBeLessThan(toleranceMs);
		}
		expect(after[0]!.timeS).toBe(0);
	});

	it('shows the same picture at the same time', async () => {
		const { input, output } = await roundTrip(
			'same.mkv',
			`${picture('160x90', '25', 1)} -c:v ffv1 -pix_fmt yuv420p`,
			'same.mp4',
		);
		const raw = '-f rawvideo -pix_fmt gray -';
		const [before, after] = [await ffmpeg(`-i ${input} ${raw}`), await ffmpeg(`-i ${output} ${raw}`)];
		expect(after.length).toBe(before.length);
		let sum = 0;
		for (let at = 0; at < before.length; at++) sum += Math.abs(before[at]! - after[at]!);
		expect(sum / before.length).toBeLessThan(2);
	});
});

describe('file sink, pictures', () => {
	it.each([
		['321x181', 'mp4', 'yuv444p'],
		['321x181', 'webm', 'yuv420p'],
		['1x1', 'mp4', 'yuv444p'],
		['320x180', 'mp4', 'yuv420p'],
	])('keeps %s exactly in .%s, as %s', async (size, extension, pixelFormat) => {
		const [width = 0, height = 0] = size.split('x').map(Number);
		const path = folder.at(`size-${size}.${extension}`);
		await using sink = await openFileSink(path, { ...SMALL, size: { width, height } });
		for (let sequence = 0; sequence < 5; sequence++) await sink.present(greyFrame(sequence, { width, height }));
		await sink.finish();
		const frames = await probeFrames(path);
		expect(frames).toHaveLength(5);
		expect(frames[0]).toMatchObject({ width, height, pixelFormat });
	});

	it.each([
		['320x180', { width: 320, height: 180 }],
		['1280x720', { width: 1280, height: 720 }],
		['321x181', { width: 321, height: 181 }],
	])('scales a painting up to %s and keeps its colours', async (name, size) => {
		const path = folder.at(`painting-${name}.mp4`);
		await using sink = await openFileSink(path, { ...SMALL, size, fit: 'stretch' });
		const colour = [200, 60, 90];
		const data = Uint8Array.from({ length: 64 * 32 * 3 }, (_, at) => colour[at % 3]!);
		const picture: Picture = { format: 'RGB', width: 64, height: 32, matrix: 'bt709', range: 'full', data };
		for (let sequence = 0; sequence < 5; sequence++)
			await sink.present({ ...greyFrame(sequence, SMALL.size), picture });
		await sink.finish();
		const decoded = await ffmpeg(`-i ${path} -frames:v 1 -f rawvideo -pix_fmt rgb24 -`);
		expect(decoded.length).toBe(size.width * size.height * 3);
		for (const at of [0, 300 * 3, decoded.length - 3]) {
			for (const channel of [0, 1, 2]) expect(Math.abs(decoded[at + channel]! - colour[channel]!)).toBeLessThan(6);
		}
	});

	it('says which colours it wrote: BT.601 for small pictures, BT.709 from 720 lines', async () => {
		const small = await roundTrip('sd.mkv', `${picture('160x90', '25', 0.2)} ${X264}`, 'sd.out.mp4');
		expect((await probeFrames(small.output))[0]!.colour).toBe('smpte170m tv');
		const large = await roundTrip('hd.mkv', `${picture('1280x720', '25', 0.2)} ${X264}`, 'hd.out.mp4');
		expect((await probeFrames(large.output))[0]!.colour).toBe('bt709 tv');
	});
});

describe('file sink, audio', () => {
	/** A white flash at 0.5 s in the dark, a beep that begins with it; the audio track starts at `audioFromS`. */
	const flashAndBeep = (audioFromS: number, videoFromS: number) =>
		`-itsoffset ${videoFromS} -f lavfi -i color=black:size=160x90:rate=25:duration=2,drawbox=color=white:t=fill:enable=gte(t\\,0.48)*lt(t\\,0.7) ` +
		`-itsoffset ${audioFromS} -f lavfi -i aevalsrc=if(gte(t+${audioFromS - videoFromS}\\,0.5)*lt(t+${audioFromS - videoFromS}\\,0.7)\\,sin(6000*t)\\,0):s=48000:d=2`;

	const flashS = async (path: string): Promise<number> => {
		const grey = await ffmpeg(`-i ${path} -f rawvideo -pix_fmt gray -s 1x1 -fps_mode passthrough -`);
		const frames = await probeFrames(path);
		return frames[grey.findIndex((luma) => luma > 128)]!.timeS;
	};
	const beepS = async (path: string): Promise<number> =>
		(await decodeAudio(path)).findIndex((sample) => Math.abs(sample) > 0.2) / 48_000;

	it.each([
		['together', 0, 0, '-c:a aac', 'together.mp4'],
		['audio late', 0.25, 0, '-c:a aac', 'late.mp4'],
		['audio early', 0, 0.3, '-c:a aac', 'early.mp4'],
		['audio early, lossless', 0, 0.3, '-c:a flac', 'early.mkv'],
		['transcoded', 0.25, 0, '-c:a pcm_s16le', 'transcoded.mp4'],
		['transcoded, early', 0, 0.3, '-c:a pcm_s16le', 'transcoded-early.mp4'],
		['opus', 0.25, 0, '-c:a aac', 'opus.webm'],
	])('keeps the beep with the flash: %s', async (name, audioFromS, videoFromS, codec, output) => {
		const made = await roundTrip(
			`flash-${name.replaceAll(/\W+/g, '-')}.mkv`,
			`${flashAndBeep(audioFromS, videoFromS)} ${X264} ${codec}`,
			output,
		);
		expect(Math.abs((await flashS(made.output)) - (await beepS(made.output)))).toBeLessThan(0.04);
	});

	it('copies what the container can hold, transcodes the rest', async () => {
		const codecOf = async (codec: string, output: string) => {
			const made = await roundTrip(
				`codec-${codec}.mkv`,
				`${picture('160x90', '25', 0.4)} -f lavfi -i sine=d=0.4 ${X264} -c:a ${codec}`,
				output,
			);
			return (await probeStreams(made.output)).find(({ type }) => type === 'audio')?.codec;
		};
		expect(await codecOf('aac', 'copied.mp4')).toBe('aac');
		expect(await codecOf('pcm_s16le', 'changed.mp4')).toBe('aac');
		expect(await codecOf('pcm_s16le', 'copied.mkv')).toBe('pcm_s16le');
		expect(await codecOf('aac', 'changed.webm')).toBe('opus');
	});

	it('keeps all of the audio of a whole clip, and cuts it where the video was cut', async () => {
		const args = `${picture('160x90', '25', 2)} -f lavfi -i sine=d=3 ${X264} -c:a aac`;
		const whole = await roundTrip('long-audio.mp4', args, 'whole.out.mp4');
		const endOf = async (path: string, wanted: string) =>
			(await probeStreams(path)).find(({ type }) => type === wanted)!.endS;
		expect(await endOf(whole.output, 'audio')).toBeGreaterThan(2.95);
		const cut = await roundTrip('long-audio.mp4', args, 'cut.out.mp4', 20);
		expect(await probeFrames(cut.output)).toHaveLength(20);
		expect(Math.abs((await endOf(cut.output, 'audio')) - 0.8)).toBeLessThan(0.04);
	});
});

describe('file sink, misuse', () => {
	it('refuses a name it has no format for, a missing folder and a folder', async () => {
		const refusal = (path: string, message: RegExp) =>
			expect(openFileSink(path, SMALL)).rejects.toMatchObject({
				code: 'ERR_SINK',
				message: expect.stringMatching(message),
			});
		await refusal(folder.at('film.xyz'), /\.mp4.*not in "\.xyz"/);
		await refusal(folder.at('film'), /should end in/);
		await refusal(folder.at('missing/film.mp4'), /there is no folder/);
		await mkdir(folder.at('folder.mp4'));
		await refusal(folder.at('folder.mp4'), /this is a folder/);
		await refusal('/proc/film.mp4', /written|folder/);
	});

	it('says what to install where ffmpeg is missing', async () => {
		const kept = process.env['PATH'];
		process.env['PATH'] = folder.at('empty');
		try {
			await expect(openFileSink(folder.at('film.mp4'), SMALL)).rejects.toMatchObject({
				code: 'ERR_RUNTIME',
				message: expect.stringMatching(/apt-get install ffmpeg/),
			});
		} finally {
			process.env['PATH'] = kept;
		}
	});

	it('leaves nothing of an aborted recording, and an existing file as it was', async () => {
		const path = folder.at('kept.mp4');
		await writeFile(path, 'what was there before');
		{
			await using sink = await openFileSink(path, SMALL);
			for (let sequence = 0; sequence < 10; sequence++) await sink.present(greyFrame(sequence, SMALL.size));
			expect((await readdir(dirname(path))).filter((name) => name.startsWith('.kept'))).toHaveLength(1);
		}
		expect(await readFile(path, 'utf8')).toBe('what was there before');
		expect((await readdir(dirname(path))).filter((name) => name.includes('partial'))).toEqual([]);
		expect(await commandsNaming(dirname(path))).toEqual([]);
	});

	it('removes what a killed process left', async () => {
		// A process that has ended: its number may not be alive.
		const pid = execFileSync(process.execPath, ['-p', 'process.pid'], { encoding: 'utf8' }).trim();
		const left = folder.at(`.again.${pid}.partial.mp4`);
		await writeFile(left, 'half a film');
		await using sink = await openFileSink(folder.at('again.mp4'), SMALL);
		expect(existsSync(left)).toBe(false);
		await sink[Symbol.asyncDispose]();
	});

	it('says that no frame came', async () => {
		await using sink = await openFileSink(folder.at('empty.mp4'), SMALL);
		await expect(sink.finish()).rejects.toMatchObject({
			code: 'ERR_SINK_WRITE',
			message: expect.stringMatching(/no frame/),
		});
	});

	it('says that a picture is wrong, and does not hang', async () => {
		await using sink = await openFileSink(folder.at('wrong.mp4'), SMALL);
		await sink.present(greyFrame(0, SMALL.size));
		const wrong = greyFrame(1, { width: 64, height: 64 });
		wrong.picture.data = new Uint8Array(3);
		await sink.present(wrong).catch(() => {});
		await expect(sink.finish()).rejects.toMatchObject({ code: 'ERR_SINK_WRITE' });
	});

	it('fails with the reason on a full disk, and leaves nothing', async (context) => {
		const disk = folder.at('disk');
		await mkdir(disk);
		try {
			execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk], { stdio: 'pipe' });
		} catch (error) {
			context.skip(`no small disk could be mounted: ${(error as Error).message.trim()}`);
		}
		try {
			for (const extension of ['mp4', 'mkv', 'webm']) {
				await using sink = await openFileSink(`${disk}/film.${extension}`, SMALL);
				const noise = greyFrame(0, SMALL.size);
				let seed = 1;
				const failing = async () => {
					for (let sequence = 0; sequence < 200; sequence++) {
						const data = noise.picture.data.map(() => (seed = (seed * 48_271) % 2_147_483_647) & 255);
						await sink.present({ ...noise, timestampUs: sequence * 40_000, picture: { ...noise.picture, data } });
					}
					await sink.finish();
				};
				await expect(failing()).rejects.toMatchObject({
					code: 'ERR_SINK_WRITE',
					message: expect.stringMatching(/No space left on device.*Free some space/),
				});
				await sink[Symbol.asyncDispose]();
				expect(await readdir(disk)).toEqual([]);
			}
		} finally {
			execFileSync('umount', [disk]);
		}
	});

	it('fails the run with the error of the sink that failed', async () => {
		const broken = { ...openNullSink(), present: () => Promise.reject(new Error('the disk is gone')) };
		const egress = new Egress([openNullSink(), broken]);
		await expect(egress.present(greyFrame(0, SMALL.size))).rejects.toThrow('the disk is gone');
		await egress.finish();
	});
});
