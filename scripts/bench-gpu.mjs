// A model of DreamLite-mobile's size with random weights on this machine's GPU: onnxruntime through the product beside a PyTorch pipeline.
// `scripts/bench-gpu [--small] [--provider P,...] [--size WxH] [--fp32] [--batches 1,2,...] [--runs N] [--frames N] [--model FOLDER]
// [--torch PYTHON] [--json FILE]` prints Markdown. --small takes a tenth of every width and the CPU, to see that the script works.
// The export needs Debian's python3-torch and python3-onnx (PYTHON names another); the pipeline a torch with CUDA (--torch, else python3).
import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { fixed, table } from './section.mjs';

const { values: flags } = parseArgs({
	options: {
		small: { type: 'boolean', default: false },
		provider: { type: 'string' },
		size: { type: 'string' },
		fp32: { type: 'boolean', default: false },
		batches: { type: 'string' },
		runs: { type: 'string' },
		frames: { type: 'string' },
		model: { type: 'string' },
		torch: { type: 'string' },
		json: { type: 'string' },
	},
});
const { small } = flags;
const size = flags.size ?? (small ? '128x64' : '512x512');
const batches = flags.batches ?? (small ? '1,2' : '1,2,4,8,16');
const runs = flags.runs ?? (small ? '1' : '10');
const frames = flags.frames ?? (small ? '8' : '96');
const isCount = (/** @type {string} */ text) => /^[1-9]\d*$/.test(text);
if (![...batches.split(','), runs, frames].every(isCount) || !/^\d+x\d+$/.test(size)) {
	console.error('bench-gpu: expected --batches 1,2,..., --runs N, --frames N and --size WxH, with N of 1 or more');
	process.exit(2);
}

const dist = (/** @type {string} */ file) => new URL(`../dist/${file}`, import.meta.url).href;
const { describeCommit, describeMachine } = await import(dist('telemetry/provenance.js'));
const { findModelFolder, openModelFolder } = await import(dist('inference/manifest.js'));
const { refusalOf } = await import(dist('inference/provider-probe.js'));
const { supportedProviders } = await import(dist('inference/session.js'));

const root = fileURLToPath(new URL('..', import.meta.url));
const run = promisify(execFile);
const say = (/** @type {string} */ line) => process.stderr.write(`bench-gpu: ${line}\n`);
const python = process.env['PYTHON'] ?? '/usr/bin/python3';
/** Long enough for a slow disk and five batches of a slow device. */
const TIMEOUT_MS = 3_600_000;

/**
 * @typedef {{
 *   batch: number, noRoom?: boolean, teMs?: number, vaeEncodeMs?: number, condMs?: number, unetMs?: number, vaeDecodeMs?: number,
 *   lawFps?: number, fps?: number, sideMs?: number, mainMs?: number, memoryMiB?: number, gpuMiB?: number,
 * }} Row
 * @typedef {{ what: string, facts: string, rows: Row[] }} Measured
 */

/** Providers of a device that run `lite` as the CPU does, and why the others do not. */
const devices = async () => {
	const lite = await openModelFolder(await findModelFolder('lite'));
	const asked = supportedProviders().filter((/** @type {string} */ provider) => provider !== 'cpu');
	/** @type {string[]} */
	const usable = [];
	/** @type {string[]} */
	const refused = [];
	for (const provider of asked) {
		const reason = await refusalOf(lite, provider);
		if (reason === undefined) usable.push(provider);
		else refused.push(`${provider}: ${reason.replaceAll(root, '')}`);
	}
	return { usable, refused };
};

const gpuMiBNow = async () => {
	const query = ['--query-gpu=memory.used', '--format=csv,noheader,nounits'];
	const { stdout } = await run('nvidia-smi', query).catch(() => ({ stdout: '' }));
	const used = stdout.split('\n').filter(Boolean).map(Number);
	return used.length > 0 && used.every(Number.isFinite) ? used.reduce((sum, mib) => sum + mib, 0) : undefined;
};

/** Runs a command to its end; what it prints, and by how much the GPU was fuller meanwhile (NVIDIA's alone say so). */
const watch = async (
	/** @type {string} */ file,
	/** @type {string[]} */ args,
	/** @type {NodeJS.ProcessEnv} */ env,
) => {
	const before = await gpuMiBNow();
	let most = before;
	const timer = setInterval(() => {
		void gpuMiBNow().then((now) => {
			if (now !== undefined && now > (most ?? 0)) most = now;
		});
	}, 500);
	try {
		const child = spawn(file, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], timeout: TIMEOUT_MS });
		let [out, said] = ['', ''];
		child.stdout.on('data', (data) => (out += data));
		child.stderr.on('data', (data) => (said = `${said}${data}`.slice(-2000)));
		const end = await new Promise((resolve) => {
			child.on('error', (error) => resolve(error.message));
			child.on('close', (code, signal) => resolve(code === 0 ? '' : `ended with ${signal ?? code}`));
		});
		if (end) throw new Error(`${end}: ${said.trim().split('\n').at(-1) ?? ''}`);
		return { out, gpuMiB: before === undefined || most === undefined ? undefined : most - before };
	} finally {
		clearInterval(timer);
	}
};

const exportModel = async (/** @type {string} */ folder) => {
	const sizes = ['--size', size, ...(small ? ['--tenth'] : []), ...(flags.fp32 || small ? [] : ['--half'])];
	say(`exporting ${small ? 'a tenth of the width' : 'the published size'} with random weights ...`);
	await watch(python, ['-m', 'training.dreamlite.random_model', folder, ...sizes], process.env);
	return folder;
};

/** @returns {Promise<Measured>} */
const measureOnnx = async (/** @type {string} */ folder, /** @type {string} */ provider) => {
	say(`onnxruntime, ${provider} ...`);
	const program = fileURLToPath(new URL('./benchmark/gpu.process.mjs', import.meta.url));
	const args = [program, folder, provider, batches, runs, frames];
	try {
		const { out, gpuMiB } = await watch(process.execPath, args, process.env);
		const facts = `${flags.fp32 || small ? 'fp32' : 'half floats where they are safe'}${gpuMiB === undefined ? '' : `; at most ${fixed(gpuMiB, 0)} MiB of the GPU`}`;
		return { what: `onnxruntime, ${provider}`, facts, rows: JSON.parse(out) };
	} catch (error) {
		return { what: `onnxruntime, ${provider}`, facts: `not measured: ${error.message}`, rows: [] };
	}
};

/** @returns {Promise<Measured>} */
const measureTorch = async () => {
	const interpreter = flags.torch ?? (small ? python : 'python3');
	say(`PyTorch, ${interpreter} ...`);
	const args = ['-m', 'training.dreamlite.pipeline', '--size', size, '--batches', batches, '--runs', runs];
	try {
		const { out, gpuMiB } = await watch(interpreter, small ? [...args, '--tenth'] : args, process.env);
		const { torch, device, dtype, compiled, streams, rows } = JSON.parse(out.trim().split('\n').at(-1) ?? '');
		const how = [compiled ? 'torch.compile' : 'not compiled', streams ? 'two streams' : 'one after the other'];
		const facts = [`torch ${torch}`, device, dtype, ...how].join(', ');
		return {
			what: 'PyTorch',
			facts: gpuMiB === undefined ? facts : `${facts}; at most ${fixed(gpuMiB, 0)} MiB of the GPU`,
			rows,
		};
	} catch (error) {
		return { what: 'PyTorch', facts: `not measured: ${error.message}`, rows: [] };
	}
};

const HEAD = ['B', 'te', 'vae enc', 'cond', 'unet', 'vae dec', 'side/main', 'frames/s', 'max(side, main)', 'MiB'];
const cells = (/** @type {Row} */ row) => {
	const ms = [row.teMs, row.vaeEncodeMs, row.condMs, row.unetMs, row.vaeDecodeMs];
	if (ms.some((value) => value === undefined)) return [`${row.batch}`, 'no room', ...HEAD.slice(2).map(() => '')];
	const asymmetry = (row.teMs + row.vaeEncodeMs) / (row.unetMs + row.vaeDecodeMs);
	return [
		`${row.batch}`,
		...ms.map((value) => fixed(value, 1)),
		fixed(asymmetry),
		row.fps === undefined ? 'no room' : fixed(row.fps, 1),
		fixed(row.lawFps, 1),
		row.memoryMiB === undefined ? '' : fixed(row.memoryMiB, 0),
	];
};

const markdown = (/** @type {Measured[]} */ all) =>
	[
		`${describeMachine()} · ${describeCommit()} · ${new Date().toISOString()} · ${size}, random weights${small ? ', a tenth of every width' : ''}`,
		'Milliseconds a batch of B frames, each stage by itself (median). side/main: text encoder and encoding over U-Net and decoding. frames/s: ' +
			'the encoder one batch ahead; beside it what max(side, main) of the stages allows. MiB: of the process, or what torch took of the GPU.',
		...all.flatMap(({ what, facts, rows }) => [
			`### ${what}`,
			facts,
			...(rows.length > 0 ? [table(HEAD, rows.map(cells))] : []),
		]),
	].join('\n\n');

const folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-gpu-'));
try {
	const chosen = flags.provider?.split(',') ?? (small ? ['cpu'] : undefined);
	const { usable, refused } = chosen ? { usable: chosen, refused: [] } : await devices();
	if (usable.length === 0) {
		console.log(`There is no GPU that onnxruntime could use here, so nothing was measured (docs/gpu.md).`);
		for (const line of refused) console.log(`- ${line}`);
	} else {
		const model = flags.model ?? (await exportModel(join(folder, 'model')));
		const all = [];
		for (const provider of usable) all.push(await measureOnnx(model, provider));
		all.push(await measureTorch());
		console.log(markdown(all));
		const facts = { machine: describeMachine(), commit: describeCommit(), size, small };
		if (flags.json) await writeFile(flags.json, `${JSON.stringify({ ...facts, measured: all }, null, '\t')}\n`);
	}
} finally {
	await rm(folder, { recursive: true, force: true });
}
