import { isSidecarError } from '../../errors.ts';
import { log, repeated } from '../../telemetry/logger.ts';
import type { Timing } from '../telling.ts';
import { MidiClock } from './clock.ts';
import type { MidiFeedback } from './feedback.ts';
import { MidiReader, writeMessage, type ControlMessage, type MidiMessage } from './messages.ts';
import type { MidiPorts } from './ports.ts';

/** How often it is looked for ports that came or went away. */
export const LOOK_US = 1_000_000;
/** What one machine can have; more is somebody's mistake. */
const PORTS_MAX = 32;

export interface OpenPortsOptions extends Timing {
	/** Parts of names, or `all`. */
	port: readonly string[];
	ports: MidiPorts;
	/** `port` stands for the controller, whichever way its ports go; the time is that of the port. */
	hear: (message: MidiMessage, port: string, clock: ClockOfPort) => void;
	/** Undefined where nothing is to be shown. */
	newFeedback: ((port: string, send: (message: ControlMessage) => void) => MidiFeedback) | undefined;
}

export interface ClockOfPort {
	readonly clock: MidiClock;
	readonly atUs: number;
}

interface Opened extends Disposable {
	/** Of the controller. */
	readonly port: string;
	readonly feedback?: MidiFeedback;
}

/** Ports of RtMidi's own, ours among them: to hear what is told there would not end. */
const OWN = /^RtMidi (In|Out)put Client:/;
/** What gives back all that it gets is no controller, unless it is asked for by its name. */
const NOT_ALL = /^(Midi Through|System):/;

/** Whether a port is among those asked for. */
export const isWanted = (name: string, parts: readonly string[]): boolean => {
	if (OWN.test(name)) return false;
	const lower = name.toLowerCase();
	return parts.some((part) => (part === 'all' ? !NOT_ALL.test(name) : lower.includes(part.toLowerCase())));
};

/** The two directions of one controller are called the same, but for a number that some systems put at the end. */
const controllerOf = (name: string): string => name.replace(/ \d+$/, '');

/** The ports that are wanted and there. Those that come are opened, those that go are closed, for as long as it lives. */
export class OpenPorts implements Disposable {
	readonly #options: OpenPortsOptions;
	readonly #inputs = new Map<string, Opened>();
	readonly #outputs = new Map<string, Opened>();
	readonly #warnClosed: ReturnType<typeof repeated>;
	#cancel: () => void = () => {};

	constructor(options: OpenPortsOptions) {
		this.#options = options;
		const { nowUs } = options;
		const warn = (facts: object, message: string) => log.warn(facts, message);
		this.#warnClosed = repeated(warn, 'midi port not opened', { nowUs, everyUs: 60_000_000 });
		this.#look();
		if (this.#inputs.size === 0) log.warn({ port: options.port, there: this.#names('inputs') }, 'no midi port yet');
	}

	list(): { name: string; direction: 'in' | 'out'; isOpen: boolean }[] {
		return [
			...this.#names('inputs').map((name) => ({ name, direction: 'in' as const, isOpen: this.#inputs.has(name) })),
			...this.#names('outputs').map((name) => ({ name, direction: 'out' as const, isOpen: this.#outputs.has(name) })),
		].filter(({ name }) => !OWN.test(name));
	}

	/** Something that is shown may have changed. */
	changed(): void {
		for (const { feedback } of this.#outputs.values()) feedback?.changed();
	}

	isEcho(port: string, message: ControlMessage): boolean {
		return this.#feedbackOf(port).some((feedback) => feedback.isEcho(message));
	}

	touched(port: string, message: ControlMessage, isFader: boolean): void {
		for (const feedback of this.#feedbackOf(port)) feedback.touched(message, isFader);
	}

	[Symbol.dispose](): void {
		this.#cancel();
		for (const opened of [...this.#inputs.values(), ...this.#outputs.values()]) opened[Symbol.dispose]();
		this.#options.ports[Symbol.dispose]();
		this.#warnClosed.flush();
	}

	#feedbackOf(port: string): MidiFeedback[] {
		return [...this.#outputs.values()].flatMap((output) => (output.port === port ? (output.feedback ?? []) : []));
	}

	#look(): void {
		const { after, newFeedback } = this.#options;
		this.#match(this.#inputs, this.#names('inputs'), (name) => this.#openInput(name));
		if (newFeedback) this.#match(this.#outputs, this.#names('outputs'), (name) => this.#openOutput(name, newFeedback));
		this.#cancel = after(LOOK_US, () => this.#look());
	}

	#match(opened: Map<string, Opened>, names: readonly string[], open: (name: string) => Opened): void {
		const wanted = names.filter((name) => isWanted(name, this.#options.port)).slice(0, PORTS_MAX);
		for (const [name, port] of opened)
			if (!wanted.includes(name)) {
				opened.delete(name);
				log.info({ name }, 'midi port gone');
				port[Symbol.dispose]();
			}
		for (const name of wanted) {
			if (opened.has(name)) continue;
			try {
				opened.set(name, open(name));
				log.info({ name, direction: opened === this.#inputs ? 'in' : 'out' }, 'midi port');
			} catch (error) {
				if (!isSidecarError(error)) throw error;
				this.#warnClosed({ error });
			}
		}
	}

	#openInput(name: string): Opened {
		const { ports, hear } = this.#options;
		const [reader, clock, port] = [new MidiReader(), new MidiClock(), controllerOf(name)];
		let atUs = 0;
		const opened = ports.openInput(name, (bytes, sinceUs) => {
			atUs += sinceUs;
			for (const message of reader.read(bytes)) hear(message, port, { clock, atUs });
		});
		return { port, [Symbol.dispose]: () => opened[Symbol.dispose]() };
	}

	#openOutput(name: string, newFeedback: NonNullable<OpenPortsOptions['newFeedback']>): Opened {
		const opened = this.#options.ports.openOutput(name);
		const port = controllerOf(name);
		const feedback = newFeedback(port, (message) => {
			try {
				opened.send(writeMessage(message));
			} catch (error) {
				log.debug({ name, error }, 'midi not sent'); // pulled out: the next look closes it
			}
		});
		return {
			port,
			feedback,
			[Symbol.dispose]: () => {
				feedback[Symbol.dispose]();
				opened[Symbol.dispose]();
			},
		};
	}

	/** A port that goes away while they are listed has no name; those that are open stay so until the next look. */
	#names(direction: 'inputs' | 'outputs'): string[] {
		try {
			return this.#options.ports[direction]();
		} catch (error) {
			log.debug({ error }, 'midi ports not listed');
			return [...(direction === 'inputs' ? this.#inputs : this.#outputs).keys()];
		}
	}
}
