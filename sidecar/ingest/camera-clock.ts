/** How far stamps may be from arrival before they are not believed: what a driver's buffers hold, and some. */
const BELIEVED_US = 2_000_000;

/**
 * The time of a camera's frames, from the first on. The kernel stamps a frame when it comes over the wire, more
 * evenly than frames arrive here; but some drivers stamp nonsense, and then arrival counts. Never goes back.
 */
export class CameraClock {
	/** Arrival and stamp that stand for each other, the time of both. */
	#origin: { arrivedUs: number; stampUs: number | undefined; timeUs: number } | undefined;
	#lastUs = -1;
	#lastStampUs = -Infinity;

	/** `stampUs` is undefined where the driver gave none. */
	timestampUs(arrivedUs: number, stampUs: number | undefined): number {
		const origin = (this.#origin ??= { arrivedUs, stampUs, timeUs: 0 });
		const byArrival = origin.timeUs + arrivedUs - origin.arrivedUs;
		const byStamp =
			stampUs === undefined || origin.stampUs === undefined ? NaN : origin.timeUs + stampUs - origin.stampUs;
		const isBelieved = Math.abs(byStamp - byArrival) <= BELIEVED_US && stampUs! > this.#lastStampUs;
		this.#lastStampUs = stampUs ?? -Infinity;
		const timeUs = Math.max(isBelieved ? byStamp : byArrival, this.#lastUs + 1);
		if (!isBelieved) this.#origin = { arrivedUs, stampUs, timeUs };
		return (this.#lastUs = timeUs);
	}
}
