import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openTemporaryFolder } from '../support/clips.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
});
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const allaprima = (args: string[], environment: Record<string, string> = {}) => {
	const { status, stdout, stderr } = spawnSync(process.execPath, [cli, ...args], {
		encoding: 'utf8',
		env: { PATH: process.env['PATH'], HOME: folder.at('home'), ...environment },
		cwd: folder.at('.'),
		timeout: 60_000,
	});
	return { status, stdout, stderr };
};

describe('exit codes, each with a word and without a trace', () => {
	test.each<[string, string[], number, RegExp, Record<string, string>?]>([
		['an unknown flag', ['run', '--brush', '3'], 2, /unknown option '--brush'/],
		['an unknown command', ['paint'], 2, /unknown command 'paint'/],
		['a flag without its value', ['run', '--style'], 2, /argument missing/],
		['a value too many', ['run', 'clip.mp4'], 2, /too many arguments/],
		['a value out of range', ['run', '--batch-size', '99'], 2, /flag --batch-size/],
		['an unknown style', ['run', '--style', 'oil-paintng'], 2, /Did you mean oil-painting\?/],
		['an unknown model', ['run', '--model', 'nope'], 3, /no model named nope/],
		['a folder that is no model', ['models', 'verify', './nothing'], 3, /model\.json/],
		['a configuration file that is absent', ['run', '--config', 'absent.json'], 2, /absent\.json cannot be read/],
		['an unknown variable', ['run'], 2, /ALLAPRIMA_STYL is not known/, { ALLAPRIMA_STYL: 'x' }],
		['a report that has nowhere to go', ['run', '--report', 'no/such/folder/r.json'], 2, /report cannot be written/],
		['a port that is none', ['run', '--http', '99999'], 2, /flag --http .*<=65535/s],
		['a fade without end', ['run', '--fade', '61'], 2, /flag --fade/],
		['a style that nobody is there to paint', ['style', 'next', '--port', '1'], 1, /No allaprima answers at 127/],
		['a style at a port that is none', ['style', 'next', '--port', 'x'], 2, /flag --port/],
		['a style without its name', ['style'], 2, /missing required argument/],
		['a broken preset', ['presets', 'validate', 'package.json'], 2, /cannot be read/],
		['eval of a missing clip', ['eval', '--source', 'a.mp4', '--styled', 'b.mp4'], 2, /a\.mp4/],
		['eval without its clips', ['eval'], 2, /required option '--source/],
		[
			'a missing ffmpeg',
			['eval', '--source', cli, '--styled', cli],
			4,
			/ffmpeg/,
			{ ALLAPRIMA_FFMPEG: '/nowhere/ffmpeg' },
		],
	])('%s', (_, args, status, message, environment) => {
		const result = allaprima(args, environment);
		expect(result.stderr).toMatch(message);
		expect(result.status).toBe(status);
		if (args[0] === 'run') expect(result.stdout).toBe('');
		expect(result.stderr).not.toMatch(/^\s+at .*\d+:\d+/m);
	});

	test('help and version are no failure', () => {
		expect(allaprima(['--version'])).toMatchObject({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
		const { status, stdout } = allaprima(['run', '--help']);
		expect(status).toBe(0);
		for (const flag of [
			'source',
			'sink',
			'style',
			'prompt',
			'model',
			'size',
			'fps',
			'provider',
			'fit',
			'output',
			'frames',
			'duration',
			'pace',
			'report',
			'te-refresh-every',
			'temporal-multiplier',
			'output-blend',
		])
			expect(stdout).toMatch(new RegExp(`--${flag}\\b`));
	});

	test('the trace is there for who asks', () => {
		expect(allaprima(['run', '--style', 'nope'], { ALLAPRIMA_DEBUG: '1' }).stderr).toMatch(/^\s+at .*\d+:\d+/m);
	});

	test('a name with escape codes is shown harmlessly', () => {
		expect(allaprima(['run', '--style', 'x\x1b[2Jy']).stderr).not.toContain('\x1b');
	});
});

describe('presets', () => {
	test('list: a table for people, JSON for programs', () => {
		expect(allaprima(['presets', 'list']).stdout).toMatch(/^oil-painting {4}Oil painting/m);
		const presets = JSON.parse(allaprima(['presets', 'list', '--json']).stdout) as { name: string }[];
		expect(presets.map(({ name }) => name)).toContain('pencil-sketch');
	});

	test('show and validate take a file', () => {
		const preset = {
			format: 'allaprima-style',
			formatVersion: 1,
			name: 'mine',
			title: 'Mine',
			model: 'lite',
			prompt: 'mine',
		};
		writeFileSync(folder.at('mine.style.json'), JSON.stringify(preset));
		expect(JSON.parse(allaprima(['presets', 'show', './mine.style.json', '--json']).stdout)).toMatchObject({
			strength: 1,
		});
		expect(allaprima(['presets', 'validate', 'mine.style.json'])).toMatchObject({
			status: 0,
			stdout: 'ok  mine.style.json\n',
		});
		writeFileSync(folder.at('bad.style.json'), JSON.stringify({ ...preset, prompt: '' }));
		const result = allaprima(['presets', 'validate', 'mine.style.json', 'bad.style.json', '--json']);
		expect(result.status).toBe(2);
		expect(JSON.parse(result.stdout)).toMatchObject([
			{ ok: true },
			{ ok: false, error: expect.stringContaining('prompt') },
		]);
	});
});

describe('doctor', () => {
	test('says what is there, line by line', () => {
		const findings = JSON.parse(allaprima(['doctor', '--json']).stdout) as {
			what: string;
			ok: boolean;
			detail: string;
		}[];
		expect(findings.map(({ what }) => what)).toEqual([
			'node',
			'native addon',
			'ffmpeg',
			'video devices',
			'NDI runtime',
			'MIDI',
			'paired machine',
			'onnxruntime',
			'GPU',
			'models',
			'presets',
		]);
		const details = Object.fromEntries(findings.map(({ what, detail }) => [what, detail]));
		expect(details['node']).toBe(process.versions.node);
		expect(details['native addon']).toMatch(/^OpenCV \d/);
		expect(details['onnxruntime']).toMatch(/cpu/);
		expect(details['GPU']).toMatch(/^none that Vulkan names$|^by Vulkan: /);
		expect(details['NDI runtime']).toMatch(/^none; allaprima relay needs it\. .*ndi\.video|^NDI SDK/);
		expect(details['video devices']).toMatch(/^none$|\/dev\/video\d/);
	});

	test('names what NVIDIA says, and what is wrong with its driver', async () => {
		const gpuWith = async (script: string) => {
			await writeFile(folder.at('nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
			const { stdout } = allaprima(['doctor', '--json'], { PATH: `${folder.at('.')}:${process.env['PATH']}` });
			return (JSON.parse(stdout) as { what: string; detail: string }[]).find(({ what }) => what === 'GPU')!.detail;
		};
		const query = '--query-gpu=name,driver_version,memory.total --format=csv,noheader,nounits';
		expect(await gpuWith(`[ "$*" = '${query}' ] && echo 'NVIDIA H100 80GB HBM3, 550.54.15, 81559'`)).toMatch(
			/By CUDA: NVIDIA H100 80GB HBM3, 79\.6 GiB, NVIDIA 550\.54\.15$/,
		);
		const said = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.";
		expect(await gpuWith(`echo "${said}"; exit 9`)).toContain(`NVIDIA's driver does not work: ${said}`);
	});

	test('says what to do about what is missing, and exits 4', () => {
		const { status, stdout } = allaprima(['doctor'], { ALLAPRIMA_FFMPEG: '/nowhere/ffmpeg' });
		expect(status).toBe(4);
		expect(stdout).toMatch(/^missing {2}ffmpeg/m);
		expect(stdout).toMatch(/apt-get install ffmpeg/);
	});
});
