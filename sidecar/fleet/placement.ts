import type { FleetBid } from '../config/schema/fleet.ts';

/** What a worker said of itself, and how long that took: what is far away takes longer. */
export interface TimedBid extends FleetBid {
	answerMs: number;
}

/** What a stream is taken to want before it has been painted for a while, in frames a second. */
export const EXPECTED_FPS = 30;
/** A worker that answers this much later than another is worth half as much. */
const HALF_WORTH_MS = 10;

/** So that the fullest of those that are full is hardly ever drawn. */
const FULL_POWER = 8;

/** By the room that a worker has; one that is full already by what would be left of each of its streams. */
const worthOf = ({ capacity, load, answerMs }: TimedBid, hasRoom: boolean): number =>
	Math.max(hasRoom ? capacity - load : capacity * (capacity / Math.max(load, 1)) ** FULL_POWER, 1e-9) /
	(1 + answerMs / HALF_WORTH_MS);

/**
 * The workers that can, in the order in which to ask them for `pixels` a frame: those with room for it before those that have
 * none, each group drawn by worth, so that streams that look for a worker at the same moment, without knowing of each
 * other, do not all take the same one. `random` gives 0 to 1.
 */
export const place = (bids: readonly TimedBid[], pixels: number, random: () => number): TimedBid[] =>
	bids
		.filter(({ refuses, lines, linesMax }) => refuses === undefined && lines < linesMax)
		.map((bid) => {
			const hasRoom = bid.capacity - bid.load >= EXPECTED_FPS * pixels;
			// Weighted sampling without replacement (Efraimidis and Spirakis 2006): the largest u^(1 / w) first.
			return { bid, hasRoom, key: Math.log(Math.max(random(), 1e-12)) / worthOf(bid, hasRoom) };
		})
		.sort((a, b) => Number(b.hasRoom) - Number(a.hasRoom) || b.key - a.key)
		.map(({ bid }) => bid);
