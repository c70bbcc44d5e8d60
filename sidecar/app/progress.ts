import type { Configuration } from '../config/schema/configuration.ts';
import type { Controller } from '../control/controller.ts';
import type { RunView } from '../control/http/served.ts';
import type { StyledFrame } from '../frame/frame.ts';
import type { SourceInfo } from '../ingest/frame-source.ts';
import type { Progress, Recorder } from '../telemetry/report.ts';

const PROGRESS_EVERY_US = 250_000;

/** How many frames the run will have, where that can be known. */
export const frameCount = (
	{ frames, durationS }: Pick<Configuration, 'frames' | 'durationS'>,
	{ durationUs, frameRate }: SourceInfo,
): number | undefined => {
	if (durationS !== undefined) return frames;
	const inSource = durationUs > 0 ? Math.round((durationUs * frameRate.num) / (1e6 * frameRate.den)) : Infinity;
	const count = Math.min(frames ?? Infinity, inSource);
	return Number.isFinite(count) ? count : undefined;
};

/** Tells the recorder of each frame shown, with the time that a switch of style took. */
export const show = ({
	recorder,
	controller,
	onProgress,
	framesTotal,
}: {
	recorder: Recorder;
	controller: Controller;
	onProgress?: (progress: Progress) => void;
	framesTotal: number | undefined;
}) => {
	let epoch = 0;
	let progressUs = 0;
	return (frame: StyledFrame, how: 'new' | 'again', presentedUs: number): void => {
		if (how === 'again') recorder.frameRepeated();
		else if (frame.kind === 'unpainted') recorder.frameUnpainted();
		else recorder.frameOut({ ...frame, presentedUs });
		if (how === 'new' && frame.isReused) recorder.frameReused();
		const { change } = controller;
		if (frame.epoch > epoch) {
			epoch = frame.epoch;
			if (change.epoch === epoch)
				recorder.styleSwitched({ epoch, style: change.style, latencyMs: (presentedUs - change.changedUs) / 1000 });
		}
		if (!onProgress || presentedUs - progressUs < PROGRESS_EVERY_US) return;
		progressUs = presentedUs;
		onProgress(recorder.progress(framesTotal));
	};
};

/** What the page and the plugin in OBS show of the run. */
export const runView = (recorder: Recorder, state: RunView['engine']['state'], source: SourceInfo): RunView => {
	const report = recorder.report();
	const { fps, latencyMsP50, latencyMsP95 } = recorder.progress();
	return {
		engine: { state, model: report.model, provider: report.provider, restarts: report.engineRestarts },
		source: source.name,
		framePeriodMs: (1000 * source.frameRate.den) / source.frameRate.num,
		painted: report.size,
		batchSize: report.batchSize,
		fps,
		latencyMs: { p50: latencyMsP50, p95: latencyMsP95 },
		sideStreamMs: report.sideStreamMs,
		mainStreamMs: report.mainStreamMs,
		framesIn: report.framesIn,
		framesOut: report.framesOut,
		framesDropped: report.framesDropped,
		framesRepeated: report.framesRepeated,
		framesReused: report.framesReused,
		framesUnpainted: report.framesUnpainted,
	};
};
