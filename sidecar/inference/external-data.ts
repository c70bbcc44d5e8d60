/**
 * Where an ONNX file keeps weights that are not in it (onnx.proto3: TensorProto.external_data). Read before onnxruntime
 * opens the file, for a graph names its files itself, and may name any.
 */
export interface ExternalTensor {
	name: string;
	/** Path as the graph says it, relative to the graph. */
	location: string;
	offset: number;
	/** Undefined stands for the rest of the file. */
	length: number | undefined;
}

/** Messages of onnx.proto3 that lead to tensors: field -> message. */
const FIELDS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
	Model: { 7: 'Graph', 20: 'Training', 25: 'Function' },
	Training: { 1: 'Graph', 2: 'Graph' },
	Function: { 7: 'Node', 11: 'Attribute' },
	Graph: { 1: 'Node', 5: 'Tensor', 15: 'SparseTensor' },
	Node: { 5: 'Attribute' },
	Attribute: { 5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph', 22: 'SparseTensor', 23: 'SparseTensor' },
	SparseTensor: { 1: 'Tensor', 2: 'Tensor' },
};
const TENSOR = { name: 8, externalData: 13, dataLocation: 14 } as const;
/** Graphs within graphs: none that is made by a tool comes near. */
const DEPTH_MAX = 64;

/** All tensors of an ONNX file whose values lie elsewhere. Throws RangeError where the bytes are no protocol buffer. */
export const externalTensors = (bytes: Uint8Array): ExternalTensor[] => {
	const found: ExternalTensor[] = [];
	const visit = (message: string, content: Uint8Array, depth: number): void => {
		if (depth > DEPTH_MAX) throw new RangeError(`graphs within graphs, more than ${DEPTH_MAX} deep`);
		if (message === 'Tensor') {
			const external = readTensor(content);
			if (external) found.push(external);
			return;
		}
		for (const { field, value } of fieldsOf(content)) {
			const inner = FIELDS[message]?.[field];
			if (inner && typeof value !== 'number') visit(inner, value, depth + 1);
		}
	};
	visit('Model', bytes, 0);
	return found;
};

const readTensor = (content: Uint8Array): ExternalTensor | undefined => {
	let name = '';
	let isExternal = false;
	const entries = new Map<string, string>();
	for (const { field, value } of fieldsOf(content)) {
		if (field === TENSOR.dataLocation) isExternal = value === 1;
		else if (typeof value === 'number') continue;
		else if (field === TENSOR.name) name = textOf(value);
		else if (field === TENSOR.externalData) {
			const [key, entry] = [1, 2].map((wanted) => fieldsOf(value).findLast((own) => own.field === wanted)?.value);
			if (key && entry && typeof key !== 'number' && typeof entry !== 'number') entries.set(textOf(key), textOf(entry));
		}
	}
	if (!isExternal && entries.size === 0) return undefined;
	const length = entries.get('length');
	return {
		name,
		location: entries.get('location') ?? '',
		offset: countOf(entries.get('offset') ?? '0'),
		length: length === undefined ? undefined : countOf(length),
	};
};

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

const countOf = (text: string): number => {
	const count = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
	if (Number.isNaN(count)) throw new RangeError(`the place ${JSON.stringify(text.slice(0, 40))} in a file of weights`);
	return count;
};

/** The fields of one message: varints as numbers (large ones inexact), the rest as bytes. */
const fieldsOf = (bytes: Uint8Array): { field: number; value: number | Uint8Array }[] => {
	const fields: { field: number; value: number | Uint8Array }[] = [];
	let at = 0;
	const varint = (): number => {
		let value = 0;
		for (let shift = 0; shift < 70; shift += 7) {
			const byte = bytes[at++];
			if (byte === undefined) throw new RangeError('a number that is cut off');
			value += (byte & 127) * 2 ** shift;
			if (byte < 128) return value;
		}
		throw new RangeError('a number of more than ten bytes');
	};
	const take = (length: number): Uint8Array => {
		if (length > bytes.length - at) throw new RangeError('a field that is longer than what it lies in');
		at += length;
		return bytes.subarray(at - length, at);
	};
	while (at < bytes.length) {
		const key = varint();
		const [field, kind] = [Math.floor(key / 8), key % 8];
		if (kind === 0) fields.push({ field, value: varint() });
		else if (kind === 1) fields.push({ field, value: take(8) });
		else if (kind === 2) fields.push({ field, value: take(varint()) });
		else if (kind === 5) fields.push({ field, value: take(4) });
		else throw new RangeError(`a field of the unknown kind ${kind}`);
	}
	return fields;
};
