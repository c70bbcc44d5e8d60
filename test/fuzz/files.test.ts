// Files that somebody else has written: each is taken, or refused with the code that is meant for it, and nothing else.
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfiguration } from '../../sidecar/config/load-config.ts';
import { PICTURE_BYTES_MAX, Preset } from '../../sidecar/config/schema/preset.ts';
import { Controller } from '../../sidecar/control/controller.ts';
import { imageHeaderOf } from '../../sidecar/control/image-header.ts';
import { readLearned } from '../../sidecar/control/midi/learned.ts';
import { controlNamed } from '../../sidecar/control/midi/mapping.ts';
import { readPicturedPreset } from '../../sidecar/control/preset-bundle.ts';
import { readPreset } from '../../sidecar/control/presets.ts';
import { openModelFolder } from '../../sidecar/inference/manifest.ts';
import { readBmp, sizeOfBmp } from '../../sidecar/ingest/bmp.ts';
import { parseY4mHeader } from '../../sidecar/ingest/y4m.ts';
import { Replay } from '../../sidecar/recording/replay.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { corpusOf, inputs, mayRefuse, mutated, patienceMs } from '../support/fuzz.ts';
import { frameOf } from '../support/frames.ts';
import { copyOfLite } from '../support/lite.ts';

setLog({ level: 'silent' });

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => await folder[Symbol.asyncDispose]());

/** A value of JSON under a key that a good file has, or another. */
const changedJson = (corpus: readonly Buffer[]): fc.Arbitrary<Buffer> =>
	fc
		.tuple(
			fc.nat(corpus.length - 1),
			fc.array(fc.tuple(fc.oneof(fc.nat(20), fc.string()), fc.jsonValue({ maxDepth: 3 })), { maxLength: 3 }),
		)
		.map(([index, changes]) => {
			const value = JSON.parse(corpus[index]!.toString()) as Record<string, unknown>;
			const keys = Object.keys(value);
			for (const [key, now] of changes) value[typeof key === 'number' ? keys[key % keys.length]! : key] = now;
			return Buffer.from(JSON.stringify(value));
		});

const jsonCorpus = (name: string) => {
	const corpus = corpusOf(name);
	return fc.oneof(mutated(corpus), changedJson(corpus));
};

test('presets', { timeout: patienceMs() }, async () => {
	const path = folder.at('fuzzed.style.json');
	let taken = 0;
	await fc.assert(
		fc.asyncProperty(jsonCorpus('preset'), async (bytes) => {
			await writeFile(path, bytes);
			const preset = await mayRefuse(['ERR_STYLE'], () => readPreset(path));
			// What is taken can be written and read again.
			if (preset) expect(Preset.parse(JSON.parse(JSON.stringify(preset)))).toEqual(preset);
			if (preset) taken++;
		}),
		inputs(800),
	);
	expect(taken).toBeGreaterThan(0);
});

test('bundles of presets', { timeout: patienceMs() }, async () => {
	const path = folder.at('fuzzed.allaprima-style');
	await fc.assert(
		fc.asyncProperty(jsonCorpus('bundle'), async (bytes) => {
			await writeFile(path, bytes);
			const read = await mayRefuse(['ERR_STYLE'], () => readPicturedPreset(path));
			if (!read) return;
			expect(read.preset.thumbnail).toBeUndefined();
			const { thumbnail } = read.pictures;
			if (thumbnail) expect(thumbnail.bytes.length).toBeLessThanOrEqual(PICTURE_BYTES_MAX.thumbnail);
		}),
		inputs(500),
	);
});

test('configurations', { timeout: patienceMs() }, async () => {
	const file = folder.at('allaprima.json');
	let taken = 0;
	await fc.assert(
		fc.asyncProperty(jsonCorpus('configuration'), async (bytes) => {
			await writeFile(file, bytes);
			const configuration = await mayRefuse(['ERR_CONFIG'], () =>
				loadConfiguration({ flags: {}, environment: { HOME: folder.at('.') }, file }),
			);
			if (configuration) taken++;
		}),
		inputs(500),
	);
	expect(taken).toBeGreaterThan(0);
});

test('what was learned of MIDI', { timeout: patienceMs() }, async () => {
	const path = folder.at('midi.json');
	let taken = 0;
	await fc.assert(
		fc.asyncProperty(jsonCorpus('midi-learned'), async (bytes) => {
			await writeFile(path, bytes);
			const mapping = await mayRefuse(['ERR_CONFIG'], () => readLearned(path));
			for (const control of Object.keys(mapping ?? {})) expect(controlNamed(control)).toBeDefined();
			if (mapping) taken++;
		}),
		inputs(500),
	);
	expect(taken).toBeGreaterThan(0);
});

test('flags and variables', { timeout: patienceMs() }, async () => {
	const text = fc.oneof(
		fc.string(),
		fc.constantFrom('1e999', '-1', '0x10', 'NaN', '1:2', '640x', 'file:', 'ndi:', 'on', '0', '\0', '__proto__'),
	);
	const flag = fc.constantFrom(
		'size',
		'fps',
		'style',
		'http',
		'osc',
		'sink',
		'steps',
		'seed',
		'failure',
		'source',
		'midi',
	);
	const variable = fc.constantFrom(
		'SIZE',
		'FPS',
		'HTTP',
		'OSC',
		'SINKS',
		'STEPS',
		'FADE_S',
		'CAMERA_SIZE',
		'constructor',
	);
	let taken = 0;
	await fc.assert(
		fc.asyncProperty(
			fc.dictionary(flag, fc.oneof(text, fc.boolean(), fc.array(text, { maxLength: 3 }))),
			fc.dictionary(
				variable.map((name) => `ALLAPRIMA_${name}`),
				text,
			),
			async (flags, environment) => {
				const configuration = await mayRefuse(['ERR_CONFIG'], () =>
					loadConfiguration({ flags, environment: { HOME: folder.at('nobody'), ...environment } }),
				);
				if (configuration) taken++;
			},
		),
		inputs(2000),
	);
	expect(taken).toBeGreaterThan(0);
});

test('recordings', { timeout: patienceMs(2) }, async () => {
	const recording = folder.at('recording');
	await mkdir(recording);
	const [header, events] = [`${recording}/recording.json`, `${recording}/events.jsonl`];
	const [goodHeader, goodEvents] = [corpusOf('recording')[0]!, corpusOf('recording-events')];
	const errors = ['ERR_SOURCE', 'ERR_SOURCE_READ'] as const;
	let painted = 0;
	/** Goes through the recording as a run does. */
	const replay = async () => {
		const opened = await mayRefuse(errors, () => Replay.open(recording));
		if (!opened) return;
		const { presets, preset, tuning } = opened.header;
		const controller = new Controller({ presets, preset, tuning, fadeS: 0, nowUs: opened.nowUs });
		await mayRefuse(errors, async () => {
			for await (const { sequence } of opened.frames()) {
				const atUs = opened.advance(controller, { ...frameOf(sequence), sequence });
				expect(controller.parametersAt(atUs).conditioning.length).toBeLessThanOrEqual(6);
				painted++;
			}
		});
	};
	await writeFile(events, goodEvents[0]!);
	await fc.assert(
		fc.asyncProperty(jsonCorpus('recording'), async (bytes) => {
			await writeFile(header, bytes);
			await replay();
		}),
		inputs(150),
	);
	await writeFile(header, goodHeader);
	await fc.assert(
		fc.asyncProperty(mutated(goodEvents), async (bytes) => {
			await writeFile(events, bytes);
			await replay();
		}),
		inputs(300),
	);
	expect(painted).toBeGreaterThan(0);
});

test('manifests of models', { timeout: patienceMs() }, async () => {
	const path = await copyOfLite();
	const lite = [await readFile(`${path}/model.json`)];
	await fc.assert(
		fc.asyncProperty(fc.oneof(mutated(lite), changedJson(lite)), async (bytes) => {
			await writeFile(`${path}/model.json`, bytes);
			const opened = await mayRefuse(['ERR_MODEL'], () => openModelFolder(path));
			for (const { file } of Object.values(opened?.manifest.graphs ?? {})) expect(file).not.toMatch(/[/\\]/);
		}),
		inputs(200),
	);
	await rm(dirname(path), { recursive: true });
});

test('heads of pictures', { timeout: patienceMs(3) }, () => {
	fc.assert(
		fc.property(mutated(corpusOf('image')), (bytes) => {
			const { width = 0, height = 0 } = imageHeaderOf(bytes) ?? {};
			expect([width, height].every((side) => Number.isInteger(side) && side >= 0 && side < 2 ** 32)).toBe(true);
		}),
		inputs(5000),
	);
	fc.assert(
		fc.property(mutated(corpusOf('bmp')), (bytes) => {
			const reading = sizeOfBmp(bytes);
			if (!reading) return;
			// Never more pixels than there are bytes for.
			const { width, height } = reading;
			expect(3 * width * height).toBeLessThanOrEqual(bytes.length);
			expect(readBmp(bytes, reading, new Uint8Array(3 * width * height)).data).toHaveLength(3 * width * height);
		}),
		inputs(5000),
	);
	const y4m = [
		'YUV4MPEG2 W1280 H720 F30:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=FULL',
		'YUV4MPEG2 W2 H2 F30000:1001 C420mpeg2',
	].map((line) => Buffer.from(line));
	fc.assert(
		fc.property(mutated(y4m), (bytes) => {
			const { layout, frameRate } = parseY4mHeader(bytes.toString('latin1')) ?? {};
			if (!layout || !frameRate) return;
			const numbers = [layout.width, layout.height, frameRate.num, frameRate.den];
			expect(numbers.every((number) => Number.isSafeInteger(number) && number > 0)).toBe(true);
			expect(Math.max(layout.width, layout.height)).toBeLessThanOrEqual(65_535);
		}),
		inputs(5000),
	);
});
