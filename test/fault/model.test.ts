// A model that loads and then cannot paint: live, the embedded one takes over; where every frame is wanted, the run says why.
import { execFileSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Configuration } from '../../sidecar/config/schema.ts';
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

describe('a denoiser whose paintings are no numbers', () => {
	it('live: makes way for lite, and not one frame of its own is shown', async () => {
		folder = await brokenModel('nan');
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
		folder = await brokenModel('nan');
		const { run, shown } = open({ model: folder, pace: 'max', frames: 5 });
		const message = /unet of broken gave values that are no numbers \(NaN\)/;
		await expect(run).rejects.toMatchObject({ code: 'ERR_ENGINE', message: expect.stringMatching(message) });
		expect(shown.filter(({ kind }) => kind === 'painting')).toEqual([]);
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
