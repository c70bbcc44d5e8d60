import { describe, expect, it } from 'vitest';
import { fasterPrecision, wishFor } from '../../sidecar/inference/precision.ts';

describe('the precision of a graph', () => {
	it('is int8 where its fastest run is clearly the faster one, whatever disturbed the others', () => {
		expect(fasterPrecision({ fp32: [26, 27, 31], int8: [90, 14, 60] })).toBe('int8');
		expect(fasterPrecision({ fp32: [120, 26], int8: [27, 28] })).toBe('fp32');
	});

	it('is fp32 where int8 is hardly faster', () => {
		expect(fasterPrecision({ fp32: [20], int8: [19.5] })).toBe('fp32');
		expect(fasterPrecision({ fp32: [20], int8: [18.5] })).toBe('int8');
	});

	const onCpu = { hasInt8: true, provider: 'cpu', role: 'unet' } as const;

	it('is what was asked for, and auto is measured on a CPU alone', () => {
		expect(wishFor('fp32', onCpu)).toBe('fp32');
		expect(wishFor('int8', onCpu)).toBe('int8');
		expect(wishFor('auto', onCpu)).toBe('auto');
		expect(wishFor('auto', { ...onCpu, provider: 'cuda' })).toBe('fp32');
	});

	it('is fp32 for a graph that the model has in nothing else', () => {
		for (const wish of ['fp32', 'int8', 'auto', ['unet']] as const)
			expect(wishFor(wish, { ...onCpu, hasInt8: false })).toBe('fp32');
	});

	it('is that of the engine before, when one was started again', () => {
		expect(wishFor(['unet', 'vae_decoder'], onCpu)).toBe('int8');
		expect(wishFor(['vae_decoder'], onCpu)).toBe('fp32');
		expect(wishFor([], onCpu)).toBe('fp32');
	});
});
