// The tables of arXiv 2606.05981 on our own line.

/** @returns {Promise<import('../section.mjs').Section[]>} */
export const measureAblation = async (/** @type {import('./clips.mjs').Bench} */ bench) => {
	// The engine comes into this process when it is wanted, and not before.
	const { measureSteps } = await import('./steps.mjs');
	const { measureBatchScaling } = await import('./batch-scaling.mjs');
	const { measureRefresh } = await import('./refresh.mjs');
	const { measureSustained } = await import('./sustained.mjs');
	const { measureSceneCuts } = await import('./scene-cuts.mjs');
	const sections = [];
	for (const measure of [measureSteps, measureBatchScaling, measureRefresh, measureSustained, measureSceneCuts])
		sections.push(await measure(bench));
	return sections;
};
