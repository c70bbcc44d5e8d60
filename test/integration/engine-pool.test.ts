// Channels that share an engine: the real process, threads, onnxruntime and models/lite, from dist/.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { EngineHandle, EnginePool as Pool } from '../../sidecar/engine/engine-process.ts';
import type { Picture } from '../../sidecar/frame/frame.ts';
import { pictureByteLength, rgbLayout } from '../../sidecar/frame/frame.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { until } from '../support/engines.ts';
import { parametersOf } from '../support/frames.ts';
import { copyOfLite, LITE } from '../support/lite.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { EnginePool } = (await import(
	dist('engine/engine-process.js')
)) as typeof import('../../sidecar/engine/engine-process.ts');
const { openModelFolder } = (await import(
	dist('inference/manifest.js')
)) as typeof import('../../sidecar/inference/manifest.ts');

const PAINTED = { width: 256, height: 160 };
const LAYOUT = rgbLayout(PAINTED);
const OIL = 'transfer this to oil painting style';
const PENCIL = 'transfer this to pencil sketch style';

let folder: ModelFolder;
beforeAll(async () => {
	folder = await openModelFolder(LITE);
});

const opened: EngineHandle[] = [];
afterEach(async () => {
	for (const handle of opened.splice(0)) await handle.stop();
});

/** A channel that feeds the engine a gradient for as long as it asks. */
class Channel {
	readonly handle: EngineHandle;
	readonly paintings: Picture[] = [];
	error: { code: string } | undefined;
	isReady = false;
	#sequence = 0;

	constructor(
		pool: Pool,
		{
			model = folder,
			style = 'oil-painting',
			prompt = OIL,
			painted = PAINTED,
		}: { model?: ModelFolder; style?: string; prompt?: string; painted?: typeof PAINTED } = {},
	) {
		const parameters = {
			...parametersOf({ precision: 'fp32' }, 0, style),
			conditioning: [{ prompt, weight: 1 }],
		};
		const data = new Uint8Array(pictureByteLength(LAYOUT)).map((_, i) => (i * 7 + Math.floor(i / 768) * 3) % 256);
		this.handle = pool.start(
			{
				folder: model,
				provider: 'cpu',
				precision: parameters.tuning.precision,
				painted,
				fit: 'stretch',
				batchDeadlineMs: 100,
				parameters,
				logLevel: 'silent',
				frameBytes: data.length,
				inFlightMax: 4,
			},
			{
				ready: () => void (this.isReady = true),
				pull: () => {
					const sequence = this.#sequence++;
					const frame = {
						sequence,
						slot: 0,
						capturedUs: 0,
						timestampUs: 40_000 * sequence,
						durationUs: 0,
						layout: LAYOUT,
					};
					this.handle.send(frame, data, parameters);
				},
				answer: (_, pictures) => {
					if (pictures) this.paintings.push(pictures.picture);
					this.handle.taken();
				},
				gone: (error) => void (this.error = error),
			},
		);
		opened.push(this.handle);
	}

	async paints(more = 3): Promise<void> {
		const before = this.paintings.length;
		await until(() => this.error !== undefined || this.paintings.length >= before + more);
		expect(this.error).toBeUndefined();
	}
}

describe('two channels of one pool', () => {
	it('share a process, and each is painted as if it were alone', async () => {
		const pool = new EnginePool();
		const oil = new Channel(pool);
		const pencil = new Channel(pool, { prompt: PENCIL });
		await Promise.all([oil.paints(), pencil.paints()]);
		expect(pencil.handle.pid).toBe(oil.handle.pid);
		await Promise.all([oil.handle.stop(), pencil.handle.stop()]);
		for (const [shared, prompt] of [
			[oil, OIL],
			[pencil, PENCIL],
		] as const) {
			const alone = new Channel(new EnginePool(), { prompt });
			await alone.paints();
			for (const [i, { data }] of alone.paintings.slice(0, 3).entries())
				expect(Buffer.compare(shared.paintings[i]!.data, data)).toBe(0);
			await alone.handle.stop();
		}
		expect(Buffer.compare(oil.paintings[0]!.data, pencil.paintings[0]!.data)).not.toBe(0);
	});

	it('one ends, the other goes on, and the last one out ends the process', async () => {
		const pool = new EnginePool();
		const first = new Channel(pool);
		const second = new Channel(pool);
		await Promise.all([first.paints(), second.paints()]);
		const pid = first.handle.pid!;
		await first.handle.stop();
		const heard = first.paintings.length;
		await second.paints();
		expect(first.paintings.length).toBe(heard);
		expect(second.error).toBeUndefined();
		await second.handle.stop();
		expect(() => process.kill(pid, 0)).toThrow(/ESRCH/);
	});

	it('both hear when the process dies, and meet again in the next one', async () => {
		const pool = new EnginePool();
		const channels = [new Channel(pool), new Channel(pool)];
		await Promise.all(channels.map((channel) => channel.paints()));
		process.kill(channels[0]!.handle.pid!, 'SIGKILL');
		await until(() => channels.every(({ error }) => error !== undefined));
		expect(channels.map(({ error }) => error?.code)).toEqual(['ERR_ENGINE', 'ERR_ENGINE']);
		const next = [new Channel(pool), new Channel(pool)];
		await Promise.all(next.map((channel) => channel.paints()));
		expect(next[0]!.handle.pid).toBe(next[1]!.handle.pid);
		expect(next[0]!.handle.pid).not.toBe(channels[0]!.handle.pid);
	});

	it('one that has no room takes the process with it, which alone gives memory back', async () => {
		const broken = await copyOfLite();
		const script = fileURLToPath(new URL('../support/break_model.py', import.meta.url));
		execFileSync('/usr/bin/python3', [script, broken, 'memory']);
		const model = await openModelFolder(broken);
		const pool = new EnginePool();
		const idle = new Channel(pool, { model, style: 'passthrough' });
		await until(() => idle.isReady);
		const greedy = new Channel(pool, { model });
		await until(() => [idle, greedy].every(({ error }) => error !== undefined));
		expect([idle, greedy].map(({ error }) => error?.code)).toEqual(['ERR_ENGINE', 'ERR_MEMORY']);
		await rm(dirname(broken), { recursive: true });
	});

	it('a process has any number of them one after the other, and keeps nothing of those that went', async () => {
		const pool = new EnginePool();
		const stays = new Channel(pool);
		await stays.paints();
		const pid = stays.handle.pid!;
		const descriptors = (of: number | 'self') => readdirSync(`/proc/${of}/fd`).length;
		const comeAndGo = async () => {
			const channel = new Channel(pool);
			await channel.paints(1);
			expect(channel.handle.pid).toBe(pid);
			await channel.handle.stop();
		};
		await comeAndGo();
		const before = descriptors('self') + descriptors(pid);
		for (let i = 0; i < 40; i++) await comeAndGo();
		await until(() => descriptors('self') + descriptors(pid) <= before + 2);
		await stays.paints();
	});

	it('one that is stuck takes the process with it', async () => {
		const pool = new EnginePool();
		const stuck = new Channel(pool);
		const other = new Channel(pool);
		await Promise.all([stuck.paints(), other.paints()]);
		await stuck.handle.kill();
		await until(() => other.error !== undefined);
		expect(stuck.error).toBeUndefined();
	});

	it('a size that the model cannot paint is the trouble of the one that asked for it', async () => {
		const pool = new EnginePool();
		const good = new Channel(pool);
		await good.paints();
		const bad = new Channel(pool, { painted: { width: 250, height: 160 } });
		await until(() => bad.error !== undefined);
		expect(bad.error?.code).toBe('ERR_MODEL');
		await good.paints();
	});
});
