import { parentPort } from 'node:worker_threads';
import type { Tensor } from '../frame/tensor.ts';
import { loadNative } from '../native.ts';
import { Denoiser } from './denoiser.ts';
import { Encoder } from './encoder.ts';
import type { WorkerReply, WorkerRequest } from './worker-protocol.ts';

/**
 * The denoiser's stream is the longer one, so the encoder works in the gaps that it leaves: 21.6 instead of 20.8 frames/s
 * with `lite` on two cores. A thread that does both is lowered with it, and has nobody to yield to.
 */
const ENCODER_PRIORITY_STEPS = 5;

let encoder: Encoder | undefined;
let denoiser: Denoiser | undefined;

const carryOut = async (message: WorkerRequest): Promise<unknown> => {
	switch (message.call) {
		case 'openEncoder':
			loadNative().lowerThreadPriority(ENCODER_PRIORITY_STEPS);
			encoder = await Encoder.open(message.request.folder, message.request);
			return encoder.int8Graphs;
		case 'openDenoiser':
			denoiser = await Denoiser.open(message.request.folder, message.request);
			return denoiser.int8Graphs;
		case 'encode':
			return await encoder!.encode(message.request);
		case 'denoise':
			return await denoiser!.denoise(message.request);
	}
};

/** Buffers of the tensors in a result, to be moved instead of copied. */
const buffersOf = (value: unknown, buffers = new Set<ArrayBuffer>()): Set<ArrayBuffer> => {
	if (typeof value !== 'object' || value === null) return buffers;
	if ('data' in value && 'shape' in value) buffers.add((value as Tensor).data.buffer as ArrayBuffer);
	else for (const part of Object.values(value)) buffersOf(part, buffers);
	return buffers;
};

const answer = async (message: WorkerRequest): Promise<void> => {
	let reply: WorkerReply;
	try {
		reply = { id: message.id, ok: true, result: await carryOut(message) };
	} catch (error) {
		const { code, message: text, stack } = error as Error & { code?: string };
		reply = { id: message.id, ok: false, error: { code, message: text, stack } };
	}
	parentPort!.postMessage(reply, 'result' in reply ? [...buffersOf(reply.result)] : []);
};

parentPort!.on('message', (message: WorkerRequest) => void answer(message));
