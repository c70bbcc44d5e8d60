import { describe, expect, it } from 'vitest';
import { FailureSink, slateOf, type FailurePolicy } from '../../sidecar/egress/failure-policy.ts';
import { rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { frameOf } from '../support/frames.ts';

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

/** What the sink gets of frames of these kinds: the first byte of each picture, `slate` for the card. */
const shown = async (policy: FailurePolicy, kinds: StyledFrame['kind'][], panicAt: number[] = []) => {
	const frames: StyledFrame[] = [];
	const sink = {
		name: 'test',
		present: async (given: StyledFrame) => void frames.push(given),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	let isPanic = false;
	const egress = new FailureSink(sink, { policy: () => policy, painted: PAINTED, isPanic: () => isPanic });
	for (const [sequence, kind] of kinds.entries()) {
		isPanic = panicAt.includes(sequence);
		await egress.present(frame(sequence, kind));
	}
	const slate = Buffer.from(slateOf(PAINTED).data);
	const nameOf = ({ data }: Picture) => (slate.equals(data) ? 'slate' : data[0]);
	expect(frames.map(({ sequence }) => sequence)).toEqual(kinds.map((_, sequence) => sequence));
	expect(frames.map(({ timestampUs }) => timestampUs)).toEqual(kinds.map((_, sequence) => sequence * 40_000));
	return {
		pictures: frames.map(({ picture }) => nameOf(picture)),
		sources: frames.map(({ source }) => nameOf(source)),
	};
};

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
