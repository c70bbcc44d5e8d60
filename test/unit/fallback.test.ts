import { expect, it } from 'vitest';
import { Fallback, openFallback } from '../../sidecar/app/fallback.ts';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import { findModelFolder, openModelFolder } from '../../sidecar/inference/manifest.ts';
import { resolveParameters, type ReadPreset } from '../../sidecar/parameters.ts';
import { presetOf, referenceOfGrey, tuningOf } from '../support/frames.ts';

const painted = { width: 512, height: 288 };

it('paints on whatever there is where a device was asked for, which may be gone; on the CPU where that was asked for', async () => {
	const lite = await openModelFolder(await findModelFolder('lite'));
	const providerOf = (provider: 'cuda' | 'auto' | 'cpu') =>
		new Fallback(lite, { tuning: {}, provider }, { painted, layout: rgbLayout(painted) }).provider;
	expect(providerOf('cuda')).toBe('auto');
	expect(providerOf('auto')).toBe('auto');
	expect(providerOf('cpu')).toBe('cpu');
});

it('is none for the model that comes with us', async () => {
	expect(await openFallback(await openModelFolder(await findModelFolder('lite')))).toBeUndefined();
});

it('paints a style that a picture shows by words: those beside it, or others, and never the source as it is', async () => {
	const lite = await openModelFolder(await findModelFolder('lite'));
	const fallback = new Fallback(lite, { tuning: {}, provider: 'cpu' }, { painted, layout: rgbLayout(painted) });
	const shown = { ...presetOf('shown'), shown: referenceOfGrey(1) };
	const { prompt: _, ...wordless } = shown;
	const wordsOf = (preset: ReadPreset) => fallback.parametersOf(resolveParameters(preset, tuningOf(), 0)).conditioning;
	expect(wordsOf(shown)).toEqual([{ prompt: shown.prompt, weight: 1 }]);
	expect(wordsOf(wordless)).toEqual([{ prompt: expect.stringMatching(/oil painting/), weight: 1 }]);
});
