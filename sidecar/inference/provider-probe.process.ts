import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelManifest } from '../config/schema/manifest.ts';
import { SidecarError } from '../errors.ts';
import { loadNative } from '../native.ts';
import { devicesOf } from './devices.ts';
import { selfTest } from './self-test.ts';
import type { Provider } from './session.ts';

// Compares a provider with the CPU on every graph of a model: `provider-probe.process.js FOLDER PROVIDER [software]`. Prints why it cannot be
// used; without the last word that may be that its device is the CPU.
const [path = '', provider = 'cpu', software] = process.argv.slice(2);
try {
	const [device] = provider === 'webgpu' && !software ? devicesOf(loadNative().vulkanDevices()) : [];
	if (device?.isSoftware)
		throw new SidecarError(
			'ERR_PROVIDER',
			`${device.name} is the CPU, which is faster without it. --provider ${provider} takes it all the same`,
		);
	// The manifest was checked by the process that asks.
	const manifest = JSON.parse(readFileSync(join(path, 'model.json'), 'utf8')) as ModelManifest;
	await selfTest({ path, manifest }, provider as Provider);
} catch (error) {
	process.stdout.write((error as Error).message);
	process.exitCode = 1;
}
