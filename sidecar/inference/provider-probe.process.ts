import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelManifest } from '../config/schema.ts';
import { selfTest } from './self-test.ts';
import type { Provider } from './session.ts';

// Compares a provider with the CPU on every graph of a model: `provider-probe.process.js FOLDER PROVIDER`. Prints why it cannot be used.
const [path = '', provider = 'cpu'] = process.argv.slice(2);
try {
	// The manifest was checked by the process that asks.
	const manifest = JSON.parse(readFileSync(join(path, 'model.json'), 'utf8')) as ModelManifest;
	await selfTest({ path, manifest }, provider as Provider);
} catch (error) {
	process.stdout.write((error as Error).message);
	process.exitCode = 1;
}
