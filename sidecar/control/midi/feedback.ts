import { Paced, untold, type Timing } from '../telling.ts';
import { nameOf } from './mapping.ts';
import type { ControlMessage } from './messages.ts';

export interface MidiFeedbackOptions extends Timing {
	/** Everything that is shown, as it is now, by the name of its control. */
	values: () => ReadonlyMap<string, ControlMessage>;
	send: (message: ControlMessage) => void;
}

/** Just under thirty times a second, as OSC is told. */
const EVERY_US = 34_000;
/** 16 messages of 3 bytes at that rate are half of what a cable of MIDI carries. */
const MESSAGES = 16;
/** A fader that was moved so lately is in a hand. */
export const HELD_US = 500_000;
/** What comes back so soon as it was sent was not touched: some ports give back all that they get. */
export const ECHO_US = 100_000;

const isSame = (a: ControlMessage, b: ControlMessage): boolean => a.value === b.value;

/** What one controller shows: lights, and faders with a motor or a ring. It is told the difference to what it knows. */
export class MidiFeedback implements Disposable {
	readonly #options: MidiFeedbackOptions;
	readonly #paced: Paced;
	/** What it knows, by the name of the control. */
	readonly #told = new Map<string, ControlMessage>();
	readonly #sentUs = new Map<string, number>();
	readonly #movedUs = new Map<string, number>();
	#cancel: (() => void) | undefined;

	constructor(options: MidiFeedbackOptions) {
		this.#options = options;
		this.#paced = new Paced(() => this.#flush(), EVERY_US, options);
		this.changed();
	}

	/** Something may have changed: it is told soon, and together with what comes until then. */
	changed(): void {
		this.#paced.ask();
	}

	/** Whether this is what was just sent there. */
	isEcho(message: ControlMessage): boolean {
		const name = nameOf(message);
		const sentUs = this.#sentUs.get(name);
		if (sentUs === undefined || this.#options.nowUs() - sentUs > ECHO_US) return false;
		return this.#told.get(name)?.value === message.value;
	}

	/** A fader shows what it sent, and is told nothing while it is moved; the light of a button may have changed by itself. */
	touched(message: ControlMessage, isFader: boolean): void {
		const name = nameOf(message);
		if (isFader) {
			this.#told.set(name, message);
			this.#movedUs.set(name, this.#options.nowUs());
		} else this.#told.delete(name);
		this.changed();
	}

	/** Puts out the lights. */
	[Symbol.dispose](): void {
		this.#cancel?.();
		this.#paced[Symbol.dispose]();
		for (const message of this.#told.values())
			if (message.kind === 'note' && message.value > 0) this.#options.send({ ...message, value: 0 });
	}

	#flush(): void {
		const { values, send, nowUs } = this.#options;
		const now = nowUs();
		for (const [name, us] of this.#movedUs) if (now - us >= HELD_US) this.#movedUs.delete(name);
		const news = untold(this.#told, values(), isSame);
		const free = news.filter(([name]) => !this.#movedUs.has(name));
		for (const [name, message] of free.slice(0, MESSAGES)) {
			this.#told.set(name, message);
			this.#sentUs.set(name, now);
			send(message);
		}
		if (free.length > MESSAGES) this.changed();
		else if (free.length < news.length) this.#later();
	}

	/** A fader that is let go is told where it belongs. */
	#later(): void {
		this.#cancel?.();
		this.#cancel = this.#options.after(HELD_US, () => this.changed());
	}
}
