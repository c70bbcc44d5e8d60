// Which operators the time of a painted frame goes to, as onnxruntime's own profiler says.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fixed, percent } from '../section.mjs';

/** @typedef {import('../section.mjs').Section} Section */
/** @typedef {import('./clips.mjs').Bench} Bench */
/** @typedef {{ cat: string, name: string, dur: number, args?: { op_name?: string } }} Event `dur` in microseconds */

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
await import(dist('inference/no-telemetry.js'));
const ort = await import('onnxruntime-node');
const { openModelFolder, findModelFolder } = await import(dist('inference/manifest.js'));
const { resolveShape } = await import(dist('inference/session.js'));

const SIZES = { batch: 1, width: 512, height: 288 };
const ROLES = /** @type {const} */ (['vae_encoder', 'unet', 'vae_decoder']);
/** Operators of less time than this are told together. */
const SHARE_MIN = 0.02;

const noiseOf = (/** @type {string} */ type, /** @type {number} */ length) =>
	type === 'uint8'
		? Uint8Array.from({ length }, (_, i) => (31 * i) % 256)
		: Float32Array.from({ length }, (_, i) => Math.sin(i));

/** Milliseconds a run of each operator of a graph, by its name; the first runs are left out. */
const profile = async (
	/** @type {string} */ path,
	/** @type {import('../../sidecar/config/schema/manifest.ts').GraphSpec} */ spec,
	/** @type {{ folder: string, name: string, runs: number }} */ { folder, name, runs },
) => {
	const prefix = `profile-${name}`;
	const session = await ort.InferenceSession.create(path, {
		executionProviders: ['cpu'],
		intraOpNumThreads: 1,
		interOpNumThreads: 1,
		logSeverityLevel: 4,
		enableProfiling: true,
		profileFilePrefix: join(folder, prefix),
	});
	/** @type {Record<string, import('onnxruntime-node').Tensor>} */
	const feeds = {};
	for (const { name: input, type, shape } of spec.inputs) {
		const sides = resolveShape({ shape }, SIZES);
		const length = sides.reduce((/** @type {number} */ all, /** @type {number} */ one) => all * one, 1);
		feeds[input] = new ort.Tensor(type, /** @type {Float32Array} */ (noiseOf(type, length)), sides);
	}
	for (let run = 0; run < runs; run++) await session.run(feeds);
	session.endProfiling();
	await session.release();
	const file = (await readdir(folder)).find((one) => one.startsWith(prefix)) ?? prefix;
	/** @type {Event[]} */
	const events = JSON.parse(await readFile(join(folder, file), 'utf8'));
	/** @type {Map<string, number>} */
	const ms = new Map();
	for (const { cat, name: what, dur, args } of events) {
		if (cat !== 'Node' || !what.endsWith('_kernel_time') || !args?.op_name) continue;
		ms.set(args.op_name, (ms.get(args.op_name) ?? 0) + dur / 1000 / runs);
	}
	return ms;
};

/** @returns {Promise<Section[]>} */
export const measureProfile = async (/** @type {Bench} */ { small, folder, say }) => {
	const { path, manifest } = await openModelFolder(await findModelFolder('lite'));
	const rows = [];
	for (const precision of /** @type {const} */ (['fp32', 'int8']))
		for (const role of ROLES) {
			const spec = manifest.graphs[role];
			const file = precision === 'int8' ? (manifest.int8?.[role]?.file ?? spec.file) : spec.file;
			const ms = await profile(join(path, file), spec, { folder, name: `${role}-${precision}`, runs: small ? 2 : 30 });
			const all = [...ms.values()].reduce((sum, one) => sum + one, 0);
			rows.push({ precision, role, all, ms: Object.fromEntries([...ms].sort(([, a], [, b]) => b - a)) });
			say(`${role}, ${precision}: ${fixed(all, 1)} ms`);
		}
	const told = (/** @type {typeof rows[number]} */ { ms, all }) => {
		const large = Object.entries(ms).filter(([, one]) => one >= SHARE_MIN * all);
		const rest = all - large.reduce((sum, [, one]) => sum + one, 0);
		return [...large, ['others', rest]].map(([name, one]) => `${name} ${percent(Number(one) / all)}`).join(', ');
	};
	return [
		{
			name: 'profile',
			title: 'Operators',
			text: 'What the time of one run of a graph at 512x288 goes to, on one core with nothing beside it, as onnxruntime counts it. What is not a convolution here is what is missing of the peak above.',
			head: ['graph', '', 'ms', 'operators'],
			rows: rows.map((row) => [`\`${row.role}\``, row.precision, fixed(row.all, 1), told(row)]),
			values: rows,
			verdicts: [],
		},
	];
};
