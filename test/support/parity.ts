import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Tensor } from '../../sidecar/frame/tensor.ts';

interface Packed {
	type: 'uint8' | 'int64' | 'float32';
	shape: number[];
	data: string;
}

/** What torch gave, as the exporter of a model wrote it beside the graphs. */
export interface ParityFixture {
	prompt: string;
	timestep: number;
	/** Prompts and their ids in the template; `lite` has none. */
	tokens: { prompt: string; ids: number[] }[];
	tensor: (name: string) => Tensor;
}

export const readParityFixture = async (folder: string): Promise<ParityFixture> => {
	const { tensors, ...fixture } = JSON.parse(await readFile(join(folder, 'parity.json'), 'utf8')) as {
		prompt: string;
		timestep: number;
		tokens?: ParityFixture['tokens'];
		tensors: Record<string, Packed>;
	};
	const tensor = (name: string): Tensor => {
		const { type, shape, data } = tensors[name]!;
		const bytes = Uint8Array.from(Buffer.from(data, 'base64'));
		if (type === 'uint8') return { data: bytes, shape };
		return { data: type === 'int64' ? new BigInt64Array(bytes.buffer) : new Float32Array(bytes.buffer), shape };
	};
	return { tokens: [], ...fixture, tensor };
};

/** Largest difference as a share of the largest value that torch gave. */
export const relativeError = ({ data }: Tensor, expected: Tensor): number => {
	let worst = 0;
	let largest = 0;
	for (let i = 0; i < data.length; i++) {
		worst = Math.max(worst, Math.abs(Number(data[i]) - Number(expected.data[i])));
		largest = Math.max(largest, Math.abs(Number(expected.data[i])));
	}
	expect(data.length).toBe(expected.data.length);
	return worst / largest;
};
