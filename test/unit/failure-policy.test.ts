import { describe, expect, it } from 'vitest';
import { Egress } from '../../sidecar/egress/egress.ts';
import { FailureSink, slateOf, type FailurePolicy, type FailureRule } from '../../sidecar/egress/failure-policy.ts';
import { openNullSink } from '../../sidecar/egress/null-sink.ts';
import { rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { frameOf } from '../support/frames.ts';
import { ManualClock } from '../support/manual-clock.ts';

const PAINTED = { width: 64, height: 32 };
const pictureOf = (value: number): Picture => ({
	...rgbLayout(PAINTED),
	data: new Uint8Array(3 * PAINTED.width * PAINTED.height).fill(value),
});

const frame = (sequence: number, kind: StyledFrame['kind']): StyledFrame => {
	const source = pictureOf(sequence);
	const picture = kind === 'painting' ? pictureOf(100 + sequence) : source;
	return { ...frameOf(sequence), epoch: 0, kind, source, picture };
};

/** Its pictures and sources: the first byte of each, `slate` for the card. */
const openSink = (rule: () => FailureRule, isPanic: () => boolean, nowUs: () => number) => {
	const frames: StyledFrame[] = [];
	const sink = {
		name: 'test',
		present: async (given: StyledFrame) => void frames.push(given),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const slate = Buffer.from(slateOf(PAINTED).data);
	const nameOf = ({ data }: Picture) => (slate.equals(data) ? 'slate' : data[0]);
	return {
		frames,
		egress: new FailureSink(sink, { rule, painted: PAINTED, isPanic, nowUs }),
		pictures: () => frames.map(({ picture }) => nameOf(picture)),
		sources: () => frames.map(({ source }) => nameOf(source)),
	};
};

/** What the sink gets of frames of these kinds: the first byte of each picture, `slate` for the card. */
const shown = async (policy: FailurePolicy, kinds: StyledFrame['kind'][], panicAt: number[] = []) => {
	let isPanic = false;
	const rule: FailureRule = { failure: policy, holdS: 'forever', afterHold: 'passthrough' };
	const { egress, frames, pictures, sources } = openSink(
		() => rule,
		() => isPanic,
		() => 0,
	);
	for (const [sequence, kind] of kinds.entries()) {
		isPanic = panicAt.includes(sequence);
		await egress.present(frame(sequence, kind));
	}
	expect(frames.map(({ sequence }) => sequence)).toEqual(kinds.map((_, sequence) => sequence));
	expect(frames.map(({ timestampUs }) => timestampUs)).toEqual(kinds.map((_, sequence) => sequence * 40_000));
	return { pictures: pictures(), sources: sources() };
};

it('says whether it shows what is painted around a part, as its rule is now', () => {
	const rule: FailureRule = { failure: 'hold', holdS: 'forever', afterHold: 'slate' };
	const { egress } = openSink(
		() => rule,
		() => false,
		() => 0,
	);
	const sinks = new Egress([openNullSink(), egress]);
	expect(sinks.showsWhole()).toBe(false);
	rule.failure = 'slate';
	expect(sinks.showsWhole()).toBe(true);
});

it('slate: all is painted where a part was to be, and the source around it does not leave', async () => {
	const painting = pictureOf(100);
	const part = { painting, mask: { width: 1, height: 1, data: Uint8Array.of(0) } };
	for (const [failure, expected] of [
		['slate', 100],
		['passthrough', 7],
		['hold', 7],
	] as const) {
		const rule: FailureRule = { failure, holdS: 'forever', afterHold: 'slate' };
		const { egress, pictures } = openSink(
			() => rule,
			() => false,
			() => 0,
		);
		await egress.present({ ...frame(0, 'painting'), picture: pictureOf(7), part });
		expect(pictures()).toEqual([expected]);
	}
});

describe('what is shown of a frame without a painting', () => {
	it('passthrough: the source', async () => {
		const { pictures } = await shown('passthrough', ['unpainted', 'painting', 'unpainted', 'painting']);
		expect(pictures).toEqual([0, 101, 2, 103]);
	});

	it('hold: the last that was shown, and the card before there is one', async () => {
		const { pictures } = await shown('hold', ['unpainted', 'painting', 'unpainted', 'unpainted', 'painting']);
		expect(pictures).toEqual(['slate', 101, 101, 101, 104]);
	});

	it('hold: not a painting from before the style passthrough', async () => {
		expect((await shown('hold', ['painting', 'source', 'unpainted'])).pictures).toEqual([100, 1, 1]);
	});

	it('slate: the card', async () => {
		const { pictures } = await shown('slate', ['unpainted', 'painting', 'unpainted', 'painting']);
		expect(pictures).toEqual(['slate', 101, 'slate', 103]);
	});

	it('slate: never the source, not under the style passthrough and not beside the painting', async () => {
		const { pictures, sources } = await shown('slate', ['unpainted', 'source', 'painting', 'unpainted', 'source']);
		expect(pictures).toEqual(['slate', 'slate', 102, 'slate', 'slate']);
		expect(sources).toEqual(['slate', 'slate', 'slate', 'slate', 'slate']);
	});
});

describe('hold, for a while', () => {
	const DAY_US = 86_400e6;
	/** Frames at times in seconds: [when, which frame, its kind]. */
	const shownAt = async (
		rule: Partial<FailureRule> | (() => Partial<FailureRule>),
		frames: [atS: number, sequence: number, kind: StyledFrame['kind']][],
		panicAt: number[] = [],
	) => {
		const clock = new ManualClock();
		clock.advance(DAY_US); // no clock begins with its test
		const ruleNow = typeof rule === 'function' ? rule : () => rule;
		let isPanic = false;
		const { egress, pictures, sources } = openSink(
			() => ({ failure: 'hold', holdS: 10, afterHold: 'slate', ...ruleNow() }),
			() => isPanic,
			clock.nowUs,
		);
		for (const [atS, sequence, kind] of frames) {
			clock.advance(DAY_US + Math.round(atS * 1e6) - clock.nowUs());
			isPanic = panicAt.includes(sequence);
			await egress.present(frame(sequence, kind));
		}
		return { pictures: pictures(), sources: sources() };
	};

	const DEAD: [number, number, StyledFrame['kind']][] = [
		[0, 0, 'painting'],
		[0.1, 1, 'unpainted'],
		[9.999_999, 2, 'unpainted'],
		[10, 3, 'unpainted'],
		[5000, 4, 'unpainted'],
		[5001, 5, 'painting'],
		[5010.9, 6, 'unpainted'],
		[5011, 7, 'unpainted'],
	];

	it('then the card, beside which there is no source either, until there is a painting', async () => {
		const { pictures, sources } = await shownAt({}, DEAD);
		expect(pictures).toEqual([100, 100, 100, 'slate', 'slate', 105, 105, 'slate']);
		expect(sources).toEqual([0, 0, 0, 'slate', 'slate', 5, 5, 'slate']);
	});

	it('then the source, where that is asked for', async () => {
		expect((await shownAt({ afterHold: 'passthrough' }, DEAD)).pictures).toEqual([100, 100, 100, 3, 4, 105, 105, 7]);
	});

	it('for ever, where that is asked for', async () => {
		expect((await shownAt({ holdS: 'forever' }, DEAD)).pictures).toEqual([100, 100, 100, 100, 100, 105, 105, 105]);
	});

	it('before there is a painting there is nothing to wait for: the card, and never the source', async () => {
		const { pictures, sources } = await shownAt({ afterHold: 'passthrough' }, [
			[0, 0, 'unpainted'],
			[20, 1, 'unpainted'],
		]);
		expect(pictures).toEqual(['slate', 'slate']);
		expect(sources).toEqual(['slate', 'slate']);
	});

	it('counts from the first time that a painting is shown, however often it is shown again', async () => {
		const { pictures } = await shownAt({}, [
			[0, 0, 'painting'],
			[4, 0, 'painting'],
			[8, 0, 'painting'],
			[9, 1, 'unpainted'],
			[10, 2, 'unpainted'],
			[11, 2, 'unpainted'],
		]);
		expect(pictures).toEqual([100, 100, 100, 100, 'slate', 'slate']);
	});

	it('goes on through panic, whose paintings nobody saw', async () => {
		const frames: Parameters<typeof shownAt>[1] = [
			[0, 0, 'painting'],
			[6, 1, 'painting'],
			[7, 2, 'unpainted'],
			[10, 3, 'unpainted'],
		];
		expect((await shownAt({ afterHold: 'passthrough' }, frames, [1])).pictures).toEqual([100, 'slate', 100, 3]);
	});

	it('has no say under slate, at any time', async () => {
		const { pictures } = await shownAt({ failure: 'slate', afterHold: 'passthrough' }, DEAD);
		expect(pictures).toEqual([100, 'slate', 'slate', 'slate', 'slate', 105, 'slate', 'slate']);
	});

	it('is asked for each frame', async () => {
		let rule: Partial<FailureRule> = { holdS: 1 };
		const { pictures } = await shownAt(() => {
			const now = rule;
			rule = { holdS: 'forever' };
			return now;
		}, [
			[0, 0, 'painting'],
			[5, 1, 'unpainted'],
		]);
		expect(pictures).toEqual([100, 100]);
	});
});

it.each(['passthrough', 'hold', 'slate'] as const)(
	'panic shows the card alone, whatever is painted: %s',
	async (policy) => {
		const kinds: StyledFrame['kind'][] = ['painting', 'painting', 'source', 'unpainted', 'painting'];
		const { pictures, sources } = await shown(policy, kinds, [1, 2, 3]);
		expect(pictures).toEqual([100, 'slate', 'slate', 'slate', 104]);
		expect(sources.slice(1, 4)).toEqual(['slate', 'slate', 'slate']);
	},
);

describe('the card', () => {
	it('is dark, with a colour in its middle, at any size', () => {
		for (const size of [PAINTED, { width: 512, height: 288 }, { width: 1, height: 1 }, { width: 32, height: 640 }]) {
			const { data, width, height } = slateOf(size);
			expect(data).toHaveLength(3 * width * height);
			const middle = 3 * (Math.floor(height / 2) * width + Math.floor(width / 2));
			const [red = 0, , blue = 0] = data.subarray(middle, middle + 3);
			if (width > 1) expect(red - blue).toBeGreaterThan(60);
			expect(data[0]).toBeLessThan(width > 1 ? 40 : 256);
		}
	});
});
