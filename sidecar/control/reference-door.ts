import type { ReferencePicture } from '../parameters.ts';
import type { Controller } from './controller.ts';
import { decodeReference, type CheckedImage } from './reference-image.ts';

/**
 * Where pictures come in that are to be painted like. One is decoded at a time, and of several that wait for one channel the
 * newest alone.
 */
export class ReferenceDoor {
	readonly #decode: (image: CheckedImage) => Promise<ReferencePicture>;
	#last: Promise<unknown> = Promise.resolve();

	constructor(decode = decodeReference) {
		this.#decode = decode;
	}

	/** False where something else was chosen meanwhile. Errors: ERR_STYLE, ERR_MODEL, ERR_RUNTIME. */
	async show(controller: Controller, image: CheckedImage, name: string): Promise<boolean> {
		controller.expectReferences();
		const isNewest = controller.choose();
		const turn = this.#last.then(() => (isNewest() ? this.#decode(image) : undefined));
		this.#last = turn.catch(() => {});
		const reference = await turn;
		if (!reference || !isNewest()) return false;
		controller.show({ name, reference });
		return true;
	}
}

/** How much of what is sent may be held at a time. */
export class HeldBytes {
	readonly #most: number;
	#held = 0;

	constructor(most: number) {
		this.#most = most;
	}

	/** Until what it gives is disposed of; undefined where there is no room. */
	take(byteLength: number): Disposable | undefined {
		if (this.#held + byteLength > this.#most) return undefined;
		this.#held += byteLength;
		return { [Symbol.dispose]: () => void (this.#held -= byteLength) };
	}
}
