import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Tokenizer } from '@huggingface/tokenizers';
import { SidecarError } from '../errors.ts';
import type { Tensor } from '../frame/tensor.ts';
import type { ModelFolder } from './manifest.ts';

/** Token ids of a prompt, padded to the model's length on the right. */
export interface TokenizedPrompt {
	inputIds: Tensor<BigInt64Array>; // [1, maxLength]
	attentionMask: Tensor<BigInt64Array>; // [1, maxLength], 1 for tokens, 0 for padding
}

export type PromptTokenizer = (prompt: string) => TokenizedPrompt;

/** Reads the model's `tokenizer.json` (Hugging Face tokenizers format). Errors: ERR_MODEL. */
export const readTokenizer = async ({ path, manifest }: ModelFolder): Promise<PromptTokenizer> => {
	const { tokenizer: file, template, maxLength, padTokenId } = manifest.textEncoder;
	let tokenizer: Tokenizer;
	let special: string[];
	try {
		const read = JSON.parse(await readFile(join(path, file), 'utf8'));
		tokenizer = new Tokenizer(read, {});
		tokenizer.encode('a prompt');
		special = (read.added_tokens ?? []).map(({ content }: { content: unknown }) => String(content)).filter(Boolean);
	} catch (cause) {
		throw new SidecarError('ERR_MODEL', `${join(path, file)} is not a tokenizer: ${(cause as Error).message}`, {
			cause,
		});
	}
	return (prompt) => {
		// What marks turns and pictures in the template is the template's alone.
		const words = special.reduce((text, token) => text.replaceAll(token, ' '), prompt);
		// replace() with a function: "$&" in a prompt is text, not a pattern.
		const { ids }: { ids: number[] } = tokenizer.encode(template.replace('{prompt}', () => words));
		const inputIds = new BigInt64Array(maxLength).fill(BigInt(padTokenId));
		const attentionMask = new BigInt64Array(maxLength);
		// A long prompt loses its end, but not the token that closes it.
		const kept = ids.length > maxLength ? [...ids.slice(0, maxLength - 1), ids.at(-1)!] : ids;
		kept.forEach((id, i) => {
			inputIds[i] = BigInt(id);
			attentionMask[i] = 1n;
		});
		return {
			inputIds: { data: inputIds, shape: [1, maxLength] },
			attentionMask: { data: attentionMask, shape: [1, maxLength] },
		};
	};
};
