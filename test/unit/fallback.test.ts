import { expect, it } from 'vitest';
import { Fallback, openFallback } from '../../sidecar/app/fallback.ts';
import { rgbLayout } from '../../sidecar/frame/frame.ts';
import { findModelFolder, openModelFolder } from '../../sidecar/inference/manifest.ts';

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
