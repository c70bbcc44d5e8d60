// The product's own engine (dist/), given many short shots: what `allaprima run` does between its source and its sinks.

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
const { WorkerEngine } = await import(dist('engine/worker-engine.js'));
const { findModelFolder, openModelFolder } = await import(dist('inference/manifest.js'));
const { resolveTuning } = await import(dist('config/schema/manifest.js'));
const { rgbLayout } = await import(dist('frame/frame.js'));
const { setLog } = await import(dist('telemetry/logger.js'));
const { loadNative } = await import(dist('native.js'));
const { gaussianNoise } = await import(dist('inference/gaussian-noise.js'));
setLog({ level: 'error' });

export const native = loadNative();

/** The seed of the presets. */
export const SEED = 42;

/** @typedef {import('../../sidecar/frame/frame.ts').Picture} Picture */
/** @typedef {import('../../sidecar/config/schema/tuning.ts').TuningOverrides} TuningOverrides */

/**
 * @typedef {{
 *   frames: Picture[],
 *   prompt?: string,
 *   conditioning?: { prompt: string, weight: number }[],
 *   tuning?: TuningOverrides,
 * }} Shot A few frames in a row and what they are to look like
 */

/** A single picture: nothing came before it. */
export const STILL = { noise: /** @type {const} */ ('fixed'), condRefreshEvery: 0, outputBlend: 0 };

/** @param {{ model: string, precision: 'fp32' | 'int8' | 'auto', size: { width: number, height: number } }} settings */
export const openPainter = async ({ model, precision, size }) => {
	const folder = await openModelFolder(await findModelFolder(model));
	// Every frame is judged, so every frame is painted.
	const usual = resolveTuning(folder.manifest, { precision, similarityThreshold: 0 });
	/** @type {Map<number, Uint8Array>} */
	const slots = new Map();
	let current = { epoch: 0, style: 'evaluation', conditioning: [], seed: SEED, tuning: usual };
	const engine = await WorkerEngine.open({
		folder,
		provider: 'cpu',
		painted: size,
		fit: 'stretch',
		ring: {
			bytes: (/** @type {number} */ slot) => slots.get(slot),
			release: (/** @type {{ slot: number }} */ { slot }) => slots.delete(slot),
		},
		parametersNow: () => current,
		batchDeadlineMs: Infinity,
		native,
		observer: { stage: () => {}, batch: () => {} },
	});
	let sequence = 0;

	/** @returns {AsyncGenerator<{ shot: any, frame: number, picture: Picture }>} */
	async function* paint(/** @type {Iterable<Shot>} */ shots) {
		/** @type {{ shot: Shot, frame: number }[]} */
		const asked = [];
		const frameOf = (/** @type {Picture} */ { data }) => {
			const slot = sequence++;
			slots.set(slot, data);
			return {
				sequence: slot,
				slot,
				capturedUs: 0,
				timestampUs: slot * 40_000,
				durationUs: 40_000,
				layout: rgbLayout(size),
			};
		};
		// The batcher reads the parameters when it has a frame, and asks for the next one after that.
		async function* frames() {
			for (const shot of shots) {
				const { prompt, conditioning = [{ prompt, weight: 1 }], tuning } = shot;
				const parameters = { ...current, conditioning, tuning: { ...usual, ...tuning, batchSize: 1 } };
				// A frame that is not painted: motion, noise and the last painting are forgotten, as at a cut.
				current = { ...parameters, style: 'passthrough' };
				yield frameOf(shot.frames[0]);
				for (const [frame, picture] of shot.frames.entries()) {
					const teRefreshEvery = frame === 0 ? 1 : parameters.tuning.teRefreshEvery;
					current = { ...parameters, style: 'evaluation', tuning: { ...parameters.tuning, teRefreshEvery } };
					asked.push({ shot, frame });
					yield frameOf(picture);
				}
			}
		}
		for await (const { kind, picture } of engine.paint(frames()))
			if (kind === 'painting') yield { ...asked.shift(), picture };
	}

	return {
		manifest: folder.manifest,
		path: folder.path,
		int8Graphs: engine.int8Graphs,
		usual,
		paint,
		/** @returns {Promise<Picture[][]>} The paintings of each shot. */
		async paintAll(/** @type {Shot[]} */ shots) {
			/** @type {Map<Shot, Picture[]>} */
			const painted = new Map(shots.map((shot) => [shot, []]));
			for await (const { shot, picture } of paint(shots)) painted.get(shot)?.push(picture);
			return [...painted.values()];
		},
		close: () => engine[Symbol.asyncDispose](),
	};
};

/** @typedef {Awaited<ReturnType<typeof openPainter>>} Painter */

/** The noise that a painting of this seed starts from, in the order of its channels. */
export const noiseOf = (
	/** @type {any} */ manifest,
	/** @type {{ width: number, height: number }} */ { width, height },
) => {
	const { channels, scale } = manifest.latents;
	return gaussianNoise(SEED, (channels * 16 * (width / 4) * (height / 4)) / scale ** 2);
};
