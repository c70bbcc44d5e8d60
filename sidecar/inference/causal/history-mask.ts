import { SidecarError } from '../../errors.ts';
import { expectShape, type Tensor } from '../../frame/tensor.ts';

/**
 * Which tokens of the next frame are painted anew: those where the last painting is farthest from its source (LiveEdit, arXiv
 * 2606.26740, the history-guided mask). There, the mask is of latents, pooled to tokens, and frames are cut to the least number of tokens,
 * from the top; here, tokens are compared and as many as asked for are taken, for shapes are static.
 */

/**
 * For each token the mean square of painting - source over its latents, row by row; both [1, channels, height, width], tokens of
 * `patch` x `patch` cells. Errors: ERR_MODEL for shapes that differ or that tokens do not cover.
 */
export const historyScores = (
	painting: Tensor<Float32Array>,
	source: Tensor<Float32Array>,
	patch: number,
): Float32Array => {
	expectShape(source, painting.shape, 'The source beside its painting');
	const [, channels = 0, height = 0, width = 0] = painting.shape;
	if (painting.shape.length !== 4 || height % patch !== 0 || width % patch !== 0)
		throw new SidecarError(
			'ERR_MODEL',
			`Latents are [${painting.shape.join(', ')}], expected [1, channels, height, width] with sides that are multiples of ${patch}.`,
		);
	const columns = width / patch;
	const scores = new Float32Array((height / patch) * columns);
	const cells = channels * patch * patch;
	for (let channel = 0; channel < channels; channel++)
		for (let y = 0; y < height; y++)
			for (let x = 0; x < width; x++) {
				const at = (channel * height + y) * width + x;
				const token = Math.floor(y / patch) * columns + Math.floor(x / patch);
				scores[token]! += (painting.data[at]! - source.data[at]!) ** 2 / cells;
			}
	return scores;
};

/** How many of so many tokens a share is: at least one, and all at most. */
export const tokensOf = (share: number, tokens: number): number =>
	Math.min(tokens, Math.max(1, Math.floor(share * tokens)));

/**
 * Exactly `count` tokens with the largest scores, in the order of their numbers. Equal scores are taken from all over the
 * picture, and what is no number counts as infinite: there nobody knows what the painting is like.
 */
export const largest = (scores: Float32Array, count: number): Uint32Array => {
	const places = scattered(scores.length);
	const score = (token: number) => (Number.isNaN(scores[token]!) ? Infinity : scores[token]!);
	const order = Uint32Array.from(scores, (_, token) => token).sort((a, b) => {
		const [one, other] = [score(a), score(b)];
		return one === other ? places[a]! - places[b]! : one > other ? -1 : 1;
	});
	return order.slice(0, count).sort();
};

/** Each token's place in an order whose beginnings are spread evenly over the picture: steps of the golden ratio. */
const scattered = (length: number): Uint32Array => {
	let stride = Math.max(1, Math.round(length * 0.618034));
	while (greatestCommonDivisor(stride, length) > 1) stride++;
	const places = new Uint32Array(length);
	for (let place = 0; place < length; place++) places[(place * stride) % length] = place;
	return places;
};

const greatestCommonDivisor = (a: number, b: number): number => (b === 0 ? a : greatestCommonDivisor(b, a % b));
