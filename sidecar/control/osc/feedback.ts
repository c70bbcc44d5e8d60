import { log } from '../../telemetry/logger.ts';
import { Paced, untold, type Timing } from '../telling.ts';
import type { OscArgument } from './codec.ts';

/** Where messages come from or go to. */
export interface OscPeer {
	readonly address: string;
	readonly port: number;
}

export interface OscFeedbackOptions extends Timing {
	/** Everything that is told, by address, as it is now. */
	values: () => ReadonlyMap<string, OscArgument>;
	send: (address: string, value: OscArgument, to: OscPeer) => void;
	/** Whether the socket keeps up. */
	isFree: () => boolean;
}

/** Besides those of the configuration. */
export const SUBSCRIBERS = 16;
export const SUBSCRIBED_US = 300_000_000;
/** Just under thirty times a second. */
const EVERY_US = 34_000;
/** To one subscriber at a time, or a slow one would lose some; the others come next time. */
const MESSAGES = 64;

interface Subscriber {
	/** Where it is told. */
	readonly to: OscPeer;
	/** Where it sends from. */
	from: OscPeer;
	/** Of the configuration: never forgotten. */
	readonly isFixed: boolean;
	/** By a message of its own, and not only because it sent something. */
	readonly hasAsked: boolean;
	heardUs: number;
	/** What it knows, by address. */
	readonly told: Map<string, OscArgument>;
	problem: string | undefined;
}

const isSame = (a: OscPeer, b: OscPeer): boolean => a.port === b.port && a.address === b.address;

/**
 * Who is told what. What is still to be told is the difference between what is in force and what a subscriber knows, so
 * that nothing queues up: of a value that changes a thousand times a second, what it is when its turn comes is told.
 */
export class OscFeedback implements Disposable {
	readonly #options: OscFeedbackOptions;
	readonly #problemAddress: string;
	#subscribers: Subscriber[] = [];
	readonly #paced: Paced;

	constructor(fixed: readonly OscPeer[], problemAddress: string, options: OscFeedbackOptions) {
		this.#options = options;
		this.#problemAddress = problemAddress;
		this.#paced = new Paced(() => this.#flush(), EVERY_US, options);
		for (const peer of fixed) this.#add(peer, peer, { isFixed: true, hasAsked: true });
		this.changed();
	}

	/** Those of the configuration among them. */
	get count(): number {
		this.#forgetSilent();
		return this.#subscribers.length;
	}

	/** Somebody sent a message that was understood, and is told changes from now on. */
	heard(from: OscPeer): void {
		const known = this.#of(from).filter(({ isFixed, to }) => !isFixed || isSame(to, from));
		for (const subscriber of known) subscriber.heardUs = this.#options.nowUs();
		if (known.length === 0) this.#add(from, from, { isFixed: false, hasAsked: false });
	}

	/** Somebody wants to be told at a port of its own host; it is told everything. */
	subscribe(from: OscPeer, port: number): void {
		const to = { address: from.address, port };
		this.#subscribers = this.#subscribers.filter(
			({ isFixed, to: other, from: source }) => isFixed || !(isSame(other, to) || isSame(source, from)),
		);
		if (this.#subscribers.some(({ to: fixed }) => isSame(fixed, to))) this.repeat(from);
		else this.#add(to, from, { isFixed: false, hasAsked: true });
	}

	/** Tells the sender everything again. */
	repeat(from: OscPeer): void {
		for (const { told } of this.#of(from)) told.clear();
		this.changed();
	}

	/**
	 * A control of the sender shows a value now, because it was moved: it is told what is in force, unless that is what it
	 * was told and what it shows. (An echo ends here.)
	 */
	shown(from: OscPeer, address: string, { shown, inForce }: Record<'shown' | 'inForce', OscArgument['value']>): void {
		for (const { told } of this.#of(from))
			if (shown !== inForce || told.get(address)?.value !== shown) told.delete(address);
		this.changed();
	}

	/** Tells the sender what was wrong, if it is a subscriber; of several, the last. */
	refused(from: OscPeer, problem: string): void {
		this.#forgetSilent();
		for (const subscriber of this.#of(from)) subscriber.problem = problem;
		this.changed();
	}

	/** Something may have changed: it is told soon, and together with what comes until then. */
	changed(): void {
		this.#paced.ask();
	}

	[Symbol.dispose](): void {
		this.#paced[Symbol.dispose]();
	}

	/** Those who are told what the sender asks for; those of the configuration may send from any port. */
	#of(from: OscPeer): Subscriber[] {
		return this.#subscribers.filter((subscriber) =>
			subscriber.isFixed
				? subscriber.to.address === from.address
				: isSame(subscriber.from, from) || isSame(subscriber.to, from),
		);
	}

	#add(to: OscPeer, from: OscPeer, { isFixed, hasAsked }: { isFixed: boolean; hasAsked: boolean }): void {
		if (to.port === 0) return; // it did not say where it sends from (RFC 768), and cannot be told
		this.#forgetSilent();
		const others = this.#subscribers.filter((subscriber) => !subscriber.isFixed);
		if (!isFixed && others.length >= SUBSCRIBERS) {
			// A command line sends from another port each time; it must not push out a controller that asked.
			const [silent] = others.sort((a, b) => Number(a.hasAsked) - Number(b.hasAsked) || a.heardUs - b.heardUs);
			this.#subscribers = this.#subscribers.filter((subscriber) => subscriber !== silent);
		}
		const heardUs = this.#options.nowUs();
		this.#subscribers.push({ to, from, isFixed, hasAsked, heardUs, told: new Map(), problem: undefined });
		log.debug({ address: to.address, port: to.port }, 'osc subscriber');
		this.changed();
	}

	#forgetSilent(): void {
		const sinceUs = this.#options.nowUs() - SUBSCRIBED_US;
		this.#subscribers = this.#subscribers.filter(({ isFixed, heardUs }) => isFixed || heardUs > sinceUs);
	}

	#flush(): void {
		const { values, isFree } = this.#options;
		this.#forgetSilent();
		if (this.#subscribers.length === 0) return;
		const now = values();
		const areAllTold = isFree() && this.#subscribers.map((subscriber) => this.#tell(subscriber, now)).every(Boolean);
		if (!areAllTold) this.changed();
	}

	/** Gives whether nothing is left to tell. */
	#tell(subscriber: Subscriber, now: ReadonlyMap<string, OscArgument>): boolean {
		const { to, told, problem } = subscriber;
		const { send } = this.#options;
		if (problem !== undefined) send(this.#problemAddress, { tag: 's', value: problem }, to);
		subscriber.problem = undefined;
		const news = untold(told, now, (a, b) => a.tag === b.tag && a.value === b.value);
		for (const [address, value] of news.slice(0, MESSAGES)) {
			told.set(address, value);
			send(address, value, to);
		}
		return news.length <= MESSAGES;
	}
}
