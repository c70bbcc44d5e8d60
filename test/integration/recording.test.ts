// What was painted is painted again: real runs, the real model, real ffmpeg.
import { createHash, randomBytes } from 'node:crypto';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
	appendFileSync,
	mkdirSync,
	readFileSync,
	readdirSync,
	renameSync,
	statSync,
	symlinkSync,
	truncateSync,
	writeFileSync,
} from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RecordingHeader } from '../../sidecar/config/schema/recording.ts';
import { Controller } from '../../sidecar/control/controller.ts';
import type { FrameSink } from '../../sidecar/egress/frame-sink.ts';
import { pictureByteLength, type PictureLayout, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { FrameRing } from '../../sidecar/frame/ring.ts';
import { Recording } from '../../sidecar/recording/recording.ts';
import { ReplaySource } from '../../sidecar/recording/replay-source.ts';
import { Replay } from '../../sidecar/recording/replay.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { until } from '../support/engines.ts';
import { frameOf, presetOf, referenceOfGrey, tuningOf } from '../support/frames.ts';
import { freePort } from '../support/free-port.ts';

const dist = (path: string) => new URL(`../../dist/${path}`, import.meta.url);
const { runApp } = (await import(dist('app.js').href)) as typeof import('../../sidecar/app.ts');
const { Configuration } = (await import(
	dist('config/schema/configuration.js').href
)) as typeof import('../../sidecar/config/schema/configuration.ts');
const { parse } = (await import(
	dist('config/schema/parse.js').href
)) as typeof import('../../sidecar/config/schema/parse.ts');

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const at = (name: string) => folder.at(name);
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

/** Paints, and gives a hash of each painting by the number of its frame. */
const paint = async (
	configuration: Record<string, unknown>,
	meanwhile?: (painted: ReadonlyMap<number, string>, stop: () => void) => Promise<void>,
) => {
	const painted = new Map<number, string>();
	const epochs = new Set<number>();
	const sink: FrameSink = {
		name: 'test',
		present: async ({ kind, sequence, epoch, picture }: StyledFrame) => {
			if (kind === 'unpainted') return;
			painted.set(sequence, createHash('sha256').update(picture.data).digest('hex'));
			epochs.add(epoch);
		},
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const ending = new AbortController();
	const run = runApp(parse(Configuration, { provider: 'cpu', ...configuration }, 'test'), {
		signal: ending.signal,
		sinks: [sink],
	});
	run.catch(() => {});
	try {
		await meanwhile?.(painted, () => ending.abort());
	} finally {
		if (meanwhile) ending.abort();
		await run;
	}
	return { painted, epochs };
};

describe('a live run that was recorded', () => {
	let live: Awaited<ReturnType<typeof paint>>;

	beforeAll(async () => {
		const port = await freePort();
		const ask = async (command: object) => {
			const response = await fetch(`http://127.0.0.1:${port}/api/commands`, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify(command),
			});
			expect(response.status, await response.text()).toBe(200);
		};
		const configuration = { source: 'scene', fps: 15, size: { width: 256, height: 160 }, http: port };
		live = await paint({ ...configuration, record: at('live'), tuning: { noise: 'advected' } }, async (painted) => {
			const more = async (frames: number) => {
				const count = painted.size + frames;
				await until(() => painted.size >= count);
			};
			await more(4);
			await ask({ type: 'style', name: 'pencil-sketch' }); // fades for half a second
			await more(12);
			await ask({ type: 'strength', value: 0.6 });
			await ask({ type: 'newStrokes' });
			await more(3);
			await ask({ type: 'fade', seconds: 0 });
			await ask({ type: 'prompt', text: 'paint this like van gogh, swirling strokes' });
			await more(3);
			await ask({ type: 'style', name: 'passthrough' });
			await more(3);
			await ask({ type: 'tempo', bpm: 200 });
			await ask({ type: 'quantise', to: 'beat' });
			await ask({ type: 'next' });
			await more(12);
		});
	}, 120_000);

	it('has a frame in its recording for each painting', () => {
		const events = readFileSync(at('live/events.jsonl'), 'utf8').trim().split('\n');
		const frames = events.map((line) => JSON.parse(line)).filter(({ type }) => type === 'frame');
		const numbers = new Set(frames.map(({ sequence }) => sequence));
		for (const sequence of live.painted.keys()) expect(numbers).toContain(sequence);
		expect(live.epochs.size).toBeGreaterThanOrEqual(5);
	});

	it('is painted again, bit for bit, whatever was asked of it meanwhile', async () => {
		const again = await paint({ source: `replay:${at('live')}`, pace: 'max' });
		expect(live.painted.size).toBeGreaterThan(36);
		const differing = [...live.painted].filter(([sequence, hash]) => again.painted.get(sequence) !== hash);
		expect(differing.map(([sequence]) => sequence)).toEqual([]);
	}, 120_000);

	it('can be recorded once more while it is painted again, to the same events and frames', async () => {
		const again = await paint({ source: `replay:${at('live')}`, pace: 'max', record: at('again') });
		const third = await paint({ source: `replay:${at('again')}`, pace: 'max' });
		expect([...third.painted]).toEqual([...again.painted]);
	}, 120_000);

	it('tells other tuning from that of then', async () => {
		const other = await paint({ source: `replay:${at('live')}`, pace: 'max', tuning: { temporalMultiplier: 0 } });
		const same = [...live.painted].filter(([sequence, hash]) => other.painted.get(sequence) === hash);
		expect(same.length).toBeLessThan(live.painted.size / 2);
	}, 120_000);
});

const header = { version: '0.1.0', preset: presetOf('oil-painting'), presets: [presetOf('oil-painting')], fadeS: 0 };

const layoutOf = (layout: Partial<PictureLayout>): PictureLayout => ({
	format: 'I420',
	width: 64,
	height: 48,
	matrix: 'bt709',
	range: 'limited',
	...layout,
});

/** A recording of noise, which no codec finds easy. */
const record = async (path: string, layout: PictureLayout, pictures: readonly Uint8Array[]): Promise<void> => {
	await using recording = await Recording.open(path, header);
	await recording.begin({
		source: { name: 'test', layout, frameRate: { num: 25, den: 1 } },
		model: { name: 'lite', sha256: '0'.repeat(64) },
		painted: { width: 64, height: 64 },
		fit: 'cover',
		tuning: tuningOf(),
	});
	for (const [i, picture] of pictures.entries()) recording.keep({ ...frameOf(2 * i), layout }, picture, 1000 * i);
	await recording.finish();
};

/** What comes out of a recording, frame by frame. */
const replayed = async (path: string): Promise<{ sequences: number[]; pictures: Uint8Array[]; warnings: string[] }> => {
	const replay = await Replay.open(path);
	await using source = new ReplaySource(replay, 'max');
	const { layout } = source.info;
	const ring = new FrameRing({ slotCount: 2, slotBytes: pictureByteLength(layout), mode: 'wait' });
	const ending = new AbortController();
	const run = source.run(ring, ending.signal).finally(() => ring.close());
	run.catch(() => {});
	const sequences: number[] = [];
	const pictures: Uint8Array[] = [];
	for await (const frame of ring.frames(ending.signal)) {
		sequences.push(frame.sequence);
		pictures.push(ring.bytes(frame.slot).slice());
		ring.release(frame);
	}
	return { sequences, pictures, warnings: (await run).warnings };
};

const noise = (layout: PictureLayout, count = 3): Uint8Array[] =>
	Array.from({ length: count }, () => new Uint8Array(randomBytes(pictureByteLength(layout))));

describe('the frames of a recording', () => {
	it.each<Partial<PictureLayout>>([
		{ format: 'I420' },
		{ format: 'I420', range: 'full' },
		{ format: 'I420', width: 63, height: 47 },
		{ format: 'NV12' },
		{ format: 'NV12', range: 'full', matrix: 'bt601' },
		{ format: 'UYVY' },
		{ format: 'RGB' },
		{ format: 'RGB', width: 61, height: 33 },
		{ format: 'BGRA' },
		{ format: 'RGBA' },
	])('come back as they were: %o', async (given) => {
		const layout = layoutOf(given);
		const pictures = noise(layout);
		const withoutAlpha = (picture: Uint8Array) =>
			layout.format.length === 4 && layout.format.endsWith('A') ? picture.filter((_, i) => i % 4 !== 3) : picture;
		const path = at(`noise-${JSON.stringify(given).replace(/\W/g, '')}`);
		await record(path, layout, pictures);
		const back = await replayed(path);
		expect(back.sequences).toEqual([0, 2, 4]);
		expect(back.warnings).toEqual([]);
		for (const [i, picture] of pictures.entries())
			expect(Buffer.compare(withoutAlpha(back.pictures[i]!), withoutAlpha(picture))).toBe(0);
	});
});

describe('a recording that is being finished', () => {
	it('takes nothing more, and is whole', async () => {
		const layout = layoutOf({});
		await using recording = await Recording.open(at('finished'), header);
		const { preset, presets } = header;
		const controller = new Controller({ presets, preset, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 });
		using _followed = recording.follow(controller);
		await recording.begin({
			source: { name: 'test', layout, frameRate: { num: 25, den: 1 } },
			model: { name: 'lite', sha256: '0'.repeat(64) },
			painted: { width: 64, height: 64 },
			fit: 'cover',
			tuning: tuningOf(),
		});
		recording.keep({ ...frameOf(0), layout }, noise(layout)[0]!, 0);
		const finished = recording.finish();
		controller.apply({ type: 'strength', value: 0.5 });
		await finished;
		controller.apply({ type: 'strength', value: 0.6 });
		expect((await replayed(at('finished'))).sequences).toEqual([0]);
	});
});

describe('pictures that show styles', () => {
	it('are in the recording as files, and are given again', async () => {
		const layout = layoutOf({});
		const [own, sent] = [referenceOfGrey(30), referenceOfGrey(220)];
		const preset = { ...header.preset, reference: 'starry.png', shown: own };
		const presets = [preset, ...header.presets];
		const options = { presets, preset, tuning: tuningOf(), fadeS: 0, takesReferences: true };
		{
			await using recording = await Recording.open(at('pictured'), { version: '0.1.0', preset, presets, fadeS: 0 });
			const controller = new Controller({ ...options, nowUs: () => 0 });
			using _followed = recording.follow(controller);
			await recording.begin({
				source: { name: 'test', layout, frameRate: { num: 25, den: 1 } },
				model: { name: 'lite', sha256: '0'.repeat(64) },
				painted: { width: 64, height: 64 },
				fit: 'cover',
				tuning: tuningOf(),
			});
			recording.keep({ ...frameOf(0), layout }, noise(layout)[0]!, 0);
			controller.show({ name: 'sent.jpg', reference: sent });
			recording.keep({ ...frameOf(1), layout }, noise(layout)[0]!, 0);
			controller.show(undefined);
			controller.setPresets(presets);
			recording.keep({ ...frameOf(2), layout }, noise(layout)[0]!, 0);
			await recording.finish();
		}
		expect(
			readdirSync(at('pictured'))
				.filter((name) => name.endsWith('.png'))
				.sort(),
		).toEqual([own, sent].map(({ id }) => `${id}.png`).sort());
		expect(statSync(`${at('pictured')}/events.jsonl`).size).toBeLessThan(20_000);
		const replay = await Replay.open(at('pictured'));
		const controller = new Controller({
			...options,
			preset: replay.preset,
			presets: replay.presets,
			nowUs: replay.nowUs,
		});
		const seen: unknown[] = [];
		for await (const { sequence } of replay.frames()) {
			const { conditioning } = controller.parametersAt(replay.advance(controller, frameOf(sequence)));
			seen.push([conditioning[0]!.reference!.id, controller.view().reference!.isOfPreset]);
		}
		expect(seen).toEqual([
			[own.id, true],
			[sent.id, false],
			[own.id, true],
		]);
	});
});

describe('a recording that is damaged', () => {
	const broken = async (name: string, damage: (path: string) => void) => {
		const layout = layoutOf({});
		await record(at(name), layout, noise(layout));
		damage(at(name));
		return replayed(at(name));
	};
	const edit = (file: string, change: (text: string) => string) => (path: string) =>
		writeFileSync(`${path}/${file}`, change(readFileSync(`${path}/${file}`, 'utf8')));

	it.each<[string, (path: string) => void, string, RegExp]>([
		['no-header', edit('recording.json', () => ''), 'ERR_SOURCE', /recording\.json is not JSON/],
		[
			'newer',
			edit('recording.json', (text) => text.replace('"formatVersion": 1', '"formatVersion": 2')),
			'ERR_SOURCE',
			/formatVersion/,
		],
		[
			'huge',
			edit('recording.json', (text) => text.replace('"width": 64', '"width": 999999')),
			'ERR_SOURCE',
			/layout\.width/,
		],
		[
			'no-event',
			edit('events.jsonl', (text) => text.replace('"frame"', '"fame"')),
			'ERR_SOURCE_READ',
			/events\.jsonl:1/,
		],
		['no-json', edit('events.jsonl', (text) => `{"type":\n${text}`), 'ERR_SOURCE_READ', /events\.jsonl:1 is not JSON/],
		[
			'backwards',
			edit('events.jsonl', (text) => text.replace('"sequence":4', '"sequence":1')),
			'ERR_SOURCE_READ',
			/frame 1 comes after 2/,
		],
		['empty', edit('events.jsonl', () => ''), 'ERR_SOURCE_READ', /no frame was recorded/],
		[
			'no-video',
			(path: string) => writeFileSync(`${path}/frames.mkv`, ''),
			'ERR_SOURCE_READ',
			/frames\.mkv ends after 0 frames/,
		],
		[
			'list-of-files',
			(path: string) => {
				renameSync(`${path}/frames.mkv`, `${path}/other.mkv`);
				writeFileSync(`${path}/frames.mkv`, 'ffconcat version 1.0\nfile other.mkv\n');
			},
			'ERR_SOURCE_READ',
			/frames\.mkv ends after 0 frames/,
		],
		...['recording.json', 'events.jsonl', 'frames.mkv'].map(
			(file): [string, (path: string) => void, string, RegExp] => [
				`link-${file}`,
				(path) => {
					renameSync(`${path}/${file}`, `${path}/other`);
					symlinkSync('other', `${path}/${file}`);
				},
				'ERR_SOURCE',
				/is no plain file/,
			],
		),
	])('is refused with the place: %s', async (name, damage, code, message) => {
		await expect(broken(name, damage)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
	});

	it('gives what is there of a last line and a last frame that were being written', async () => {
		const { sequences, warnings } = await broken('cut', (path) => {
			appendFileSync(
				`${path}/events.jsonl`,
				'{"type":"frame","sequence":6,"timestampUs":1,"durationUs":1,"atUs":9}\n{"ty',
			);
			truncateSync(`${path}/frames.mkv`, statSync(`${path}/frames.mkv`).size - 700);
		});
		expect(sequences.slice(0, 2)).toEqual([0, 2]);
		expect(warnings).toEqual([expect.stringMatching(/frames\.mkv ends after \d frames.*before its events do/s)]);
	});

	it('goes on after a command that is refused', async () => {
		const layout = layoutOf({});
		await record(at('refused'), layout, noise(layout));
		const unknown = { type: 'command', command: { type: 'style', name: 'no-such' }, atUs: 0, leadUs: 0 };
		edit('events.jsonl', (text) => `${JSON.stringify(unknown)}\n${text}`)(at('refused'));
		const replay = await Replay.open(at('refused'));
		const { presets, preset, tuning, fadeS } = replay.header as RecordingHeader;
		const controller = new Controller({ presets, preset, tuning, fadeS, nowUs: replay.nowUs });
		for await (const { sequence } of replay.frames())
			expect(controller.parametersAt(replay.advance(controller, frameOf(sequence))).style).toBe('oil-painting');
	});

	it('is named where it is not there', async () => {
		await expect(Replay.open(at('nowhere'))).rejects.toMatchObject({
			code: 'ERR_SOURCE',
			message: expect.stringMatching(/nowhere\/recording\.json is not there.*--record/),
		});
	});
});

describe('the command line', () => {
	const cli = dist('cli.js').pathname;
	const environment = () => ({ PATH: process.env['PATH'], HOME: at('home') });
	const run = (...args: string[]) =>
		spawnSync(process.execPath, [cli, 'run', '--provider', 'cpu', '--pace', 'max', ...args], {
			encoding: 'utf8',
			env: environment(),
			timeout: 120_000,
		});
	const scene = ['--source', 'scene', '--size', '256x160'];

	it('leaves a folder alone that has something in it', () => {
		mkdirSync(at('full'));
		writeFileSync(at('full/diary.txt'), 'dear diary');
		const { status, stderr } = run(...scene, '--frames', '3', '--record', at('full'));
		expect(stderr).toMatch(/has something in it. Name a new folder/);
		expect(status).toBe(2);
		expect(readFileSync(at('full/diary.txt'), 'utf8')).toBe('dear diary');
	});

	it('refuses a style for a replay, which brings its own', () => {
		const { status, stderr } = run('--source', `replay:${at('live')}`, '--style', 'anime');
		expect(stderr).toMatch(/A replay brings its styles.*Leave --style out/);
		expect(status).toBe(2);
	});

	it('paints what a killed run had recorded', async () => {
		const child = spawn(
			process.execPath,
			[cli, 'run', '--provider', 'cpu', ...scene, '--fps', '15', '--http', 'off', '--record', at('killed')],
			{ env: environment(), stdio: 'ignore' },
		);
		const framesKept = () => {
			try {
				return readFileSync(at('killed/events.jsonl'), 'utf8').split('"frame"').length - 1;
			} catch {
				return 0;
			}
		};
		await until(() => framesKept() > 40);
		const exited = once(child, 'exit');
		child.kill('SIGKILL');
		await exited;
		await until(() => spawnSync('pgrep', ['-f', at('killed')]).status !== 0); // ffmpeg ends its file
		const { status, stderr } = run('--source', `replay:${at('killed')}`);
		expect(status, stderr).toBe(0);
		expect(Number(/^(\d+) of \d+ frames painted/m.exec(stderr)?.[1])).toBeGreaterThan(24); // 15 may wait for the encoder
	});

	it('goes on painting when the disk is full, and says so at the end', (context) => {
		const disk = at('disk');
		mkdirSync(disk);
		try {
			execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk], { stdio: 'pipe' });
		} catch {
			context.skip('no tmpfs can be mounted here');
		}
		try {
			const out = at('whole.mkv');
			const sinks = ['--sink', `file:${out}`, '--record', `${disk}/recording`];
			const { status, stderr } = run(...scene, '--fps', '15', '--frames', '60', ...sinks);
			expect(stderr).toMatch(/recording stopped after \d+ frames.*[Nn]o space left.*Free some space/);
			expect(status).toBe(1);
			const painted = spawnSync('ffprobe', [
				'-v',
				'error',
				'-count_frames',
				'-show_entries',
				'stream=nb_read_frames',
				'-of',
				'csv=p=0',
				out,
			]);
			expect(String(painted.stdout).trim()).toBe('60');
		} finally {
			execFileSync('umount', [disk]);
		}
	});
});
