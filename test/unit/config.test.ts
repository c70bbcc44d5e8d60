import { readFileSync } from 'node:fs';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { configurationFolder, loadConfiguration, type ConfigurationOrigins } from '../../sidecar/config/load-config.ts';
import {
	denoiserHashOf,
	foreignTuning,
	ModelManifest,
	promptShapesOf,
	resolveTuning,
	takesReferences,
	type CausalDitManifest,
} from '../../sidecar/config/schema/manifest.ts';
import { parse } from '../../sidecar/config/schema/parse.ts';
import { checkCausalModel } from '../../sidecar/inference/causal/cache-shape.ts';
import { SETTINGS } from '../../sidecar/config/settings.ts';
import { sinksOf } from '../../sidecar/config/sinks.ts';
import { openTemporaryFolder } from '../support/clips.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const write = async (name: string, content: unknown): Promise<string> => {
	const path = folder.at(name);
	await mkdir(dirname(path), { recursive: true });
	await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
	return path;
};

/** Nothing but what the test says: no flag, no variable, an empty home. */
const load = (origins: Partial<ConfigurationOrigins> = {}) =>
	loadConfiguration({
		flags: {},
		...origins,
		environment: { HOME: folder.at('empty-home'), ...origins.environment },
	});

describe('what is in force', () => {
	test('without anything said: the built-in scene in oil, live, into nothing', async () => {
		expect(await load()).toEqual({
			source: 'scene',
			sinks: ['null'],
			failure: 'passthrough',
			holdS: 10,
			afterHold: 'slate',
			staleAfterMs: 1000,
			obs: { audioInputs: [] },
			ndi: {
				extraIps: [],
				onlyWhenWatched: true,
				failover: true,
				delayMs: 'auto',
				outName: '{source} (Painted)',
				channels: [],
			},
			style: 'oil-painting',
			engine: 'local',
			fleet: { deadlineMs: 300 },
			provider: 'auto',
			size: 'auto',
			fit: 'cover',
			output: 'source',
			pace: 'source',
			http: 'auto',
			governor: 'on',
			chat: 'off',
			midi: 'off',
			osc: 'off',
			tuning: {},
		});
	});

	test('a flag outranks the environment, that the file, that the defaults', async () => {
		const file = await write('order.json', {
			style: 'pencil-sketch',
			strength: 0.1,
			fps: 24,
			tuning: { batchSize: 2, steps: 1, outputBlend: 0.5 },
		});
		const configuration = await load({
			file,
			environment: { ALLAPRIMA_STRENGTH: '0.2', ALLAPRIMA_FPS: '25', ALLAPRIMA_BATCH_SIZE: '3', ALLAPRIMA_STEPS: '2' },
			flags: { fps: '30', steps: '4' },
		});
		expect(configuration).toMatchObject({
			style: 'pencil-sketch',
			strength: 0.2,
			fps: 30,
			fit: 'cover',
			tuning: { batchSize: 3, steps: 4, outputBlend: 0.5 },
		});
	});

	test('what flags say of NDI outranks the file, and the rest of its section stays', async () => {
		const file = await write('rig.json', {
			ndi: { groups: 'studio', extraIps: ['10.0.0.7'], channels: [{ in: 'CAM 1', style: 'anime' }] },
		});
		const { ndi } = await load({ file, ndi: { channels: [{ in: 'CAM 2' }] } });
		expect(ndi).toMatchObject({ groups: 'studio', extraIps: ['10.0.0.7'], channels: [{ in: 'CAM 2' }] });
	});

	test('paths in the section ndi are meant from where the file lies', async () => {
		const file = await write('rig/rig.json', {
			ndi: {
				runtimePath: 'ndi/lib',
				channels: [
					{ in: 'CAM 1', style: './own.style.json' },
					{ in: 'A', style: 'anime' },
				],
			},
		});
		const { ndi } = await load({ file });
		expect(ndi.runtimePath).toBe(folder.at('rig/ndi/lib'));
		expect(ndi.channels.map(({ style }) => style)).toEqual([folder.at('rig/own.style.json'), 'anime']);
	});

	test('the file of the platform is read without being named, and may be absent', async () => {
		await write('home/.config/allaprima/allaprima.json', { style: 'passthrough' });
		expect((await load({ environment: { HOME: folder.at('home') } })).style).toBe('passthrough');
		expect((await load({ environment: { HOME: folder.at('nowhere') } })).style).toBe('oil-painting');
		expect(configurationFolder({ HOME: '/h', XDG_CONFIG_HOME: '/x' }, 'linux')).toBe('/x/allaprima');
		expect(configurationFolder({ HOME: '/h' }, 'darwin')).toBe('/h/Library/Application Support/allaprima');
	});

	test('paths in a file are meant from where the file lies', async () => {
		const file = await write('show/allaprima.json', {
			source: 'file:clips/in.mp4',
			sinks: ['null', 'file:out.mp4'],
			style: './mine.style.json',
			report: 'report.json',
		});
		expect(await load({ file })).toMatchObject({
			source: `file:${folder.at('show/clips/in.mp4')}`,
			sinks: ['null', `file:${folder.at('show/out.mp4')}`],
			style: folder.at('show/mine.style.json'),
			report: folder.at('show/report.json'),
		});
	});

	test('flags and variables are read in the type of their field', async () => {
		const configuration = await load({
			flags: { size: '512x288', sink: ['null', 'file:a.mp4'], seed: '0', 'te-batch-one': false },
			environment: { ALLAPRIMA_TEMPORAL_MULTIPLIER: '0.5', ALLAPRIMA_SINK: 'file:never.mp4' },
		});
		expect(configuration).toMatchObject({
			size: { width: 512, height: 288 },
			sinks: ['null', 'file:a.mp4'],
			seed: 0,
			tuning: { teBatchOne: false, temporalMultiplier: 0.5 },
		});
		expect((await load({ environment: { ALLAPRIMA_TE_BATCH_ONE: 'true' } })).tuning.teBatchOne).toBe(true);
	});

	test('a camera and a virtual camera, with what to ask of the camera', async () => {
		const flags = { source: 'camera:/dev/video0', 'camera-size': '1280x720', sink: ['v4l2:/dev/video10'] };
		expect(await load({ flags, environment: { ALLAPRIMA_CAMERA_FORMAT: 'yuyv422' } })).toMatchObject({
			source: 'camera:/dev/video0',
			cameraSize: { width: 1280, height: 720 },
			cameraFormat: 'yuyv422',
			sinks: ['v4l2:/dev/video10'],
		});
	});

	test('every tuning value has a flag and a variable of its own name', () => {
		const tuning = SETTINGS.filter(({ isTuning }) => isTuning);
		expect(tuning.map(({ flag }) => flag)).toEqual([
			'batch-size',
			'steps',
			'noise',
			'temporal-multiplier',
			'cond-refresh-every',
			'te-refresh-every',
			'te-batch-one',
			'output-blend',
			'similarity-threshold',
			'stream-batch',
			'precision',
			'window-frames',
			'sink-frames',
			'mask-cache',
			'moving-buffer',
		]);
		expect(tuning.every(({ help }) => help.length > 20)).toBe(true);
		expect(SETTINGS.find(({ key }) => key === 'durationS')).toMatchObject({
			flag: 'duration',
			variable: 'ALLAPRIMA_DURATION',
		});
	});
});

describe('what is shown without a painting', () => {
	test('hold has a time, or none, and something after it', async () => {
		const flags = { failure: 'hold', 'hold-s': '2.5', 'after-hold': 'passthrough' };
		expect(await load({ flags })).toMatchObject({ failure: 'hold', holdS: 2.5, afterHold: 'passthrough' });
		expect(await load({ environment: { ALLAPRIMA_HOLD_S: 'forever' } })).toMatchObject({ holdS: 'forever' });
		expect(SETTINGS.find(({ key }) => key === 'holdS')).toMatchObject({ placeholder: 'N|forever', default: 10 });
	});

	const file = {
		failure: 'hold',
		holdS: 5,
		sinks: ['null', { to: 'file:cam.mp4', failure: 'slate' }, { to: 'ndi:OUT', holdS: 'forever' }],
	};

	test('a sink has its own, and the run’s where it says nothing', async () => {
		const configuration = await load({ file: await write('own-sinks/a.json', file) });
		const run = { failure: 'hold', holdS: 5, afterHold: 'slate' };
		expect(sinksOf(configuration)).toEqual([
			{ to: 'null', rule: run },
			{ to: `file:${folder.at('own-sinks/cam.mp4')}`, rule: { ...run, failure: 'slate' } },
			{ to: 'ndi:OUT', rule: { ...run, holdS: 'forever' } },
		]);
	});

	test('a sink’s own stays where a flag says something else for all', async () => {
		const configuration = await load({
			file: await write('own-sinks/b.json', file),
			flags: { failure: 'passthrough' },
		});
		expect(sinksOf(configuration).map(({ rule }) => rule.failure)).toEqual(['passthrough', 'slate', 'passthrough']);
	});

	test('under the run’s slate no sink shows anything of the source', async () => {
		const sinks = [
			{ to: 'null', failure: 'passthrough' },
			{ to: 'ndi:OUT', failure: 'hold', afterHold: 'passthrough' },
		];
		const configuration = await load({
			file: await write('own-sinks/c.json', { sinks }),
			flags: { failure: 'slate' },
		});
		expect(sinksOf(configuration).map(({ rule }) => rule.failure)).toEqual(['slate', 'slate']);
	});

	test('two sinks of one file are refused, also where one has its own', async () => {
		const sinks = [{ to: 'file:a.mp4', failure: 'slate' }, 'file:./a.mp4'];
		await expect(load({ file: await write('own-sinks/d.json', { sinks }) })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: expect.stringMatching(/sink and sink are the same/),
		});
	});

	test.each([
		[{ to: 'obs', failure: 'slate' }, /another sink than obs/],
		[{ to: 'somewhere' }, /v4l2:DEVICE/],
		[{ failure: 'slate' }, /\{to, failure, holdS, afterHold\}/],
		[{ to: 'null', holdS: 0 }, />=0\.1/],
		[{ to: 'null', holdS: 86_401 }, /<=86400/],
		[{ to: 'null', afterHold: 'hold' }, /afterHold slate or passthrough/],
		[{ to: 'null', staleAfterMs: 100 }, /"staleAfterMs"/],
		[7, /null, obs, file:PATH/],
	])('%j is no sink', async (sink, message) => {
		await expect(load({ file: await write('own-sinks/e.json', { sinks: [sink] }) })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: expect.stringMatching(new RegExp(`${message.source}.*→ at sinks\\[0\\]`, 's')),
		});
	});
});

describe('OBS', () => {
	test('is reached with the password of the environment, which no file need hold', async () => {
		const { obs } = await load({ environment: { ALLAPRIMA_OBS_PASSWORD: 'secret' } });
		expect(obs.websocket).toEqual({ url: 'ws://127.0.0.1:4455', password: 'secret' });
	});

	test('is left alone where nothing is said of it', async () => {
		expect((await load()).obs.websocket).toBeUndefined();
	});
});

describe('what is wrong is said with its origin and its key', () => {
	const refused = (origins: Partial<ConfigurationOrigins>) =>
		load(origins).then(
			() => expect.unreachable(),
			(error: { code: string; message: string }) => {
				expect(error.code).toBe('ERR_CONFIG');
				return error.message;
			},
		);

	test.each<[string, Record<string, string | string[]>, RegExp]>([
		['out of range', { 'batch-size': '17' }, /flag --batch-size \(batchSize\).*<=16/s],
		['not a number', { fps: 'fast' }, /flag --fps \(fps\).*expected number/s],
		['hexadecimal', { seed: '0x10' }, /flag --seed/],
		['empty', { frames: '' }, /flag --frames/],
		['a fraction of a frame', { frames: '1.5' }, /flag --frames.*int/s],
		['infinite', { duration: '1e999' }, /flag --duration/],
		['no such choice', { fit: 'squash' }, /flag --fit.*cover/s],
		['a hold of no time', { 'hold-s': '0' }, /flag --hold-s.*0\.1/s],
		['a hold of more than a day', { 'hold-s': '86401' }, /flag --hold-s.*86400/s],
		['a hold of some time', { 'hold-s': 'long' }, /flag --hold-s.*0\.1 to 86400 s, or forever/s],
		['a hold after which there is a hold', { 'after-hold': 'hold' }, /flag --after-hold.*slate.*passthrough/s],
		['steps between', { steps: '3' }, /flag --steps/],
		['a size off the grid', { size: '500x288' }, /flag --size.*multiple of 32/s],
		[
			'an unknown source',
			{ source: 'spout:Studio' },
			/flag --source.*scene, backdrop \(backdrop:SEED\), file:PATH, camera:DEVICE, obs, obs-screenshot:SOURCE, ndi:NAME, srt:\/\/HOST:PORT or replay:FOLDER/s,
		],
		[
			'an unknown sink',
			{ sink: ['null', 'somewhere'] },
			/flag --sink.*null, obs, file:PATH, v4l2:DEVICE, ndi:NAME or srt:\/\/HOST:PORT/s,
		],
		['a camera without a device', { source: 'camera:' }, /flag --source/],
		['a camera size that is none', { 'camera-size': 'auto' }, /flag --camera-size.*1280x720/s],
		['a camera format that would be an option', { 'camera-format': '-i' }, /flag --camera-format.*mjpeg/s],
		['a prompt without words', { prompt: '   ' }, /flag --prompt/],
		['a prompt without end', { prompt: 'x'.repeat(501) }, /flag --prompt.*500/s],
	])('a flag: %s', async (_, flags, message) => {
		expect(await refused({ flags })).toMatch(message);
	});

	test('a variable, with a wrong value or unknown', async () => {
		expect(await refused({ environment: { ALLAPRIMA_STRENGTH: '2' } })).toMatch(
			/environment variable ALLAPRIMA_STRENGTH \(strength\)/,
		);
		expect(await refused({ environment: { ALLAPRIMA_STRENGHT: '1' } })).toMatch(
			/ALLAPRIMA_STRENGHT is not known.*ALLAPRIMA_STRENGTH/,
		);
	});

	test('a key of the file, unknown or wrong, at any depth', async () => {
		const file = await write('wrong.json', { stile: 'x', fps: '25', tuning: { batchsize: 2 } });
		const message = await refused({ file });
		expect(message).toContain(`Configuration file ${file}`);
		expect(message).toMatch(/Unrecognized key: "stile"/);
		expect(message).toMatch(/→ at fps/);
		expect(message).toMatch(/"batchsize"\s+→ at tuning/);
	});

	test('a file that is named must be there, and be JSON', async () => {
		expect(await refused({ file: folder.at('absent.json') })).toMatch(/absent\.json cannot be read \(ENOENT\)/);
		expect(await refused({ environment: { ALLAPRIMA_CONFIG: folder.at('absent.json') } })).toMatch(/ENOENT/);
		expect(await refused({ file: await write('broken.json', '{"style": ') })).toMatch(/broken\.json is not JSON/);
		expect(await refused({ file: await write('list.json', []) })).toMatch(/expected object/);
		expect(await refused({ file: await write('proto.json', '{"__proto__": {"pace": "max"}}') })).toMatch(/__proto__/);
		expect(await refused({ file: folder.at('.') })).toMatch(/EISDIR/);
	});

	test('a sink that would overwrite the source, also through a link', async () => {
		const clip = await write('clip.mp4', '');
		await symlink(clip, folder.at('link.mp4'));
		expect(await refused({ flags: { source: `file:${clip}`, sink: [`file:${folder.at('link.mp4')}`] } })).toMatch(
			/source and sink are the same file/,
		);
		expect(await refused({ flags: { sink: ['file:a.mp4', 'file:./a.mp4'] } })).toMatch(/sink and sink are the same/);
	});

	test('no text whatsoever is taken for a setting that it is not, or crashes', async () => {
		await fc.assert(
			fc.asyncProperty(fc.constantFrom(...SETTINGS), fc.string({ unit: 'binary' }), async ({ flag, kind }, text) => {
				const outcome = await load({ flags: { [flag]: kind === 'list' ? [text] : text } }).then(
					() => 'accepted',
					(error: { code?: string }) => error.code,
				);
				expect(['accepted', 'ERR_CONFIG']).toContain(outcome);
				if (kind === 'number' && !/\d/.test(text)) expect(outcome).toBe('ERR_CONFIG');
			}),
			{ numRuns: 300 },
		);
	});
});

describe('model manifest', () => {
	const hash = 'a'.repeat(64);
	const graph = {
		file: 'x.onnx',
		sha256: hash,
		inputs: [{ name: 'image', type: 'uint8', shape: ['batch', 'height', 'width/8', 3] }],
		outputs: [{ name: 'features', type: 'float32', shape: ['batch', 128] }],
	};
	const manifest = {
		format: 'allaprima-model',
		formatVersion: 1,
		name: 'lite',
		version: '0.1.0',
		title: 'Lite',
		family: 'edit-unet',
		licence: 'MIT',
		size: { multipleOf: 32, min: [64, 64], max: [1920, 1088], default: [512, 288] },
		latents: { channels: 8, scale: 4 },
		scheduler: { type: 'flow-match-euler', baseShift: 0.5, maxShift: 1.15, baseSeqLen: 256, maxSeqLen: 4096 },
		steps: { default: 1, supported: [1, 2, 4] },
		textEncoder: {
			tokenizer: 'tokenizer.json',
			tokenizerSha256: hash,
			template: '{prompt}',
			maxLength: 32,
			dropTokens: 0,
			padTokenId: 0,
			neutralPrompt: 'leave it as it is',
			image: { width: 128, height: 128 },
		},
		temporalAdapter: { multiplier: 1, condRefreshEvery: 2 },
		tuning: { batchSize: 1, steps: 1, noise: 'advected', teRefreshEvery: 8, teBatchOne: true, precision: 'fp32' },
		styles: ['oil-painting', 'pencil-sketch'],
		graphs: {
			te_vision: graph,
			te_text: graph,
			vae_encoder: graph,
			lllite_cond: graph,
			unet: graph,
			vae_decoder: graph,
		},
	};
	const read = (value: unknown) => parse(ModelManifest, value, 'model.json', 'ERR_MODEL');

	test('gives the tuning, and overrides win', () => {
		expect(resolveTuning(read(manifest), { steps: 2, outputBlend: 0.3 })).toEqual({
			batchSize: 1,
			steps: 2,
			noise: 'advected',
			temporalMultiplier: 1,
			condRefreshEvery: 2,
			teRefreshEvery: 8,
			teBatchOne: true,
			outputBlend: 0.3,
			similarityThreshold: 3,
			streamBatch: false,
			precision: 'fp32',
		});
	});

	test('may have some graphs in int8 as well', () => {
		const int8 = { unet: { file: 'unet.int8.onnx', sha256: hash } };
		const tuning = { ...manifest.tuning, precision: 'int8' };
		expect(read({ ...manifest, int8, tuning })).toMatchObject({ int8, tuning });
	});

	describe('of a causal transformer', () => {
		const sized = (name: string, ...shape: number[]) => ({ name, type: 'float32', shape });
		const { temporalAdapter: _, graphs: __, size: ___, ...common } = manifest;
		const causal = {
			...common,
			name: 'lite-dit',
			family: 'causal-dit',
			size: { fixed: [256, 144] },
			latents: { channels: 12, scale: 4 },
			steps: { default: 2, supported: [1, 2] },
			textEncoder: { ...manifest.textEncoder, referencePrompt: 'as the painting is' },
			window: { frames: 6, sinkFrames: 1 },
			tuning: { ...manifest.tuning, steps: 2 },
			graphs: {
				te_vision: graph,
				te_text: graph,
				vae_encoder: graph,
				dit_prompt: graph,
				dit_reference: { ...graph, outputs: [sized('key_0', 1, 4, 144, 64)] },
				dit_step: {
					...graph,
					externalData: [{ file: 'x.weights', sha256: 'b'.repeat(64) }],
					inputs: [sized('sample', 1, 12, 36, 64), sized('past_key_0', 1, 4, 1008, 64)],
					outputs: [sized('key_0', 1, 4, 144, 64)],
				},
				dit_step_kept: graph,
				vae_decoder: graph,
			},
		};

		test('has its window in the tuning, and nothing of an adapter', () => {
			const dit = read(causal);
			const asked = { condRefreshEvery: 8, temporalMultiplier: 1, windowFrames: 3, maskCache: true } as const;
			expect(resolveTuning(dit, asked)).toMatchObject({
				steps: 2,
				condRefreshEvery: 0,
				temporalMultiplier: 0,
				windowFrames: 3,
				sinkFrames: 1,
				maskCache: true,
			});
			expect(foreignTuning(dit, asked)).toEqual(['temporalMultiplier', 'condRefreshEvery']);
			expect(resolveTuning(read(manifest), asked)).not.toHaveProperty('windowFrames');
			expect(foreignTuning(read(manifest), asked)).toEqual(['windowFrames', 'maskCache']);
			// As a recording has it of a model of its own family: what is off is not asked for.
			expect(foreignTuning(dit, resolveTuning(dit, {}))).toEqual([]);
			expect(denoiserHashOf(dit)).toBe('b'.repeat(64));
			expect([takesReferences(dit), takesReferences(read(manifest))]).toEqual([true, false]);
			expect(() => checkCausalModel(dit as CausalDitManifest)).not.toThrow();
		});

		test.each([
			[{ family: 'dit' }, /expected edit-unet or causal-dit/],
			[{ size: { multipleOf: 32, min: [64, 64], max: [64, 64], default: [64, 64] } }, /size/],
			[{ size: { fixed: [254, 144] } }, /expected sides that are multiples of 4, got 254x144/],
			[{ size: { fixed: [128, 144] } }, /expected sample \[1, 12, 36, 32\], got \[1, 12, 36, 64\]/],
			[{ window: { frames: 2, sinkFrames: 2 } }, /expected less than frames \(2\), got 2/],
			[{ window: { frames: 32, sinkFrames: 0 } }, /window\.frames/],
			[{ tuning: { ...causal.tuning, precision: 'int8' } }, /the model has no int8 graphs/],
			[{ tuning: { ...causal.tuning, steps: 4 } }, /expected one of the supported steps \(1, 2\), got 4/],
			[{ textEncoder: manifest.textEncoder }, /referencePrompt/],
			[{ temporalAdapter: manifest.temporalAdapter }, /temporalAdapter/],
			[{ graphs: manifest.graphs }, /dit_step/],
			[
				{ graphs: { ...causal.graphs, dit_buffer: { ...graph, inputs: [sized('sample', 4, 12, 36, 64)] } } },
				/expected sample \[2, 12, 36, 64\], got \[4, 12, 36, 64\][^]*graphs\.dit_buffer/,
			],
		])('refuses %j', (changed, message) => {
			expect(() => read({ ...causal, ...changed })).toThrow(message);
		});

		test('refuses a window that its graphs have no room for', () => {
			const long = read({ ...causal, window: { frames: 7, sinkFrames: 1 } }) as CausalDitManifest;
			expect(() => checkCausalModel(long)).toThrow('a window of 7 frames, and its graphs have room for 6.');
			const { dit_reference: __, ...graphs } = causal.graphs;
			const odd = read({ ...causal, graphs: { ...graphs, dit_reference: graph } }) as CausalDitManifest;
			expect(() => checkCausalModel(odd)).toThrow("The transformer's key_0 is [missing]");
		});
	});

	test('may name modifiers, by words that a prompt can have between commas', () => {
		const modifiers = [{ name: 'muted', phrase: 'muted colors' }];
		expect(read({ ...manifest, modifiers }).modifiers).toEqual(modifiers);
		for (const phrase of ['', ' muted', 'muted, dark', 'x'.repeat(61)])
			expect(() => read({ ...manifest, modifiers: [{ name: 'muted', phrase }] }), phrase).toThrow(/phrase/);
	});

	test('says what the embeddings of a prompt are like', () => {
		const lite = read(JSON.parse(readFileSync(new URL('../../models/lite/model.json', import.meta.url), 'utf8')));
		expect(promptShapesOf(lite)).toEqual({ shape: [1, 16, 192], maskShape: [1, 32] });
	});

	test('may have weights beside a graph, by which the denoiser is known then', () => {
		const weights = { file: 'x.onnx.data', sha256: 'b'.repeat(64) };
		const withWeights = (externalData: unknown) =>
			read({ ...manifest, graphs: { ...manifest.graphs, unet: { ...graph, externalData } } });
		expect(denoiserHashOf(withWeights([weights]))).toBe(weights.sha256);
		expect(denoiserHashOf(read(manifest))).toBe(hash);
		for (const file of ['../x.data', '/etc/passwd', 'a/b.data'])
			expect(() => withWeights([{ ...weights, file }]), file).toThrow(/externalData/);
		expect(() => withWeights([])).toThrow(/externalData/);
	});

	test('may have one fixed size', () => {
		expect(read({ ...manifest, size: { fixed: [512, 512] } }).size).toEqual({ fixed: [512, 512] });
	});

	test('may want its pictures in patches that fit', () => {
		const cut = (patches: object, name = 'pixel_values') => {
			const image = { width: 128, height: 96, patches: { patch: 16, merge: 2, frames: 2, ...patches } };
			const te_vision = { ...graph, inputs: [{ name, type: 'float32', shape: ['batch', 48, 1536] }] };
			const textEncoder = { ...manifest.textEncoder, image };
			return read({ ...manifest, textEncoder, graphs: { ...manifest.graphs, te_vision } }).textEncoder.image;
		};
		expect(cut({})).toMatchObject({ patches: { patch: 16, merge: 2, frames: 2 } });
		expect(() => cut({ merge: 4 })).toThrow(/sides in multiples of patch \* merge \(64\), got 128x96/);
		expect(() => cut({ patch: 0 })).toThrow(/patches\.patch/);
		expect(() => cut({ frames: 9 })).toThrow(/patches\.frames/);
		expect(() => cut({}, 'image')).toThrow(/expected pixel_values, .* has patches, got image/);
		const { patches: _, ...image } = cut({});
		expect(() => read({ ...manifest, textEncoder: { ...manifest.textEncoder, image } })).not.toThrow();
	});

	test.each([
		'../x.onnx',
		'/etc/passwd',
		'a/b.onnx',
		'a\\b.onnx',
		'..',
		'.',
		'a..onnx',
		'',
		'x\0.onnx',
		'-x.onnx',
		'x'.repeat(200),
	])('cannot reach outside its folder: %j', (file) => {
		const graphs = { ...manifest.graphs, unet: { ...graph, file } };
		expect(() => read({ ...manifest, graphs })).toThrow(/graphs\.unet\.file/);
		expect(() => read({ ...manifest, int8: { unet: { file, sha256: hash } } })).toThrow(/int8\.unet\.file/);
		expect(() => read({ ...manifest, textEncoder: { ...manifest.textEncoder, tokenizer: file } })).toThrow(/tokenizer/);
	});

	test.each<[string, object, RegExp]>([
		['an unknown key', { extra: 1 }, /"extra"/],
		['a later format', { formatVersion: 2 }, /formatVersion/],
		['int8 graphs that are none', { int8: {} }, /at least one graph/],
		['a role in int8 that is not one', { int8: { safety: { file: 'x.onnx', sha256: hash } } }, /"safety"/],
		['int8 by default and no such graph', { tuning: { ...manifest.tuning, precision: 'int8' } }, /no int8 graphs/],
		['a missing role', { graphs: { ...manifest.graphs, unet: undefined } }, /graphs\.unet/],
		['a role that is not one', { graphs: { ...manifest.graphs, safety: graph } }, /"safety"/],
		[
			'a negative side',
			{ graphs: { ...manifest.graphs, unet: { ...graph, inputs: [{ name: 'x', type: 'uint8', shape: [-1] }] } } },
			/shape/,
		],
		[
			'a dimension by an unknown name',
			{ graphs: { ...manifest.graphs, unet: { ...graph, inputs: [{ name: 'x', type: 'uint8', shape: ['depth'] }] } } },
			/height\/N/,
		],
		[
			'a division by zero',
			{
				graphs: { ...manifest.graphs, unet: { ...graph, inputs: [{ name: 'x', type: 'uint8', shape: ['height/0'] }] } },
			},
			/height\/N/,
		],
		['a size off its own grid', { size: { ...manifest.size, default: [500, 288] } }, /multiples of 32/],
		['a size out of its own range', { size: { ...manifest.size, default: [2048, 288] } }, /512x|64x64 to 1920x1088/],
		[
			'steps that it does not support',
			{ tuning: { ...manifest.tuning, steps: 4 }, steps: { default: 1, supported: [1] } },
			/tuning\.steps/,
		],
		['a template without a prompt', { textEncoder: { ...manifest.textEncoder, template: 'paint' } }, /template/],
		[
			'a hash of another kind',
			{ graphs: { ...manifest.graphs, unet: { ...graph, sha256: 'A'.repeat(64) } } },
			/hexadecimal/,
		],
	])('is refused with %s', (_, change, message) => {
		expect(() => read({ ...manifest, ...change })).toThrow(message);
	});
});
