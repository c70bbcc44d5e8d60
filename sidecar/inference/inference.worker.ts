import { parentPort } from 'node:worker_threads';
import { isSidecarError } from '../errors.ts';
import type { Tensor } from '../frame/tensor.ts';
import { loadNative } from '../native.ts';
import { log } from '../telemetry/logger.ts';
import { Decoder, keyOfDecoding, type DecodeRequest, type DecodeResult } from './decoder.ts';
import { CausalPainter } from './causal/causal-painter.ts';
import { Denoiser, keyOfDenoising, type DenoiseRequest, type DenoiseResult, type LatentDenoiser } from './denoiser.ts';
import { Encoder, type EncodeRequest, type EncodeResult } from './encoder.ts';
import { Gatherer } from './gatherer.ts';
import { isOfFamily } from './manifest.ts';
import type { OpenRequest, PaintRequest, PaintResult, WorkerReply, WorkerRequest } from './worker-protocol.ts';

/**
 * The denoiser's stream is the longer one, so the encoder works in the gaps that it leaves: 21.6 instead of 20.8 frames/s
 * with `lite` on two cores. A thread that does both is lowered with it, and has nobody to yield to.
 */
const ENCODER_PRIORITY_STEPS = 5;

/** Requests of several lines that are run together. A CPU gains nothing from that (`passes.ts`). */
const TOGETHER_MAX = 8;

let denoiser: LatentDenoiser | undefined;
let encoding: Gatherer<EncodeRequest, EncodeResult> | undefined;
let denoising: Gatherer<DenoiseRequest, DenoiseResult> | undefined;
let decoding: Gatherer<DecodeRequest, DecodeResult> | undefined;
let painting: Gatherer<PaintRequest, PaintResult> | undefined;

const mostOn = (provider: string): number => (provider === 'cpu' ? 1 : TOGETHER_MAX);

/** What there is no room for together may have room one by one. */
const isTooMuch = (error: unknown): boolean => {
	const is = isSidecarError(error) && error.code === 'ERR_MEMORY';
	if (is) log.warn({ reason: error.message }, 'out of memory: fewer lines are run together');
	return is;
};

const paint = async (
	by: LatentDenoiser,
	decoder: Decoder,
	requests: readonly PaintRequest[],
): Promise<PaintResult[]> => {
	const denoised = await by.denoise(requests);
	const decoded = await decoder.decode(denoised.map(({ latents }, i) => ({ latents, details: requests[i]!.details })));
	return decoded.map((result, i) => ({ ...result, stagesMs: denoised[i]!.stagesMs }));
};

const openDenoiser = ({ folder, ...settings }: OpenRequest): Promise<LatentDenoiser> => {
	if (isOfFamily(folder, 'causal-dit')) return CausalPainter.open(folder, settings);
	if (isOfFamily(folder, 'edit-unet')) return Denoiser.open(folder, settings);
	throw new TypeError('a model of no family');
};

const carryOut = async (message: WorkerRequest): Promise<unknown> => {
	switch (message.call) {
		case 'openEncoder': {
			loadNative().lowerThreadPriority(ENCODER_PRIORITY_STEPS);
			const encoder = await Encoder.open(message.request.folder, message.request);
			encoding = new Gatherer({
				run: (requests) => encoder.encode(requests),
				keyOf: ({ pictures }) => pictures.shape.slice(1).join(),
				most: mostOn(encoder.provider),
				isTooMuch,
			});
			return encoder.int8Graphs;
		}
		case 'openDenoiser': {
			const opened = await openDenoiser(message.request);
			denoiser = opened;
			denoising = new Gatherer({
				run: (requests) => opened.denoise(requests),
				keyOf: keyOfDenoising,
				ownerOf: ({ line }) => line,
				most: opened.joinsLines ? mostOn(opened.provider) : 1,
				isTooMuch,
			});
			return opened.int8Graphs;
		}
		case 'openDecoder': {
			const decoder = await Decoder.open(message.request.folder, message.request);
			const most = mostOn(decoder.provider);
			decoding = new Gatherer({ run: (requests) => decoder.decode(requests), keyOf: keyOfDecoding, most, isTooMuch });
			painting = new Gatherer<PaintRequest, PaintResult>({
				run: (requests) => paint(denoiser!, decoder, requests),
				keyOf: keyOfDenoising,
				ownerOf: ({ line }) => line,
				most: denoiser?.joinsLines ? most : 1,
				isTooMuch,
			});
			return decoder.int8Graphs;
		}
		case 'encode':
			return await encoding!.call(message.request);
		case 'denoise':
			return await denoising!.call(message.request);
		case 'paint':
			return await painting!.call(message.request);
		case 'decode':
			return await decoding!.call(message.request);
		case 'advance':
			return await denoiser!.advance(message.request);
		case 'forget':
			return denoiser?.forget(message.request.line);
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
