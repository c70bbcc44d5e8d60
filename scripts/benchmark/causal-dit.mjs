// How fast the causal transformer paints, whatever it paints: `node scripts/benchmark/causal-dit.mjs FOLDER [FRAMES]`, FOLDER of
// `python3 -m training.causal_dit.export --out FOLDER` (random weights do), with the threads of the main stream. Prints JSON.

const dist = (/** @type {string} */ file) => import(new URL(`../../dist/${file}`, import.meta.url).href);
const { CausalDenoiser } = await dist('inference/causal/causal-denoiser.js');
const { BufferedFrames } = await dist('inference/causal/buffered-frames.js');
const { openGraph, openModelFolder } = await dist('inference/manifest.js');
const { flowMatchSigmas, imageSeqLen } = await dist('inference/noise-schedule.js');
const { threadsOf } = await dist('inference/session.js');
const { gaussianNoise } = await dist('inference/gaussian-noise.js');

const [folder, frames = '30'] = process.argv.slice(2);
if (!folder) throw new Error('usage: node scripts/benchmark/causal-dit.mjs FOLDER [FRAMES]');
const model = await openModelFolder(folder);
const { graphs: specs, window, scheduler, steps, size } = model.manifest;
const [width, height] = size.fixed;
const sigmas = flowMatchSigmas(scheduler, steps.default, imageSeqLen(width, height));

/** @type {Record<string, any>} */
const graphs = {};
for (const role of Object.keys(specs).filter((name) => name.startsWith('dit_'))) {
	const settings = { intraOpNumThreads: threadsOf('denoiser', 'latency') };
	graphs[role] = await openGraph(model, role, 'cpu', 'fp32', settings);
}

/** Random numbers for an input of a graph. */
const random = (/** @type {string} */ role, /** @type {string} */ name, seed = 1) => {
	const { shape } = specs[role].inputs.find((/** @type {{ name: string }} */ input) => input.name === name);
	const count = shape.reduce((/** @type {number} */ a, /** @type {number} */ b) => a * b, 1);
	return { data: gaussianNoise(seed, count), shape };
};
const [keptCount] = specs.dit_step_kept.inputs.find(
	(/** @type {{ name: string }} */ { name }) => name === 'kept',
).shape;
const kept = Uint32Array.from({ length: keptCount }, (_, i) => 2 * i);

const denoiser = new CausalDenoiser(graphs, window);
const style = {
	promptEmbeds: random('dit_prompt', 'prompt_embeds'),
	referenceLatents: random('dit_reference', 'reference_latents'),
};
const [noise, sourceLatents] = [random('dit_step', 'sample'), random('dit_step', 'source_latents', 2)];
let frame = 0;
const paint = (/** @type {Uint32Array | undefined} */ tokens) =>
	denoiser.paint({ frame: frame++, noise, sourceLatents, sigmas, kept: tokens });

/** Milliseconds of a run, by the clock and of all processors. */
const timed = async (/** @type {() => Promise<unknown>} */ run) => {
	const times = [];
	const before = process.cpuUsage();
	for (let i = 0; i < Number(frames); i++) {
		const startMs = performance.now();
		await run();
		times.push(performance.now() - startMs);
	}
	const { user, system } = process.cpuUsage(before);
	times.sort((a, b) => a - b);
	const [minMs, p50Ms] = [times[0] ?? NaN, times[Math.floor(times.length / 2)] ?? NaN];
	const given = { minMs, p50Ms, cpuMs: (user + system) / 1000 / times.length, framesPerSecond: 1000 / p50Ms };
	return Object.fromEntries(Object.entries(given).map(([name, value]) => [name, Number(value.toFixed(1))]));
};

const switchTo = await timed(() => denoiser.switchTo(style));
for (let i = 0; i < window.frames + 2; i++) await paint(undefined); // the cache is full from here on
const whole = await timed(() => paint(undefined));
const part = await timed(() => paint(kept));
const line = graphs['dit_buffer'] && new BufferedFrames(graphs);
const next = { noise, sourceLatents, promptEmbeds: style.promptEmbeds, sigmas, isCut: false };
const enter = () => line.enter(next, { style: 'any', reference: style.referenceLatents });
if (line) await enter();
const buffered = line && (await timed(enter));
console.log(
	JSON.stringify(
		{
			threads: threadsOf('denoiser', 'latency'),
			passes: sigmas.length,
			keptTokens: keptCount,
			switchTo,
			whole,
			part,
			buffered,
		},
		undefined,
		2,
	),
);
for (const graph of Object.values(graphs)) await graph[Symbol.asyncDispose]();
