import type { GraphRole } from '../config/schema/manifest.ts';
import type { DecodeRequest, DecodeResult } from './decoder.ts';
import type { AdvanceRequest, AdvanceResult, DenoiseRequest, DenoiseResult } from './denoiser.ts';
import type { EncodeRequest, EncodeResult } from './encoder.ts';
import type { ModelFolder } from './manifest.ts';
import type { OpenGraphsSettings } from './precision.ts';

/** What a stream's thread can be asked, and what it answers. */
export interface WorkerCalls {
	/** Each gives the graphs that it runs in int8. */
	openEncoder: { request: OpenRequest; result: readonly GraphRole[] };
	openDenoiser: { request: OpenRequest; result: readonly GraphRole[] };
	openDecoder: { request: OpenRequest; result: readonly GraphRole[] };
	encode: { request: EncodeRequest; result: EncodeResult };
	denoise: { request: DenoiseRequest; result: DenoiseResult };
	/** Both of them at once, on a thread that has both. */
	paint: { request: PaintRequest; result: PaintResult };
	decode: { request: DecodeRequest; result: DecodeResult };
	advance: { request: AdvanceRequest; result: AdvanceResult };
	/** The line is over. */
	forget: { request: { line: number }; result: undefined };
}

export type PaintRequest = DenoiseRequest & Pick<DecodeRequest, 'details'>;
export type PaintResult = Omit<DenoiseResult, 'latents'> & DecodeResult;

export interface OpenRequest extends OpenGraphsSettings {
	folder: ModelFolder;
}

export type WorkerRequest = {
	[Call in keyof WorkerCalls]: { id: number; call: Call; request: WorkerCalls[Call]['request'] };
}[keyof WorkerCalls];

export type WorkerReply =
	| { id: number; ok: true; result: unknown }
	| { id: number; ok: false; error: { code: string | undefined; message: string; stack: string | undefined } };
