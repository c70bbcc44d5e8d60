// The source and sink `obs` through the real line, with the plugin's part played in this process.
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Configuration } from '../../sidecar/config/schema/configuration.ts';
import { pictureByteLength, type PictureLayout } from '../../sidecar/frame/frame.ts';
import type {
	RingFrame,
	SharedRingReader as Reader,
	SharedRingWriter as Writer,
} from '../../sidecar/frame/shared-ring.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { enginePids, until } from '../support/engines.ts';
import { PluginEnd } from '../support/obs-plugin.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { runApp } = (await import(dist('app.js'))) as typeof import('../../sidecar/app.ts');
const { Configuration: ConfigurationSchema } = (await import(
	dist('config/schema/configuration.js')
)) as typeof import('../../sidecar/config/schema/configuration.ts');
const { parse } = (await import(
	dist('config/schema/parse.js')
)) as typeof import('../../sidecar/config/schema/parse.ts');
const { SharedRingReader, SharedRingWriter } = (await import(
	dist('frame/shared-ring.js')
)) as typeof import('../../sidecar/frame/shared-ring.ts');
const { nowUs } = (await import(dist('frame/clock.js'))) as typeof import('../../sidecar/frame/clock.ts');
const { setLog } = (await import(dist('telemetry/logger.js'))) as typeof import('../../sidecar/telemetry/logger.ts');
setLog({ level: 'silent' });

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const runtime = process.env['XDG_RUNTIME_DIR'];
beforeEach(async () => {
	folder = await openTemporaryFolder();
	process.env['XDG_RUNTIME_DIR'] = folder.at('.');
});
afterEach(async () => {
	for (const stop of running.splice(0)) stop.abort();
	await until(() => enginePids().length === 0);
	if (runtime === undefined) delete process.env['XDG_RUNTIME_DIR'];
	else process.env['XDG_RUNTIME_DIR'] = runtime;
	await folder[Symbol.asyncDispose]();
});

/** A filter in OBS: writes a moving picture at 15 frames a second, and reads what was painted of it. */
class Filter {
	readonly painted: RingFrame[] = [];
	readonly tap: string;
	#writer: Writer;
	#layout: PictureLayout;
	#sequence = 0;
	#timer: NodeJS.Timeout;

	constructor(tap: string, width: number, height: number) {
		this.tap = tap;
		this.#layout = { format: 'BGRA', width, height, matrix: 'bt709', range: 'full' };
		this.#writer = new SharedRingWriter({ slotCount: 4, slotBytes: pictureByteLength(this.#layout) });
		this.#writer.listen(tap);
		this.#timer = setInterval(() => this.#write(), 1000 / 15);
	}

	async read(path: string): Promise<void> {
		using reader: Reader = await SharedRingReader.connect(path);
		const pixels = new Uint8Array(reader.slotBytes);
		for (;;) {
			const frame = await reader.next(pixels).catch(() => undefined);
			if (!frame) return;
			this.painted.push(frame);
		}
	}

	/** Five more paintings have come; sources that pass are 320 wide. */
	async isPainted(): Promise<void> {
		const { length } = this.painted;
		await until(() => this.painted.slice(length).filter(({ layout }) => layout.width === 256).length >= 5);
	}

	/** Another size, as when a camera changes its mode: the ring is another too. */
	resize(width: number, height: number): void {
		this.#writer.close();
		this.#layout = { ...this.#layout, width, height };
		this.#writer = new SharedRingWriter({ slotCount: 4, slotBytes: pictureByteLength(this.#layout) });
		this.#writer.listen(this.tap);
	}

	close(): void {
		clearInterval(this.#timer);
		this.#writer.close();
	}

	#write(): void {
		const { width, height } = this.#layout;
		const data = new Uint8Array(pictureByteLength(this.#layout));
		for (let i = 0; i < data.length; i += 4) {
			const x = (i / 4) % width;
			data.set([x & 255, (3 * x + 40 * this.#sequence) & 255, (i / 4 / width) & 255, 255], i);
		}
		const times = { capturedUs: nowUs(), timestampUs: nowUs(), durationUs: Math.round(1e6 / 15) };
		this.#writer.write({ sequence: this.#sequence++, ...times, layout: { ...this.#layout, height } }, data);
	}
}

const running: AbortController[] = [];
const start = (configuration: Partial<Configuration> = {}) => {
	const stop = new AbortController();
	running.push(stop);
	const base = { source: 'obs', size: { width: 256, height: 160 }, http: 'off', provider: 'cpu' };
	const run = runApp(parse(ConfigurationSchema, { ...base, ...configuration }, 'test'), {
		signal: stop.signal,
	});
	run.catch(() => {});
	return { run, finish: async () => (stop.abort(), await run) };
};

const joinFilter = async (tap: string, { style = 'pencil-sketch', failure = 'passthrough' } = {}) => {
	const filter = new Filter(tap, 320, 180);
	let plugin: PluginEnd | undefined;
	while (!plugin) plugin = await PluginEnd.connect(folder.at('allaprima/sidecar.sock')).catch(() => undefined);
	plugin.stream({ tap, style, failure });
	const { ring } = (await plugin.hears('painted')) as { ring: string };
	const reading = filter.read(ring);
	return { filter, plugin, reading };
};

it('paints what the filter taps, tells how it goes, and takes what the plugin measured into the report', async () => {
	const { finish } = start();
	const { filter, plugin, reading } = await joinFilter(folder.at('tap.sock'));
	await until(() => filter.painted.some(({ layout }) => layout.width === 256));
	const [first] = filter.painted.filter(({ layout }) => layout.width === 256);
	expect(first!.layout).toMatchObject({ format: 'BGRA', width: 256, height: 160 });
	expect(first!.capturedUs).toBeLessThan(nowUs());
	const state = await plugin.hears('state', ({ engine, fps }) => engine === 'painting' && (fps as number) > 0);
	expect(state).toMatchObject({ id: '1-ab-0', style: 'pencil-sketch' });
	plugin.say({ type: 'shown', id: '1-ab-0', glassToGlassMs: { p50: 90, p95: 130 } });
	plugin.say({ type: 'command', command: { type: 'style', name: 'oil-painting' } });
	await plugin.hears('state', ({ style, epoch }) => style === 'oil-painting' && epoch === 2);
	const report = await finish();
	expect(report.glassToGlassMs).toEqual({ p50: 90, p95: 130 });
	expect(report.framesOut).toBeGreaterThan(0);
	filter.close();
	await reading;
});

it('goes on when the source in OBS changes its size, and when OBS is started again', async () => {
	const { finish } = start();
	const first = await joinFilter(folder.at('tap.sock'));
	await first.filter.isPainted();
	first.filter.resize(640, 360);
	await first.filter.isPainted();
	expect(first.filter.painted.at(-1)!.layout).toMatchObject({ width: 256, height: 160 });

	first.filter.close();
	first.plugin.socket.destroy();
	const again = await joinFilter(folder.at('tap-of-the-next.sock'));
	await again.filter.isPainted();
	again.filter.close();
	await finish();
	await Promise.all([first.reading, again.reading]);
});

it('paints each of two filters in its own style, and one goes on when the other goes', async () => {
	const { finish } = start();
	const first = await joinFilter(folder.at('one.sock'), { style: 'pencil-sketch' });
	const two = new Filter(folder.at('two.sock'), 320, 180);
	first.plugin.stream({ id: '1-ab-1', name: 'Game / Alla Prima', tap: two.tap, style: 'oil-painting' });
	const { ring } = (await first.plugin.hears('painted', ({ id }) => id === '1-ab-1')) as unknown as { ring: string };
	const reading = two.read(ring);
	await Promise.all([first.filter.isPainted(), two.isPainted()]);
	expect(enginePids()).toHaveLength(1); // which both share
	await first.plugin.hears('state', ({ id, style }) => id === '1-ab-0' && style === 'pencil-sketch');
	await first.plugin.hears('state', ({ id, style }) => id === '1-ab-1' && style === 'oil-painting');

	// A hotkey speaks to one, or to all.
	first.plugin.say({ type: 'command', id: '1-ab-1', command: { type: 'style', name: 'passthrough' } });
	await first.plugin.hears('state', ({ id, style }) => id === '1-ab-1' && style === 'passthrough');
	expect(first.plugin.heard.some(({ id, style }) => id === '1-ab-0' && style === 'passthrough')).toBe(false);

	first.plugin.say({ type: 'stream_removed', id: '1-ab-1' });
	await reading; // its ring of paintings is gone
	await first.filter.isPainted();
	two.close();
	first.filter.close();
	await finish();
	await first.reading;
});

it('passes frames on while the engine loads, and waits for OBS without an error', async () => {
	const { finish } = start();
	const { filter, reading } = await joinFilter(folder.at('tap.sock'));
	await until(() => filter.painted.length > 0);
	// The source's own pictures, at its own size, until there is a painting.
	expect(filter.painted[0]!.layout).toMatchObject({ width: 320, height: 180 });
	filter.close();
	await finish();
	await reading;

	const waiting = start();
	expect((await waiting.finish()).framesIn).toBe(0);
});

it('lets nothing of the source out where the filter says slate, whatever the configuration says', async () => {
	const { finish } = start({ failure: 'passthrough' });
	const { filter, plugin, reading } = await joinFilter(folder.at('tap.sock'), { failure: 'slate' });
	await plugin.hears('state', ({ engine, fps }) => engine === 'painting' && (fps as number) > 0);
	process.kill(enginePids()[0]!, 'SIGKILL');
	await plugin.hears('state', ({ engine }) => engine === 'restarting' || engine === 'starting');
	const count = filter.painted.length;
	await until(() => filter.painted.length > count + 10);
	plugin.say({ type: 'command', command: { type: 'style', name: 'passthrough' } });
	await plugin.hears('state', ({ style }) => style === 'passthrough');
	await finish();
	filter.close();
	await reading;
	// The source's own pictures are 320 wide; paintings and the card are not.
	expect(new Set(filter.painted.map(({ layout }) => layout.width))).toEqual(new Set([256]));
});

it('holds a painting for as long as the filter says, for ever where it does not, whatever the configuration says', async () => {
	const { finish } = start({ holdS: 0.1, afterHold: 'passthrough', staleAfterMs: 200 });
	const tap = folder.at('tap.sock');
	const { filter, plugin, reading } = await joinFilter(tap, { failure: 'hold' });
	await filter.isPainted();
	const first = filter.painted.length;
	const [dead] = enginePids();
	process.kill(dead!, 'SIGKILL');
	await until(() => enginePids().some((pid) => pid !== dead));
	const since = plugin.heard.length;
	await plugin.hears('state', (message) => plugin.heard.indexOf(message) > since && message['engine'] === 'painting');
	// The source's own pictures are 320 wide; paintings and the card are not.
	const isSource = ({ layout }: RingFrame) => layout.width === 320;
	expect(filter.painted.slice(first).some(isSource)).toBe(false);

	plugin.stream({ tap, style: 'pencil-sketch', failure: 'hold', holdS: 1, afterHold: 'passthrough' });
	await filter.isPainted();
	const second = filter.painted.length;
	const [hung] = enginePids();
	process.kill(hung!, 'SIGSTOP');
	await until(() => filter.painted.slice(second).some(isSource));
	process.kill(hung!, 'SIGCONT');
	await filter.isPainted();
	expect((await finish()).engineRestarts).toBe(1);
	filter.close();
	await reading;
});

it.each([
	[{ source: 'scene', sinks: ['obs'] }, /--source obs/],
	[{ source: 'obs', pace: 'max' as const }, /own pace/],
	[{ source: 'obs', fps: 12 }, /frame rate of their own/],
])('what cannot be is refused with the way out: %j', async (configuration, message) => {
	await expect(start(configuration).run).rejects.toMatchObject({ code: 'ERR_CONFIG', message });
});
