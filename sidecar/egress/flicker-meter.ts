import { nowUs } from '../frame/clock.ts';
import type { StyledFrame } from '../frame/frame.ts';
import type { NativeAddon } from '../native.ts';
import { log, repeated } from '../telemetry/logger.ts';
import type { FrameSink } from './frame-sink.ts';

/** Definitions: telemetry/picture-metrics.ts. All on the 0..255 scale, at the painted size. */
export interface FlickerReading {
	/** Of two paintings that followed each other: what the motion of the source does not explain. */
	warpingError: number;
	/** A low warping error alone is no merit, for a blur has one too. */
	sobel: number;
	sourceSobel: number;
}

const EVERY_US = 2_000_000;
/** Paintings further apart than this did not follow each other. */
const GAP_US = 250_000;

interface Seen {
	/** With the whole painting. */
	frame: StyledFrame;
	atUs: number;
}

/** Another style, another size or a gap between them is no flicker. */
const follows = ({ frame: { epoch, picture }, atUs }: Seen, next: StyledFrame, nextUs: number): boolean =>
	next.epoch === epoch &&
	next.picture.width === picture.width &&
	next.picture.height === picture.height &&
	nextUs - atUs <= GAP_US;

/**
 * Looks at two successive paintings now and then and says how much they flicker. It paces nobody: one measurement is
 * under way at a time, on other threads, and no frame waits for it.
 */
export class FlickerMeter implements FrameSink {
	readonly name = 'flicker meter';
	readonly #native: Pick<NativeAddon, 'warpingError' | 'pictureDetail'>;
	readonly #nowUs: () => number;
	readonly #warn: ReturnType<typeof repeated>;
	#reading: FlickerReading | undefined;
	#dueUs = 0;
	#first: Seen | undefined;
	#isMeasuring = false;

	constructor({
		native,
		clock = nowUs,
	}: {
		native: Pick<NativeAddon, 'warpingError' | 'pictureDetail'>;
		clock?: () => number;
	}) {
		this.#native = native;
		this.#nowUs = clock;
		this.#warn = repeated((facts, message) => log.warn(facts, message), 'flicker not measured', { nowUs: clock });
	}

	/** The last one; undefined before the first, and once nothing is painted any more. */
	get reading(): FlickerReading | undefined {
		return this.#nowUs() - this.#dueUs < EVERY_US ? this.#reading : undefined;
	}

	present(shown: StyledFrame): Promise<void> {
		const frame = shown.part ? { ...shown, picture: shown.part.painting } : shown;
		const atUs = this.#nowUs();
		const first = this.#first;
		const isShownAgain = frame.picture === first?.frame.picture;
		if (frame.kind !== 'painting' || this.#isMeasuring || atUs < this.#dueUs || isShownAgain) return Promise.resolve();
		if (!first || !follows(first, frame, atUs)) {
			this.#first = { frame, atUs };
			return Promise.resolve();
		}
		this.#first = undefined;
		this.#dueUs = atUs + EVERY_US;
		this.#isMeasuring = true;
		void this.#measure(first.frame, frame);
		return Promise.resolve();
	}

	finish(): Promise<void> {
		return Promise.resolve();
	}

	[Symbol.asyncDispose](): Promise<void> {
		this.#dueUs = Infinity;
		this.#first = undefined;
		return Promise.resolve();
	}

	async #measure(before: StyledFrame, after: StyledFrame): Promise<void> {
		try {
			const [warping, painting, source] = await Promise.all([
				this.#native.warpingError([before.source, after.source], [before.picture, after.picture]),
				this.#native.pictureDetail(after.picture),
				this.#native.pictureDetail(after.source),
			]);
			this.#reading = { warpingError: warping.all, sobel: painting.sobel, sourceSobel: source.sobel };
		} catch (error) {
			this.#warn({ error });
		} finally {
			this.#isMeasuring = false;
		}
	}
}
