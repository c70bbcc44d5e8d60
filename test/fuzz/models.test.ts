// Models that are damaged though their hashes are right: onnxruntime refuses their graphs, and no process dies of them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { graphOf, type GraphRole } from '../../sidecar/config/schema/manifest.ts';
import { openModelFolder } from '../../sidecar/inference/manifest.ts';
import { readTokenizer } from '../../sidecar/inference/tokenizer.ts';
import { until } from '../support/engines.ts';
import { parametersOf } from '../support/frames.ts';
import { count, FUZZ_SEED, inputs, mayRefuse, mutated, patienceMs } from '../support/fuzz.ts';
import { copyOfLite, LITE } from '../support/lite.ts';

const dist = new URL('../../dist/', import.meta.url).href;
const { EnginePool } = (await import(
	`${dist}engine/engine-process.js`
)) as typeof import('../../sidecar/engine/engine-process.ts');

const ROLES: GraphRole[] = ['te_vision', 'te_text', 'vae_encoder', 'lllite_cond', 'unet', 'vae_decoder'];

test.each(ROLES)('damaged copies of the graph %s', { timeout: patienceMs() }, async (role) => {
	const copies = count(40);
	const cache = await mkdtemp(join(tmpdir(), 'allaprima-cache-'));
	const script = fileURLToPath(new URL('../support/damaged-models.process.mjs', import.meta.url));
	const child = spawn(process.execPath, [script, dist, LITE, role, String(FUZZ_SEED), String(copies)], {
		// Not the user's: what opens would push out the graphs kept there.
		env: { ...process.env, XDG_CACHE_HOME: cache },
	});
	let said = '';
	for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
	const [code, signal] = (await once(child, 'close')) as [number | null, string | null];
	expect({ code, signal }, `seed ${FUZZ_SEED}, ${said.slice(-500)}`).toEqual({ code: 0, signal: null });
	const outcomes = said.trim().split('\n');
	expect(outcomes).toHaveLength(copies);
	for (const outcome of outcomes) expect(outcome).toMatch(/^\d+ (ERR_MODEL|ERR_ENGINE|ERR_MEMORY|opened)$/);
	// Most damage is seen when a graph is opened.
	expect(outcomes.filter((outcome) => outcome.endsWith('ERR_MODEL')).length).toBeGreaterThan(copies / 2);
	await rm(cache, { recursive: true });
});

test.each(['te_text', 'unet'] satisfies GraphRole[])('an engine whose graph %s is cut off says so', async (role) => {
	const path = await copyOfLite();
	const folder = await openModelFolder(path);
	await truncate(join(path, graphOf(folder.manifest, role).file), 1000);
	const painted = { width: 64, height: 64 };
	const parameters = parametersOf();
	let gone: { code: string } | undefined;
	let isReady = false;
	const handle = new EnginePool().start(
		{
			folder,
			provider: 'cpu',
			precision: 'fp32',
			painted,
			fit: 'stretch',
			batchDeadlineMs: 100,
			parameters,
			logLevel: 'silent',
			frameBytes: 3 * 64 * 64,
			inFlightMax: 4,
		},
		{ ready: () => void (isReady = true), pull: () => {}, answer: () => {}, gone: (error) => void (gone = error) },
	);
	await until(() => isReady || gone !== undefined);
	expect(gone?.code).toBe('ERR_MODEL');
	await handle.stop();
	await rm(dirname(path), { recursive: true });
});

test('tokenizers', { timeout: patienceMs() }, async () => {
	const path = await copyOfLite();
	const folder = await openModelFolder(path);
	let taken = 0;
	const good = await readFile(join(LITE, folder.manifest.textEncoder.tokenizer));
	await fc.assert(
		fc.asyncProperty(mutated([good]), async (bytes) => {
			await writeFile(join(path, folder.manifest.textEncoder.tokenizer), bytes);
			const tokenize = await mayRefuse(['ERR_MODEL'], () => readTokenizer(folder));
			const tokens = tokenize && (await mayRefuse(['ERR_MODEL'], () => tokenize('an oil painting')));
			if (tokens) taken++;
			if (tokens) expect(tokens.inputIds.shape).toEqual([1, folder.manifest.textEncoder.maxLength]);
		}),
		inputs(150),
	);
	expect(taken).toBeGreaterThan(0);
	await rm(dirname(path), { recursive: true });
});
