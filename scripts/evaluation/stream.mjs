// Frames painted one after another by a causal transformer, by the product's own classes (dist/), with what only a study wants to change.

const dist = (/** @type {string} */ file) => new URL(`../../dist/${file}`, import.meta.url).href;
const { Encoder } = await import(dist('inference/encoder.js'));
const { Decoder } = await import(dist('inference/decoder.js'));
const { CausalDenoiser } = await import(dist('inference/causal/causal-denoiser.js'));
const { BufferedFrames } = await import(dist('inference/causal/buffered-frames.js'));
const { historyScores, largest } = await import(dist('inference/causal/history-mask.js'));
const { openGraphs } = await import(dist('inference/precision.js'));
const { flowMatchSigmas, imageSeqLen } = await import(dist('inference/noise-schedule.js'));
const { findModelFolder, openModelFolder } = await import(dist('inference/manifest.js'));
const { gaussianNoise } = await import(dist('inference/gaussian-noise.js'));
const { threadsOf } = await import(dist('inference/session.js'));
const { stack } = await import(dist('engine/encoder-stream.js'));
const { rgbLayout } = await import(dist('frame/frame.js'));
const { loadNative } = await import(dist('native.js'));
const native = loadNative();

/** @typedef {import('./painter.mjs').Picture} Picture */
/** @typedef {{ prompt?: string, reference?: Picture }} Style `prompt` is the model's own words for it where there is a reference */
/**
 * @typedef {{
 *   steps?: number,
 *   window?: number,
 *   kept?: boolean,
 *   unanchoredFrom?: number,
 *   buffered?: boolean,
 *   seed?: number,
 * }} How `buffered`: in a moving buffer, of which neither window nor mask is. `unanchoredFrom`: the frame from which the reference is hidden, as if it had rolled out of the cache
 */

const ROLES = ['dit_prompt', 'dit_reference', 'dit_step', 'dit_step_kept', 'dit_buffer'];

export const openStream = async (/** @type {string} */ model) => {
	const folder = await openModelFolder(await findModelFolder(model));
	const { manifest } = folder;
	if (manifest.family !== 'causal-dit') throw new Error(`${model} is of the family ${manifest.family}, not causal-dit`);
	const [width, height] = manifest.size.fixed;
	const settings = (/** @type {'encoder' | 'denoiser' | 'decoder'} */ part) => ({
		provider: 'cpu',
		painted: { width, height },
		precision: 'fp32',
		session: { intraOpNumThreads: threadsOf(part, 'latency') },
	});
	const encoder = await Encoder.open(folder, settings('encoder'));
	const roles = ROLES.filter((role) => role in manifest.graphs);
	const { graphs } = await openGraphs(folder, roles, settings('denoiser'));
	const decoder = await Decoder.open(folder, settings('decoder'));
	const { channels, scale } = manifest.latents;
	const shape = [1, channels, height / scale, width / scale];
	const keptTokens = graphs.dit_step_kept.spec.inputs.find((/** @type {any} */ { name }) => name === 'kept').shape[0];
	const layout = rgbLayout({ width, height });

	const embedsOf = async (/** @type {Style} */ { prompt, reference }, /** @type {Picture} */ seen) => {
		const { image } = manifest.textEncoder;
		const small = { ...rgbLayout(image), data: new Uint8Array(3 * image.width * image.height) };
		await native.convert(seen, small, 'stretch');
		const said = reference ? (prompt ?? manifest.textEncoder.referencePrompt) : prompt;
		const [{ prompts }] = await encoder.encode([
			{ pictures: stack([seen]), text: { images: stack([small]), prompts: [said] } },
		]);
		return prompts[0].promptEmbeds;
	};
	const encode = async (/** @type {Picture} */ picture) => (await encoder.encode([{ pictures: stack([picture]) }]))[0];

	/**
	 * Paints frames of the model's size; `styleAt` says in which style a frame is begun, undefined where it goes on as before.
	 * `ditMs` is the denoiser's time, `kept` the tokens that were painted, all if undefined.
	 * @returns {AsyncGenerator<{ picture: Picture, ditMs: number, kept: Uint32Array | undefined }>}
	 */
	async function* paint(
		/** @type {Iterable<Picture>} */ frames,
		/** @type {(frame: number) => Style | undefined} */ styleAt,
		/** @type {How} */ how = {},
	) {
		const {
			steps = manifest.tuning.steps,
			window = manifest.window.frames,
			unanchoredFrom = Infinity,
			seed = 42,
		} = how;
		const sigmas = flowMatchSigmas(manifest.scheduler, steps, imageSeqLen(width, height));
		if (how.buffered) return yield* paintBuffered(frames, styleAt, { sigmas, seed });
		const denoiser = new CausalDenoiser(graphs, { frames: window, sinkFrames: manifest.window.sinkFrames });
		const noise = { data: gaussianNoise(seed, channels * (height / scale) * (width / scale)), shape };
		/** @type {Uint32Array | undefined} */
		let kept;
		let frame = 0;
		for (const picture of frames) {
			const style = styleAt(frame);
			if (style) {
				const reference = style.reference && (await encode(style.reference)).sourceLatents;
				await denoiser.switchTo({ promptEmbeds: await embedsOf(style, picture), referenceLatents: reference });
				kept = undefined;
			}
			if (frame === unanchoredFrom) denoiser.cache.bias.data.fill(-1e4, 0, denoiser.cache.frameTokens);
			const { sourceLatents, details } = await encode(picture);
			const startMs = performance.now();
			const latents = await denoiser.paint({ frame, noise, sourceLatents, sigmas, kept });
			const ditMs = performance.now() - startMs;
			const [{ paintings }] = await decoder.decode([{ latents, details }]);
			yield { picture: { ...layout, data: paintings.data.slice() }, ditMs, kept };
			const patch = Math.sqrt((shape[2] * shape[3]) / denoiser.cache.frameTokens);
			kept = how.kept ? largest(historyScores(latents, sourceLatents, patch), keptTokens) : undefined;
			frame++;
		}
	}

	/** In a moving buffer; a frame's `ditMs` is that of the pass that it entered with. */
	async function* paintBuffered(
		/** @type {Iterable<Picture>} */ frames,
		/** @type {(frame: number) => Style | undefined} */ styleAt,
		/** @type {{ sigmas: number[], seed: number }} */ { sigmas, seed },
	) {
		const line = new BufferedFrames(graphs);
		const noise = { data: gaussianNoise(seed, channels * (height / scale) * (width / scale)), shape };
		/** @type {{ style: string, promptEmbeds: any, reference: any }} */
		let said = { style: '', promptEmbeds: undefined, reference: undefined };
		/** @type {{ details: unknown, ditMs: number }[]} */
		const entered = [];
		const given = async (/** @type {any} */ latents) => {
			const { details, ditMs } = /** @type {typeof entered[number]} */ (entered.shift());
			const [{ paintings }] = await decoder.decode([{ latents, details }]);
			return { picture: { ...layout, data: paintings.data.slice() }, ditMs, kept: undefined };
		};
		let frame = 0;
		for (const picture of frames) {
			const style = styleAt(frame);
			if (style)
				said = {
					style: String(frame),
					promptEmbeds: await embedsOf(style, picture),
					reference: style.reference && (await encode(style.reference)).sourceLatents,
				};
			const { sourceLatents, details } = await encode(picture);
			const { style: name, promptEmbeds, reference } = said;
			const startMs = performance.now();
			const latents = await line.enter(
				{ noise, sourceLatents, promptEmbeds, sigmas, isCut: false },
				{ style: name, ...(reference && { reference }) },
			);
			entered.push({ details, ditMs: performance.now() - startMs });
			if (latents) yield await given(latents);
			frame++;
		}
		if (frame > 0) yield await given(await line.finish());
	}

	return {
		manifest,
		size: { width, height },
		channels,
		paint,
		/** @returns {Promise<Picture[]>} */
		async paintAll(/** @type {Iterable<Picture>} */ frames, /** @type {Style} */ style, /** @type {How} */ how = {}) {
			const painted = [];
			for await (const { picture } of paint(frames, (frame) => (frame === 0 ? style : undefined), how))
				painted.push(picture);
			return painted;
		},
		async close() {
			for (const open of [encoder, decoder, ...Object.values(graphs)]) await open[Symbol.asyncDispose]();
		},
	};
};

/** @typedef {Awaited<ReturnType<typeof openStream>>} Stream */
