import './no-telemetry.ts';
import { Worker } from 'node:worker_threads';
import type { Tensor } from '../frame/tensor.ts';
import { isSidecarError, SidecarError, type ErrorCode } from '../errors.ts';
import type { WorkerCalls, WorkerReply, WorkerRequest } from './worker-protocol.ts';

/** A thread with sessions of its own. A call that fails rejects with its SidecarError; a dead thread fails every call. */
export class WorkerClient implements AsyncDisposable {
	readonly #worker: Worker;
	readonly #pending = new Map<number, PromiseWithResolvers<unknown>>();
	#nextId = 0;
	#death: SidecarError | undefined;

	constructor(name: string) {
		this.#worker = new Worker(new URL('./inference.worker.js', import.meta.url), { name });
		this.#worker.on('message', (reply: WorkerReply) => this.#settle(reply));
		this.#worker.on('error', (cause) => this.#die(`The ${name} thread crashed: ${(cause as Error).message}`, cause));
		this.#worker.on('exit', () => this.#die(`The ${name} thread ended.`));
	}

	/** Tensors in `moved` are handed over instead of copied: the caller must not touch them again. */
	call<Call extends keyof WorkerCalls>(
		call: Call,
		request: WorkerCalls[Call]['request'],
		moved: readonly Tensor[] = [],
	): Promise<WorkerCalls[Call]['result']> {
		if (this.#death) return Promise.reject(this.#death);
		const id = this.#nextId++;
		const pending = promiseWithResolvers<unknown>();
		this.#pending.set(id, pending);
		const buffers = new Set(moved.map(({ data }) => data.buffer as ArrayBuffer));
		this.#worker.postMessage({ id, call, request } as WorkerRequest, [...buffers]);
		return pending.promise as Promise<WorkerCalls[Call]['result']>;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#worker.terminate();
	}

	#settle(reply: WorkerReply): void {
		const pending = this.#pending.get(reply.id);
		this.#pending.delete(reply.id);
		if (reply.ok) return pending?.resolve(reply.result);
		const { code, message, stack } = reply.error;
		const remote = Object.assign(new Error(message), { code, stack });
		pending?.reject(
			new SidecarError(isSidecarError(remote) ? (code as ErrorCode) : 'ERR_ENGINE', message, { cause: remote }),
		);
	}

	#die(message: string, cause?: unknown): void {
		this.#death ??= new SidecarError('ERR_ENGINE', message, { cause });
		for (const { reject } of this.#pending.values()) reject(this.#death);
		this.#pending.clear();
	}
}

interface PromiseWithResolvers<T> {
	promise: Promise<T>;
	resolve: (value: T) => void;
	reject: (reason: unknown) => void;
}

/** Promise.withResolvers, which Node 20 lacks. */
const promiseWithResolvers = <T>(): PromiseWithResolvers<T> => {
	let resolve!: (value: T) => void;
	let reject!: (reason: unknown) => void;
	const promise = new Promise<T>((onResolve, onReject) => {
		resolve = onResolve;
		reject = onReject;
	});
	return { promise, resolve, reject };
};
