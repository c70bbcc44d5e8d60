// A peer that speaks nonsense, or another language: OBS goes on, the source is shown, and the log says it once. The plugin has
// the address and the undefined-behaviour sanitizer in it: what they find ends OBS.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CANVAS, Obs } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { pixelAt } from '../support/png.ts';

process.env['OBS_SANITIZED'] = '1';

let obs: Obs;
let echo: ObsEcho;
let isOver = false;
let stream: { id: string; source: string; stream: string };
beforeAll(async () => {
	obs = await Obs.start();
	stream = await obs.showColour('main', 0xff604020);
});
beforeEach(async () => {
	const { framesShown } = await obs.stream(stream.stream);
	echo = await ObsEcho.start(obs.runtimeFolder);
	await echo.hears('stream');
	// Not the last painting of the echo before, which may be young enough to be shown again.
	await obs.until(async () => {
		const state = await obs.stream(stream.stream);
		return state.framesShown > framesShown && state.shown === 'painting' && state.engine === 'painting';
	}, 'a painting of this echo');
});
afterEach(async () => {
	await echo.kill();
	if (!isOver) expect(obs.isRunning).toBe(true);
});
afterAll(() => obs[Symbol.asyncDispose]());

/** Says something, and resolves when the plugin has hung up and is back with another hello. */
const isHungUpOnAfter = async (change: Parameters<ObsEcho['tell']>[0]) => {
	echo.heard.length = 0;
	echo.tell(change);
	await echo.hears('stream');
	await obs.shows(stream.stream, 'painting');
};

const warnings = (what: RegExp) => obs.pluginLog().filter((line) => line.startsWith('warning') && what.test(line));

/** Numbers from 0 to 1 that are the same in each run: mulberry32. */
const randomNumbers = (seed: number) => () => {
	seed = (seed + 0x6d2b79f5) | 0;
	let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed);
	mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
	return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

describe('the line', () => {
	it.each([
		['no JSON', 'this is no JSON\n'],
		['half a message', '{"type":"sty\n'],
		['an array', '[1,2,3]\n'],
		['no type', '{"styles":[]}\n'],
		['a zero', '{"type":"styles"}\u0000{"type":"styles"}\n'],
		['bytes that are no text', '\ufffd\u0001\u0002{{{{\n'],
	])('%s: hangs up, connects again, and is painted again', async (_, raw) => {
		await isHungUpOnAfter({ raw });
		expect(pixelAt(await obs.screenshot(stream.source))[0]).toBe(255 - 0x20);
	});

	it('more than 64 KiB in a line: the same', async () => {
		await isHungUpOnAfter({ raw: 'x'.repeat(200_000) });
		expect(warnings(/more than 64 KiB/)).toHaveLength(1);
	});

	it('a complaint is logged once, however often it comes', async () => {
		const before = warnings(/no message/).length;
		for (let i = 0; i < 3; i++) await isHungUpOnAfter({ raw: 'nonsense\n' });
		expect(warnings(/no message/).length - before).toBeLessThanOrEqual(1);
	});

	it.each([
		['of a type that is not known', { type: 'tomorrow', more: [1] }],
		['of a stream that is not there', { type: 'painted', id: 'nobody', ring: '/nowhere' }],
		['with numbers where there should be names', { type: 'state', id: 7, engine: 9, style: {} }],
		['with an engine that is not known', { type: 'state', engine: 'dancing' }],
		['with styles that are none', { type: 'styles', styles: [{ name: '../../x' }, { title: 5 }, {}] }],
		['with styles that are no list', { type: 'styles', styles: 'all' }],
	])('a message %s changes nothing', async (what, message) => {
		echo.heard.length = 0;
		echo.tell({ say: { id: stream.id, ...message } });
		echo.tell({ say: { type: 'error', message: `after ${what}` } });
		await obs.until(async () => warnings(new RegExp(`after ${what}`)).length > 0, 'the error in the log');
		expect(await obs.stream()).toMatchObject({ engine: 'painting', shown: 'painting' });
		expect(echo.heard.filter(({ type }) => type === 'hello')).toEqual([]);
	});

	it('a thousand lines that are nearly messages: OBS goes on, and is painted', async () => {
		const next = randomNumbers(5);
		const pick = <Value>(values: readonly Value[]): Value => values[Math.floor(next() * values.length)]!;
		const odd = () =>
			pick([
				null,
				true,
				-1,
				1e308,
				2 ** 53,
				'',
				'x'.repeat(3000),
				'é\u{1f3a8}'.repeat(40),
				[],
				[{}],
				{},
				{ name: 7 },
				stream.id,
			]);
		const message = (): string => {
			const type = pick(['styles', 'painted', 'state', 'error', 'tomorrow']);
			const keys = ['id', 'protocol', 'styles', 'ring', 'engine', 'style', 'epoch', 'fps', 'latencyMs', 'message'];
			const facts = Object.fromEntries(keys.filter(() => next() < 0.4).map((key) => [key, odd()]));
			const styles = next() < 0.3 ? { styles: [{ name: pick(['a', '..', 'ok-1']), title: odd() }] } : {};
			const line = JSON.stringify({ type, id: stream.id, ...facts, ...styles });
			// Most are whole, for the plugin hangs up at the first that is not.
			const at = Math.floor(next() * line.length);
			if (next() < 0.01) return line.slice(0, at);
			return next() < 0.01 ? line.slice(0, at) + pick(['"', '{', ']', '\\', '\u0001', '9']) + line.slice(at + 1) : line;
		};
		for (let round = 0; round < 5; round++) {
			const hellos = echo.heard.filter(({ type }) => type === 'hello').length;
			echo.tell({ raw: `${Array.from({ length: 200 }, message).join('\n')}\n` });
			echo.tell({ hangUp: true });
			await obs.until(
				async () => echo.heard.filter(({ type }) => type === 'hello').length > hellos,
				'the plugin to come back',
			);
		}
		await obs.shows(stream.stream, 'painting');
		expect(obs.log()).not.toMatch(/AddressSanitizer|runtime error:/);
	}, 120_000);

	it('a message that comes in pieces is one', async () => {
		echo.tell({ raw: '{"type":"error",' });
		echo.tell({ raw: '"message":"in pie' });
		echo.tell({ raw: 'ces"}\n{"type":"error","message":"and another"}\n' });
		await obs.until(async () => warnings(/and another/).length === 1, 'both errors in the log');
		expect(warnings(/in pieces/)).toHaveLength(1);
	});
});

describe('a sidecar', () => {
	it('of another protocol is as none, and is said to be that', async () => {
		await echo.kill();
		await obs.shows(stream.stream, 'source');
		echo = await ObsEcho.start(obs.runtimeFolder, { protocol: 2 });
		await obs.until(async () => (await obs.state()).sidecar === 'other protocol', 'the other protocol');
		expect(warnings(/speaks protocol 2/)).toHaveLength(1);
		expect(pixelAt(await obs.screenshot(stream.source))[0]).toBe(0x20);
		// It is asked again, though seldom; a matching one takes its place then.
		await echo.kill();
		echo = await ObsEcho.start(obs.runtimeFolder);
		await obs.shows(stream.stream, 'painting');
		expect((await obs.state()).sidecar).toBe('connected');
	});

	it('that accepts and says nothing is as none', async () => {
		await echo.kill();
		const path = join(obs.runtimeFolder, 'allaprima/sidecar.sock');
		await obs.until(async () => (await obs.state()).sidecar === 'absent');
		rmSync(path, { force: true });
		const silent = createServer().listen(path);
		const [plugin] = (await once(silent, 'connection')) as [Socket];
		await once(plugin.resume(), 'close');
		expect(warnings(/does not answer/)).toHaveLength(1);
		expect(pixelAt(await obs.screenshot(stream.source))[0]).toBe(0x20);
		silent.close();
	});
});

/** Runs fake_ring.py, and resolves with its lines as they come. */
const fakeRing = (...args: string[]) => {
	const script = fileURLToPath(new URL('../support/fake_ring.py', import.meta.url));
	const child = spawn('/usr/bin/python3', [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
	const lines: string[] = [];
	createInterface({ input: child.stdout }).on('line', (line) => lines.push(line));
	return {
		says: (line: string) => obs.until(async () => lines.includes(line), `fake_ring.py saying "${line}"`),
		[Symbol.dispose]: () => void child.kill(),
	};
};

describe('the ring of paintings', () => {
	it.each(['nothing', 'zeros', 'noise', 'unsealed', 'scribbled'])(
		'that gives %s is none: the policy holds, and the next ring is read',
		async (what) => {
			const { id } = stream;
			const path = join(obs.runtimeFolder, 'allaprima', `${what}.sock`);
			using fake = fakeRing('serve', path, what);
			await fake.says('listening');
			echo.tell({ say: { type: 'painted', id, ring: path } });
			await fake.says('knocked');
			await obs.shows(stream.stream, 'source');
			expect(pixelAt(await obs.screenshot(stream.source))[0]).toBe(0x20);
			await isHungUpOnAfter({ hangUp: true });
		},
	);

	it('whose path is no path at all is none', async () => {
		for (const ring of ['', '/', `/tmp/${'long'.repeat(100)}`, stream.id])
			echo.tell({ say: { type: 'painted', id: stream.id, ring } });
		await obs.shows(stream.stream, 'source');
		expect((await obs.state()).sidecar).toBe('connected');
	});
});

describe('the tap', () => {
	it('hangs up on a reader that speaks something else, and goes on for the others', async () => {
		const { tap } = (await echo.hears('stream')) as unknown as { tap: string };
		using stranger = fakeRing('knock', tap);
		await stranger.says('hung up on');
		expect(await echo.frame(stream.id)).toMatchObject({ width: CANVAS.width });
	});
});

it('OBS ends without a leak', async () => {
	isOver = true;
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
