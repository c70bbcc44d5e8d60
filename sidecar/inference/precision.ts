import { int8GraphsOf, type GraphRole, type ModelManifest } from '../config/schema/manifest.ts';
import type { Tuning } from '../config/schema/tuning.ts';
import type { Size } from '../frame/frame.ts';
import { openGraph, type ModelFolder, type Precision } from './manifest.ts';
import type { GraphSession, Provider, SessionSettings, Sizes } from './session.ts';

/** What a run asks for, or the graphs that an engine before this one took in int8. */
export type PrecisionWish = Tuning['precision'] | readonly GraphRole[];

/** int8 must take less than this share of the time: nearer than that, fp32 is as fast and exact. */
const FASTER_SHARE = 0.95;
const TIMED_RUNS = 5;
/** A graph that takes seconds is not run as often. */
const TIMING_MAX_MS = 1000;

/** By the fastest run of each: on a busy machine the others measure the machine. */
export const fasterPrecision = (runsMs: Readonly<Record<Precision, readonly number[]>>): Precision =>
	Math.min(...runsMs.int8) < FASTER_SHARE * Math.min(...runsMs.fp32) ? 'int8' : 'fp32';

/** How a graph is to be opened; `auto` where that is to be measured. */
export const wishFor = (
	wish: PrecisionWish,
	{ hasInt8, provider, role }: { hasInt8: boolean; provider: Provider; role: GraphRole },
): Precision | 'auto' => {
	if (!hasInt8) return 'fp32';
	if (typeof wish !== 'string') return wish.includes(role) ? 'int8' : 'fp32';
	// Elsewhere int8 is emulated: each graph would be calculated in floats, with rounding in between.
	return wish === 'auto' && provider !== 'cpu' ? 'fp32' : wish;
};

export interface OpenGraphsSettings {
	provider: Provider;
	painted: Size;
	precision: PrecisionWish;
	session?: SessionSettings;
}

/**
 * Opens and warms up the graphs of one stream, each in fp32 or int8; call it on the thread that runs them.
 * Errors: ERR_MODEL, ERR_PROVIDER.
 */
export const openGraphs = async <Manifest extends ModelManifest, Role extends keyof Manifest['graphs'] & GraphRole>(
	folder: ModelFolder<Manifest>,
	roles: readonly Role[],
	{ provider, painted, precision: wish, session }: OpenGraphsSettings,
): Promise<{ graphs: Record<Role, GraphSession>; int8Graphs: Role[] }> => {
	const sizes = { batch: 1, ...painted };
	const graphs: Partial<Record<Role, GraphSession>> = {};
	const int8Graphs: Role[] = [];
	const open = async (role: Role, precision: Precision): Promise<GraphSession> => {
		const graph = await openGraph(folder, role, provider, precision, session);
		await graph.warmUp(sizes);
		return graph;
	};
	for (const role of roles) {
		const wished = wishFor(wish, { hasInt8: int8GraphsOf(folder.manifest)[role] !== undefined, provider, role });
		let precision: Precision;
		if (wished === 'auto') {
			const both = { fp32: await open(role, 'fp32'), int8: await open(role, 'int8') };
			precision = fasterPrecision(await timeBoth(both, sizes));
			graphs[role] = both[precision];
			await both[precision === 'int8' ? 'fp32' : 'int8'][Symbol.asyncDispose]();
		} else {
			precision = wished;
			graphs[role] = await open(role, precision);
		}
		if (precision === 'int8') int8Graphs.push(role);
	}
	return { graphs: graphs as Record<Role, GraphSession>, int8Graphs };
};

/** Milliseconds of runs by turns, so that whatever else the machine does meets both. */
const timeBoth = async (
	graphs: Readonly<Record<Precision, GraphSession>>,
	sizes: Sizes,
): Promise<Record<Precision, number[]>> => {
	const runsMs: Record<Precision, number[]> = { fp32: [], int8: [] };
	const startMs = performance.now();
	for (let run = 0; run < TIMED_RUNS && (run === 0 || performance.now() - startMs < TIMING_MAX_MS); run++)
		for (const precision of ['fp32', 'int8'] as const) {
			const beforeMs = performance.now();
			await graphs[precision].warmUp(sizes);
			runsMs[precision].push(performance.now() - beforeMs);
		}
	return runsMs;
};
