import { expect, it } from 'vitest';
import { describeDevice, devicesOf } from '../../sidecar/inference/devices.ts';
import type { VulkanDevice } from '../../sidecar/native.ts';

const listed = (kind: VulkanDevice['kind']): VulkanDevice => ({ name: kind, kind, driver: 'a driver', memoryBytes: 0 });

it('names the device that Dawn takes first, and the one in software last', () => {
	const devices = devicesOf((['software', 'integrated', 'other', 'discrete', 'virtual'] as const).map(listed));
	expect(devices.map(({ name }) => name)).toEqual(['discrete', 'integrated', 'virtual', 'other', 'software']);
	expect(devices.map(({ isSoftware }) => isSoftware)).toEqual([false, false, false, false, true]);
	expect(devicesOf([])).toEqual([]);
});

it('gives its memory in words, where that is known', () => {
	const device = { name: 'a GPU', driver: '', isSoftware: false };
	expect(describeDevice({ ...device, memoryBytes: 8.5 * 2 ** 30 })).toBe('a GPU, 8.5 GiB');
	expect(describeDevice({ ...device, memoryBytes: 0 })).toBe('a GPU');
});
