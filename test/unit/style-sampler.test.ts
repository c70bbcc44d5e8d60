import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { thumbnailSizeOf } from '../../sidecar/app/sampling.ts';
import { StyleSampler, type StyleSamplerSettings } from '../../sidecar/app/style-sampler.ts';
import type { ModelManifest } from '../../sidecar/config/schema/manifest.ts';
import type { Preset } from '../../sidecar/config/schema/preset.ts';
import { SidecarError } from '../../sidecar/errors.ts';
import { rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { presetOf } from '../support/frames.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { decodePng, pixelAt } from '../support/png.ts';
import { newController } from '../support/preview.ts';

setLog({ level: 'silent' });

const SIZE = { width: 4, height: 2 };
const pictureOf = (grey: number): Picture => ({ ...rgbLayout(SIZE), data: new Uint8Array(24).fill(grey) });
const SOURCE = 50;
const STYLES = ['oil', 'ink', 'chalk', 'passthrough'];

/** A sampler whose paintings take 0.1 s; its time moves when it is told to. */
const open = (settings: Partial<StyleSamplerSettings> = {}) => {
	const clock = new ManualClock();
	const controller = newController(
		clock.nowUs,
		STYLES.map((name) => presetOf(name)),
	);
	const painted: Preset[] = [];
	const sleep = (us: number, signal: AbortSignal) =>
		us <= 0 || signal.aborted
			? Promise.resolve()
			: new Promise<void>((resolve) => {
					clock.after(us, resolve);
					signal.addEventListener('abort', () => resolve(), { once: true });
				});
	const sampler = new StyleSampler({
		controller,
		failure: 'passthrough',
		isPainting: () => true,
		shrink: async (source) => source,
		paint: async (_, preset) => {
			painted.push(preset);
			await sleep(100_000, new AbortController().signal);
			return pictureOf(100 + painted.length);
		},
		nowUs: clock.nowUs,
		sleep,
		...settings,
	});
	sampler.see({ source: pictureOf(SOURCE) });
	const pass = async (seconds: number) => {
		for (let i = 0; i < seconds * 20; i++) {
			clock.advance(50_000);
			await new Promise((resolve) => setTimeout(resolve, 1)); // a PNG is deflated on a thread
		}
	};
	/** What comes of a request within 12 s. */
	const ask = async (style: string) => {
		let thumbnail: Awaited<ReturnType<StyleSampler['thumbnailOf']>> | undefined;
		void sampler.thumbnailOf(style).then((given) => (thumbnail = given));
		await turn();
		for (let i = 0; i < 240 && !thumbnail; i++) await pass(0.05);
		return thumbnail!;
	};
	return { sampler, controller, painted, pass, ask, clock };
};

const greyOf = (thumbnail: { kind: string; bytes?: Buffer }) => pixelAt(decodePng(thumbnail.bytes!))[0];

describe('a thumbnail', () => {
	test('is painted with the preset, and given again for ten seconds', async () => {
		const { ask, painted, pass } = open();
		const first = await ask('ink');
		expect(greyOf(first as never)).toBe(101);
		expect(painted).toMatchObject([{ name: 'ink', prompt: 'transfer this to ink style', seed: 42 }]);
		await pass(5);
		expect(await ask('ink')).toBe(first);
		expect(painted).toHaveLength(1);
		await pass(10);
		expect(greyOf((await ask('ink')) as never)).toBe(102);
	});

	test('is painted anew where the preset has changed', async () => {
		const { ask, painted, controller } = open();
		await ask('ink');
		controller.setPresets([presetOf('ink', { prompt: 'another' })]);
		await ask('ink');
		expect(painted.map(({ prompt }) => prompt)).toEqual(['transfer this to ink style', 'another']);
	});

	test('is painted once for all who ask at a time, and one style at a time', async () => {
		const { sampler, painted, pass } = open();
		const asked = ['oil', 'ink', 'oil', 'ink', 'oil', 'ink'].map((style) => sampler.thumbnailOf(style));
		await turn();
		await turn();
		expect(painted).toHaveLength(1);
		await pass(5);
		expect((await Promise.all(asked)).map(({ kind }) => kind)).toEqual(Array(6).fill('picture'));
		expect(painted.map(({ name }) => name)).toEqual(['oil', 'ink']);
	});

	test('leaves the engine to the line for twice as long as it took', async () => {
		const { sampler, painted, pass, clock } = open();
		const times: number[] = [];
		void sampler.thumbnailOf('oil');
		void sampler.thumbnailOf('ink');
		for (let i = 0; i < 100 && painted.length < 2; i++) {
			await pass(0.05);
			times[painted.length - 1] ??= clock.nowUs();
		}
		expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(250_000);
	});

	test('is not painted when nobody asks', async () => {
		const { sampler, ask, painted, pass } = open();
		await pass(20);
		expect(painted).toEqual([]);
		await ask('oil');
		for (let i = 0; i < 50; i++) sampler.see({ source: pictureOf(i) });
		await pass(60);
		expect(painted).toHaveLength(1);
	});

	test('of passthrough is the source', async () => {
		const { ask, painted } = open();
		expect(greyOf((await ask('passthrough')) as never)).toBe(SOURCE);
		expect(painted).toEqual([]);
	});
});

describe('what may not be seen', () => {
	test('passthrough has no thumbnail under the failure policy slate; a painting has', async () => {
		const { ask } = open({ failure: 'slate' });
		expect(await ask('passthrough')).toMatchObject({ kind: 'none' });
		expect(await ask('oil')).toMatchObject({ kind: 'picture' });
	});

	test('panic: none is painted, none is given, and none of before comes back', async () => {
		const { sampler, controller, ask, painted } = open();
		await ask('oil');
		controller.apply({ type: 'panic', on: true });
		expect(await ask('oil')).toMatchObject({ kind: 'panic' });
		expect(await ask('passthrough')).toMatchObject({ kind: 'panic' });
		sampler.see({ source: pictureOf(99) });
		controller.apply({ type: 'panic', on: false });
		expect(await ask('oil')).toMatchObject({ kind: 'later' });
		expect(await ask('passthrough')).toMatchObject({ kind: 'later' });
		expect(painted).toHaveLength(1);
		sampler.see({ source: pictureOf(98) });
		expect(greyOf((await ask('passthrough')) as never)).toBe(98);
	});

	test('panic, however short: none of before comes back, though no frame came meanwhile', async () => {
		const { controller, ask } = open();
		expect(greyOf((await ask('passthrough')) as never)).toBe(SOURCE);
		await ask('oil');
		controller.apply({ type: 'panic', on: true });
		controller.apply({ type: 'panic', on: false });
		expect(await ask('passthrough')).toMatchObject({ kind: 'later' });
		expect(await ask('oil')).toMatchObject({ kind: 'later' });
	});

	test('panic, however short, while it is painted: it is not given', async () => {
		const { sampler, controller, painted, pass, ask } = open();
		const asked = sampler.thumbnailOf('oil');
		await turn();
		await turn();
		expect(painted).toHaveLength(1);
		controller.apply({ type: 'panic', on: true });
		controller.apply({ type: 'panic', on: false });
		sampler.see({ source: pictureOf(98) });
		await pass(1);
		expect(await asked).toMatchObject({ kind: 'later' });
		await ask('oil');
		expect(painted).toHaveLength(2);
	});

	test('panic while it is painted: it is not given, now or later', async () => {
		const { sampler, controller, painted, pass, ask } = open();
		const asked = sampler.thumbnailOf('oil');
		await turn();
		await turn();
		expect(painted).toHaveLength(1);
		controller.apply({ type: 'panic', on: true });
		await pass(1);
		expect(await asked).toMatchObject({ kind: 'panic' });
		controller.apply({ type: 'panic', on: false });
		sampler.see({ source: pictureOf(98) });
		await ask('oil');
		expect(painted).toHaveLength(2);
	});
});

describe('what cannot be had', () => {
	test('no picture yet, an engine that does not paint, and an engine that gives nothing: later', async () => {
		const starting = open({ isPainting: () => false });
		expect(await starting.ask('oil')).toMatchObject({ kind: 'later' });
		expect(starting.painted).toEqual([]);
		const silent = open({ paint: async () => undefined });
		expect(await silent.ask('oil')).toMatchObject({ kind: 'later' });
		expect(await silent.ask('nothing')).toMatchObject({ kind: 'none' });
	});

	test('an engine that gave nothing is left alone for five seconds', async () => {
		let asked = 0;
		const { ask, sampler, pass } = open({ paint: async () => void asked++ as undefined });
		await ask('oil');
		void sampler.thumbnailOf('oil');
		await pass(4);
		expect(asked).toBe(1);
		await pass(2);
		expect(asked).toBe(2);
	});

	test('a model that paints nothing so small is asked once, and passthrough is still there', async () => {
		let asked = 0;
		const { ask } = open({
			paint: async () => {
				asked++;
				throw new SidecarError('ERR_MODEL', 'The model paints at 512x512 only.');
			},
		});
		for (const style of ['oil', 'ink', 'oil'])
			expect(await ask(style)).toEqual({ kind: 'none', reason: 'The model paints at 512x512 only.' });
		expect(asked).toBe(1);
		expect(await ask('passthrough')).toMatchObject({ kind: 'picture' });
	});

	test('who waits too long is told so; of too many styles at a time the last are', async () => {
		const { controller, sampler, pass } = open({ paint: () => new Promise(() => {}) });
		const names = Array.from({ length: 40 }, (_, i) => `style-${i}`);
		controller.setPresets(names.map((name) => presetOf(name)));
		const asked = names.map((name) => sampler.thumbnailOf(name));
		expect(await asked[39]).toMatchObject({ kind: 'later', reason: expect.stringContaining('32 styles') });
		await pass(11);
		expect(await asked[0]).toMatchObject({ kind: 'later' });
		expect(await asked[31]).toMatchObject({ kind: 'later', reason: 'The style waits for its turn.' });
	});

	test('nobody waits for a sampler that ends', async () => {
		const { sampler } = open({ paint: () => new Promise(() => {}) });
		const asked = ['oil', 'ink'].map((style) => sampler.thumbnailOf(style));
		sampler[Symbol.dispose]();
		for (const thumbnail of asked) expect(await thumbnail).toMatchObject({ kind: 'later' });
	});
});

describe('the size of a thumbnail', () => {
	const modelOf = (size: object) => ({ name: 'large', size }) as ModelManifest;
	const free = { multipleOf: 32, min: [64, 64], max: [1920, 1088], default: [512, 288] };

	test.each([
		[512, 288, { width: 224, height: 128 }],
		[288, 512, { width: 128, height: 224 }],
		[384, 384, { width: 160, height: 160 }],
		[640, 256, { width: 320, height: 128 }],
	])('for %i x %i', (width, height, expected) => {
		expect(thumbnailSizeOf(modelOf(free), { width, height })).toEqual(expected);
	});

	test('there is none for a model of one size, or of large ones alone', () => {
		const painted = { width: 512, height: 512 };
		expect(thumbnailSizeOf(modelOf({ fixed: [512, 512] }), painted)).toBeUndefined();
		expect(thumbnailSizeOf(modelOf({ ...free, min: [512, 512] }), painted)).toBeUndefined();
	});
});
