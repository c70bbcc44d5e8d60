// Everything at once, in an order that a seed gives: nothing but the slate and paintings leaves, whatever happens.
//
//   FAULTS=1000 FAULT_SEED=7 vitest run test/fault/random.test.ts      the long run; a failure names its seed
import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';
import { enginePids, until } from '../support/engines.ts';
import { FAULTS, pick, randomOf, type Victim } from '../support/faults.ts';
import { freePort } from '../support/free-port.ts';

const SEED = Number(process.env['FAULT_SEED'] ?? 20260);
const COUNT = Number(process.env['FAULTS'] ?? FAULTS.length);
/** A fault and what it takes to mend, at most. */
const BOUND_MS = 30_000;
/** What `marked-run.process.mjs` takes for the source's own picture; the marker itself gives 1. */
const RAW = 0.5;

interface Shown {
	sequence: number;
	kind: string;
	atUs: number;
	ageUs: number;
	mark: number;
	light: number;
}

const child = fileURLToPath(new URL('../support/marked-run.process.mjs', import.meta.url));
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
	// A checkerboard of single pixels, which no brush paints, over a picture that moves.
	const lum = `128+if(mod(X+Y\\,2)\\,50\\,-50)+40*sin((X+8*N)/40)*sin(Y/30)`;
	const colour = `cb=128+40*sin((X-6*N)/50):cr=128+40*cos((Y+5*N)/40)`;
	const lossless = '-pix_fmt yuv420p -c:v libx264 -qp 0 -preset ultrafast -g 12';
	await ffmpeg(`-f lavfi -i nullsrc=s=256x160:r=12:d=4,geq=lum=${lum}:${colour} ${lossless} ${folder.at('once.mkv')}`);
	const loops = Math.ceil((COUNT * 8 + 60) / 4);
	await ffmpeg(`-stream_loop ${loops} -i ${folder.at('once.mkv')} -c copy ${folder.at('marked.mkv')}`);
}, 120_000);
afterAll(async () => {
	await folder[Symbol.asyncDispose]();
});

const start = async (configuration: object) => {
	const port = await freePort();
	const base = {
		source: `file:${folder.at('marked.mkv')}`,
		size: { width: 256, height: 160 },
		provider: 'cpu',
		http: port,
	};
	const process = fork(child, [JSON.stringify({ ...base, ...configuration })], {
		stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
	});
	const shown: Shown[] = [];
	let report: Report | undefined;
	process.on('message', (message: Shown | { report: Report }) => {
		if ('report' in message) report = message.report;
		else shown.push(message);
	});
	return { process, port, shown, report: () => report, victim: { pid: process.pid!, port, folder: folder.at('.') } };
};

const end = async (process: ChildProcess): Promise<number | null> => {
	const exited = process.exitCode === null ? once(process, 'exit') : undefined;
	process.kill('SIGCONT');
	process.kill('SIGTERM');
	await exited;
	return process.exitCode;
};

const handlesOf = ({ pid }: Victim) => ({
	descriptors: readdirSync(`/proc/${pid}/fd`).length,
	threads: readdirSync(`/proc/${pid}/task`).length,
	mebibytes: Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024,
});

/** For who looks on: FAULT_LOG=warn shows what the sidecar logs, too. */
const trace = (line: string): void => {
	if (process.env['FAULT_LOG']) process.stderr.write(`${line}\n`);
};

const ageOf = (frames: readonly Shown[]): number => {
	const ages = frames.filter(({ kind }) => kind === 'painting').map(({ ageUs }) => ageUs / 1000);
	return ages.sort((a, b) => a - b)[Math.floor(ages.length / 2)] ?? Infinity;
};

it(
	`${COUNT} faults under slate, seed ${SEED}: painting comes back, and no frame of the source leaves`,
	async () => {
		const { process: sidecar, shown, report, victim } = await start({ failure: 'slate' });
		const random = randomOf(SEED);
		const engines = new Set<number>();
		/** New ones: the last one is shown again while none comes. */
		const paintings = () =>
			new Set(shown.filter(({ kind }) => kind === 'painting').map(({ sequence }) => sequence)).size;
		const painted = async (more: number) => {
			const count = paintings() + more;
			await until(() => sidecar.exitCode !== null || paintings() >= count, BOUND_MS);
			expect(sidecar.exitCode).toBeNull();
		};
		try {
			await painted(24);
			const before = { age: ageOf(shown.slice(-24)), handles: handlesOf(victim) };
			// Each at least once where there are enough, in an order of the seed, and then any.
			const order = FAULTS.map((fault) => ({ fault, at: random() })).sort((a, b) => a.at - b.at);
			for (let index = 0; index < COUNT; index++) {
				const fault = order[index]?.fault ?? pick(random, FAULTS);
				const what = `fault ${index} of seed ${SEED}: ${fault.name}`;
				try {
					for (const pid of enginePids(victim.pid)) engines.add(pid);
					await fault.do(victim, random);
					if (fault.hides) {
						const from = shown.length;
						await until(() => shown.length > from + 3, BOUND_MS);
						await fault.mend?.(victim);
					}
					await painted(3);
					trace(`${what}: ${Math.round(ageOf(shown.slice(-6)))} ms, ${JSON.stringify(handlesOf(victim))}`);
				} catch (cause) {
					throw new Error(`${what}: ${(cause as Error).message}`, { cause });
				}
				const raw = shown.filter(({ mark }) => mark > RAW);
				expect(raw, what).toEqual([]);
			}
			await painted(24);
			expect(ageOf(shown.slice(-24)) / before.age).toBeLessThan(3);
			await until(() => handlesOf(victim).descriptors <= before.handles.descriptors + 4);
			expect(handlesOf(victim).threads).toBeLessThanOrEqual(before.handles.threads + 4);
			expect(handlesOf(victim).mebibytes - before.handles.mebibytes).toBeLessThan(150 + COUNT / 10);
			expect(enginePids(victim.pid)).toHaveLength(1);
			for (const pid of enginePids(victim.pid)) engines.add(pid);
		} catch (error) {
			await end(sidecar);
			throw error;
		}
		expect(await end(sidecar)).toBe(0);
		// Frames never go back in time, and the picture was never black.
		const sequences = shown.map(({ sequence }) => sequence);
		expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
		for (const { light } of shown) expect(light).toBeGreaterThan(10);
		expect(report()!.engineRestarts).toBeGreaterThan(3);
		for (const pid of engines) expect(existsSync(`/proc/${pid}`)).toBe(false);
	},
	COUNT * BOUND_MS,
);

it('is seen at once where the source leaves: the marker is found in every frame under passthrough', async () => {
	const { process: sidecar, shown } = await start({ failure: 'passthrough', style: 'passthrough' });
	try {
		await until(() => shown.length > 12, BOUND_MS);
	} finally {
		await end(sidecar);
	}
	for (const { mark } of shown) expect(mark).toBeGreaterThan(RAW);
}, 60_000);
