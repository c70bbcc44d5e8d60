import { pictureByteLength, rgbLayout, type Picture, type Size } from '../frame/frame.ts';
import { FrameRing } from '../frame/ring.ts';
import { openFileSource } from '../ingest/file-source.ts';
import { slotByteLength, type FrameSource } from '../ingest/frame-source.ts';
import { loadNative } from '../native.ts';
import { log } from '../telemetry/logger.ts';
import { measurePictures, type PictureMetrics } from '../telemetry/picture-metrics.ts';
import { printTable, printValue } from './print.ts';

/** Two pairs are looked at while a third is filled. */
const BUFFERS = 3;

/** All frames of a file as RGB of `size`; a picture is overwritten two frames later. */
async function* rgbPictures(source: FrameSource, size: Size, signal: AbortSignal): AsyncGenerator<Picture> {
	const native = loadNative();
	const pictureBytes = pictureByteLength(source.info.layout);
	const ring = new FrameRing({ slotCount: 2, slotBytes: slotByteLength(source.info), mode: 'wait' });
	const layout = rgbLayout(size);
	const buffers = Array.from({ length: BUFFERS }, () => new Uint8Array(pictureByteLength(layout)));
	const stop = new AbortController();
	const either = AbortSignal.any([signal, stop.signal]);
	const ended = source.run(ring, either).then(
		({ warnings }) => {
			for (const warning of warnings) log.warn({ source: source.info.name }, warning);
			ring.close();
		},
		(error: unknown) => ring.fail(error),
	);
	let count = 0;
	try {
		for await (const frame of ring.frames(either)) {
			const target = { ...layout, data: buffers[count++ % BUFFERS]! };
			await native.convert(
				{ ...frame.layout, data: ring.bytes(frame.slot).subarray(0, pictureBytes) },
				target,
				'stretch',
			);
			ring.release(frame);
			yield target;
		}
	} finally {
		stop.abort();
		await ended;
	}
}

async function* pairsOf(
	inputs: AsyncGenerator<Picture>,
	outputs: AsyncGenerator<Picture>,
): AsyncGenerator<[Picture, Picture]> {
	let frames = 0;
	try {
		for (;;) {
			const [input, output] = await Promise.all([inputs.next(), outputs.next()]);
			if (input.done !== output.done)
				log.warn({ frames, longer: input.done ? 'styled' : 'source' }, 'clips differ in length: the rest is left out');
			if (input.done || output.done) return;
			frames++;
			yield [input.value, output.value];
		}
	} finally {
		await Promise.all([inputs.return(undefined), outputs.return(undefined)]);
	}
}

const rateOf = ({ info: { frameRate } }: FrameSource): number => frameRate.num / frameRate.den;

/** `allaprima eval`: frames are paired by number, at the size of the styled clip. */
export const evaluate = async (
	paths: { source: string; styled: string },
	{ signal, json }: { signal: AbortSignal; json: boolean },
): Promise<void> => {
	const path = (name: string) => name.replace(/^file:/, '');
	await using source = await openFileSource(path(paths.source), { pace: 'max' });
	await using styled = await openFileSource(path(paths.styled), { pace: 'max' });
	const rates = { source: rateOf(source), styled: rateOf(styled) };
	if (Math.abs(rates.source / rates.styled - 1) > 0.02)
		log.warn(rates, 'clips differ in frame rate: frames are paired by number, which may compare different moments');
	const { width, height } = styled.info.layout;
	const metrics = await measurePictures(
		pairsOf(rgbPictures(source, { width, height }, signal), rgbPictures(styled, { width, height }, signal)),
		loadNative(),
	);
	if (json) printValue({ ...metrics, size: { width, height } });
	else printTable(rowsOf(metrics, { width, height }));
};

const rowsOf = (metrics: PictureMetrics, { width, height }: Size): string[][] => {
	const { warpingError, warpingErrorVisible, visibleFraction, consecutiveL1, consistencyRatio } = metrics;
	const percent = `${(100 * visibleFraction).toFixed(1)} % of pixels`;
	return [
		['frames', String(metrics.frames), `${width}x${height}`],
		['warping error', warpingError.toFixed(3), '0..255, all pixels'],
		['warping error, visible', warpingErrorVisible.toFixed(3), percent],
		['consecutive L1', consecutiveL1.toFixed(3), '0..255'],
		['consistency ratio', consistencyRatio.toFixed(3), 'warping error / consecutive L1'],
		['Sobel', metrics.output.sobel.toFixed(3), `source ${metrics.input.sobel.toFixed(3)}`],
		[
			'HF-FFT',
			metrics.output.hfFft.toFixed(1),
			`source ${metrics.input.hfFft.toFixed(1)}, ln ratio ${metrics.hfLogRatio.toFixed(3)}`,
		],
		['PSNR', metrics.psnrDb.toFixed(2), 'dB, against the source'],
		['SSIM', metrics.ssim.toFixed(4), 'against the source'],
	];
};
