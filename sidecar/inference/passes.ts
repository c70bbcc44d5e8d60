import { concatenate, element, split, type Tensor } from '../frame/tensor.ts';
import type { Provider } from './session.ts';

/**
 * On a CPU a batch costs more than its frames one by one (memory-bound operators fall out of the cache:
 * 1.5 to 6 times slower at 4 frames), so only a GPU is given whole batches.
 */
export const framesPerPass = (provider: Provider, batch: number): number => (provider === 'cpu' ? 1 : batch);

export const batchesOf = <Request>(requests: readonly Request[], of: (request: Request) => Tensor): number[] =>
	requests.map((request) => of(request).shape[0]!);

export type Take = <T extends Tensor>(tensor: T) => T;

/** Runs a batch in passes of `perPass` frames; `take` cuts a pass out of a tensor of the whole batch. */
export const inPasses = async (
	batch: number,
	perPass: number,
	run: (take: Take) => Promise<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> => {
	const passes: Record<string, Tensor>[] = [];
	for (let first = 0; first < batch; first += perPass)
		passes.push(await run((tensor) => (perPass === batch ? tensor : (element(tensor, first) as typeof tensor))));
	return joinAll(passes);
};

export const takeAll = (tensors: Record<string, Tensor>, take: Take): Record<string, Tensor> =>
	Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, take(tensor)]));

/** The outputs of one run as those of its requests. */
export const splitAll = (tensors: Record<string, Tensor>, counts: readonly number[]): Record<string, Tensor>[] => {
	const parts = Object.entries(tensors).map(([name, tensor]) => [name, split(tensor, counts)] as const);
	return counts.map((_, i) => Object.fromEntries(parts.map(([name, shares]) => [name, shares[i]!])));
};

/** Tensors of several passes or requests as those of one. */
export const joinAll = (parts: readonly Record<string, Tensor>[]): Record<string, Tensor> =>
	Object.fromEntries(Object.keys(parts[0] ?? {}).map((name) => [name, concatenate(parts.map((part) => part[name]!))]));

/** One frame's tensor stands for every frame of the batch. */
export const repeat = <T extends Tensor>(tensor: T, batch: number): T =>
	tensor.shape[0] === batch ? tensor : (concatenate(Array.from({ length: batch }, () => element(tensor, 0))) as T);
