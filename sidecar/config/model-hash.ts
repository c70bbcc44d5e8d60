import { createHash } from 'node:crypto';
import type { ModelManifest } from './schema.ts';

/** The sha256 of all files that a model paints with, by which two machines know that they have the same one. */
export const modelHashOf = ({
	graphs,
	int8 = {},
	textEncoder,
}: Pick<ModelManifest, 'graphs' | 'int8' | 'textEncoder'>): string => {
	const files = [
		...Object.entries(graphs).flatMap(([role, { sha256, externalData = [] }]) =>
			[{ sha256 }, ...externalData].map((file, i) => `${role} ${i} ${file.sha256}`),
		),
		...Object.entries(int8).map(([role, { sha256 }]) => `${role} int8 ${sha256}`),
		`tokenizer ${textEncoder.tokenizerSha256}`,
	];
	return createHash('sha256').update(files.sort().join('\n')).digest('hex');
};
