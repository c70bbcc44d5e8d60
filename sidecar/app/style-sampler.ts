import { setMaxListeners } from 'node:events';
import type { Preset } from '../config/schema/preset.ts';
import type { Controller } from '../control/controller.ts';
import type { Thumbnail } from '../control/http/served.ts';
import { encodePng, type RgbPicture } from '../control/png.ts';
import type { FailurePolicy } from '../egress/failure-policy.ts';
import { isSidecarError } from '../errors.ts';
import type { Picture, StyledFrame } from '../frame/frame.ts';
import { PASSTHROUGH } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import { linkedTo } from './limits.ts';

/** A thumbnail is given again for this long. */
const FRESH_US = 10_000_000;
/** Styles that may wait for their turn. */
const WAITING_MAX = 32;
/** Who asks waits no longer than this; what is painted for it meanwhile is there for the next who asks. */
const PATIENCE_US = 10_000_000;
/** After a painting the sampler rests this many times as long as it took, so that the line has the engine to itself. */
const RESTS = 2;
/** After an engine that gave nothing. */
const LONG_REST_US = 5_000_000;

export interface StyleSamplerSettings {
	controller: Pick<Controller, 'presets' | 'isPanic' | 'subscribe'>;
	failure: FailurePolicy;
	/** Whether the engine paints what the channel itself wants. */
	isPainting: () => boolean;
	/** The source's picture at the size of a thumbnail. */
	shrink: (source: Picture) => Promise<RgbPicture>;
	/** Of such a picture; undefined where the engine gives nothing now. Errors: ERR_MODEL, where it never will. */
	paint: (picture: RgbPicture, preset: Preset) => Promise<RgbPicture | undefined>;
	nowUs: () => number;
	/** Waits that long, or until the signal aborts. */
	sleep: (us: number, signal: AbortSignal) => Promise<void>;
}

interface Kept {
	preset: Preset;
	thumbnail: Thumbnail;
	untilUs: number;
}

/**
 * Small paintings of the newest source picture in any style, for whoever chooses among them. One is painted at a time, and
 * only when somebody asks. While panic is on there are none, and what was seen before it is forgotten; under the failure
 * policy `slate` there is none of `passthrough`.
 */
export class StyleSampler implements Disposable {
	readonly #settings: StyleSamplerSettings;
	readonly #kept = new Map<string, Kept>();
	/** By style, in the order in which they were asked for; the first is being painted. */
	readonly #waiting = new Map<string, (thumbnail: Thumbnail) => void>();
	readonly #coming = new Map<string, Promise<Thumbnail>>();
	readonly #ended = new AbortController();
	#newest: Picture | undefined;
	#restUntilUs = -Infinity;
	#isWorking = false;
	/** Rises with each panic: what was begun before one is not kept after it, however short it was. */
	#panics = 0;
	readonly #unsubscribe: () => void;
	/** Why the model never gives one. */
	#refusal: string | undefined;

	constructor(settings: StyleSamplerSettings) {
		this.#settings = settings;
		setMaxListeners(0, this.#ended.signal); // one for each who waits
		this.#unsubscribe = settings.controller.subscribe(() => this.#forgetUnderPanic());
	}

	/** Every frame that leaves the line, for the source's picture in it. */
	see({ source }: Pick<StyledFrame, 'source'>): void {
		this.#newest = this.#settings.controller.isPanic ? undefined : source;
	}

	/** Of a style by its name. */
	async thumbnailOf(style: string): Promise<Thumbnail> {
		const impossible = this.#impossible(style);
		if (impossible) return impossible;
		const kept = this.#kept.get(style);
		if (kept && kept.preset === this.#preset(style) && this.#settings.nowUs() < kept.untilUs) return kept.thumbnail;
		const coming = this.#coming.get(style) ?? this.#queue(style);
		if (!coming) return later(`${WAITING_MAX} styles wait for their turn already.`);
		const waiting = linkedTo(this.#ended.signal);
		const impatience = this.#settings.sleep(PATIENCE_US, waiting.signal);
		const thumbnail = await Promise.race([coming, impatience.then(() => later('The style waits for its turn.'))]);
		waiting.abort();
		return thumbnail;
	}

	[Symbol.dispose](): void {
		this.#unsubscribe();
		this.#ended.abort();
		this.#newest = undefined;
		this.#kept.clear();
	}

	#forgetUnderPanic(): void {
		if (!this.#settings.controller.isPanic) return;
		this.#panics++;
		this.#newest = undefined;
		this.#kept.clear();
	}

	#preset(style: string): Preset | undefined {
		return this.#settings.controller.presets.find(({ name }) => name === style);
	}

	#impossible(style: string): Thumbnail | undefined {
		const { controller, failure } = this.#settings;
		if (controller.isPanic) return { kind: 'panic', reason: 'Panic is on: nothing of the source is shown.' };
		if (style === PASSTHROUGH)
			return failure === 'slate'
				? { kind: 'none', reason: 'Under the failure policy slate the source is not shown.' }
				: undefined;
		return this.#refusal === undefined ? undefined : { kind: 'none', reason: this.#refusal };
	}

	#queue(style: string): Promise<Thumbnail> | undefined {
		if (this.#waiting.size >= WAITING_MAX) return undefined;
		const coming = new Promise<Thumbnail>((resolve) => this.#waiting.set(style, resolve));
		this.#coming.set(style, coming);
		if (!this.#isWorking) void this.#work();
		return coming;
	}

	async #work(): Promise<void> {
		const { nowUs, sleep } = this.#settings;
		this.#isWorking = true;
		for (;;) {
			const [next] = this.#waiting;
			if (!next) break;
			const [style, settle] = next;
			await sleep(this.#restUntilUs - nowUs(), this.#ended.signal);
			const thumbnail = this.#ended.signal.aborted ? later('The channel ends.') : await this.#sample(style);
			this.#waiting.delete(style);
			this.#coming.delete(style);
			settle(thumbnail);
		}
		this.#isWorking = false;
	}

	async #sample(style: string): Promise<Thumbnail> {
		const { nowUs, shrink, paint, isPainting } = this.#settings;
		const [preset, source, startedUs, panics] = [this.#preset(style), this.#newest, nowUs(), this.#panics];
		if (!preset) return { kind: 'none', reason: `The style ${style} is gone.` };
		if (!source) return later('There is no picture yet.');
		if (!isPainting()) return later('The engine does not paint now.');
		try {
			const small = await shrink(source);
			const picture = style === PASSTHROUGH ? small : await paint(small, preset);
			this.#restUntilUs = picture ? nowUs() + RESTS * (nowUs() - startedUs) : nowUs() + LONG_REST_US;
			if (!picture) return later('The engine gives no painting now.');
			const thumbnail: Thumbnail = { kind: 'picture', type: 'image/png', bytes: await encodePng(picture) };
			// Panic may have come meanwhile.
			const impossible = this.#impossible(style);
			if (impossible) return impossible;
			if (panics !== this.#panics) return later('Panic was on meanwhile.');
			this.#keep(style, { preset, thumbnail, untilUs: nowUs() + FRESH_US });
			return thumbnail;
		} catch (error) {
			this.#restUntilUs = nowUs() + LONG_REST_US;
			if (isSidecarError(error) && error.code === 'ERR_MODEL') this.#refusal = error.message;
			log.warn({ style, error }, 'no thumbnail');
			return this.#impossible(style) ?? later('The engine failed.');
		}
	}

	/** As many as are fresh. */
	#keep(style: string, kept: Kept): void {
		for (const [name, { untilUs }] of this.#kept) if (untilUs <= this.#settings.nowUs()) this.#kept.delete(name);
		this.#kept.set(style, kept);
	}
}

const later = (reason: string): Thumbnail => ({ kind: 'later', reason });
