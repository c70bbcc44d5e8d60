// `allaprima models import`, with the embedded model under another name: what goes wrong leaves nothing.
import { execFileSync, spawnSync } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createHash } from 'node:crypto';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { importModel } from '../../sidecar/inference/model-import.ts';
import { editManifest, LITE } from '../support/lite.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const isAccepted = async () => true;

let folder: string;
let source: string;
let root: string;
beforeEach(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-import-'));
	source = join(folder, 'given');
	root = join(folder, 'data', 'allaprima', 'models');
	await cp(LITE, source, { recursive: true });
	await editManifest(source, (manifest) => (manifest.name = 'lite-again'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const importing = () => importModel(source, { isAccepted, roots: [root] });
const seen = () => readdir(root).catch(() => []);

/** Puts bytes in the place of one of the model's graphs, and their hash into the manifest. */
const replaceGraph = async (bytes: Uint8Array): Promise<void> => {
	await writeFile(join(source, 'te_text.onnx'), bytes);
	const sha256 = createHash('sha256').update(bytes).digest('hex');
	await editManifest(source, ({ graphs }) => (graphs.te_text.sha256 = sha256));
};

describe('models import', () => {
	it('shows the licence, and takes nothing without a yes', async () => {
		const allaprima = (...args: string[]) =>
			spawnSync(process.execPath, [cli, ...args], {
				encoding: 'utf8',
				env: { PATH: process.env['PATH'], HOME: folder, XDG_DATA_HOME: join(folder, 'data') },
			});
		await editManifest(source, (manifest) => {
			manifest.licence = 'CC BY-NC 4.0';
			manifest.licenceNotice = 'Not for commercial use.';
		});
		const refused = allaprima('models', 'import', source);
		expect(refused).toMatchObject({ status: 2, stdout: '' });
		expect(refused.stderr).toMatch(/licence CC BY-NC 4\.0\nNot for commercial use\..*--accept-licence/s);
		expect(await seen()).toEqual([]);

		const taken = allaprima('models', 'import', source, '--accept-licence', '--json');
		expect(taken).toMatchObject({ status: 0 });
		expect(taken.stderr).toContain('CC BY-NC 4.0');
		expect(JSON.parse(taken.stdout)).toMatchObject({ name: 'lite-again', path: join(root, 'lite-again') });
		expect(await seen()).toEqual(['lite-again']);
		expect(await readdir(join(root, 'lite-again'))).not.toContain('parity.json'); // nothing that the manifest does not name
		expect(allaprima('models', 'verify', 'lite-again').stdout).toContain('ok');

		const again = allaprima('models', 'import', source, '--accept-licence');
		expect(again).toMatchObject({ status: 3, stderr: expect.stringMatching(/There is a model lite-again already/) });
	});

	it('takes a yes that is typed at a terminal, and nothing else', async () => {
		// script(1) is a terminal to its command.
		const typed = (answer: string) =>
			spawnSync('script', ['-qec', `'${process.execPath}' '${cli}' models import '${source}'`, '/dev/null'], {
				encoding: 'utf8',
				input: `${answer}\n`,
				env: { PATH: process.env['PATH'], HOME: folder, XDG_DATA_HOME: join(folder, 'data') },
				timeout: 60_000,
			});
		const refused = typed('perhaps');
		expect(refused.stdout).toContain('Do you accept it? [y/N]');
		expect(refused.status).toBe(2);
		expect(await seen()).toEqual([]);
		expect(typed('y').status).toBe(0);
		expect(await seen()).toEqual(['lite-again']);
	});

	it('asks before it copies', async () => {
		const asked: string[][] = [];
		const answer = async () => {
			asked.push(await seen());
			return false;
		};
		await expect(importModel(source, { isAccepted: answer, roots: [root] })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
		});
		expect(asked).toEqual([[]]);
	});

	it('clears up after an import that was killed, and leaves one that goes on', async () => {
		const dead = spawnSync('true').pid;
		for (const pid of [dead, process.pid]) await mkdir(join(root, `.import-${pid}-x`), { recursive: true });
		await writeFile(join(root, `.import-${process.pid}-x`, 'model.json'), await readFile(join(source, 'model.json')));
		await importing();
		expect(new Set(await seen())).toEqual(new Set([`.import-${process.pid}-x`, 'lite-again']));
	});
});

describe('a model that cannot be taken in leaves nothing, and is', () => {
	it.each<[string, () => Promise<unknown>, RegExp]>([
		[
			'damaged',
			() => truncate(join(source, 'unet.onnx'), 5000),
			/unet\.onnx has sha256 .*expected .*get the model anew/,
		],
		['incomplete', () => rm(join(source, 'vae_decoder.onnx')), /vae_decoder\.onnx cannot be read \(ENOENT\)/],
		[
			'of other shapes than it says',
			() => editManifest(source, ({ graphs }) => (graphs.te_text.outputs[0].shape = ['batch', 17, 192])),
			/prompt_embeds is float32 \[batch, 16, 192\] in the graph, expected float32 \[batch, 17, 192\]/,
		],
		['no graph where it says', () => replaceGraph(new Uint8Array(64).fill(15)), /te_text is no ONNX file/],
		[
			'a pipe',
			async () => {
				await rm(join(source, 'te_text.onnx'));
				execFileSync('mkfifo', [join(source, 'te_text.onnx')]);
			},
			/te_text\.onnx is not a file/,
		],
		[
			'named so that it would lie elsewhere',
			() => editManifest(source, (manifest) => (manifest.name = '../lite')),
			/expected a name in kebab-case.*at name/s,
		],
		[
			'a checkpoint',
			async () => {
				await rm(join(source, 'model.json'));
				await writeFile(join(source, 'model_index.json'), '{}');
			},
			/is a checkpoint, not a model folder\. Export it first: training\/export-dreamlite/,
		],
	])('%s', async (_, damage, message) => {
		await damage();
		await expect(importing()).rejects.toMatchObject({ code: 'ERR_MODEL', message: expect.stringMatching(message) });
		expect(await seen()).toEqual([]);
	});

	/** Gives a graph a tensor of eight bytes in another file. */
	const keepWeightsIn = async (location: string): Promise<void> => {
		const script = `import onnx, sys
model = onnx.load(sys.argv[1])
tensor = onnx.TensorProto(name="w", data_type=1, dims=[2], data_location=1)
tensor.external_data.add(key="location", value=sys.argv[2])
tensor.external_data.add(key="length", value="8")
model.graph.initializer.append(tensor)
open(sys.argv[1], "wb").write(model.SerializeToString())`;
		const graph = join(source, 'te_text.onnx');
		execFileSync('/usr/bin/python3', ['-c', script, graph, location]);
		await replaceGraph(await readFile(graph));
	};

	it.each([
		['../secret', /has the weights w in "\.\.\/secret", expected one of model\.json's externalData \(none\)/],
		['/etc/passwd', /in "\/etc\/passwd"/],
	])('one with weights in %s', async (location, message) => {
		await writeFile(join(folder, 'secret'), 'a secret');
		await keepWeightsIn(location);
		await expect(importing()).rejects.toMatchObject({ code: 'ERR_MODEL', message: expect.stringMatching(message) });
		expect(await seen()).toEqual([]);
	});

	it('one with weights beyond the end of their file', async () => {
		await keepWeightsIn('w.data');
		await writeFile(join(source, 'w.data'), 'four');
		const sha256 = createHash('sha256').update('four').digest('hex');
		await editManifest(source, ({ graphs }) => (graphs.te_text.externalData = [{ file: 'w.data', sha256 }]));
		await expect(importing()).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringMatching(/has the weights w up to byte 8 of w\.data, which has 4/),
		});
		expect(await seen()).toEqual([]);
	});

	it('too large for the disk', async (context) => {
		await mkdir(root, { recursive: true });
		try {
			execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', root], { stdio: 'pipe' });
		} catch (error) {
			context.skip(`no small disk could be mounted: ${(error as Error).message.trim()}`);
		}
		try {
			await expect(importing()).rejects.toMatchObject({
				code: 'ERR_MODEL',
				message: expect.stringMatching(
					/lite-again was not imported to .*the disk is full\. Free some space\. Nothing was left there/,
				),
			});
			expect(await seen()).toEqual([]);
		} finally {
			execFileSync('umount', [root]);
		}
	});

	it('interrupted', async () => {
		const ending = new AbortController();
		const answer = async () => {
			ending.abort();
			return true;
		};
		await expect(
			importModel(source, { isAccepted: answer, roots: [root], signal: ending.signal }),
		).rejects.toMatchObject({
			code: 'ERR_MODEL',
			message: expect.stringContaining('interrupted'),
		});
		expect(await seen()).toEqual([]);
	});
});
