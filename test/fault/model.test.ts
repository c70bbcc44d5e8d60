// A model that loads and then cannot paint: live, less of it is tried, then the embedded one; where every frame is wanted, the run says why.
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Configuration } from '../../sidecar/config/schema/configuration.ts';
import type { RunView } from '../../sidecar/control/http/served.ts';
import { slateOf } from '../../sidecar/egress/failure-policy.ts';
import { enginePids, until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { copyOfLite } from '../support/lite.ts';
import { openLiveRun, PAINTED } from '../support/live-run.ts';

const breakModel = fileURLToPath(new URL('../support/break_model.py', import.meta.url));

const brokenModel = async (how: string): Promise<string> => {
	const folder = await copyOfLite();
	execFileSync('/usr/bin/python3', [breakModel, folder, how]);
	return folder;
};

const open = (configuration: Partial<Configuration>) => openLiveRun({ failure: 'slate', ...configuration });

let folder: string | undefined;
afterEach(async () => {
	expect(enginePids()).toEqual([]);
	if (folder) await rm(dirname(folder), { recursive: true, force: true });
});

describe.each([
	['gives no numbers', 'nan', 'ERR_ENGINE', /unet of broken gave values that are no numbers \(NaN\)/],
	['throws in onnxruntime', 'throws-later', 'ERR_ENGINE', /broken, graph unet failed: .*out of data bounds/],
	['gives another shape', 'shape-later', 'ERR_MODEL', /velocity .*broken, graph unet/],
])('a denoiser that %s, but when it is warmed up', (_, how, code, message) => {
	it('live: makes way for lite, and not one frame of its own is shown', async () => {
		folder = await brokenModel(how);
		const port = await freePort();
		const { shown, finish } = open({ model: folder, http: port });
		const thumbnail = () => fetch(`http://127.0.0.1:${port}/api/thumbnails/anime`).catch(() => undefined);
		await until(async () => {
			await thumbnail();
			return shown.filter(({ kind }) => kind === 'painting').length > 5;
		}, 60_000);
		// There are none of another model, and nothing goes on starting this one for them.
		expect((await thumbnail())?.status).toBe(503);
		await until(() => enginePids().length === 1);
		const report = await finish();
		expect(report.model).toBe('lite');
		expect(report.engineRestarts).toBe(3);
		const slate = Buffer.from(slateOf(PAINTED).data);
		const from = shown.findIndex(({ kind }) => kind === 'painting');
		for (const { picture } of shown.slice(0, from)) expect(slate.equals(picture.data)).toBe(true);
		expect(from).toBeGreaterThan(0);
	}, 90_000);

	it('with --pace max: the run ends with the reason', async () => {
		folder = await brokenModel(how);
		const { run, shown } = open({ model: folder, pace: 'max', frames: 5 });
		await expect(run).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
		expect(shown.filter(({ kind }) => kind === 'painting')).toEqual([]);
	}, 60_000);
});

describe('a denoiser that has no room for what it calculates', () => {
	it('live: smaller batches, of which the page tells, then lite with the batch that was asked for', async () => {
		folder = await brokenModel('memory');
		const port = await freePort();
		const { painted, finish } = open({ model: folder, http: port, tuning: { batchSize: 4 } });
		const seen = new Set<string>();
		const look = async () => {
			const answer = await fetch(`http://127.0.0.1:${port}/api/state`, { headers: { connection: 'close' } }).catch(
				() => undefined,
			);
			const { run } = ((await answer?.json()) ?? {}) as { run?: RunView };
			if (run) seen.add(`${run.engine.model} ${run.batchSize} ${run.engine.memoryRelief ?? '-'}`);
			return seen.has('lite 4 -');
		};
		await until(look, 60_000);
		await painted(5);
		const report = await finish();
		expect([...seen]).toEqual([
			'broken 4 -',
			'broken 2 memory for batches of 2',
			'broken 1 memory for batches of 1',
			'lite 4 -',
		]);
		expect(report).toMatchObject({ model: 'lite', batchSize: 4, engineRestarts: 3 });
	}, 120_000);

	it('with --pace max: the run ends with the reason', async () => {
		folder = await brokenModel('memory');
		const { run } = open({ model: folder, pace: 'max', frames: 5 });
		const message = /unet failed: .*(Failed to allocate memory|bad_alloc)/;
		await expect(run).rejects.toMatchObject({ code: 'ERR_MEMORY', message: expect.stringMatching(message) });
	}, 60_000);
});

it.each([
	['gives another shape than its manifest says', 'shape', /broken, graph unet.*velocity.*expected/s],
	['throws in onnxruntime', 'throws', /broken, graph unet/],
])(
	'a denoiser that %s is found while it is warmed up: the run does not begin',
	async (_, how, message) => {
		folder = await brokenModel(how);
		const { run, shown } = open({ model: folder });
		await expect(run).rejects.toMatchObject({ code: 'ERR_MODEL', message: expect.stringMatching(message) });
		expect(shown).toEqual([]);
	},
	60_000,
);
