import { SidecarError } from '../errors.ts';

export type TensorData = Float32Array | Uint8Array | BigInt64Array;
export type TensorType = 'float32' | 'uint8' | 'int64';
export type Shape = readonly number[];

/** Numbers in row-major order with their shape; can be transferred to another thread. */
export interface Tensor<T extends TensorData = TensorData> {
	data: T;
	shape: Shape;
}

export const elementCount = (shape: Shape): number => shape.reduce((product, side) => product * side, 1);

export const zeros = (shape: Shape): Tensor<Float32Array> => ({
	data: new Float32Array(elementCount(shape)),
	shape,
});

export const tensorType = ({ data }: Tensor): TensorType =>
	data instanceof Float32Array ? 'float32' : data instanceof Uint8Array ? 'uint8' : 'int64';

/** Throws ERR_MODEL unless the tensor has the shape and as many numbers as it says. */
export const expectShape = (tensor: Tensor, expected: Shape, what: string): void => {
	const same = tensor.shape.length === expected.length && expected.every((side, i) => side === tensor.shape[i]);
	if (same && tensor.data.length === elementCount(expected)) return;
	throw new SidecarError(
		'ERR_MODEL',
		`${what} has shape [${tensor.shape.join(', ')}] (${tensor.data.length} numbers), expected [${expected.join(', ')}].`,
	);
};

/** Element `index` of the first axis, as a batch of one; a view, not a copy. */
export const element = <T extends TensorData>({ data, shape }: Tensor<T>, index: number): Tensor<T> => {
	const length = elementCount(shape.slice(1));
	return { data: data.subarray(index * length, (index + 1) * length) as T, shape: [1, ...shape.slice(1)] };
};

/** Cuts along the first axis into parts of these sizes, each in memory of its own; a whole tensor is given as it is. */
export const split = <T extends TensorData>(tensor: Tensor<T>, counts: readonly number[]): Tensor<T>[] => {
	if (counts.length === 1) return [tensor];
	const { data, shape } = tensor;
	const length = elementCount(shape.slice(1));
	let first = 0;
	return counts.map((count) => {
		const part = data.slice(first * length, (first + count) * length) as T;
		first += count;
		return { data: part, shape: [count, ...shape.slice(1)] };
	});
};

/** Joins tensors of one type along the first axis. */
export const concatenate = <T extends TensorData>(tensors: readonly Tensor<T>[]): Tensor<T> => {
	const [first] = tensors;
	if (!first) throw new TypeError('concatenate needs at least one tensor');
	if (tensors.length === 1) return first;
	const shape = [tensors.reduce((sum, { shape: [count = 0] }) => sum + count, 0), ...first.shape.slice(1)];
	const data = new (first.data.constructor as new (length: number) => T)(elementCount(shape));
	let offset = 0;
	for (const tensor of tensors) {
		data.set(tensor.data as never, offset);
		offset += tensor.data.length;
	}
	return { data, shape };
};
