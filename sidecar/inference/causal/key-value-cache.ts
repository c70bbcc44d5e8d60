import { SidecarError } from '../../errors.ts';
import { expectShape, zeros, type Shape, type Tensor } from '../../frame/tensor.ts';
import type { GraphsShape } from './cache-shape.ts';
import {
	checkWindow,
	EMPTY_WINDOW,
	keepNewest,
	writeFrame,
	type FrameWindow,
	type WindowSize,
} from './frame-window.ts';

export interface CacheShape extends GraphsShape {
	/** No longer than the graphs have room for: what is left over stays hidden. */
	window: WindowSize;
}

/** Keys and values of one frame or of a reference, one tensor a layer: [1, heads, tokens, headDim]. */
export interface KeysAndValues {
	keys: readonly Tensor<Float32Array>[];
	values: readonly Tensor<Float32Array>[];
}

/** A reference stands this many frames back for good (training/causal_dit/model.py), so no window is as long. */
export const REFERENCE_DISTANCE = 32;
const RATE_BASE = 100;
const BLOCKED = -1e4;
const CACHE_BYTES_MAX = 2 ** 30;

/**
 * Keys and values of the frames painted last and of the reference, in fixed buffers that are inputs of the next pass: the
 * reference at the front, then sinks, then the rest, in no order, for a key carries its position. Slots that hold nothing are
 * hidden by the bias. What is written must be the clean pass's; owned by the thread that runs the graphs.
 */
export class KeyValueCache {
	/** One a layer: [1, heads, past tokens, headDim]. */
	readonly keys: readonly Tensor<Float32Array>[];
	readonly values: readonly Tensor<Float32Array>[];
	/** To add to the scores, [1, 1, 1, past tokens + frameTokens]: 0 where there is something to read, -10000 elsewhere. */
	readonly bias: Tensor<Float32Array>;
	readonly #shape: CacheShape;
	readonly #pastTokens: number;
	/** Cosine and sine of the angle by which each pair of time turns in one frame. */
	readonly #turns: readonly { cos: number; sin: number }[];
	#window: FrameWindow = EMPTY_WINDOW;
	#newest: KeysAndValues | undefined;

	/** Errors: ERR_CONFIG for a window that cannot be. */
	constructor(shape: CacheShape) {
		const { layers, heads, headDim, referenceTokens, frameTokens, slots } = shape;
		checkWindow(shape.window, Math.min(slots, REFERENCE_DISTANCE - 1));
		this.#shape = shape;
		this.#pastTokens = referenceTokens + slots * frameTokens;
		const bytes = 2 * 4 * layers * heads * this.#pastTokens * headDim;
		if (bytes > CACHE_BYTES_MAX)
			throw new SidecarError(
				'ERR_CONFIG',
				`A window of ${slots} frames takes ${Math.ceil(bytes / 2 ** 20)} MiB, expected ${CACHE_BYTES_MAX / 2 ** 20} at most: name fewer frames.`,
			);
		const buffers = () => Array.from({ length: layers }, () => zeros(this.#sized(this.#pastTokens)));
		this.keys = buffers();
		this.values = buffers();
		this.bias = zeros([1, 1, 1, this.#pastTokens + frameTokens]);
		this.bias.data.fill(BLOCKED, 0, this.#pastTokens);
		const pairs = Math.floor(headDim / 8);
		this.#turns = Array.from({ length: pairs }, (_, i) => {
			const angle = RATE_BASE ** (-i / pairs);
			return { cos: Math.cos(angle), sin: Math.sin(angle) };
		});
	}

	get frameTokens(): number {
		return this.#shape.frameTokens;
	}

	/** What is held, oldest first. */
	get window(): FrameWindow {
		return this.#window;
	}

	/** What was made of the last frame, as of the frame itself (0 frames back). */
	get newest(): KeysAndValues | undefined {
		return this.#newest;
	}

	/** Takes in the clean keys and values of a frame, as of the frame itself, and keeps these tensors. Errors: ERR_MODEL for other shapes. */
	write(frame: number, made: KeysAndValues): void {
		const { frameTokens, window: size } = this.#shape;
		this.#expect(made, frameTokens, `frame ${frame}`);
		const { window, slot, farther } = writeFrame(this.#window, frame, size);
		for (const other of farther) this.#turn(other);
		this.#put(this.#start(slot), made);
		this.#turn(slot);
		this.#show(this.#start(slot), frameTokens);
		this.#window = window;
		this.#newest = made;
	}

	/** Another style: its reference is anchored, if it has one, and of the frames the last one stays. Errors: ERR_MODEL. */
	switchTo(reference: KeysAndValues | undefined): void {
		const { referenceTokens, frameTokens, window: size } = this.#shape;
		if (reference) this.#expect(reference, referenceTokens, 'the reference');
		const { window, move } = keepNewest(this.#window, size);
		if (move) this.#move(this.#start(move.from), this.#start(move.to));
		this.bias.data.fill(BLOCKED, 0, this.#pastTokens);
		for (const { slot } of window) this.#show(this.#start(slot), frameTokens);
		if (reference) {
			this.#put(0, reference);
			this.#show(0, referenceTokens);
		}
		this.#window = window;
	}

	/** Another scene: of what is held, the reference stays. */
	forgetFrames(): void {
		this.bias.data.fill(BLOCKED, this.#shape.referenceTokens, this.#pastTokens);
		this.#window = EMPTY_WINDOW;
		this.#newest = undefined;
	}

	#sized(tokens: number): Shape {
		return [1, this.#shape.heads, tokens, this.#shape.headDim];
	}

	/** The first token of a slot. */
	#start(slot: number): number {
		return this.#shape.referenceTokens + slot * this.#shape.frameTokens;
	}

	#show(token: number, count: number): void {
		this.bias.data.fill(0, token, token + count);
	}

	#expect({ keys, values }: KeysAndValues, tokens: number, what: string): void {
		const { layers } = this.#shape;
		for (const [name, tensors] of Object.entries({ keys, values })) {
			if (tensors.length !== layers)
				throw new SidecarError('ERR_MODEL', `${what} has ${name} of ${tensors.length} layers, expected ${layers}.`);
			for (const tensor of tensors) expectShape(tensor, this.#sized(tokens), `The tensor of ${name} of ${what}`);
		}
	}

	/** Copies tokens of every layer and head to where they are held. */
	#put(token: number, made: KeysAndValues): void {
		for (let layer = 0; layer < this.#shape.layers; layer++) {
			this.#putHeads(this.keys[layer]!.data, token, made.keys[layer]!);
			this.#putHeads(this.values[layer]!.data, token, made.values[layer]!);
		}
	}

	#putHeads(buffer: Float32Array, token: number, { data, shape }: Tensor<Float32Array>): void {
		const { heads, headDim } = this.#shape;
		const length = shape[2]! * headDim;
		for (let head = 0; head < heads; head++)
			buffer.set(data.subarray(head * length, (head + 1) * length), (head * this.#pastTokens + token) * headDim);
	}

	#move(from: number, to: number): void {
		const { heads, headDim, frameTokens } = this.#shape;
		for (const { data } of [...this.keys, ...this.values])
			for (let head = 0; head < heads; head++) {
				const start = head * this.#pastTokens;
				data.copyWithin((start + to) * headDim, (start + from) * headDim, (start + from + frameTokens) * headDim);
			}
	}

	/** One frame farther back: the pairs of time, (i, i + headDim / 2), turn by minus their angle. */
	#turn(slot: number): void {
		const { heads, headDim, frameTokens } = this.#shape;
		const half = headDim / 2;
		for (const { data } of this.keys)
			for (let head = 0; head < heads; head++) {
				const first = (head * this.#pastTokens + this.#start(slot)) * headDim;
				for (let at = first; at < first + frameTokens * headDim; at += headDim)
					for (let pair = 0; pair < this.#turns.length; pair++) {
						const { cos, sin } = this.#turns[pair]!;
						const a = data[at + pair]!;
						const b = data[at + pair + half]!;
						data[at + pair] = a * cos + b * sin;
						data[at + pair + half] = b * cos - a * sin;
					}
			}
	}
}
