import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ModelManifest } from '../config/schema.ts';
import { openGraph } from './manifest.ts';
import type { Provider } from './session.ts';

// Runs the smallest graph of a model once: `provider-probe.process.js FOLDER PROVIDER`. Prints why it could not.
const [path = '', provider = 'cpu'] = process.argv.slice(2);
try {
	// The manifest was checked by the process that asks.
	const manifest = JSON.parse(readFileSync(join(path, 'model.json'), 'utf8')) as ModelManifest;
	const { image } = manifest.textEncoder;
	await using session = await openGraph({ path, manifest }, 'te_vision', provider as Provider);
	await session.warmUp({ batch: 1, width: image.width, height: image.height });
} catch (error) {
	process.stdout.write((error as Error).message);
	process.exitCode = 1;
}
