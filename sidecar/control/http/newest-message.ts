type Message = string | Uint8Array;

/**
 * The way to one client: one message under way, and behind it only the newest that there was to say. So a client
 * that does not read costs one message, however long it goes on.
 */
export class NewestMessage {
	readonly #send: (message: Message, done: () => void) => void;
	#next: (() => Message) | undefined;
	#whenFree: (() => void) | undefined;
	#isUnderWay = false;
	#ticks = 0;

	/** `send` calls `done` once the message has left this process. */
	constructor(send: (message: Message, done: () => void) => void) {
		this.#send = send;
	}

	/** `make` is called when the message can go, and never if a newer one comes before that. */
	offer(make: () => Message): void {
		this.#next = make;
		this.#go();
	}

	/** Calls back at once, or once nothing is under way; of several, the newest. */
	whenFree(call: () => void): void {
		this.#whenFree = call;
		this.#go();
	}

	/** Gives how often it was called since the message under way set out; 0 where there is none. */
	tick(): number {
		return this.#isUnderWay ? ++this.#ticks : 0;
	}

	#go(): void {
		if (this.#isUnderWay) return;
		const make = this.#next;
		if (make) {
			this.#next = undefined;
			this.#isUnderWay = true;
			this.#ticks = 0;
			this.#send(make(), () => {
				this.#isUnderWay = false;
				this.#go();
			});
		} else if (this.#whenFree) {
			const call = this.#whenFree;
			this.#whenFree = undefined;
			call();
		}
	}
}
