// Whatever somebody types as a prompt: a painting of what the camera sees, or a word about what is wrong. Through the built files.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FrameSink } from '../../sidecar/egress/frame-sink.ts';
import type { Picture, StyledFrame } from '../../sidecar/frame/frame.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const { runApp } = (await import(dist('app.js'))) as typeof import('../../sidecar/app.ts');
const { Configuration } = (await import(
	dist('config/schema/configuration.js')
)) as typeof import('../../sidecar/config/schema/configuration.ts');
const { parse } = (await import(
	dist('config/schema/parse.js')
)) as typeof import('../../sidecar/config/schema/parse.ts');
const { loadNative } = (await import(dist('native.js'))) as typeof import('../../sidecar/native.ts');
const { setLog } = (await import(dist('telemetry/logger.js'))) as typeof import('../../sidecar/telemetry/logger.ts');
setLog({ level: 'silent' });

const native = loadNative();
const SIZE = { width: 256, height: 160 };

const greys = ({ data }: Picture): Float64Array =>
	Float64Array.from(
		{ length: data.length / 3 },
		(_, i) => 0.299 * data[3 * i]! + 0.587 * data[3 * i + 1]! + 0.114 * data[3 * i + 2]!,
	);
const mean = (values: Float64Array): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Spread of the luminance, mean luminance, detail, and how far light and dark lie where the source has them (1: everywhere). */
const looks = async (painting: Picture, source: Picture) => {
	const [a, b] = [greys(painting), greys(source)];
	const [meanA, meanB] = [mean(a), mean(b)];
	const spread = (values: Float64Array, middle: number) => Math.sqrt(mean(values.map((v) => (v - middle) ** 2)));
	const [spreadA, spreadB] = [spread(a, meanA), spread(b, meanB)];
	return {
		light: meanA,
		spread: spreadA / spreadB,
		sobel: (await native.pictureDetail(painting)).sobel,
		likeness: mean(a.map((v, i) => (v - meanA) * (b[i]! - meanB))) / (spreadA * spreadB),
	};
};

/** A painting of `source`: not black, not flat, not a grey field or noise. */
const expectPainting = async (painting: Picture, source: Picture) => {
	const { light, spread, sobel, likeness } = await looks(painting, source);
	expect(light).toBeGreaterThan(40);
	expect(light).toBeLessThan(240);
	expect(spread).toBeGreaterThan(0.5);
	expect(spread).toBeLessThan(2);
	expect(sobel).toBeGreaterThan(1);
	expect(sobel).toBeLessThan(60);
	expect(likeness).toBeGreaterThan(0.7);
};

const shown: StyledFrame[] = [];
const stop = new AbortController();
let run: ReturnType<typeof runApp>;
let port: number;

beforeAll(async () => {
	port = await freePort();
	const sink: FrameSink = {
		name: 'test',
		present: async (frame) => void shown.push(frame),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const configuration = { source: 'scene', fps: 12, size: SIZE, http: port, provider: 'cpu', fadeS: 0 };
	run = runApp(parse(Configuration, configuration, 'test'), { signal: stop.signal, sinks: [sink] });
	run.catch(() => {});
	await until(() => shown.some(({ kind }) => kind === 'painting'));
});
afterAll(async () => {
	stop.abort();
	await run;
});

/** As the page does. */
const ask = async (body: string) => {
	const response = await fetch(`http://127.0.0.1:${port}/api/commands`, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body,
	});
	return { status: response.status, answer: (await response.json()) as any };
};

const painted = async (text: string): Promise<StyledFrame> => {
	const { status, answer } = await ask(JSON.stringify({ type: 'prompt', text }));
	expect(status, JSON.stringify(answer)).toBe(200);
	const { epoch } = answer.control;
	const isIt = (frame: StyledFrame) => frame.epoch === epoch;
	await until(() => shown.filter(isIt).length >= 2);
	return shown.findLast(isIt)!;
};

describe('a prompt', () => {
	it.each([
		['with emoji in it', 'paint this 🎨🖌️ like a 👩🏽‍🎨'],
		['of emoji alone', '🎨🖌️👩🏽‍🎨🔥'],
		['in German', 'Mach daraus ein Ölgemälde mit kräftigen Farben, bitte schön groß'],
		['in Japanese', 'これを油絵にしてください'],
		['from right to left', 'הפוך את זה לציור שמן \u202eلوحة زيتية'],
		['with control characters in it', 'oil\u0000 painting\u001b[31m\u0007\r\n\tstyle\u007f'],
		['of control characters alone', '\u0000\u0001\u0002\u001b'],
		['of characters without width', 'x\u200b\u200d\u2060'],
		['of accents', `o${'\u0301\u0327'.repeat(200)}`],
		['about something else', 'the price of tea'],
		['of stop words', 'the of and a to in'],
		['with half a surrogate pair', 'oil \ud83c painting \udfa8'],
		['of half a surrogate pair', '\udfa8'],
		['of one word of 500 letters', 'x'.repeat(500)],
		['of 125 words', 'oil '.repeat(125)],
		['of markup and patterns', '<script>alert(1)</script> {prompt} $& %s ../../etc'],
		['of digits', '1234567890'],
	])('%s gives a painting', async (_, text) => {
		const { kind, picture, source } = await painted(text);
		expect(kind).toBe('painting');
		await expectPainting(picture, source);
	});

	it.each([
		['empty', ''],
		['of blanks', ' \n\t\u00a0'],
		['of 10,000 characters', 'oil '.repeat(2500)],
	])('that is %s is refused with a word, and painting goes on', async (_, text) => {
		const { status, answer } = await ask(JSON.stringify({ type: 'prompt', text }));
		expect(status).toBe(400);
		expect(answer.error).toMatchObject({ code: 'ERR_COMMAND', message: expect.stringMatching(/text/) });
		const { length } = shown;
		await until(() => shown.length > length + 3);
		const { picture, source, kind } = shown.at(-1)!;
		expect(kind).toBe('painting');
		await expectPainting(picture, source);
	});

	it('leaves no engine dead behind it', async () => {
		const state = (await (await fetch(`http://127.0.0.1:${port}/api/state`)).json()) as any;
		expect(state.run.engine).toMatchObject({ state: 'painting', restarts: 0 });
		expect(state.run.framesUnpainted).toBe(0);
	});
});

describe('what these tests hold for garbage', () => {
	const source = () => shown.at(-1)!.source;
	const altered = (alter: (value: number, i: number) => number) => {
		const { data, ...layout } = source();
		return { ...layout, data: data.map(alter) };
	};

	it.each([
		['black', () => 0],
		['a grey field', () => 128],
		['noise', (_: number, i: number) => (i * 2654435761) % 251],
		['the negative', (value: number) => 255 - value],
	])('%s is no painting', async (_, alter) => {
		await expect(expectPainting(altered(alter), source())).rejects.toThrow(/expected/);
	});
});

describe('allaprima run', () => {
	const runWith = (...args: string[]) =>
		spawnSync(process.execPath, [cli, 'run', '--pace', 'max', '--frames', '1', ...args], {
			encoding: 'utf8',
			timeout: 60_000,
		});

	it.each([
		['an empty prompt', ''],
		['a prompt of blanks', '  '],
		['a prompt of 10,000 characters', 'x'.repeat(10_000)],
	])('refuses %s with exit code 2 and a line that a person can read', (_, prompt) => {
		const { status, stderr } = runWith('--prompt', prompt);
		expect(status).toBe(2);
		expect(stderr).toMatch(/prompt/);
		expect(stderr).not.toMatch(/\n\s+at /);
		expect(stderr.length).toBeLessThan(2000);
	});

	it('prints no control characters of a prompt to the terminal', () => {
		const { status, stdout, stderr } = runWith('--size', '256x160', '--prompt', 'oil \u001b[2J\u0007 painting');
		expect(status).toBe(0);
		expect(stdout + stderr).not.toMatch(/\u001b\[2J|\u0007/);
	});
});
