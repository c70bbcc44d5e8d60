// Everything at once, in an order that a seed gives: nothing but the slate and paintings leaves, whatever happens.
//
//   FAULTS=1000 FAULT_SEED=7 vitest run test/fault/random.test.ts      the long run; a failure names its seed
import { existsSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';
import { enginePids, until } from '../support/engines.ts';
import { FAULTS, pick, randomOf, type Victim } from '../support/faults.ts';
import { freePort } from '../support/free-port.ts';
import { writeMarkedClip } from '../support/marked-clip.ts';
import { endMarkedRun, startMarkedRun, type Shown } from '../support/marked-run.ts';
import { plotSvg } from '../support/plot.ts';
import { descriptorsOf, ringsMappedBy, rssMiB, threadsOf } from '../support/process-numbers.ts';
import { RAW } from '../support/source-mark.mjs';

const SEED = Number(process.env['FAULT_SEED'] ?? 20260);
const COUNT = Number(process.env['FAULTS'] ?? FAULTS.length);
/** A fault and what it takes to mend, at most. */
const BOUND_MS = 30_000;

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeAll(async () => {
	folder = await openTemporaryFolder();
	await writeMarkedClip(folder.at('once.mkv'), { width: 256, height: 160 });
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
	const run = startMarkedRun({ ...base, ...configuration }, { looks: true });
	return { ...run, port, victim: { pid: run.process.pid!, port, folder: folder.at('.') } };
};

const handlesOf = ({ pid }: Victim) => ({
	descriptors: descriptorsOf(pid),
	threads: threadsOf(pid),
	rings: ringsMappedBy(pid),
	mebibytes: rssMiB(pid),
});

/** For who looks on: FAULT_LOG=warn shows what the sidecar logs, too. */
const trace = (line: string): void => {
	if (process.env['FAULT_LOG']) process.stderr.write(`${line}\n`);
};

const ageOf = (frames: readonly Shown[]): number => {
	const ages = frames.filter(({ kind }) => kind === 'painting').map(({ ageUs }) => ageUs / 1000);
	return ages.sort((a, b) => a - b)[Math.floor(ages.length / 2)] ?? Infinity;
};

/** How soon painting was back: after all of them, and after the engine was killed. */
const toldOf = (back: readonly { name: string; ms: number }[]): string => {
	const row = (what: string, some: typeof back) => {
		const ms = some.map((one) => one.ms).sort((a, b) => a - b);
		const at = (share: number) => (ms[Math.min(ms.length - 1, Math.floor(share * ms.length))] ?? NaN).toFixed(0);
		return `painting again after ${what} (${ms.length}): ${at(0.5)} ms p50, ${at(0.99)} p99, ${at(1)} worst`;
	};
	return [
		row('all faults', back),
		row(
			'engine: SIGKILL',
			back.filter(({ name }) => name === 'engine: SIGKILL'),
		),
	].join('\n');
};

const plotOf = (all: readonly ReturnType<typeof handlesOf>[]): string => {
	const after = all.filter((_, i) => i % Math.ceil(all.length / 250) === 0);
	return plotSvg(
		[
			{ title: "sidecar's memory, MiB", values: after.map(({ mebibytes }) => mebibytes) },
			{ title: 'its descriptors', values: after.map(({ descriptors }) => descriptors) },
			{ title: 'its threads', values: after.map(({ threads }) => threads) },
		],
		{ unit: 'faults', to: all.length },
	);
};

it(
	`${COUNT} faults under slate, seed ${SEED}: painting comes back, and no frame of the source leaves`,
	async () => {
		const { process: sidecar, shown, report, victim } = await start({ failure: 'slate' });
		const random = randomOf(SEED);
		const engines = new Set<number>();
		const after: ({ ageMs: number } & ReturnType<typeof handlesOf>)[] = [];
		/** From a fault, or its end where it hides the picture, to the first painting of a frame that came later. */
		const backMs: { name: string; ms: number }[] = [];
		/** New ones: the last one is shown again while none comes. */
		const paintings = () =>
			new Set(shown.filter(({ kind }) => kind === 'painting').map(({ sequence }) => sequence)).size;
		const painted = async (more: number) => {
			const count = paintings() + more;
			await until(() => sidecar.exitCode !== null || paintings() >= count, BOUND_MS);
			expect(sidecar.exitCode).toBeNull();
		};
		/** Of frames that were captured later: what was under way is no proof that it paints. */
		const paintedSince = async (fromUs: number, count: number): Promise<number> => {
			const from = shown.length;
			const isSince = ({ kind, atUs, ageUs }: Shown) => kind === 'painting' && atUs - ageUs >= fromUs;
			const since = () => shown.slice(Math.max(0, from - 24)).filter(isSince);
			const isEnough = () => new Set(since().map(({ sequence }) => sequence)).size >= count;
			await until(() => sidecar.exitCode !== null || isEnough(), BOUND_MS);
			expect(sidecar.exitCode).toBeNull();
			return (since()[0]!.atUs - fromUs) / 1000;
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
					backMs.push({ name: fault.name, ms: await paintedSince(nowUs(), 3) });
					const now = { ageMs: Math.round(ageOf(shown.slice(-6))), ...handlesOf(victim) };
					after.push(now);
					trace(`${what}: ${JSON.stringify(now)}`);
				} catch (cause) {
					throw new Error(`${what}: ${(cause as Error).message}`, { cause });
				}
				const raw = shown.filter(({ mark }) => mark! > RAW);
				expect(raw, what).toEqual([]);
			}
			console.log(toldOf(backMs));
			if (process.env['FAULT_SVG']) writeFileSync(process.env['FAULT_SVG'], plotOf(after));
			await painted(24);
			// A machine that others use as well is slow for a while; latency that was lost for good does not come back.
			await until(() => ageOf(shown.slice(-24)) < 3 * before.age, BOUND_MS);
			await until(() => handlesOf(victim).descriptors <= before.handles.descriptors + 4);
			expect(handlesOf(victim).threads).toBeLessThanOrEqual(before.handles.threads + 4);
			expect(handlesOf(victim).mebibytes - before.handles.mebibytes).toBeLessThan(150 + COUNT / 10);
			expect(handlesOf(victim).rings).toBeLessThanOrEqual(before.handles.rings);
			expect(enginePids(victim.pid)).toHaveLength(1);
			for (const pid of enginePids(victim.pid)) engines.add(pid);
		} catch (error) {
			await endMarkedRun(sidecar);
			throw error;
		}
		expect(await endMarkedRun(sidecar)).toBe(0);
		// Frames never go back in time, and the picture was never black.
		const sequences = shown.map(({ sequence }) => sequence);
		expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
		for (const { light } of shown) expect(light).toBeGreaterThan(10);
		if (COUNT >= FAULTS.length) expect(report()!.engineRestarts).toBeGreaterThan(3);
		for (const pid of engines) expect(existsSync(`/proc/${pid}`)).toBe(false);
	},
	COUNT * BOUND_MS,
);

it('is seen at once where the source leaves: the marker is found in every frame under passthrough', async () => {
	const { process: sidecar, shown } = await start({ failure: 'passthrough', style: 'passthrough' });
	try {
		await until(() => shown.length > 12, BOUND_MS);
	} finally {
		await endMarkedRun(sidecar);
	}
	for (const { mark } of shown) expect(mark).toBeGreaterThan(RAW);
}, 60_000);
