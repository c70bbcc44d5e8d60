import { pictureByteLength, rgbLayout, type Picture, type Size, type StyledFrame } from '../frame/frame.ts';
import type { FrameSink } from './frame-sink.ts';

/** What is shown of a frame that the engine gave no painting of. */
export type FailurePolicy =
	| 'passthrough' // the source's own picture
	| 'hold' // the last painting, for a while; before there is one, the slate
	| 'slate'; // a card, and never the source's picture: not under the style `passthrough` either

/** The policy, with what `hold` needs. */
export interface FailureRule {
	failure: FailurePolicy;
	/** How long `hold` keeps a painting, in seconds from when it was first shown. */
	holdS: number | 'forever';
	/** What is shown then, until there is a painting. */
	afterHold: 'slate' | 'passthrough';
}

interface FailureSettings {
	/** Asked for each frame: the dialog in OBS may change it. */
	rule: () => FailureRule;
	painted: Size;
	isPanic: () => boolean;
	nowUs: () => number;
}

/** Carries out the failure policy, and panic, for the sink behind it. */
export class FailureSink implements FrameSink {
	readonly name: string;
	readonly #sink: FrameSink;
	readonly #rule: () => FailureRule;
	readonly #slate: Picture;
	readonly #isPanic: () => boolean;
	readonly #nowUs: () => number;
	#lastShown: StyledFrame | undefined;
	/** When that was shown first. */
	#lastShownUs = -Infinity;

	constructor(sink: FrameSink, { rule, painted, isPanic, nowUs }: FailureSettings) {
		this.name = sink.name;
		this.#sink = sink;
		this.#rule = rule;
		this.#isPanic = isPanic;
		this.#nowUs = nowUs;
		this.#slate = slateOf(painted);
	}

	/** Under `slate`, around a part that is painted is the painting, too. */
	showsWhole(): boolean {
		return this.#rule().failure === 'slate';
	}

	present(frame: StyledFrame): Promise<void> {
		return this.#sink.present(this.#shownFor(frame));
	}

	finish(): Promise<void> {
		return this.#sink.finish();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#sink[Symbol.asyncDispose]();
	}

	#shownFor(frame: StyledFrame): StyledFrame {
		if (this.#isPanic()) return this.#asSlate(frame);
		const rule = this.#rule();
		switch (frame.kind) {
			case 'painting':
				// Beside its painting the source leaves as well, to whoever shows both; and so it does around a part that is painted.
				return this.#keep(
					rule.failure === 'slate'
						? { ...frame, source: this.#slate, picture: frame.part?.painting ?? frame.picture }
						: frame,
				);
			case 'source':
				// The last painting is not to come back after the style that wants none.
				return this.#keep(rule.failure === 'slate' ? this.#asSlate(frame) : frame);
			case 'unpainted':
				switch (this.#policyNow(rule)) {
					case 'passthrough':
						return frame;
					case 'hold':
						return this.#lastShown ? { ...frame, ...picturesOf(this.#lastShown) } : this.#asSlate(frame);
					case 'slate':
						return this.#asSlate(frame);
				}
		}
	}

	/** What is to be held; the pacer shows it again and again, and its time counts from the first. */
	#keep(frame: StyledFrame): StyledFrame {
		if (frame.sequence !== this.#lastShown?.sequence) this.#lastShownUs = this.#nowUs();
		return (this.#lastShown = frame);
	}

	/** Of an unpainted frame: `hold` ends. */
	#policyNow({ failure, holdS, afterHold }: FailureRule): FailurePolicy {
		if (failure !== 'hold' || holdS === 'forever' || !this.#lastShown) return failure;
		return this.#nowUs() - this.#lastShownUs < holdS * 1e6 ? 'hold' : afterHold;
	}

	/** Not the source's picture either: whoever shows both side by side shows what may leave. */
	#asSlate(frame: StyledFrame): StyledFrame {
		return { ...frame, source: this.#slate, picture: this.#slate };
	}
}

const picturesOf = ({ source, picture }: StyledFrame): { source: Picture; picture: Picture } => ({ source, picture });

/** A dark card with three dabs of paint: plainly no camera, and plainly no black screen. */
export const slateOf = (size: Size): Picture => {
	const layout = rgbLayout(size);
	const { width, height } = size;
	const data = new Uint8Array(pictureByteLength(layout));
	const radius = Math.min(width, height) / 14;
	const dabs = [
		{ x: width / 2 - 3 * radius, colour: [196, 84, 60] },
		{ x: width / 2, colour: [222, 176, 80] },
		{ x: width / 2 + 3 * radius, colour: [76, 124, 156] },
	] as const;
	for (let y = 0, i = 0; y < height; y++)
		for (let x = 0; x < width; x++) {
			const ground = [30 - (10 * y) / height, 31 - (10 * y) / height, 36 - (10 * y) / height];
			const near = dabs.find((dab) => Math.abs(x + 0.5 - dab.x) < 1.5 * radius)!;
			const distance = near ? Math.hypot(x + 0.5 - near.x, y + 0.5 - height / 2) - radius : 1;
			const cover = Math.min(Math.max(0.5 - distance, 0), 1); // a pixel's width of soft edge
			for (let channel = 0; channel < 3; channel++)
				data[i++] = Math.round(ground[channel]! * (1 - cover) + (near?.colour[channel] ?? 0) * cover);
		}
	return { ...layout, data };
};
