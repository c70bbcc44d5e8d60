import type { Size } from '../frame/frame.ts';
import type { DenoiseRequest, DenoiseResult } from './denoiser.ts';
import type { EncodeRequest, EncodeResult } from './encoder.ts';
import type { ModelFolder } from './manifest.ts';
import type { Provider } from './session.ts';

/** What a stream's thread can be asked, and what it answers. */
export interface WorkerCalls {
	openEncoder: { request: OpenRequest; result: void };
	openDenoiser: { request: OpenRequest; result: void };
	encode: { request: EncodeRequest; result: EncodeResult };
	denoise: { request: DenoiseRequest; result: DenoiseResult };
}

export interface OpenRequest {
	folder: ModelFolder;
	provider: Provider;
	painted: Size;
}

export type WorkerRequest = {
	[Call in keyof WorkerCalls]: { id: number; call: Call; request: WorkerCalls[Call]['request'] };
}[keyof WorkerCalls];

export type WorkerReply =
	| { id: number; ok: true; result: unknown }
	| { id: number; ok: false; error: { code: string | undefined; message: string; stack: string | undefined } };
