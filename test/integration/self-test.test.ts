// What a driver with a wrong kernel would do, done to a graph: the model's copy runs as the provider, the model itself as the CPU.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openModelFolder, type ModelFolder } from '../../sidecar/inference/manifest.ts';
import { selfTest } from '../../sidecar/inference/self-test.ts';
import { GraphSession } from '../../sidecar/inference/session.ts';
import { copyOfLite, editManifest, LITE } from '../support/lite.ts';

/** What is kept of one test is not another's. */
let cache: string;
beforeEach(async () => {
	cache = await mkdtemp(join(tmpdir(), 'allaprima-cache-'));
	vi.stubEnv('XDG_CACHE_HOME', cache);
});
afterEach(async () => {
	vi.unstubAllEnvs();
	vi.restoreAllMocks();
	await rm(cache, { recursive: true });
});

/** A copy of lite in whose graph a node behind `output` multiplies it. */
const wrongIn = async (role: 'te_text' | 'unet', output: string, factor: number): Promise<ModelFolder> => {
	const path = await copyOfLite();
	const graph = join(path, `${role}.onnx`);
	const script = `import onnx, sys
from onnx import helper
model = onnx.load(sys.argv[1])
for node in model.graph.node:
    node.output[:] = ["right" if name == sys.argv[2] else name for name in node.output]
model.graph.initializer.append(helper.make_tensor("wrong", 1, [1], [float(sys.argv[3])]))
model.graph.node.append(helper.make_node("Mul", ["right", "wrong"], [sys.argv[2]]))
open(sys.argv[1], "wb").write(model.SerializeToString())`;
	execFileSync('/usr/bin/python3', ['-c', script, graph, output, String(factor)]);
	const sha256 = createHash('sha256')
		.update(await readFile(graph))
		.digest('hex');
	await editManifest(path, ({ graphs }) => (graphs[role].sha256 = sha256));
	return await openModelFolder(path);
};

it.each([
	[
		'te_text',
		'prompt_embeds',
		1.2,
		/another prompt_embeds than the CPU \(model lite, graph te_text\): the difference is 20\.0 %/,
	],
	['unet', 'velocity', NaN, /another velocity than the CPU .*: the difference is no number/],
] as const)('a provider that is wrong in %s is refused', async (role, output, factor, message) => {
	const wrong = await wrongIn(role, output, factor);
	await expect(selfTest(wrong, 'cpu', await openModelFolder(LITE))).rejects.toMatchObject({
		code: 'ERR_PROVIDER',
		message: expect.stringMatching(message),
	});
	await rm(dirname(wrong.path), { recursive: true });
});

it('a provider that rounds is not', async () => {
	const rounded = await wrongIn('unet', 'velocity', 1.01);
	await expect(selfTest(rounded, 'cpu', await openModelFolder(LITE))).resolves.toBeUndefined();
	await rm(dirname(rounded.path), { recursive: true });
});

/** Real sessions, counted: how many were opened, and how many at a time. */
const countSessions = () => {
	const count = { opened: 0, open: 0, most: 0 };
	const open = GraphSession.open.bind(GraphSession);
	vi.spyOn(GraphSession, 'open').mockImplementation(async (...settings) => {
		const session = await open(...settings);
		count.opened++;
		count.most = Math.max(count.most, ++count.open);
		const close = session[Symbol.asyncDispose].bind(session);
		session[Symbol.asyncDispose] = async () => {
			count.open--;
			await close();
		};
		return session;
	});
	return count;
};

it('no two graphs are open at a time, and what the CPU gave is not computed again', async () => {
	const lite = await openModelFolder(LITE);
	const first = countSessions();
	await selfTest(lite, 'cpu');
	expect(first).toEqual({ opened: 12, open: 0, most: 1 });
	vi.restoreAllMocks();
	const second = countSessions();
	await selfTest(lite, 'cpu');
	expect(second).toEqual({ opened: 6, open: 0, most: 1 });
});

it('a provider that is wrong is refused by what was kept, too', async () => {
	const lite = await openModelFolder(LITE);
	await selfTest(lite, 'cpu');
	const wrong = await wrongIn('unet', 'velocity', 1.2);
	const count = countSessions();
	await expect(selfTest(wrong, 'cpu', lite)).rejects.toMatchObject({ code: 'ERR_PROVIDER' });
	expect(count.opened).toBeLessThanOrEqual(6);
	await rm(dirname(wrong.path), { recursive: true });
});

it('what was kept and is damaged, or was written by somebody else, is computed anew', async () => {
	const lite = await openModelFolder(LITE);
	await selfTest(lite, 'cpu');
	const folder = join(cache, 'allaprima', 'graphs');
	const kept = (await readdir(folder)).filter((name) => name.endsWith('.outputs'));
	expect(kept).toHaveLength(6);
	for (const name of kept) await writeFile(join(folder, name), 'nothing of the kind, and long enough to have a digest');
	const count = countSessions();
	await selfTest(lite, 'cpu');
	expect(count.opened).toBe(12);
});

it('what a graph gave that was changed meanwhile is not kept for the one it was', async () => {
	const changed = await wrongIn('unet', 'velocity', 1.2);
	// Checked before, as whoever asks for a probe does; then the file is another.
	const sound = await openModelFolder(LITE);
	const mistaken = { path: changed.path, manifest: sound.manifest };
	await selfTest(mistaken, 'cpu');
	await expect(selfTest(sound, 'cpu')).resolves.toBeUndefined();
	await expect(selfTest(changed, 'cpu', sound)).rejects.toMatchObject({ code: 'ERR_PROVIDER' });
	await rm(dirname(changed.path), { recursive: true });
});
