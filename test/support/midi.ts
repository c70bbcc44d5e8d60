import type { MidiPorts } from '../../sidecar/control/midi/ports.ts';

/** Cables with controllers at their other ends: bytes go in, and what comes out is kept. */
export class Cables implements MidiPorts {
	/** Those that are plugged in. */
	readonly plugged: string[];
	/** What each controller was sent, a message each. */
	readonly sent: [name: string, ...bytes: number[]][] = [];
	/** What was opened and not closed, `in NAME` and `out NAME`. */
	readonly opened = new Set<string>();
	isClosed = false;
	/** By which they are timed. */
	nowUs: () => number = () => 0;
	readonly #listeners = new Map<string, (bytes: Uint8Array, sinceUs: number) => void>();
	readonly #sentUs = new Map<string, number>();

	constructor(...plugged: string[]) {
		this.plugged = plugged;
	}

	/** The controller sends these bytes; nobody hears them unless it is listened to. */
	send(name: string, ...bytes: number[]): void {
		const nowUs = this.nowUs();
		const sinceUs = nowUs - (this.#sentUs.get(name) ?? nowUs);
		this.#sentUs.set(name, nowUs);
		this.#listeners.get(name)?.(Uint8Array.from(bytes), sinceUs);
	}

	inputs(): string[] {
		return [...this.plugged];
	}

	outputs(): string[] {
		return [...this.plugged];
	}

	openInput(name: string, listener: (bytes: Uint8Array, sinceUs: number) => void): Disposable {
		this.#listeners.set(name, listener);
		return this.#open(`in ${name}`, () => this.#listeners.delete(name));
	}

	openOutput(name: string): Disposable & { send: (bytes: Uint8Array) => void } {
		const opened = this.#open(`out ${name}`, () => {});
		return Object.assign(opened, { send: (bytes: Uint8Array) => void this.sent.push([name, ...bytes]) });
	}

	[Symbol.dispose](): void {
		this.isClosed = true;
	}

	#open(what: string, close: () => void): Disposable {
		if (this.opened.has(what)) throw new Error(`${what} was opened twice`);
		this.opened.add(what);
		return {
			[Symbol.dispose]: () => {
				this.opened.delete(what);
				close();
			},
		};
	}
}
