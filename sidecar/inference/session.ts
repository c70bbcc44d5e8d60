import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import './no-telemetry.ts';
import * as ort from 'onnxruntime-node';
import type { GraphSpec, TensorSpec } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import { elementCount, expectShape, tensorType, type Shape, type Tensor, type TensorData } from '../frame/tensor.ts';
import { GraphCache, graphCacheFolder, graphKey, thisProcessor } from './graph-cache.ts';
import { isOutOfMemory } from './out-of-memory.ts';

export type Provider = 'cuda' | 'dml' | 'coreml' | 'webgpu' | 'cpu';

/** Fastest first; what this build of onnxruntime does not know is left out. */
export const supportedProviders = (): Provider[] => {
	const known = new Set(ort.listSupportedBackends().map(({ name }) => name));
	return (['cuda', 'dml', 'coreml', 'webgpu', 'cpu'] as const).filter((name) => known.has(name));
};

/** Of onnxruntime: what is kept of one version is not another's. */
export const runtimeVersion = (): string => ort.env.versions.node ?? '';

/** How a session runs its graph where a measurement takes apart what makes the line fast; no configuration has it. */
export interface SessionSettings {
	/** `disabled` runs the graph as it was exported; left out, onnxruntime fuses and folds what it can. */
	graphOptimizationLevel?: 'disabled' | 'all';
	/** Left out, as `threadsOf` says. */
	intraOpNumThreads?: number;
}

/** Graphs that share a thread of ours. */
export type Part = 'encoder' | 'denoiser' | 'decoder';

/** What an engine is for: as many frames as there can be, or each of them soon. */
export type Favours = 'rate' | 'latency';

/**
 * Cores of each part's graphs. For many frames all parts work at once and share the cores out: a thread alone wastes
 * nothing on waiting for others (17.1 ms of CPU time for a run of the U-Net of `lite`, 18.6 with two). One frame
 * after the other goes through one part at a time, which takes what the others leave.
 */
export const threadsOf = (part: Part, favours: Favours, cores = availableParallelism()): number => {
	const share =
		favours === 'rate'
			? { encoder: 0.25, denoiser: 0.5, decoder: 0.25 }
			: { encoder: 0.5, denoiser: 0.75, decoder: 0.75 };
	const isRoundedUp = favours === 'latency' && part !== 'encoder';
	return Math.max(1, (isRoundedUp ? Math.ceil : Math.floor)(share[part] * cores));
};

/** A larger graph optimised is too large for a file of onnxruntime's. One with weights in other files is not known by its own hash. */
const KEPT_BYTES_MAX = 256 * 2 ** 20;

/** Values of the names in a manifest's shapes. */
export interface Sizes {
	batch: number;
	height: number;
	width: number;
}

/** The shape of a tensor in a run of these sizes; `height/8` is height over 8. */
export const resolveShape = (spec: TensorSpec, sizes: Sizes): Shape =>
	spec.shape.map((side) => {
		if (typeof side === 'number') return side;
		const [name, divisor = '1'] = side.split('/');
		return sizes[name as keyof Sizes] / Number(divisor);
	});

/**
 * One graph on one execution provider. `run` blocks the calling thread (onnxruntime-node has no other
 * way), so sessions live in workers.
 */
export class GraphSession {
	readonly spec: GraphSpec;
	readonly #session: ort.InferenceSession;
	readonly #provider: Provider;
	readonly #what: string;

	private constructor(session: ort.InferenceSession, spec: GraphSpec, provider: Provider, what: string) {
		this.#session = session;
		this.spec = spec;
		this.#provider = provider;
		this.#what = what;
	}

	/** `what` names the graph in messages ("model lite, graph unet"). Errors: ERR_MODEL, ERR_PROVIDER, ERR_MEMORY. */
	static async open(
		path: string,
		spec: GraphSpec,
		provider: Provider,
		what: string,
		settings: SessionSettings = {},
	): Promise<GraphSession> {
		let session: ort.InferenceSession;
		try {
			const options: ort.InferenceSession.SessionOptions = {
				executionProviders: [provider],
				intraOpNumThreads: threadsOf('encoder', 'latency'),
				interOpNumThreads: 1,
				logSeverityLevel: 4, // what goes wrong comes as an exception, with its reason
				// Spinning threads halve the throughput as soon as the two streams share cores.
				extra: { session: { intra_op: { allow_spinning: '0' } } },
				...settings,
			};
			const isKept =
				provider === 'cpu' &&
				!settings.graphOptimizationLevel &&
				!spec.externalData &&
				(await stat(path)).size <= KEPT_BYTES_MAX;
			session = await (isKept ? createKept(path, options) : ort.InferenceSession.create(path, options));
		} catch (cause) {
			const { message } = cause as Error;
			const reason = message.split('\n')[0];
			if (isOutOfMemory(provider, message))
				throw new SidecarError('ERR_MEMORY', `The provider ${provider} has no room for the ${what}: ${reason}`, {
					cause,
				});
			if (provider === 'cpu') throw new SidecarError('ERR_MODEL', `The ${what} cannot be loaded: ${reason}`, { cause });
			const remedy =
				provider === 'cuda' && /failed to load .*library/i.test(message)
					? '. ./scripts/setup --cuda fetches its libraries and says what else is missing'
					: '';
			throw new SidecarError('ERR_PROVIDER', `The provider ${provider} cannot run the ${what}: ${reason}${remedy}.`, {
				cause,
			});
		}
		checkAgainstManifest(session.inputMetadata, spec.inputs, `${what}, input`);
		checkAgainstManifest(session.outputMetadata, spec.outputs, `${what}, output`);
		return new GraphSession(session, spec, provider, what);
	}

	/** Runs the graph; shapes are checked on the way in and on the way out. Errors: ERR_MODEL, ERR_ENGINE, ERR_MEMORY. */
	async run(inputs: Readonly<Record<string, Tensor>>, sizes: Sizes): Promise<Record<string, Tensor>> {
		const feeds: Record<string, ort.Tensor> = {};
		for (const spec of this.spec.inputs) {
			const tensor = inputs[spec.name];
			if (!tensor) throw new SidecarError('ERR_MODEL', `The ${this.#what} takes ${spec.name}, which nothing gives.`);
			if (tensorType(tensor) !== spec.type)
				throw new SidecarError(
					'ERR_MODEL',
					`${spec.name} is ${tensorType(tensor)}, expected ${spec.type} (${this.#what})`,
				);
			expectShape(tensor, resolveShape(spec, sizes), `${spec.name} (${this.#what})`);
			feeds[spec.name] = new ort.Tensor(spec.type, tensor.data as Float32Array, tensor.shape);
		}
		let fetched: ort.InferenceSession.OnnxValueMapType;
		try {
			fetched = await this.#session.run(feeds);
		} catch (cause) {
			const { message } = cause as Error;
			const code = isOutOfMemory(this.#provider, message) ? 'ERR_MEMORY' : 'ERR_ENGINE';
			throw new SidecarError(code, `The ${this.#what} failed: ${message.split('\n')[0]}`, { cause });
		}
		const outputs: Record<string, Tensor> = {};
		for (const spec of this.spec.outputs) {
			const { data, dims } = fetched[spec.name] as ort.Tensor;
			const tensor = { data: data as TensorData, shape: dims };
			expectShape(tensor, resolveShape(spec, sizes), `${spec.name} (${this.#what})`);
			outputs[spec.name] = tensor;
		}
		return outputs;
	}

	/** Runs the graph on zeros, so that the first frame does not pay for what is allocated once. */
	async warmUp(sizes: Sizes): Promise<void> {
		const inputs: Record<string, Tensor> = {};
		for (const spec of this.spec.inputs) {
			const shape = resolveShape(spec, sizes);
			const count = elementCount(shape);
			const data =
				spec.type === 'uint8'
					? new Uint8Array(count)
					: spec.type === 'int64'
						? new BigInt64Array(count)
						: new Float32Array(count);
			inputs[spec.name] = { data, shape };
		}
		await this.run(inputs, sizes);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#session.release();
	}
}

/** Optimising `lite` takes longer than loading it, and comes out the same each time: it is done once. */
const createKept = async (
	path: string,
	options: ort.InferenceSession.SessionOptions,
): Promise<ort.InferenceSession> => {
	const cache = new GraphCache(graphCacheFolder());
	// Of what is opened, not of what the manifest promises: what is kept under a hash must have come from those bytes.
	const graph = await readFile(path);
	const sha256 = createHash('sha256').update(graph).digest('hex');
	const key = graphKey(sha256, runtimeVersion(), await thisProcessor());
	const kept = await cache.read(key);
	if (kept)
		try {
			return await ort.InferenceSession.create(kept, { ...options, graphOptimizationLevel: 'disabled' });
		} catch {
			// Another build of the library may refuse what it finds there: it is made anew.
		}
	const draft = await cache.draft(key);
	if (!draft) return await ort.InferenceSession.create(graph, options);
	try {
		const session = await ort.InferenceSession.create(graph, { ...options, optimizedModelFilePath: draft });
		await cache.keep(key, draft);
		return session;
	} catch {
		// No room for it, or the graph is broken, which is said now.
		await cache.discard(draft);
		return await ort.InferenceSession.create(graph, options);
	}
};

/** The graph must have the manifest's tensors: numbers equal numbers, a name stands for any name. */
const checkAgainstManifest = (
	found: readonly ort.InferenceSession.ValueMetadata[],
	expected: readonly TensorSpec[],
	what: string,
): void => {
	for (const spec of expected) {
		const metadata = found.find(({ name }) => name === spec.name);
		if (!metadata?.isTensor)
			throw new SidecarError(
				'ERR_MODEL',
				`The ${what} ${spec.name} is missing; the graph has ${found.map(({ name }) => name).join(', ')}.`,
			);
		const same =
			metadata.shape.length === spec.shape.length &&
			metadata.shape.every((side, i) =>
				typeof side === 'number' ? side === spec.shape[i] : typeof spec.shape[i] === 'string',
			);
		if (!same || metadata.type !== spec.type)
			throw new SidecarError(
				'ERR_MODEL',
				`The ${what} ${spec.name} is ${metadata.type} [${metadata.shape.join(', ')}] in the graph, ` +
					`expected ${spec.type} [${spec.shape.join(', ')}] from model.json.`,
			);
	}
	const unexpected = found.find(({ name }) => !expected.some((spec) => spec.name === name));
	if (unexpected)
		throw new SidecarError('ERR_MODEL', `The ${what} ${unexpected.name} is in the graph but not in model.json.`);
};
