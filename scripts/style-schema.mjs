// Writes presets/style.schema.json from the schema in sidecar/config; with --check it says whether that is up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { jsonSchemaOf } from '../dist/config/schema/parse.js';
import { PresetFile } from '../dist/config/schema/preset.js';

const path = new URL('../presets/style.schema.json', import.meta.url);
const text = `${JSON.stringify(jsonSchemaOf(PresetFile), null, '\t')}\n`;

if (!process.argv.includes('--check')) {
	writeFileSync(path, text);
} else if (readFileSync(path, 'utf8') !== text) {
	console.error('presets/style.schema.json is stale. Run: node scripts/style-schema.mjs');
	process.exitCode = 1;
}
