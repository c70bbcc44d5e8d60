import { randomFrom } from './noise.ts';

/** What the parts of the scene agree on. Places are in picture heights from the top left, unless they are said to be pixels. */
export interface View {
	width: number;
	height: number;
	seed: number;
	/** Width over height. */
	aspect: number;
	/** Pixels that a layer of depth 1 reaches beyond each side of the picture, for the camera to move. */
	margin: number;
	/** The far shore. */
	horizon: number;
	sun: { x: number; y: number };
	/** 1 where the light comes from the right, -1 from the left. */
	lightSide: 1 | -1;
	/** Where the figure stands. */
	figureX: number;
	signX: number;
}

/** How far the camera may go to each side, in picture heights. */
export const CAMERA_REACH = 0.16;

export const makeView = (width: number, height: number, seed: number): View => {
	const random = randomFrom(seed + 1000);
	const aspect = width / height;
	const figureLeft = random() < 0.5;
	// Light from behind the sign's side shapes the face.
	const sunX = figureLeft ? 0.66 + 0.08 * random() : 0.26 + 0.08 * random();
	return {
		width,
		height,
		seed,
		aspect,
		margin: Math.ceil(CAMERA_REACH * height) + 2,
		horizon: 0.55,
		sun: { x: sunX * aspect, y: 0.12 + 0.08 * random() },
		lightSide: figureLeft ? 1 : -1,
		figureX: aspect * (figureLeft ? 0.36 : 0.64),
		signX: aspect * (figureLeft ? 0.79 : 0.21),
	};
};
