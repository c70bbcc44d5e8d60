import { describe, expect, test } from 'vitest';
import { FlickerMeter } from '../../sidecar/egress/flicker-meter.ts';
import { rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { until } from '../support/engines.ts';
import { frameOf } from '../support/frames.ts';

const SIZE = { width: 64, height: 48 };

/** Stripes, brighter by `brightness`. */
const stripes = (brightness = 0): Picture => ({
	...rgbLayout(SIZE),
	data: Uint8Array.from({ length: 3 * SIZE.width * SIZE.height }, (_, i) => 60 + brightness + (i % 12 < 6 ? 80 : 0)),
});

const painted = (sequence: number, brightness: number, parts: Partial<StyledFrame> = {}): StyledFrame => ({
	...frameOf(sequence),
	epoch: 1,
	kind: 'painting',
	source: stripes(),
	picture: stripes(brightness),
	...parts,
});

const meterAt = () => {
	let us = 10_000_000;
	const calls = { count: 0 };
	const native = loadNative();
	const meter = new FlickerMeter({
		native: {
			pictureDetail: (picture) => native.pictureDetail(picture),
			warpingError: (...pictures) => {
				calls.count++;
				return native.warpingError(...pictures);
			},
		},
		clock: () => us,
	});
	return { meter, calls, after: (ms: number) => (us += ms * 1000) };
};

describe('the flicker meter', () => {
	test('reads nothing from paintings that stay as a still source does', async () => {
		const { meter, after } = meterAt();
		await meter.present(painted(0, 0));
		after(40);
		await meter.present(painted(1, 0));
		await until(() => meter.reading !== undefined);
		expect(meter.reading!.warpingError).toBe(0);
		expect(meter.reading!.sobel).toBe(meter.reading!.sourceSobel);
	});

	test('reads by how much a painting changes that has no reason to', async () => {
		const { meter, after } = meterAt();
		await meter.present(painted(0, 0));
		after(40);
		await meter.present(painted(1, 20));
		await until(() => meter.reading !== undefined);
		expect(meter.reading!.warpingError).toBeCloseTo(20, 0);
	});

	test.each([
		['of two styles', painted(1, 20, { epoch: 2 }), 40],
		['of which one was not painted', painted(1, 20, { kind: 'unpainted' }), 40],
		['far apart', painted(1, 20), 400],
	])('compares no frames %s', async (_, second, ms) => {
		const { meter, calls, after } = meterAt();
		await meter.present(painted(0, 0));
		after(ms);
		await meter.present(second);
		expect(calls.count).toBe(0);
	});

	test('takes a painting that is shown again for one', async () => {
		const { meter, calls, after } = meterAt();
		const frame = painted(0, 0);
		await meter.present(frame);
		after(40);
		await meter.present(frame);
		expect(calls.count).toBe(0);
	});

	test('measures once in two seconds, and forgets when nothing is painted any more', async () => {
		const { meter, calls, after } = meterAt();
		for (let frame = 0; frame < 100; frame++) {
			await meter.present(painted(frame, 0));
			after(40);
			if (frame === 10) await until(() => meter.reading !== undefined);
		}
		expect(calls.count).toBe(2);
		await until(() => meter.reading !== undefined);
		after(5000);
		expect(meter.reading).toBeUndefined();
	});
});
