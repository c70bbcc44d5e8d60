/** A flow-matching schedule with dynamic shifting, as diffusers' FlowMatchEulerDiscreteScheduler computes it. */
export interface SchedulerSettings {
	baseShift: number;
	maxShift: number;
	baseSeqLen: number;
	maxSeqLen: number;
}

/** Length of the image sequence that the shift depends on: a quarter of the pixels at 1/8 of each side. */
export const imageSeqLen = (width: number, height: number): number => ((width / 8) * (height / 8)) / 4;

/**
 * Noise levels of a run of `steps` steps, from 1 (pure noise) down to 0 (the painting): `steps + 1` numbers.
 * The timestep of level s is 1000 · s. One step gives [1, 0] whatever the shift, so that x0 = noise - v.
 */
export const flowMatchSigmas = (settings: SchedulerSettings, steps: number, seqLen: number): number[] => {
	const slope = (settings.maxShift - settings.baseShift) / (settings.maxSeqLen - settings.baseSeqLen);
	const shift = Math.exp(settings.baseShift + slope * (seqLen - settings.baseSeqLen));
	const sigmas = Array.from({ length: steps }, (_, i) => {
		const linear = steps === 1 ? 1 : 1 + (i / (steps - 1)) * (1 / steps - 1);
		return shift / (shift + (1 / linear - 1));
	});
	return [...sigmas, 0];
};
