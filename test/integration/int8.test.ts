// The int8 graphs of models/lite through the product, against its fp32 graphs. Threads need compiled files, so this runs dist/.
import { spawnSync } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import type { FrameSink } from '../../sidecar/egress/frame-sink.ts';
import type { Picture } from '../../sidecar/frame/frame.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { copyOfLite, editManifest, LITE } from '../support/lite.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const { runApp } = (await import(dist('app.js'))) as typeof import('../../sidecar/app.ts');
const { Configuration } = (await import(
	dist('config/schema/configuration.js')
)) as typeof import('../../sidecar/config/schema/configuration.ts');
const { int8GraphsOf } = (await import(
	dist('config/schema/manifest.js')
)) as typeof import('../../sidecar/config/schema/manifest.ts');
const { parse } = (await import(
	dist('config/schema/parse.js')
)) as typeof import('../../sidecar/config/schema/parse.ts');
const { setLog } = (await import(dist('telemetry/logger.js'))) as typeof import('../../sidecar/telemetry/logger.ts');
const { openModelFolder, verifyModel } = (await import(
	dist('inference/manifest.js')
)) as typeof import('../../sidecar/inference/manifest.ts');
setLog({ level: 'error' });

const { manifest } = await openModelFolder(LITE);
const int8Roles = Object.keys(int8GraphsOf(manifest));

const run = (...args: string[]) =>
	spawnSync(process.execPath, [cli, 'run', '--pace', 'max', '--provider', 'cpu', '--frames', '2', ...args], {
		encoding: 'utf8',
		timeout: 60_000,
	});

/** A copy of the model with a graph in int8, which is that in fp32 under another name. */
const copyWithInt8 = async (): Promise<string> => {
	const folder = await copyOfLite();
	await copyFile(join(folder, 'unet.onnx'), join(folder, 'unet.other.onnx'));
	await editManifest(folder, (model) => {
		model.int8 = { unet: { file: 'unet.other.onnx', sha256: model.graphs.unet.sha256 } };
	});
	return folder;
};

describe('a model with graphs in int8', () => {
	it('is verified with them, and a damaged one is refused with exit code 3', async () => {
		const folder = await copyWithInt8();
		expect(Object.keys(int8GraphsOf(await verifyModel(folder)))).toEqual(['unet']);
		const path = join(folder, 'unet.other.onnx');
		const bytes = await readFile(path);
		bytes[bytes.length >> 1]! ^= 1;
		await writeFile(path, bytes);
		const result = run('--model', folder);
		expect(result.stderr).toMatch(/unet\.other\.onnx has sha256/);
		expect(result.status).toBe(3);
	});

	it('is refused where a graph in int8 takes other tensors than that in fp32', async () => {
		const folder = await copyWithInt8();
		await editManifest(folder, (model) => {
			const { file, sha256 } = model.graphs.vae_decoder;
			model.int8 = { unet: { file, sha256 } };
		});
		const result = run('--model', folder, '--precision', 'int8');
		expect(result.stderr).toMatch(/graph unet in int8, input \w+ is missing/);
		expect(result.status).toBe(3);
	});

	it('says which graphs ran in int8, and none under fp32', async () => {
		const folder = await copyWithInt8();
		const graphsIn = (precision: string) => {
			const result = run('--model', folder, '--precision', precision, '--json');
			expect(result.status).toBe(0);
			return (JSON.parse(result.stdout) as Report).int8Graphs;
		};
		expect(graphsIn('int8')).toEqual(['unet']);
		expect(graphsIn('fp32')).toEqual([]);
	});
});

describe('a model without graphs in int8', () => {
	const copyWithout = async (): Promise<string> => {
		const folder = await copyOfLite();
		await editManifest(folder, (model) => {
			delete model.int8;
			model.tuning.precision = 'fp32';
		});
		return folder;
	};

	it('refuses --precision int8 with a word and exit code 3', async () => {
		const result = run('--model', await copyWithout(), '--precision', 'int8');
		expect(result.stderr).toMatch(/lite has no graphs in int8; give --precision fp32 or auto/);
		expect(result.status).toBe(3);
	});

	it('paints in fp32 under auto', async () => {
		const result = run('--model', await copyWithout(), '--precision', 'auto', '--json');
		expect(result.status).toBe(0);
		expect(JSON.parse(result.stdout)).toMatchObject({ framesOut: 2, int8Graphs: [] });
	});
});

/** The paintings of a run. */
const paint = async (configuration: object): Promise<{ report: Report; paintings: Picture[] }> => {
	const paintings: Picture[] = [];
	const sink: FrameSink = {
		name: 'memory',
		present: async ({ picture }) => void paintings.push({ ...picture, data: picture.data.slice() }),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const common = { pace: 'max', provider: 'cpu', model: LITE, size: { width: 512, height: 288 }, output: 'painted' };
	const report = await runApp(parse(Configuration, { ...common, ...configuration }, 'test'), {
		signal: new AbortController().signal,
		sinks: [sink],
	});
	return { report, paintings };
};

const psnrDb = (a: readonly Picture[], b: readonly Picture[]): number => {
	let sum = 0;
	let count = 0;
	a.forEach(({ data }, i) => {
		for (let at = 0; at < data.length; at++) sum += (data[at]! - b[i]!.data[at]!) ** 2;
		count += data.length;
	});
	return 10 * Math.log10(255 ** 2 / (sum / count));
};

/**
 * fp32 paintings are at most 30 dB from their teacher (models/lite/README.md). An independent error at 36 dB takes
 * less than 1 dB of that: 10 log10(1 + 10^(-6 / 10)) = 0.97.
 */
const FROM_FP32_DB = 36;

describe('models/lite in int8', () => {
	it('has int8 graphs (training/quantize.py makes them)', () => {
		expect(int8Roles).not.toEqual([]);
	});

	const clips = fileURLToPath(new URL('../../../shared/clips/', import.meta.url));
	const sources = ['scene', ...['walk.mkv'].map((name) => join(clips, name)).filter(existsSync)];

	it.each(manifest.styles.map((style, i) => [style, sources[i % sources.length]!]))(
		'paints %s as fp32 does, to 36 dB',
		async (style, source) => {
			const prompt = `transfer this to ${style.replaceAll('-', ' ')} style`;
			const configuration = { prompt, source: source === 'scene' ? source : `file:${source}`, frames: 10 };
			const [fp32, int8] = [
				await paint({ ...configuration, tuning: { precision: 'fp32' } }),
				await paint({ ...configuration, tuning: { precision: 'int8' } }),
			];
			expect(fp32.report.int8Graphs).toEqual([]);
			expect(int8.report.int8Graphs.toSorted()).toEqual(int8Roles.toSorted());
			expect(int8.paintings).toHaveLength(10);
			const difference = psnrDb(fp32.paintings, int8.paintings);
			expect(difference, source).toBeGreaterThan(FROM_FP32_DB);
			expect(difference).toBeLessThan(80); // int8 did run
		},
	);
});
