// The benchmark in its small form, so that it runs when it is wanted. Its figures are for scripts/bench.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { ffmpeg } from '../support/clips.ts';

const script = fileURLToPath(new URL('../../scripts/bench.mjs', import.meta.url));
const bench = (flags: string[], env = process.env) =>
	promisify(execFile)(process.execPath, [script, ...flags], { env });

interface Section {
	name: string;
	verdicts: { what: string; holds: boolean }[];
	values: unknown;
}
interface Measured {
	warpingError: number;
	sobel: number;
	hf: number;
}
interface Row {
	report: Report;
	cpuMsPerFrame: number;
}
interface PeerRow {
	name: string;
	isInstalled: boolean;
	fps: { median: number };
	ratio: { median: number };
	msP50: number;
}

describe('the benchmark', () => {
	let folder: string;
	let sections: Map<string, Section>;
	let stdout: string;

	beforeAll(async () => {
		folder = await mkdtemp(join(tmpdir(), 'allaprima-bench-'));
		({ stdout } = await bench(['--small', '--out', folder]));
		const json = JSON.parse(await readFile(join(folder, 'benchmarks.json'), 'utf8')) as { sections: Section[] };
		sections = new Map(json.sections.map((section) => [section.name, section]));
	}, 1_200_000);
	afterAll(() => rm(folder, { recursive: true, force: true }));

	const valuesOf = <Values>(name: string): Values => sections.get(name)!.values as Values;

	it('prints what it writes, each section with its table', async () => {
		expect(await readdir(folder)).toEqual(expect.arrayContaining(['benchmarks.json', 'benchmarks.md']));
		expect(`${await readFile(join(folder, 'benchmarks.md'), 'utf8')}`).toBe(stdout);
		expect(stdout.match(/^## /gm)).toHaveLength(sections.size);
		for (const { verdicts } of sections.values())
			for (const { what } of verdicts) expect(stdout).toContain(`| ${what} |`);
		expect(stdout).not.toMatch(/NaN|undefined|Infinity/);
	});

	it('paints every frame of the line at each precision and batch', () => {
		const rows = valuesOf<Row[]>('line');
		expect(rows).toHaveLength(4);
		for (const { report, cpuMsPerFrame } of rows) {
			expect(report.framesOut).toBe(12);
			expect(report.fps).toBeGreaterThan(0);
			expect(cpuMsPerFrame).toBeGreaterThan(0);
		}
	});

	it('measures every peer on the same frames', () => {
		const rows = valuesOf<PeerRow[]>('peers');
		expect(rows).toHaveLength(9);
		for (const { name, isInstalled, fps, ratio, msP50 } of rows) {
			expect(isInstalled, name).toBe(true);
			for (const figure of [fps.median, ratio.median, msP50]) expect(figure, name).toBeGreaterThan(0);
		}
		expect(stdout.split('## Beside')[1]!.split('\n## ')[0]).not.toMatch(/NaN|undefined|Infinity/);
	});

	it('shows three frames as each of them paints it, in columns that are not the source', async () => {
		for (const file of ['pictures/benchmark-peers.jpg', 'pictures/benchmark-peers.svg'])
			expect(stdout).toContain(`](${file})`);
		const svg = await readFile(join(folder, 'pictures/benchmark-peers.svg'), 'utf8');
		for (const { name } of valuesOf<PeerRow[]>('peers')) expect(svg).toContain(`>${name}</text>`);

		const [cellWidth, cellHeight, columns] = [384, 216, 11];
		const [width, height] = [columns * (cellWidth + 4), 30 + 3 * (cellHeight + 4) - 4];
		const pixels = await ffmpeg(`-i ${join(folder, 'pictures/benchmark-peers.jpg')} -f rawvideo -pix_fmt rgb24 -`);
		expect(pixels).toHaveLength(3 * width * height);
		const at = (column: number, row: number, x: number, y: number) =>
			3 * ((30 + row * (cellHeight + 4) + y) * width + column * (cellWidth + 4) + x);
		for (let column = 1; column < columns; column++)
			for (let row = 0; row < 3; row++) {
				let apart = 0;
				for (let y = 0; y < cellHeight; y++)
					for (let i = 0; i < 3 * cellWidth; i++)
						apart += Math.abs(pixels[at(column, row, 0, y) + i]! - pixels[at(0, row, 0, y) + i]!);
				expect(apart / (3 * cellWidth * cellHeight), `column ${column}, row ${row}`).toBeGreaterThan(4);
			}
	});

	it('says how a peer is installed that is not', { timeout: 300_000 }, async () => {
		const path = join(folder, 'path');
		await mkdir(path);
		for (const name of ['ffmpeg', 'ffprobe']) {
			const found = (await promisify(execFile)('which', [name])).stdout.trim();
			await symlink(found, join(path, name));
		}
		const { stdout: said } = await bench(['--small', '--only', 'peers'], { ...process.env, PATH: path });
		expect(said).toContain("| G'MIC fx_painting | not installed: apt-get install gmic |");
		expect(said).toContain('| ImageMagick -paint 3 | not installed: apt-get install imagemagick |');
		expect(said).toMatch(/\| OpenCV stylization \| [\d.]+ \|/);
		expect(said).not.toMatch(/NaN|undefined|Infinity/);
	});

	it('has every live figure', () => {
		type Times = { p50: number; max: number; count: number };
		const { latency, styleSwitch, firstStart, coldStart, kill } = valuesOf<{
			latency: Report;
			styleSwitch: Times;
			firstStart: Times;
			coldStart: Times;
			kill: Record<'policy' | 'gap' | 'painting', Times>;
		}>('live');
		expect(latency.fps).toBeGreaterThan(0);
		for (const { p50, max, count } of [styleSwitch, firstStart, coldStart, kill.policy, kill.gap, kill.painting]) {
			expect(count).toBeGreaterThan(0);
			expect(p50).toBeGreaterThan(0);
			expect(max).toBeGreaterThanOrEqual(p50);
		}
	});

	it('paints little of a still picture, and shows the same', () => {
		for (const { all, reused, difference } of valuesOf<{ all: Row; reused: Row; difference: number }[]>('still')) {
			expect(all.report.framesReused).toBe(0);
			expect(reused.report.framesReused).toBeGreaterThan(0);
			expect(difference).toBeLessThan(0.01);
		}
	});

	it('shows what it paints of a still picture', async () => {
		const sheet = await ffmpeg(`-i ${join(folder, 'pictures/benchmark-still.jpg')} -f rawvideo -pix_fmt rgb24 -`);
		expect(sheet).toHaveLength(3 * 3 * 388 * (30 + 2 * 220 - 4));
	});

	it('paints every frame of several channels, and at several sizes', () => {
		type Cost = { fps: number; msPerFrame: number; cpuMsPerFrame: number };
		for (const name of ['channels', 'pixels']) {
			const rows = valuesOf<Cost[]>(name);
			expect(rows.length).toBeGreaterThan(1);
			for (const { fps, msPerFrame, cpuMsPerFrame } of rows)
				for (const figure of [fps, msPerFrame, cpuMsPerFrame]) expect(figure).toBeGreaterThan(0);
		}
	});

	it('says which operators take the time', () => {
		const rows = valuesOf<{ role: string; all: number; ms: Record<string, number> }[]>('profile');
		expect(rows).toHaveLength(6);
		for (const { role, all, ms } of rows) {
			expect(all, role).toBeGreaterThan(0);
			// Convolutions are fused with what follows them, and quantised.
			const convolutions = Object.entries(ms).filter(([name]) => /conv/i.test(name));
			expect(convolutions.length, role).toBeGreaterThan(0);
		}
	});

	it('simulates the device of the paper', () => {
		const rows = valuesOf<{ periodMs: number; sideMs: number; mainMs: number }[]>('simulation');
		expect(rows).toHaveLength(4);
		expect(sections.get('simulation')!.verdicts.every(({ holds }) => holds)).toBe(true);
		for (const { periodMs, sideMs, mainMs } of rows)
			expect(periodMs).toBeGreaterThanOrEqual(0.99 * Math.max(sideMs, mainMs));
	});

	it('takes away what makes it fast, one thing at a time, and shows what each paints', async () => {
		type Taken = Measured & { what: string; apart: number; rounds: Record<'fps' | 'ratio' | 'cpuMs', number>[] };
		const { opening, rows } = valuesOf<{ opening: { made: number; kept: number }; rows: Taken[] }>('taken-away');
		for (const ms of [opening.kept, opening.made]) expect(ms).toBeGreaterThan(0);
		expect(rows).toHaveLength(9);
		for (const { rounds, sobel } of rows)
			for (const value of [sobel, ...rounds.flatMap((round) => Object.values(round))]) expect(value).toBeGreaterThan(0);
		const apartOf = new Map(rows.map(({ what, apart }) => [what, apart]));
		for (const same of ['as it starts', 'threads as for a live source', 'streams by turns'])
			expect(apartOf.get(same)).toBeLessThan(1e-3);
		for (const other of ['no int8', 'every frame read', 'adapter each frame'])
			expect(apartOf.get(other)).toBeGreaterThan(0);
		for (const { apart } of rows) expect(apart).toBeLessThan(0.05);

		const stages = valuesOf<{ stage: string; times: number; ms: number }[]>('stages');
		for (const { stage, times, ms } of stages) {
			expect(times, stage).toBeGreaterThan(0);
			expect(ms, stage).toBeGreaterThan(0);
		}
		const sheet = await ffmpeg(`-i ${join(folder, 'pictures/benchmark-taken-away.jpg')} -f rawvideo -pix_fmt rgb24 -`);
		expect(sheet).toHaveLength(3 * 10 * 388 * (30 + 2 * 220 - 4));
	});

	it('takes the line apart, step by step', () => {
		const { rows, clip } = valuesOf<{ rows: (Measured & { what: string; fps: number })[]; clip: Measured }>('ablation');
		expect(rows).toHaveLength(8);
		for (const { fps, warpingError, sobel, hf } of rows)
			for (const value of [fps, warpingError, sobel, hf]) expect(value).toBeGreaterThan(0);
		const [sequential, optimised, oneStep, pipelined, batched, adapted, refreshed] = rows;
		// What makes it faster only paints the same; what changes the painting shows.
		expect(optimised!.warpingError).toBeCloseTo(sequential!.warpingError, 1);
		for (const same of [pipelined!, batched!]) {
			expect(same.warpingError).toBeCloseTo(oneStep!.warpingError, 6);
			expect(same.sobel).toBeCloseTo(oneStep!.sobel, 6);
			expect(same.hf).toBeCloseTo(oneStep!.hf, 6);
		}
		for (const [a, b] of [
			[optimised, oneStep],
			[batched, adapted],
			[adapted, refreshed],
			[oneStep, clip],
		])
			// prettier-ignore
			expect(Math.abs(a!.warpingError - b!.warpingError)).toBeGreaterThan(0);
	});

	it('times every part in batches of every size, in one run and as the engine does it', () => {
		const { batches, graphs, engine } = valuesOf<{ batches: number[] } & Record<'graphs' | 'engine', Record<string, number[]>>>('batches'); // prettier-ignore
		expect(Object.keys(graphs)).toEqual(Object.keys(engine));
		expect(Object.keys(graphs)).toHaveLength(5);
		for (const ms of [...Object.values(graphs), ...Object.values(engine)]) {
			expect(ms).toHaveLength(batches.length);
			for (const value of ms) expect(value).toBeGreaterThan(0);
		}
	});

	it('refreshes the adapter less often with a larger N, and paints otherwise', () => {
		const rows = valuesOf<(Measured & { every: number; refreshes: number; fps: number })[]>('refresh');
		expect(rows.map(({ every }) => every)).toEqual([1, 4, 8, 16]);
		expect(rows[0]!.refreshes).toBe(11); // of 12 frames, the first has nothing before it
		for (const [i, { refreshes, fps }] of rows.entries()) {
			expect(fps).toBeGreaterThan(0);
			if (i > 0) expect(refreshes).toBeLessThanOrEqual(rows[i - 1]!.refreshes);
		}
		expect(rows.at(-1)!.refreshes).toBeLessThan(11);
		expect(rows.at(-1)!.warpingError).not.toBe(rows[0]!.warpingError);
	});

	it('has rate, metrics and colour of each chunk of a long run', () => {
		const { fps, flow, rows } = valuesOf<{
			fps: number;
			flow: { early: number; inLine: number };
			rows: (Measured & { fps: number; colour: number[] })[];
		}>('sustained');
		for (const rate of [fps, flow.early, flow.inLine]) expect(rate).toBeGreaterThan(0);
		expect(rows).toHaveLength(7);
		for (const { colour, ...row } of rows) {
			for (const value of [row.fps, row.warpingError, row.sobel, row.hf]) expect(value).toBeGreaterThan(0);
			for (const value of colour) expect(value).toBeGreaterThan(0);
			for (const [i, value] of colour.entries()) expect(Math.abs(value - rows[0]!.colour[i]!)).toBeLessThan(5);
		}
	});

	it('keeps nothing of the old scene after a cut that it sees, and something after one that it does not', () => {
		const { cuts, rows } = valuesOf<{ cuts: number[]; rows: { what: string; first: number; second: number; rest: number }[] }>('cuts'); // prettier-ignore
		for (const cut of cuts) expect(cut).toBeGreaterThan(25);
		const [seen, unseen, seenAdvected, unseenAdvected] = rows;
		for (const { first, second, rest } of [seen!, seenAdvected!]) expect([first, second, rest]).toEqual([0, 0, 0]);
		for (const { first } of [unseen!, unseenAdvected!]) expect(first).toBeGreaterThan(0);
		for (const { first, rest } of rows) expect(first + rest).toBeLessThan(255);
	});

	it('simulates the latency of the device of the paper, and what our changes buy on it', () => {
		type Live = { fps: number; latencyMs: { p50: number; p95: number; max: number } };
		const rows = valuesOf<(Live & { batchSize: number; sideMs: number; mainMs: number })[]>('simulation');
		for (const { batchSize, sideMs, mainMs, latencyMs } of rows) {
			// The first of a batch waits for the last, and all for both streams.
			expect(latencyMs.max).toBeGreaterThan(((batchSize - 1) * 1000) / 24 + sideMs + mainMs - 1);
			expect(latencyMs.max).toBeGreaterThanOrEqual(latencyMs.p95);
			expect(latencyMs.p95).toBeGreaterThanOrEqual(latencyMs.p50);
		}
		const changes = valuesOf<(Live & { msPerFrame: number; streams?: number; most?: number })[]>('changes');
		expect(changes).toHaveLength(13);
		const [paper, early, oneFrame, kept, , needed] = changes.map(({ msPerFrame }) => msPerFrame);
		expect(early).toBeLessThan(paper!);
		expect(oneFrame).toBeLessThan(early!);
		expect(kept).toBeLessThanOrEqual(oneFrame!);
		expect(needed).toBeLessThan(kept!);
		for (const { fps, latencyMs } of changes) {
			expect(fps).toBeGreaterThan(0);
			expect(latencyMs.p50).toBeGreaterThan(0);
		}
		// Streams add up to no more than the device does for one.
		for (const { fps, streams = 1 } of changes) expect(fps).toBeLessThanOrEqual(24.5 * streams);
	});

	it('puts a run beside an earlier one, and refuses what is none', { timeout: 300_000 }, async () => {
		const earlier = join(folder, 'earlier.json');
		const json = JSON.parse(await readFile(join(folder, 'benchmarks.json'), 'utf8')) as {
			sections: { verdicts: { what: string; measured: string }[] }[];
		};
		for (const { verdicts } of json.sections)
			for (const verdict of verdicts) if (verdict.what.startsWith('share of the convolution')) verdict.measured = '1 %';
		await writeFile(earlier, JSON.stringify(json));
		const { stdout: said } = await bench(['--small', '--only', 'limit', '--against', earlier]);
		const again = said.split('## Run again')[1]!;
		expect(again).toMatch(
			/\| share of the convolution peak, fp32, [^|]*\| 1 % \| [\d.]+ % \| \+\d+ %, \*\*more\*\* \| 15 % \|/,
		);
		expect(said).toMatch(/\| figures that agree [^|]*\| all \| 0 of 4 \| \*\*no\*\* \|/);
		expect(again).not.toContain('stylization');

		for (const [text, problem] of [
			['{', /JSON/],
			['{"where": "here", "sections": [{}]}', /is not what scripts\/bench --json writes/],
		] as const) {
			await writeFile(earlier, text);
			const refused = bench(['--against', earlier]);
			await expect(refused).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(problem) });
		}
	});

	it('says which sections there are where it is asked for another', async () => {
		await expect(bench(['--only', 'no-such'])).rejects.toMatchObject({
			code: 2,
			stderr: expect.stringMatching(/no-such.*there are line, peers/s),
		});
	});
});
