import type { ChatRequest, ChatRules } from '../config/schema/api.ts';
import type { Preset } from '../config/schema/preset.ts';

/**
 * What viewers may do to the picture, and how often. The messages are for a bot to post: they are made of our words and
 * of the streamer's titles alone, for a chat must not be able to make the bot say something.
 */
export type ChatDecision =
	| { kind: 'paint'; style: string; message: string; nextInS: number }
	| { kind: 'refuse'; reason: 'panic' | 'style' | 'cool-down'; message: string; retryAfterS?: number };

/** What there is to choose from, and what is painted. */
export interface ChatView {
	presets: readonly Preset[];
	style: string;
	isPanic: boolean;
}

const MINUTE_US = 60_000_000;
/** Viewers whose last choice is remembered; the oldest may choose again sooner. */
const USERS_KEPT = 1000;

/** Remembers who chose when, of one channel. */
export class ChatDoor {
	readonly #rules: ChatRules;
	#lastUs = -Infinity;
	/** Choices of the last minute, oldest first. */
	#choicesUs: number[] = [];
	/** When each viewer last chose, oldest first. */
	readonly #users = new Map<string, number>();

	constructor(rules: ChatRules) {
		this.#rules = rules;
	}

	/** What is to be done; a choice that is to be painted counts. */
	decide({ style, user }: ChatRequest, { presets, style: current, isPanic }: ChatView, nowUs: number): ChatDecision {
		if (isPanic) return { kind: 'refuse', reason: 'panic', message: 'The picture is not to be changed right now.' };
		const offered = presets.filter(({ name }) => this.#rules.styles.includes(name));
		const asked = wordsOf(style);
		const chosen = offered.find(({ name, title }) => wordsOf(name) === asked || wordsOf(title) === asked);
		if (!chosen) return { kind: 'refuse', reason: 'style', message: `There is no such style. ${listOf(offered)}` };
		if (chosen.name === current)
			return { kind: 'paint', style: current, message: `It is ${chosen.title} already.`, nextInS: 0 };
		const viewer = user.toLowerCase();
		const allWaitS = this.#allWaitS(nowUs);
		const waitS = Math.max(allWaitS, this.#userWaitS(viewer, nowUs));
		if (waitS > 0) {
			const message = waitS > allWaitS ? `You have just chosen. Again in ${waitS} s.` : `Next style in ${waitS} s.`;
			return { kind: 'refuse', reason: 'cool-down', message, retryAfterS: waitS };
		}
		this.#remember(viewer, nowUs);
		const nextInS = this.#allWaitS(nowUs);
		const next = nextInS > 0 ? ` Next in ${nextInS} s.` : '';
		return { kind: 'paint', style: chosen.name, message: `Painting in ${chosen.title}.${next}`, nextInS };
	}

	#allWaitS(nowUs: number): number {
		const { coolDownS, maxPerMinute } = this.#rules;
		this.#choicesUs = this.#choicesUs.filter((us) => us > nowUs - MINUTE_US);
		const fullUntilUs =
			this.#choicesUs.length < maxPerMinute ? -Infinity : this.#choicesUs.at(-maxPerMinute)! + MINUTE_US;
		return secondsUntil(Math.max(this.#lastUs + coolDownS * 1e6, fullUntilUs), nowUs);
	}

	#userWaitS(viewer: string, nowUs: number): number {
		return secondsUntil((this.#users.get(viewer) ?? -Infinity) + this.#rules.perUserCoolDownS * 1e6, nowUs);
	}

	#remember(viewer: string, nowUs: number): void {
		this.#lastUs = nowUs;
		this.#choicesUs.push(nowUs);
		this.#users.delete(viewer);
		this.#users.set(viewer, nowUs);
		const [oldest] = this.#users.keys();
		if (this.#users.size > USERS_KEPT && oldest !== undefined) this.#users.delete(oldest);
	}
}

/** `  Oil Painting!` and `oil-painting` are the same to a viewer. */
const wordsOf = (text: string): string =>
	text
		.toLowerCase()
		.replace(/[^\p{Letter}\p{Number}]+/gu, ' ')
		.trim();

const listOf = (offered: readonly Preset[]): string =>
	offered.length === 0 ? 'None can be chosen.' : `Choose from: ${offered.map(({ title }) => title).join(', ')}.`;

const secondsUntil = (us: number, nowUs: number): number => Math.max(0, Math.ceil((us - nowUs) / 1e6));
