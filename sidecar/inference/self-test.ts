import { graphOf, type GraphRole } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import { elementCount, type Tensor } from '../frame/tensor.ts';
import { gaussianNoise } from './gaussian-noise.ts';
import type { ModelFolder } from './manifest.ts';
import { outputsOn, referenceOutputs, type Tensors } from './reference.ts';
import { resolveShape, type Provider, type Sizes } from './session.ts';
import { readTokenizer, type PromptTokenizer } from './tokenizer.ts';

/** As a share of the largest value: half floats stay below a fifth of it, a kernel that is wrong does not. */
const TOLERANCE = 0.05;

/**
 * Runs every graph of a model on a provider and compares what it gives with what the CPU gives for the same inputs. Throws
 * ERR_PROVIDER where an output is not a number or differs, and says by how much: drivers that paint garbage, or black,
 * report no error. No two graphs are open at a time: the largest has room for itself.
 */
export const selfTest = async (
	folder: ModelFolder,
	provider: Provider,
	/** What the CPU runs; another model with the same tensors in a test. */
	reference: ModelFolder = folder,
): Promise<void> => {
	const { size } = folder.manifest;
	const [width, height] = 'fixed' in size ? size.fixed : size.min;
	const sizes = { batch: 1, width, height };
	const tokenize = await readTokenizer(folder);
	for (const role of Object.keys(folder.manifest.graphs) as GraphRole[]) {
		const given = { inputs: inputsOf(folder, role, tokenize, sizes), sizes };
		const found = await outputsOn(provider, folder, role, given); // first: most fail here
		const right = await referenceOutputs(reference, role, given);
		for (const [name, tensor] of Object.entries(found)) {
			const difference = largestDifference(tensor, right[name]!);
			if (!(difference <= TOLERANCE))
				throw new SidecarError(
					'ERR_PROVIDER',
					`The provider ${provider} gives another ${name} than the CPU (model ${folder.manifest.name}, graph ${role}): ` +
						`the difference is ${Number.isNaN(difference) ? 'no number' : `${(100 * difference).toFixed(1)} %`}, at most ${100 * TOLERANCE} % is right.`,
				);
		}
	}
};

/** Noise, but tokens of a prompt where there are ids, and numbers that a denoiser knows. */
const inputsOf = ({ manifest }: ModelFolder, role: GraphRole, tokenize: PromptTokenizer, sizes: Sizes): Tensors => {
	const { inputIds, attentionMask } = tokenize(manifest.textEncoder.neutralPrompt);
	const { dropTokens, maxLength } = manifest.textEncoder;
	const known: Record<string, Tensor> = {
		input_ids: inputIds,
		attention_mask: attentionMask,
		encoder_attention_mask: { data: attentionMask.data.slice(dropTokens), shape: [1, maxLength - dropTokens] },
		multiplier: { data: Float32Array.of(1), shape: [1] },
	};
	return Object.fromEntries(
		graphOf(manifest, role).inputs.map((spec, seed): [string, Tensor] => {
			const given = known[spec.name];
			if (given) return [spec.name, given];
			const shape = resolveShape(spec, sizes);
			if (spec.name === 'timestep')
				return [spec.name, { data: new Float32Array(elementCount(shape)).fill(1000), shape }];
			// Places, each once.
			if (spec.type === 'int64')
				return [spec.name, { data: BigInt64Array.from({ length: elementCount(shape) }, (_, i) => BigInt(i)), shape }];
			const noise = gaussianNoise(seed, elementCount(shape));
			return [spec.name, { data: spec.type === 'uint8' ? Uint8Array.from(noise, (z) => 128 + 50 * z) : noise, shape }];
		}),
	);
};

/** As a share of the largest value that is right; NaN where something is no number. */
const largestDifference = ({ data }: Tensor, { data: right }: Tensor): number => {
	let [worst, largest] = [0, 0];
	for (let i = 0; i < right.length; i++) {
		const difference = Math.abs(Number(data[i]) - Number(right[i]));
		if (Number.isNaN(difference)) return NaN;
		worst = Math.max(worst, difference);
		largest = Math.max(largest, Math.abs(Number(right[i])));
	}
	return worst / Math.max(largest, 1e-6);
};
