import type { CausalDitManifest, GraphSpec } from '../../config/schema/manifest.ts';
import { SidecarError } from '../../errors.ts';

/** What a model's graphs say of its cache. */
export interface GraphsShape {
	layers: number;
	heads: number;
	/** Numbers of a key; even. */
	headDim: number;
	referenceTokens: number;
	frameTokens: number;
	/** Frames that the graphs have room for. */
	slots: number;
}

/** Errors: ERR_MODEL, for graphs that do not fit each other. */
export const graphsShapeOf = (step: GraphSpec, reference: GraphSpec): GraphsShape => {
	const [, heads, frameTokens, headDim] = sidesOf(step.outputs, 'key_0');
	const [, , pastTokens] = sidesOf(step.inputs, 'past_key_0');
	const [, , referenceTokens] = sidesOf(reference.outputs, 'key_0');
	const layers = step.outputs.filter(({ name }) => name.startsWith('key_')).length;
	const slots = (pastTokens - referenceTokens) / frameTokens;
	if (!Number.isInteger(slots) || headDim % 2 !== 0)
		throw new SidecarError(
			'ERR_MODEL',
			`The transformer has keys of ${headDim} numbers for ${pastTokens} tokens of the past, expected an even one for a ` +
				`reference of ${referenceTokens} and whole frames of ${frameTokens}.`,
		);
	return { layers, heads, headDim, referenceTokens, frameTokens, slots };
};

/** What can be said of the graphs without opening them. Errors: ERR_MODEL. */
export const checkCausalModel = ({ name, graphs, window }: CausalDitManifest): void => {
	const { slots } = graphsShapeOf(graphs.dit_step, graphs.dit_reference);
	if (slots !== window.frames)
		throw new SidecarError(
			'ERR_MODEL',
			`The model ${name} has a window of ${window.frames} frames, and its graphs have room for ${slots}.`,
		);
};

type Sides = [batch: number, heads: number, tokens: number, headDim: number];

const sidesOf = (specs: GraphSpec['inputs'], name: string): Sides => {
	const shape = specs.find((spec) => spec.name === name)?.shape;
	if (shape?.length === 4 && shape.every((side) => typeof side === 'number' && side > 0)) return shape as Sides;
	throw new SidecarError(
		'ERR_MODEL',
		`The transformer's ${name} is [${shape?.join(', ') ?? 'missing'}], expected [1, heads, tokens, numbers].`,
	);
};
