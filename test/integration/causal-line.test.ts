// A causal transformer of random weights in the product's line: engine, processes and command. Threads need compiled files, so this runs dist/.
import { spawnSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EngineHandle } from '../../sidecar/engine/engine-process.ts';
import type { LineState, StageName } from '../../sidecar/engine/engine.ts';
import { pictureByteLength, rgbLayout, type Mask, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import type { Condition, Parameters } from '../../sidecar/parameters.ts';
import type { Tuning } from '../../sidecar/config/schema/tuning.ts';
import { until } from '../support/engines.ts';
import { collect, parametersOf } from '../support/frames.ts';
import { exportTinyDit, TINY } from '../support/tiny-dit.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { WorkerEngine } = (await import(
	dist('engine/worker-engine.js')
)) as typeof import('../../sidecar/engine/worker-engine.ts');
const { EnginePool } = (await import(
	dist('engine/engine-process.js')
)) as typeof import('../../sidecar/engine/engine-process.ts');
const { SupervisedEngine } = (await import(
	dist('engine/supervised-engine.js')
)) as typeof import('../../sidecar/engine/supervised-engine.ts');
const { openModelFolder } = (await import(
	dist('inference/manifest.js')
)) as typeof import('../../sidecar/inference/manifest.ts');
const { FrameRing } = (await import(dist('frame/ring.js'))) as typeof import('../../sidecar/frame/ring.ts');
const { loadNative } = (await import(dist('native.js'))) as typeof import('../../sidecar/native.ts');
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

const LAYOUT = rgbLayout(TINY);
const native = loadNative();
let exported: Awaited<ReturnType<typeof exportTinyDit>>;
let folder: ModelFolder;

beforeAll(async () => {
	exported = await exportTinyDit();
	folder = await openModelFolder(exported.folder);
});
afterAll(async () => {
	await exported[Symbol.asyncDispose]();
});

/** A disc that moves over a gradient; another scene is its negative. */
const picture = (frame: number, { size = TINY, isOther = false } = {}): Picture => {
	const layout = rgbLayout(size);
	const data = new Uint8Array(pictureByteLength(layout));
	for (let y = 0, i = 0; y < size.height; y++)
		for (let x = 0; x < size.width; x++, i += 3) {
			const isDisc = (x - 2 * frame - size.width / 3) ** 2 + (y - size.height / 2) ** 2 < (size.height / 4) ** 2;
			const colour = isDisc ? [220, 150, 60] : [60 + x, 90 + y, 160 - x];
			for (const [channel, value] of colour.entries()) data[i + channel] = isOther ? 255 - value : value;
		}
	return { ...layout, data };
};

const shows = (id: string, shown: Picture): Condition => ({ prompt: id, weight: 1, reference: { id, picture: shown } });
const said = (prompt: string, weight = 1): Condition => ({ prompt, weight });
const PAINTING = picture(3, { size: { width: 70, height: 90 }, isOther: true });

const styled = (conditioning: readonly Condition[], tuning: Partial<Tuning> = {}): Parameters => ({
	...parametersOf({ steps: 2, noise: 'fixed', condRefreshEvery: 0, temporalMultiplier: 0, ...tuning }),
	conditioning,
});
const OIL = styled([said('oil')]);

interface Painting {
	parametersOf?: (frame: number) => Parameters;
	pictureOf?: (frame: number) => Picture;
	seen?: Mask;
	from?: LineState;
	stage?: (name: StageName) => void;
}

/** So many frames through an engine of their own. */
const paint = async (
	count: number,
	{ parametersOf: parameters = () => OIL, pictureOf = picture, seen, from, stage = () => {} }: Painting = {},
): Promise<StyledFrame[]> => {
	const ring = new FrameRing({ slotCount: count + 1, slotBytes: pictureByteLength(LAYOUT), mode: 'wait' });
	const running = new AbortController().signal;
	let batch = 0;
	const { batchSize } = parameters(0).tuning;
	await using engine = await WorkerEngine.open({
		folder,
		provider: 'cpu',
		painted: TINY,
		fit: 'stretch',
		ring,
		// Read twice a batch: before it is filled and after.
		parametersNow: () => parameters(Math.floor(batch++ / 2) * batchSize),
		int8Graphs: [],
		batchDeadlineMs: Infinity,
		native,
		observer: { stage, batch: () => {} },
	});
	if (from) engine.resume(from);
	for (let sequence = 0; sequence < count; sequence++) {
		const slot = (await ring.acquire(running))!;
		ring.bytes(slot).set(pictureOf(sequence).data);
		const times = { capturedUs: 0, timestampUs: sequence * 40_000, durationUs: 40_000 };
		ring.offer({ sequence, slot, ...times, layout: LAYOUT, ...(seen && { seen }) });
	}
	ring.close();
	return await collect(engine.paint(ring.frames(running)));
};

const bytes = (frames: readonly StyledFrame[]) => frames.map((frame) => Buffer.from(frame.picture.data));
/** The first frame at which two streams differ. */
const firstDifference = (a: readonly Buffer[], b: readonly Buffer[]): number =>
	a.findIndex((painting, i) => !painting.equals(b[i]!));

describe('a causal model in the engine', () => {
	it('paints every frame, from the paintings before it', async () => {
		const stages = new Set<StageName>();
		const frames = await paint(6, { stage: (name) => stages.add(name) });
		expect(frames.map(({ sequence, kind }) => [sequence, kind])).toEqual(
			Array.from({ length: 6 }, (_, i) => [i, 'painting']),
		);
		for (const frame of frames) expect(frame.picture).toMatchObject(LAYOUT);
		expect(stages).toContain('dit');
		expect(stages).not.toContain('unet');
		// The last frame of a stream is not what it is alone.
		const alone = await paint(1, { pictureOf: () => picture(5) });
		expect(bytes(alone)[0]!.equals(bytes(frames)[5]!)).toBe(false);
		expect(bytes(await paint(6))).toEqual(bytes(frames));
	});

	it('paints a batch of frames as it paints them one by one', async () => {
		const single = bytes(await paint(8));
		const batched = bytes(await paint(8, { parametersOf: () => styled([said('oil')], { batchSize: 4 }) }));
		expect(firstDifference(single, batched)).toBe(-1);
	});

	it('takes another style from where it is said, and a shorter window from where it is full', async () => {
		const plain = bytes(await paint(6));
		const ink = styled([said('ink')]);
		const switched = bytes(await paint(6, { parametersOf: (frame) => (frame < 3 ? OIL : ink) }));
		expect(firstDifference(plain, switched)).toBe(3);
		// What was painted in the other style is one frame of the past, and no more: it is not as if it had begun so.
		expect(switched.at(-1)!.equals(bytes(await paint(6, { parametersOf: () => ink })).at(-1)!)).toBe(false);
		const short = styled([said('oil')], { windowFrames: 2, sinkFrames: 0 });
		expect(firstDifference(plain, bytes(await paint(6, { parametersOf: () => short })))).toBe(3);
	});

	it('is shown a style by a picture of any size, whose words are the model’s own, and goes back to words', async () => {
		const shown = styled([shows('painting', PAINTING)]);
		const plain = bytes(await paint(4));
		const one = bytes(await paint(4, { parametersOf: () => shown }));
		expect(firstDifference(plain, one)).toBe(0);
		// The prompt beside it is not said.
		const otherWords = styled([{ ...shows('painting', PAINTING), prompt: 'something else' }]);
		expect(firstDifference(one, bytes(await paint(4, { parametersOf: () => otherWords })))).toBe(-1);
		// Of random weights, pictures say less than words do.
		const other = styled([shows('other', picture(0))]);
		expect(firstDifference(one, bytes(await paint(4, { parametersOf: () => other })))).not.toBe(-1);
		const back = bytes(await paint(4, { parametersOf: (frame) => (frame < 2 ? shown : OIL) }));
		expect(firstDifference(one, back)).toBe(2);
	});

	it('in a cross-fade, the heavier one is the style; its words are mixed', async () => {
		const shown = shows('painting', PAINTING);
		const fading = (share: number) => styled([said('oil', 1 - share), { ...shown, weight: share }]);
		const shares = [0, 0.4, 0.5, 0.6, 1];
		const runs = await Promise.all(
			[shares, [0, 0.4, 0.5, 0.5, 0.5]].map(async (steps) =>
				bytes(await paint(5, { parametersOf: (frame) => fading(steps[Math.min(frame, 4)]!) })),
			),
		);
		expect(firstDifference(runs[0]!, runs[1]!)).toBe(3);
		// What is armed with no weight changes nothing.
		const armed = styled([said('oil'), { ...shown, weight: 0 }]);
		expect(firstDifference(bytes(await paint(3)), bytes(await paint(3, { parametersOf: () => armed })))).toBe(-1);
	});

	it('forgets the scene before a cut', async () => {
		const cut = (frame: number) => picture(frame, { isOther: frame >= 3 });
		const after = bytes(await paint(6, { pictureOf: cut })).slice(3);
		const alone = bytes(await paint(3, { pictureOf: (frame) => cut(frame + 3) }));
		expect(firstDifference(after, alone)).toBe(-1);
	});

	it('under the mask paints a part of the picture anew', async () => {
		const masked = bytes(await paint(4, { parametersOf: () => styled([said('oil')], { maskCache: true }) }));
		expect(firstDifference(bytes(await paint(4)), masked)).toBe(1);
	});

	it('paints a part anew where a part is seen, batch or no batch', async () => {
		const corner: Mask = { width: 3, height: 2, data: Uint8Array.of(1, 0, 0, 0, 0, 0) };
		const whole = bytes(await paint(4));
		const part = bytes(await paint(4, { seen: corner }));
		expect(firstDifference(whole, part)).toBe(1);
		const batched = () => styled([said('oil')], { batchSize: 2 });
		expect(bytes(await paint(4, { seen: corner, parametersOf: batched }))).toEqual(part);
		const all: Mask = { width: 1, height: 1, data: Uint8Array.of(1) };
		expect(bytes(await paint(4, { seen: all }))).toEqual(whole);
	});

	it('goes on from the painting of another engine', async () => {
		const all = await paint(4);
		const { source, picture: painting, epoch } = all[2]!;
		const from: LineState = { epoch, source, painting, prompts: [] };
		const third = () => picture(3);
		const [fresh] = await paint(1, { pictureOf: third });
		const [resumed] = await paint(1, { pictureOf: third, from });
		expect(bytes([fresh!])[0]!.equals(bytes([resumed!])[0]!)).toBe(false);
	});
});

describe('a moving buffer in the engine', () => {
	const buffered = (conditioning: readonly Condition[], tuning: Partial<Tuning> = {}) =>
		styled(conditioning, { movingBuffer: true, ...tuning });
	const BUFFERED = buffered([said('oil')]);
	const whole = (frames: readonly StyledFrame[]) =>
		expect(frames.map(({ sequence, timestampUs, kind }) => [sequence, timestampUs, kind])).toEqual(
			frames.map((_, i) => [i, i * 40_000, 'painting']),
		);

	it('paints every frame once, in order, under its own time, beside the next one', async () => {
		const stages: StageName[] = [];
		const frames = await paint(6, { parametersOf: () => BUFFERED, stage: (name) => stages.push(name) });
		expect(frames).toHaveLength(6);
		whole(frames);
		// A pass a frame, and one for the last, which nothing follows.
		expect(stages.filter((name) => name === 'dit')).toHaveLength(7);
		expect(stages).not.toContain('unet');
		const six = bytes(frames);
		expect(bytes(await paint(6, { parametersOf: () => BUFFERED }))).toEqual(six);
		expect(firstDifference(bytes(await paint(6)), six)).toBe(0);
		// Each painting shows its own source, and what comes later is not seen before.
		const pictureOf = (frame: number) => picture(frame === 4 ? 9 : frame);
		const changed = bytes(await paint(6, { parametersOf: () => BUFFERED, pictureOf }));
		expect(firstDifference(changed.slice(0, 3), six)).toBe(-1);
		const differences = changed.map((painting, i) =>
			painting.reduce((sum, value, at) => sum + Math.abs(value - six[i]![at]!), 0),
		);
		expect(differences.indexOf(Math.max(...differences))).toBe(4);
	});

	it('paints a batch of frames as it paints them one by one', async () => {
		const single = bytes(await paint(7, { parametersOf: () => BUFFERED }));
		const frames = await paint(7, { parametersOf: () => buffered([said('oil')], { batchSize: 3 }) });
		expect(frames).toHaveLength(7);
		whole(frames);
		expect(firstDifference(single, bytes(frames))).toBe(-1);
	});

	it('begins anew with another scene and another style, in a batch too', async () => {
		const cut = (frame: number) => picture(frame, { isOther: frame >= 3 });
		const before = await paint(3, { parametersOf: () => BUFFERED });
		const after = await paint(3, { parametersOf: () => BUFFERED, pictureOf: (frame) => cut(frame + 3) });
		const single = await paint(6, { parametersOf: () => BUFFERED, pictureOf: cut });
		expect(single).toHaveLength(6);
		whole(single);
		expect(firstDifference(bytes([...before, ...after]), bytes(single))).toBe(-1);
		const inBatch = await paint(6, { parametersOf: () => buffered([said('oil')], { batchSize: 4 }), pictureOf: cut });
		expect(inBatch).toHaveLength(6);
		whole(inBatch);
		expect(firstDifference(bytes(before), bytes(inBatch))).toBe(-1);
		const ink = buffered([said('ink')]);
		const switched = await paint(6, { parametersOf: (frame) => (frame < 3 ? BUFFERED : ink) });
		expect(switched).toHaveLength(6);
		whole(switched);
		const apart = [
			...before,
			...(await paint(3, { parametersOf: () => ink, pictureOf: (frame) => picture(frame + 3) })),
		];
		expect(firstDifference(bytes(apart), bytes(switched))).toBe(-1);
	});

	it('is left and come back to', async () => {
		// So that the encoder remembers nothing.
		const always = { teRefreshEvery: 1 };
		const [moving, still] = [buffered([said('oil')], always), styled([said('oil')], always)];
		const frames = await paint(6, { parametersOf: (frame) => (frame < 2 || frame >= 4 ? moving : still) });
		expect(frames).toHaveLength(6);
		whole(frames);
		const from = (first: number) => (frame: number) => picture(frame + first);
		const parts = [
			...(await paint(2, { parametersOf: () => moving })),
			...(await paint(2, { parametersOf: () => still, pictureOf: from(2) })),
			...(await paint(2, { parametersOf: () => moving, pictureOf: from(4) })),
		];
		expect(firstDifference(bytes(parts), bytes(frames))).toBe(-1);
	});

	it('takes a style from a picture, and mixes words for both of its frames while they fade', async () => {
		const plain = bytes(await paint(3, { parametersOf: () => BUFFERED }));
		const shown = buffered([shows('painting', PAINTING)]);
		expect(firstDifference(plain, bytes(await paint(3, { parametersOf: () => shown })))).toBe(0);
		const fading = (frame: number) => (frame < 2 ? BUFFERED : buffered([said('oil', 0.5), said('ink', 0.5)]));
		const faded = await paint(3, { parametersOf: fading });
		expect(faded).toHaveLength(3);
		whole(faded);
		expect(firstDifference(plain, bytes(faded))).toBeGreaterThan(0);
	});
});

describe('a causal model in a process', () => {
	const opened: EngineHandle[] = [];
	afterEach(async () => {
		for (const handle of opened.splice(0)) await handle.stop();
	});

	/** A line that is fed as long as it asks, each frame with the parameters that are in force then. */
	const lineOf = (pool: InstanceType<typeof EnginePool>, now: (frame: number) => Parameters) => {
		const line = {
			paintings: [] as Buffer[],
			error: undefined as { code: string; message: string } | undefined,
			handle: undefined as unknown as EngineHandle,
		};
		let sequence = 0;
		line.handle = pool.start(
			{
				folder,
				provider: 'cpu',
				precision: 'fp32',
				painted: TINY,
				fit: 'stretch',
				batchDeadlineMs: Infinity,
				parameters: now(0),
				logLevel: 'silent',
				frameBytes: pictureByteLength(LAYOUT),
				inFlightMax: 4,
			},
			{
				ready: () => {},
				pull: () => {
					if (sequence >= 12) return;
					const frame = { sequence, slot: 0, capturedUs: 0, timestampUs: 0, durationUs: 0, layout: LAYOUT };
					line.handle.send(frame, picture(sequence).data, now(sequence++));
				},
				answer: (_, pictures) => {
					if (pictures) line.paintings.push(Buffer.from(pictures.picture.data));
					line.handle.taken();
				},
				gone: (error) => void (line.error = error),
			},
		);
		opened.push(line.handle);
		return line;
	};

	it('is shown references that cross once, and paints as in threads of our own', { timeout: 120_000 }, async () => {
		const [oil, shown] = [styled([said('oil')]), styled([shows('painting', PAINTING)])];
		// The same reference in other parameters, as in each frame of a cross-fade.
		const weaker = styled([{ ...shows('painting', PAINTING), weight: 0.9 }]);
		const now = (frame: number) => (frame < 3 ? shown : frame < 6 ? weaker : frame < 8 ? oil : shown);
		const line = lineOf(new EnginePool(), now);
		await until(() => line.error !== undefined || line.paintings.length === 12);
		expect(line.error).toBeUndefined();
		const whole = bytes(await paint(12, { parametersOf: () => shown }));
		expect(firstDifference(line.paintings.slice(0, 2), whole)).toBe(-1);
		expect(line.paintings.at(-1)!.equals(whole.at(-1)!)).toBe(false);
	});

	it('is started again after its death, and goes on from the last painting', { timeout: 120_000 }, async () => {
		const pool = new EnginePool();
		const ring = new FrameRing({ slotCount: 10, slotBytes: pictureByteLength(LAYOUT), mode: 'wait' });
		const running = new AbortController().signal;
		for (let sequence = 0; sequence < 9; sequence++) {
			const slot = (await ring.acquire(running))!;
			ring.bytes(slot).set(picture(sequence).data);
			ring.offer({ sequence, slot, capturedUs: 0, timestampUs: 0, durationUs: 0, layout: LAYOUT });
		}
		ring.close();
		await using engine = new SupervisedEngine({
			start: (listener) =>
				pool.start(
					{
						folder,
						provider: 'cpu',
						precision: 'fp32',
						painted: TINY,
						fit: 'stretch',
						batchDeadlineMs: Infinity,
						parameters: OIL,
						logLevel: 'silent',
						frameBytes: pictureByteLength(LAYOUT),
						inFlightMax: 4,
					},
					listener,
				),
			hasFallback: false,
			ring,
			parametersNow: () => OIL,
			batchSize: 1,
			keepsAll: true,
			limits: { staleAfterUs: 6e7, stuckAfterUs: 6e7 },
			observer: { stage: () => {}, batch: () => {} },
			nowUs: () => Math.round(1000 * performance.now()),
			every: (us, work) => {
				const timer = setInterval(work, us / 1000);
				return () => clearInterval(timer);
			},
			after: (us, work) => {
				const timer = setTimeout(work, us / 1000);
				return () => clearTimeout(timer);
			},
		});
		const frames: StyledFrame[] = [];
		let again = -1;
		for await (const frame of engine.paint(ring.frames(running))) {
			if (frames.push(frame) === 3) process.kill(engine.pid!, 'SIGKILL');
			if (engine.restarts > 0 && again < 0) again = frame.sequence;
		}
		expect(frames.map(({ sequence, kind }) => `${sequence} ${kind}`)).toEqual(
			Array.from({ length: 9 }, (_, sequence) => `${sequence} painting`),
		);
		expect(again).toBeGreaterThan(1);
		const { source, picture: painting, epoch } = frames[again - 1]!;
		const pictureOf = () => picture(again);
		const [resumed] = await paint(1, { pictureOf, from: { epoch, source, painting, prompts: [] } });
		const [fresh] = await paint(1, { pictureOf });
		const painted = bytes(frames)[again]!;
		expect(painted.equals(bytes([resumed!])[0]!)).toBe(true);
		expect(painted.equals(bytes([fresh!])[0]!)).toBe(false);
	});

	it('a line whose window cannot be is closed, and the other one goes on', { timeout: 120_000 }, async () => {
		const pool = new EnginePool();
		const good = lineOf(pool, () => OIL);
		const bad = lineOf(pool, () => styled([said('oil')], { windowFrames: 4 }));
		await until(() => bad.error !== undefined && good.paintings.length === 12);
		expect(bad.error).toMatchObject({ code: 'ERR_CONFIG', message: 'The window has 4 frames, expected 1 to 3.' });
		expect(good.error).toBeUndefined();
		const streamed = lineOf(pool, () => styled([said('oil')], { streamBatch: true }));
		await until(() => streamed.error !== undefined);
		expect(streamed.error).toMatchObject({ code: 'ERR_MODEL' });
		expect(streamed.error!.message).toContain('Leave --stream-batch out');
	});

	it('moves a buffer as in threads of our own', { timeout: 120_000 }, async () => {
		const now = () => styled([shows('painting', PAINTING)], { movingBuffer: true });
		const line = lineOf(new EnginePool(), now);
		await until(() => line.error !== undefined || line.paintings.length === 11);
		expect(line.error).toBeUndefined();
		// The twelfth waits for a frame that never comes.
		expect(line.paintings).toHaveLength(11);
		expect(firstDifference(line.paintings, bytes(await paint(12, { parametersOf: now })))).toBe(-1);
	});

	it('that dies is started anew, and paints', { timeout: 120_000 }, async () => {
		const pool = new EnginePool();
		const first = lineOf(pool, () => OIL);
		await until(() => first.paintings.length > 2);
		process.kill(first.handle.pid!, 'SIGKILL');
		await until(() => first.error !== undefined);
		expect(first.error!.code).toBe('ERR_ENGINE');
		const next = lineOf(pool, () => OIL);
		await until(() => next.paintings.length === 12);
		expect(firstDifference(next.paintings, bytes(await paint(12)))).toBe(-1);
	});
});

describe('allaprima run with a causal model', () => {
	const run = (...args: string[]) =>
		spawnSync(process.execPath, [CLI, 'run', '--pace', 'max', '--provider', 'cpu', '--frames', '4', ...args], {
			encoding: 'utf8',
			timeout: 60_000,
		});

	it('paints, and its report says what by', async () => {
		const report = join(exported.folder, '..', 'report.json');
		const result = run('--model', exported.folder, '--style', 'anime', '--batch-size', '2', '--report', report);
		expect(result.stderr).not.toContain('"level":"error"');
		expect(result.status).toBe(0);
		const { model, size, steps, framesOut, stagesMs } = JSON.parse(await readFile(report, 'utf8'));
		expect({ model, size, steps, framesOut }).toEqual({ model: 'tiny-dit', size: TINY, steps: 2, framesOut: 4 });
		expect(stagesMs).toHaveProperty('dit');
	});

	it('moves a buffer, and says what it has no use for', async () => {
		const report = join(exported.folder, '..', 'buffered.json');
		const result = run('--model', exported.folder, '--moving-buffer', '--window-frames', '2', '--report', report);
		expect(result.stderr).toContain('"unused":["windowFrames"]');
		expect(result.status).toBe(0);
		const { framesOut, stagesMs } = JSON.parse(await readFile(report, 'utf8'));
		expect([framesOut, stagesMs.dit.count ?? stagesMs.dit]).toEqual([4, expect.anything()]);
	});

	it.each([
		[['--window-frames', '4'], 2, 'The window has 4 frames, expected 1 to 3.'],
		[['--window-frames', '32'], 2, 'windowFrames'],
		[['--sink-frames', '3'], 2, '3 frames of the window are sinks, expected 0 to 2'],
		[['--stream-batch'], 3, 'Leave --stream-batch out.'],
		[['--precision', 'int8'], 3, 'has no graphs in int8'],
		[['--steps', '4'], 3, 'takes 1, 2 steps, not 4'],
		[['--moving-buffer', '--steps', '1'], 3, 'a frame at each of 2 steps, not 1. Give --steps 2'],
		[['--moving-buffer', '--mask-cache'], 2, 'Leave --mask-cache or --moving-buffer out.'],
		[['--size', '128x64'], 3, 'paints at 96x64 only'],
	] as const)('says what cannot be: %j', (flags, status, message) => {
		const result = run('--model', exported.folder, ...flags);
		expect(result.stderr).toContain(message);
		expect(result.status).toBe(status);
	});

	it('leaves out what its family does not have, and says so', () => {
		const result = run('--model', exported.folder, '--cond-refresh-every', '4');
		expect(result.stderr).toContain('"ignored":["condRefreshEvery"]');
		expect(result.status).toBe(0);
		const lite = run('--model', 'lite', '--mask-cache', '--window-frames', '2');
		expect(lite.stderr).toContain('"ignored":["windowFrames","maskCache"]');
		expect(lite.status).toBe(0);
		const buffered = run('--model', 'lite', '--moving-buffer');
		expect(buffered.stderr).toContain('The model lite (edit-unet) has no graph dit_buffer. Leave --moving-buffer out.');
		expect(buffered.status).toBe(3);
	});
});
