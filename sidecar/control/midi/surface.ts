import type { MidiSettings } from '../../config/midi-settings.ts';
import { MIDI_BINDINGS_MAX, type MidiCommand, type MidiMapping } from '../../config/schema/midi.ts';
import { isSidecarError, SidecarError } from '../../errors.ts';
import { log, repeated } from '../../telemetry/logger.ts';
import type { Controller } from '../controller.ts';
import { Paced, type Timing } from '../telling.ts';
import { commandOf, isContinuous, shownOf, wordsOf } from './commands.ts';
import { MidiFeedback } from './feedback.ts';
import { learnedPath, readLearned, writeLearned } from './learned.ts';
import { joinedMapping, mappedOf, nameOf, type Mapped, type MidiControl } from './mapping.ts';
import type { ClockMessage, ControlMessage, MidiMessage } from './messages.ts';
import { OpenPorts, type ClockOfPort } from './open-ports.ts';
import { openMidiPorts, type MidiPorts } from './ports.ts';

/** How long a control is waited for that is to be mapped. */
export const LEARN_US = 30_000_000;
/** How often a fader that is moved is followed: four times a frame at the usual rate. */
const FOLLOW_US = 10_000;
/** A pedal or a button that sends control changes is down from here on. */
const DOWN = 64;

export interface MidiSurfaceOptions extends MidiSettings, Timing {
	/** Asked for each time: channels come and go. The first is steered. */
	channels: () => readonly { controller: Controller }[];
	/** Calls back after each change of a channel's control, until what it gives is called. */
	subscribe: (listener: () => void) => () => void;
	/** Where what is learned is kept. */
	path?: string;
	/** Else those of this machine. */
	ports?: MidiPorts;
}

/** What the page and the API tell of it. */
export interface MidiView {
	/** All that there are, and whether they are listened to or told. */
	ports: readonly { name: string; direction: 'in' | 'out'; isOpen: boolean }[];
	counts: { obeyed: number; refused: number; unmapped: number };
	/** The command whose control is waited for. */
	learning?: { command: string; expiresInS: number };
	/** The control that was mapped last. */
	learned?: { control: string; command: string };
	mapping: readonly { control: string; command: string; from: string }[];
}

/** What the page and the API ask of it. */
export interface MidiServed {
	view: () => MidiView;
	learn: (command: MidiCommand) => void;
	forget: (control: string) => Promise<void>;
}

/** Errors: ERR_MIDI where this machine has no MIDI, ERR_CONFIG where the file of what was learned is wrong. */
export const startMidi = async (options: MidiSurfaceOptions): Promise<MidiSurface> => {
	const path = options.path ?? learnedPath();
	const learned = await readLearned(path);
	return new MidiSurface({ ...options, path, ports: options.ports ?? (await openMidiPorts()) }, learned);
};

/** Controllers by MIDI: what they send is obeyed, what is in force is shown on them. */
export class MidiSurface implements AsyncDisposable, MidiServed {
	readonly #options: MidiSurfaceOptions & { path: string };
	readonly #ports: OpenPorts;
	readonly #following: Paced;
	readonly #warnRefused: ReturnType<typeof repeated>;
	readonly #unsubscribe: () => void;
	readonly #counts = { obeyed: 0, refused: 0, unmapped: 0 };
	/** Where faders are, until they are followed. */
	readonly #moved = new Map<string, { command: MidiCommand; value: number }>();
	/** Buttons that send control changes and are down. */
	readonly #down = new Set<string>();
	/** The channel on which a control without one was heard last, by port and name. */
	readonly #channels = new Map<string, number>();
	#learned: MidiMapping;
	#mapping: ReadonlyMap<string, Mapped>;
	#learning: { command: MidiCommand; untilUs: number } | undefined;
	#lastLearned: { control: string; command: string } | undefined;
	#writing: Promise<void> = Promise.resolve();

	constructor(options: MidiSurfaceOptions & { path: string; ports: MidiPorts }, learned: MidiMapping) {
		this.#options = options;
		const { nowUs, mapping, subscribe, ports, feedback } = options;
		this.#learned = learned;
		this.#mapping = joinedMapping(learned, mapping);
		this.#warnRefused = repeated((facts, message) => log.warn(facts, message), 'midi message refused', { nowUs });
		this.#following = new Paced(() => this.#follow(), FOLLOW_US, options);
		this.#ports = new OpenPorts({
			...options,
			ports,
			hear: (message, port, clock) => this.#hear(message, port, clock),
			newFeedback: feedback
				? (name, send) => new MidiFeedback({ ...options, values: () => this.#values(name), send })
				: undefined,
		});
		this.#unsubscribe = subscribe(() => this.#ports.changed());
	}

	view(): MidiView {
		const { nowUs } = this.#options;
		const learning = this.#learningNow();
		return {
			ports: this.#ports.list(),
			counts: { ...this.#counts },
			...(learning && {
				learning: {
					command: wordsOf(learning.command),
					expiresInS: Math.max(0, (learning.untilUs - nowUs()) / 1e6),
				},
			}),
			...(this.#lastLearned && { learned: this.#lastLearned }),
			mapping: [...this.#mapping].flatMap(([control, { command, from }]) =>
				from === 'default' && this.#isBeyond(command) ? [] : { control, command: wordsOf(command), from },
			),
		};
	}

	/** Maps the control that is touched next to this command. */
	learn(command: MidiCommand): void {
		this.#lastLearned = undefined;
		this.#learning = { command, untilUs: this.#options.nowUs() + LEARN_US };
	}

	/** Errors: ERR_COMMAND, where nothing was learned of it; ERR_CONFIG, where the file cannot be written. */
	async forget(control: string): Promise<void> {
		if (!Object.hasOwn(this.#learned, control)) {
			const known = Object.keys(this.#learned).join(', ');
			throw new SidecarError(
				'ERR_COMMAND',
				`${control} was not learned. ${known ? `Expected one of ${known}` : 'Nothing was learned'}; the rest is in the configuration.`,
			);
		}
		if (this.#lastLearned?.control === control) this.#lastLearned = undefined;
		await this.#keep(Object.fromEntries(Object.entries(this.#learned).filter(([name]) => name !== control)));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#unsubscribe();
		this.#following[Symbol.dispose]();
		this.#ports[Symbol.dispose]();
		this.#warnRefused.flush();
		await this.#writing.catch(() => {}); // was said when it failed
	}

	#hear(message: MidiMessage, port: string, clock: ClockOfPort): void {
		if ('channel' in message) return this.#touch(message, port);
		if (this.#options.clock) this.#hearClock(message, clock);
	}

	#touch(message: ControlMessage, port: string): void {
		const { channel } = this.#options;
		if (channel !== 'all' && channel !== message.channel) return;
		if (this.#ports.isEcho(port, message)) return;
		if (this.#learnFrom(message)) return;
		const mapped = mappedOf(this.#mapping, message);
		if (!mapped) return void this.#counts.unmapped++;
		const { command, control } = mapped;
		if (control.channel === undefined) this.#channels.set(`${port} ${nameOf(control)}`, message.channel);
		const isFader = isContinuous(command);
		const isAsked = isFader ? this.#move(command, message) : this.#press(command, message);
		this.#ports.touched(port, message, isFader && message.kind === 'cc');
		if (isAsked) this.#counts.obeyed++;
	}

	/** Whether there are not so many styles. */
	#isBeyond(command: MidiCommand): boolean {
		const [first] = this.#options.channels();
		return command.type === 'styleAt' && command.index >= (first?.controller.presets.length ?? 0);
	}

	/** Gives whether the message was used up. */
	#learnFrom({ kind, channel, number, value }: ControlMessage): boolean {
		const learning = this.#learningNow();
		// A note that is let go is the end of something else, and a program has no value to follow.
		if (!learning || (kind === 'note' && value === 0) || (kind === 'program' && isContinuous(learning.command)))
			return false;
		this.#learning = undefined;
		const control = nameOf({ kind, channel, number });
		if (Object.keys(this.#learned).length >= MIDI_BINDINGS_MAX && !Object.hasOwn(this.#learned, control)) {
			this.#refuse(new SidecarError('ERR_COMMAND', `${MIDI_BINDINGS_MAX} controls were learned. Forget some.`));
			return true;
		}
		this.#lastLearned = { control, command: wordsOf(learning.command) };
		log.info(this.#lastLearned, 'midi control learned');
		this.#keep({ ...this.#learned, [control]: learning.command }).catch((error: unknown) =>
			log.error({ error }, 'what was learned is not kept'),
		);
		return true;
	}

	#learningNow() {
		if (this.#learning && this.#options.nowUs() >= this.#learning.untilUs) this.#learning = undefined;
		return this.#learning;
	}

	/** In force at once, and written after what was to be written before. */
	async #keep(learned: MidiMapping): Promise<void> {
		this.#learned = learned;
		this.#mapping = joinedMapping(learned, this.#options.mapping);
		this.#ports.changed();
		const write = () => writeLearned(this.#options.path, learned);
		this.#writing = this.#writing.then(write, write);
		await this.#writing;
	}

	#move(command: MidiCommand, message: ControlMessage): boolean {
		// Let go, a pad with a velocity leaves what it set.
		if (message.kind === 'program' || (message.kind === 'note' && message.value === 0)) return false;
		this.#moved.set(nameOf(message), { command, value: message.value });
		this.#following.ask();
		return true;
	}

	#press(command: MidiCommand, message: ControlMessage): boolean {
		if (!this.#isPress(message) || command.type === 'nothing') return false;
		this.#follow(); // in the order in which they came
		return this.#carryOut(command, message.value);
	}

	#isPress(message: ControlMessage): boolean {
		if (message.kind !== 'cc') return message.value > 0;
		const name = nameOf(message);
		const wasDown = this.#down.has(name);
		if (message.value >= DOWN) this.#down.add(name);
		else this.#down.delete(name);
		return message.value >= DOWN && !wasDown;
	}

	#follow(): void {
		const moved = [...this.#moved.values()];
		this.#moved.clear();
		for (const { command, value } of moved) this.#carryOut(command, value);
	}

	#carryOut(wanted: MidiCommand, value: number): boolean {
		try {
			const [first] = this.#options.channels();
			if (!first) throw new SidecarError('ERR_COMMAND', 'Nothing is painted yet.');
			const command = commandOf(wanted, value, first.controller);
			if (command) first.controller.apply(command);
			return command !== undefined;
		} catch (error) {
			this.#refuse(error);
			return false;
		}
	}

	#hearClock({ kind }: ClockMessage, { clock, atUs }: ClockOfPort): void {
		const [first] = this.#options.channels();
		if (!first) return;
		const { controller } = first;
		const bar = clock.hear(kind, atUs, controller.view().tempo?.beatsPerBar);
		if (bar) controller.apply({ type: 'tempo', ...bar });
	}

	#refuse(error: unknown): void {
		this.#counts.refused++;
		this.#warnRefused(isSidecarError(error) ? { message: error.message } : { error });
	}

	/** What a port is to show. One of its own channel goes before one of every channel. */
	#values(port: string): ReadonlyMap<string, ControlMessage> {
		const values = new Map<string, ControlMessage>();
		const [first] = this.#options.channels();
		if (!first) return values;
		const view = first.controller.view();
		const specific = (mapped: Mapped) => Number(mapped.control.channel !== undefined);
		for (const { control, command } of [...this.#mapping.values()].sort((a, b) => specific(a) - specific(b))) {
			if (control.kind === 'program') continue;
			const placed = { ...control, channel: this.#channelOf(control, port) };
			const value = shownOf(command, view, first.controller);
			if (value === undefined) values.delete(nameOf(placed));
			else values.set(nameOf(placed), { ...placed, value });
		}
		return values;
	}

	#channelOf(control: MidiControl, port: string): number {
		const { channel } = this.#options;
		return control.channel ?? this.#channels.get(`${port} ${nameOf(control)}`) ?? (channel === 'all' ? 1 : channel);
	}
}
