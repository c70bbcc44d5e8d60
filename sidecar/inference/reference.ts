import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { deserialize, serialize } from 'node:v8';
import { graphOf, type GraphRole, type GraphSpec } from '../config/schema/manifest.ts';
import { expectShape, type Tensor } from '../frame/tensor.ts';
import { GraphCache, graphCacheFolder, graphKey, thisProcessor } from './graph-cache.ts';
import { checkFiles, filesOfGraph, openGraph, type ModelFolder } from './manifest.ts';
import { resolveShape, runtimeVersion, type Provider, type Sizes } from './session.ts';

/** One graph's inputs or outputs, by name. */
export type Tensors = Readonly<Record<string, Tensor>>;

/** What a graph gives on a provider. Its session has ended by then, and given back its memory. Errors: ERR_MODEL, ERR_PROVIDER, ERR_ENGINE. */
export const outputsOn = async (
	provider: Provider,
	folder: ModelFolder,
	role: GraphRole,
	{ inputs, sizes }: { inputs: Tensors; sizes: Sizes },
): Promise<Tensors> => {
	await using graph = await openGraph(folder, role, provider);
	return await graph.run(inputs, sizes);
};

/**
 * What a graph gives on the CPU, computed once for the same graph and inputs and kept beside the optimised graphs: on the
 * next start a model of several gigabytes is not loaded for it. Errors: ERR_MODEL, ERR_ENGINE.
 */
export const referenceOutputs = async (
	folder: ModelFolder,
	role: GraphRole,
	given: { inputs: Tensors; sizes: Sizes },
): Promise<Tensors> => {
	const spec = graphOf(folder.manifest, role);
	const cache = new GraphCache(graphCacheFolder(), 'outputs');
	const key = graphKey(digestOf(spec, given.inputs), runtimeVersion(), await thisProcessor());
	const kept = await cache.read(key);
	const known = kept && readOutputs(kept, spec, given.sizes);
	if (known) return known;
	const outputs = await outputsOn('cpu', folder, role, given);
	await keep(outputs, { cache, key, folder, spec });
	return outputs;
};

/** Of a graph, its weights and its inputs. */
const digestOf = (spec: GraphSpec, inputs: Tensors): string => {
	const hash = createHash('sha256').update(JSON.stringify(filesOfGraph(spec).map(({ sha256 }) => sha256)));
	for (const [name, { data, shape }] of Object.entries(inputs))
		hash.update(JSON.stringify([name, shape])).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
	return hash.digest('hex');
};

/** Undefined where another version of Node wrote it otherwise. */
const readOutputs = (bytes: Uint8Array, { outputs }: GraphSpec, sizes: Sizes): Tensors | undefined => {
	try {
		const read = deserialize(bytes) as Tensors;
		for (const spec of outputs) expectShape(read[spec.name]!, resolveShape(spec, sizes), spec.name);
		return read;
	} catch {
		return undefined;
	}
};

const keep = async (
	outputs: Tensors,
	{ cache, key, folder, spec }: { cache: GraphCache; key: string; folder: ModelFolder; spec: GraphSpec },
): Promise<void> => {
	const draft = await cache.draft(key);
	if (!draft) return;
	try {
		// Of what was opened, not of what the manifest promises: the files may have been changed since they were checked.
		await checkFiles(folder.path, filesOfGraph(spec));
		await writeFile(draft, serialize(outputs));
		await cache.keep(key, draft);
	} catch {
		await cache.discard(draft);
	}
};
