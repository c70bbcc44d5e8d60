// Runs the graphs of a model folder for training/quantize.py, which writes the job and reads the result: `calibrate.mjs WORK`.
// WORK/job.json: { folder, count, height, width, prompts, taps? | variants? }; frames.u8 [count, 2, height, width, 3] holds pairs of
// successive frames, small.u8 the second of each at the size of the text-and-vision encoder.
// taps { role: { file, names, windows } }: the values that those tensors take -> samples.f32, and their shapes and extremes; patches.f32: what
// convolutions { name: { of, gives, kernel, strides, pads } } read of them.
// variants [{ role: file }]: the mean squared errors of the paintings when these graphs stand in for the fp32 ones, of pixels and of blocks.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';

const dist = (/** @type {string} */ file) => import(new URL(`../dist/inference/${file}`, import.meta.url).href);
const { loadNative } = await import(new URL('../dist/native.js', import.meta.url).href);
const { gaussianNoise } = await dist('gaussian-noise.js');
const { flowMatchSigmas, imageSeqLen } = await dist('noise-schedule.js');
const { openModelFolder } = await dist('manifest.js');
const { readTokenizer } = await dist('tokenizer.js');
const { resolveShape } = await dist('session.js');

const SAMPLES = 1024; // of each tensor in each run
const PATCHES = 48; // of each convolution in each run
const BLOCK = 16; // px: what is wrong by the same amount over so much is seen as a blotch

const work = process.argv[2];
const job = JSON.parse(readFileSync(join(work, 'job.json'), 'utf8'));
const { height, width, count } = job;
const folder = await openModelFolder(job.folder);
const { manifest } = folder;
const tokenize = await readTokenizer(folder);
const sizes = { batch: 1, height, width };

const open = (/** @type {string} */ file) =>
	ort.InferenceSession.create(file, {
		intraOpNumThreads: 1,
		interOpNumThreads: 1,
		logSeverityLevel: 4,
		extra: { session: { intra_op: { allow_spinning: '0' } } },
	});

/** @type {Record<string, ort.InferenceSession>} */
const fp32 = {};
for (const [role, { file }] of Object.entries(manifest.graphs))
	fp32[role] = await open(job.taps?.[role]?.file ?? join(job.folder, /** @type {any} */ (file)));

/** @typedef {{ shape: readonly number[], min: number, max: number, parts: Float32Array[] }} Tensor */
/** @type {Record<string, Record<string, Tensor>>} */
const seen = {};
/** @type {Record<string, Record<string, Float32Array[]>>} a patch each, [channels, height, width] */
const read = {};

/** Samples of the tapped tensors: evenly spread from a place that changes, so that no grid of the picture is missed. */
const watch = (/** @type {string} */ role, /** @type {ort.InferenceSession.OnnxValueMapType} */ values) => {
	for (const name of job.taps[role].names) {
		const { data, dims } = /** @type {ort.Tensor} */ (values[name]);
		const floats = /** @type {Float32Array} */ (data);
		const tensor = ((seen[role] ??= {})[name] ??= {
			shape: dims,
			min: Infinity,
			max: -Infinity,
			parts: [],
		});
		const taken = Math.min(SAMPLES, floats.length);
		const part = new Float32Array(taken);
		const offset = (tensor.parts.length * 7919) % floats.length;
		for (let i = 0; i < taken; i++) part[i] = floats[(offset + Math.floor((i * floats.length) / taken)) % floats.length];
		tensor.parts.push(part);
		for (const value of floats) {
			if (value < tensor.min) tensor.min = value;
			if (value > tensor.max) tensor.max = value;
		}
	}
	for (const [name, window] of Object.entries(job.taps[role].windows)) {
		const patches = ((read[role] ??= {})[name] ??= []);
		const tensor = /** @type {ort.Tensor} */ (values[window.of]);
		const [down, across] = /** @type {ort.Tensor} */ (values[window.gives]).dims.slice(2);
		for (let i = 0; i < PATCHES; i++) {
			const place = (patches.length * 7919) % (down * across);
			patches.push(patchOf(tensor, window, Math.floor(place / across), place % across));
		}
	}
};

/** What a convolution reads for one place of its output; zeros beyond the edge. */
const patchOf = (
	/** @type {ort.Tensor} */ { data, dims: [, channels, height, width] },
	/** @type {{ kernel: number[], strides: number[], pads: number[] }} */ { kernel, strides, pads },
	/** @type {number} */ row,
	/** @type {number} */ column,
) => {
	const patch = new Float32Array(channels * kernel[0] * kernel[1]);
	let at = 0;
	for (let channel = 0; channel < channels; channel++)
		for (let dy = 0; dy < kernel[0]; dy++)
			for (let dx = 0; dx < kernel[1]; dx++, at++) {
				const y = row * strides[0] - pads[0] + dy;
				const x = column * strides[1] - pads[1] + dx;
				if (y >= 0 && x >= 0 && y < height && x < width)
					patch[at] = /** @type {Float32Array} */ (data)[(channel * height + y) * width + x];
			}
	return patch;
};

/** The inputs of a role by name, out of all that is there; what nothing gives is zero. */
const run = async (
	/** @type {Record<string, ort.InferenceSession>} */ graphs,
	/** @type {string} */ role,
	/** @type {Record<string, ort.Tensor>} */ given,
) => {
	/** @type {Record<string, ort.Tensor>} */
	const feeds = {};
	for (const spec of manifest.graphs[role].inputs) {
		const shape = resolveShape(spec, sizes);
		const length = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
		feeds[spec.name] = given[spec.name] ?? new ort.Tensor('float32', new Float32Array(length), shape);
	}
	const values = await graphs[role].run(feeds);
	// A convolution may read what the graph is given.
	if (job.taps?.[role]) watch(role, { ...feeds, ...values });
	return /** @type {Record<string, ort.Tensor>} */ (values);
};

const frameBytes = height * width * 3;
const pictures = readFileSync(join(work, 'frames.u8'));
const small = readFileSync(join(work, 'small.u8'));
const vision = manifest.textEncoder.image;
const visionBytes = vision.width * vision.height * 3;
const bytes = (/** @type {Buffer} */ from, /** @type {number} */ at, /** @type {number} */ length) =>
	new Uint8Array(from.buffer, from.byteOffset + at * length, length);
const latentShape = [1, manifest.latents.channels, height / manifest.latents.scale, width / manifest.latents.scale];
const latentLength = latentShape.reduce((a, b) => a * b, 1);
const scalar = (/** @type {number} */ value) => new ort.Tensor('float32', Float32Array.of(value), [1]);

/** A picture at the encoder's size, as its graph takes it. */
const seenBy = async (/** @type {Uint8Array} */ data) => {
	const { width: across, height: down, patches } = vision;
	if (!patches) return { image: new ort.Tensor('uint8', data, [1, down, across, 3]) };
	const shape = [1, (across / patches.patch) * (down / patches.patch), 3 * patches.frames * patches.patch ** 2];
	const rows = new Float32Array(shape.reduce((a, b) => a * b, 1));
	const picture = { format: 'RGB', width: across, height: down, matrix: 'bt709', range: 'full', data };
	await loadNative().patchRows(picture, { width: across, height: down, ...patches }, rows);
	return { pixel_values: new ort.Tensor('float32', rows, shape) };
};

/** prompt_embeds (and whatever the graph asks for) of pair `index` in its style: by turns, so that all styles occur. */
const promptOf = async (/** @type {number} */ index) => {
	const features = await fp32.te_vision.run(await seenBy(bytes(small, index, visionBytes)));
	const { inputIds, attentionMask } = tokenize(job.prompts[index % job.prompts.length]);
	const tokens = {
		input_ids: new ort.Tensor('int64', inputIds.data, inputIds.shape),
		attention_mask: new ort.Tensor('int64', attentionMask.data, attentionMask.shape),
	};
	const embeds = await fp32.te_text.run({ ...tokens, .../** @type {any} */ (features) });
	const { dropTokens, maxLength } = manifest.textEncoder;
	const mask = new ort.Tensor('int64', attentionMask.data.slice(dropTokens), [1, maxLength - dropTokens]);
	return { .../** @type {any} */ (embeds), encoder_attention_mask: mask };
};

const paint = async (
	/** @type {Record<string, ort.InferenceSession>} */ graphs,
	/** @type {{ image: ort.Tensor, prompt: Record<string, ort.Tensor>, noise: Float32Array, cond: Record<string, ort.Tensor>, multiplier: number, steps: number }} */ {
		image,
		prompt,
		noise,
		cond,
		multiplier,
		steps,
	},
) => {
	const { source_latents, ...details } = await run(graphs, 'vae_encoder', { image });
	const sigmas = flowMatchSigmas(manifest.scheduler, steps, imageSeqLen(width, height));
	const z = noise.slice();
	for (let step = 0; step < steps; step++) {
		const sample = new ort.Tensor('float32', z.slice(), latentShape);
		const timestep = scalar(1000 * sigmas[step]);
		const given = { sample, timestep, source_latents, multiplier: scalar(multiplier), ...prompt, ...cond };
		const { velocity } = await run(graphs, 'unet', given);
		const v = /** @type {Float32Array} */ (velocity.data);
		for (let i = 0; i < z.length; i++) z[i] += (sigmas[step + 1] - sigmas[step]) * v[i];
	}
	const latents = new ort.Tensor('float32', z, latentShape);
	const painted = await run(graphs, 'vae_decoder', { latents, ...details });
	return { image: painted.image, latents };
};

/** The two paintings of each pair, the second with the adapter looking at the first; now and then in more steps. */
const paintAll = async (/** @type {Record<string, ort.InferenceSession>} */ graphs) => {
	/** @type {Uint8Array[]} */
	const paintings = [];
	for (let index = 0; index < count; index++) {
		const [a, b] = [0, 1].map(
			(i) => new ort.Tensor('uint8', bytes(pictures, 2 * index + i, frameBytes), [1, height, width, 3]),
		);
		const prompt = prompts[index];
		const noise = gaussianNoise(index, latentLength);
		const first = await paint(graphs, { image: a, prompt, noise, cond: {}, multiplier: 0, steps: 1 });
		const given = await run(graphs, 'lllite_cond', { image: first.image });
		const offsets = new ort.Tensor('float32', new Float32Array(2 * latentShape[2] * latentShape[3]), [1, 2, ...latentShape.slice(2)]);
		const cond = { ...given, last_latents: first.latents, last_offsets: offsets };
		const { multiplier } = manifest.temporalAdapter;
		const steps = manifest.steps.supported[index % 4 === 3 ? manifest.steps.supported.length - 1 : 0];
		const second = await paint(graphs, { image: b, prompt, noise, cond, multiplier, steps });
		paintings.push(/** @type {Uint8Array} */ (first.image.data), /** @type {Uint8Array} */ (second.image.data));
	}
	return paintings;
};

/** @type {Record<string, ort.Tensor>[]} */
const prompts = [];
for (let index = 0; index < count; index++) prompts.push(await promptOf(index));

/** @type {Record<string, unknown>} */
const result = {};
const reference = await paintAll(fp32);
if (job.taps) {
	const tensors = Object.entries(seen).map(([role, byName]) => [
		role,
		Object.fromEntries(
			Object.entries(byName).map(([name, { shape, min, max, parts }]) => [
				name,
				{ shape, min, max, count: parts.reduce((sum, part) => sum + part.length, 0) },
			]),
		),
	]);
	const parts = Object.values(seen).flatMap((byName) => Object.values(byName).flatMap((tensor) => tensor.parts));
	writeFileSync(join(work, 'samples.f32'), Buffer.concat(parts.map((part) => Buffer.from(part.buffer))));
	result.taps = Object.fromEntries(tensors);
	const patches = Object.values(read).flatMap((byName) => Object.values(byName));
	writeFileSync(join(work, 'patches.f32'), Buffer.concat(patches.flatMap((all) => all.map((patch) => Buffer.from(patch.buffer)))));
	result.patches = Object.fromEntries(
		Object.entries(read).map(([role, byName]) => [
			role,
			Object.fromEntries(Object.entries(byName).map(([name, all]) => [name, [all.length, all[0].length]])),
		]),
	);
} else {
	const errors = [];
	for (const variant of job.variants) {
		const graphs = { ...fp32 };
		for (const [role, file] of Object.entries(variant)) graphs[role] = await open(file);
		const paintings = await paintAll(graphs);
		let [sum, blockSum] = [0, 0];
		paintings.forEach((painting, i) => {
			const blocks = new Float64Array((height / BLOCK) * (width / BLOCK) * 3);
			for (let at = 0; at < painting.length; at++) {
				const difference = painting[at] - reference[i][at];
				sum += difference ** 2;
				const x = Math.floor(at / 3) % width;
				const y = Math.floor(at / (3 * width));
				blocks[3 * (Math.floor(y / BLOCK) * (width / BLOCK) + Math.floor(x / BLOCK)) + (at % 3)] += difference;
			}
			for (const block of blocks) blockSum += (block / BLOCK ** 2) ** 2;
		});
		errors.push({
			square: sum / (paintings.length * frameBytes),
			broad: (blockSum * BLOCK ** 2) / (paintings.length * frameBytes),
		});
		for (const role of Object.keys(variant)) await graphs[role].release();
	}
	result.errors = errors;
}
writeFileSync(join(work, 'result.json'), JSON.stringify(result));
