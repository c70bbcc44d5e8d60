import { createHash } from 'node:crypto';
import { int8GraphsOf, type ModelManifest } from './schema/manifest.ts';

/** The sha256 of all files that a model paints with, by which two machines know that they have the same one. */
export const modelHashOf = (manifest: ModelManifest): string => {
	const { graphs, textEncoder } = manifest;
	const files = [
		...Object.entries(graphs).flatMap(([role, { sha256, externalData = [] }]) =>
			[{ sha256 }, ...externalData].map((file, i) => `${role} ${i} ${file.sha256}`),
		),
		...Object.entries(int8GraphsOf(manifest)).map(([role, { sha256 }]) => `${role} int8 ${sha256}`),
		`tokenizer ${textEncoder.tokenizerSha256}`,
	];
	return createHash('sha256').update(files.sort().join('\n')).digest('hex');
};
