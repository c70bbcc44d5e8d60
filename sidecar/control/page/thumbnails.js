// Small paintings of the live picture, renewed one after the other while somebody looks.

const EVERY_MS = 10_000;
/** Between one and the next. */
const PAUSE_MS = 250;
/** Between looks whether one is due. */
const LOOK_MS = 1000;

/** The middle of a picture, as large as it takes to fill the canvas. */
export const drawCover = (canvas, picture) => {
	const scale = Math.max(canvas.width / picture.width, canvas.height / picture.height);
	const [width, height] = [picture.width * scale, picture.height * scale];
	canvas.getContext('2d').drawImage(picture, (canvas.width - width) / 2, (canvas.height - height) / 2, width, height);
};

/**
 * Asks for the picture of each style that `wanted` names, every ten seconds, never for two at a time. What cannot be had is
 * left as it is, and asked for again in its turn.
 */
export const renewThumbnails = ({ wanted, isWatched, fetchThumbnail, show }) => {
	const askedMs = new Map();
	const isDue = (name) => performance.now() - (askedMs.get(name) ?? -Infinity) >= EVERY_MS;
	const step = async () => {
		const name = isWatched() ? wanted().find(isDue) : undefined;
		if (name !== undefined) {
			askedMs.set(name, performance.now());
			try {
				const picture = await fetchThumbnail(name);
				if (picture) show(name, await createImageBitmap(picture));
			} catch {
				// The sidecar is away, as the status says, or gave no picture.
			}
		}
		setTimeout(() => void step(), name === undefined ? LOOK_MS : PAUSE_MS);
	};
	void step();
};
