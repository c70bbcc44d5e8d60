import type { IncomingMessage } from 'node:http';
import { Refusal } from './answer.ts';

/** What a command or a message of a client may have. */
export const BODY_BYTES = 16 * 1024;

export const pathOf = ({ url = '' }: IncomingMessage): string => url.split('?', 1)[0]!;

export const queryOf = ({ url = '' }: IncomingMessage): URLSearchParams =>
	new URLSearchParams(url.split('?').slice(1).join('?'));

/** The channel that a request names; undefined is the first. */
export const channelNameOf = (request: IncomingMessage): string | undefined =>
	queryOf(request).get('channel') ?? undefined;

/** A form of a foreign page cannot send this type. Errors: ERR_COMMAND, as refusals. */
export const readJson = async (request: IncomingMessage, byteLengthMax = BODY_BYTES): Promise<unknown> => {
	if (!/^application\/json\s*(;|$)/i.test(request.headers['content-type'] ?? ''))
		throw new Refusal(415, 'ERR_COMMAND', 'A command is sent as application/json.');
	const body = await readBody(request, { byteLengthMax, what: 'A command', code: 'ERR_COMMAND' });
	try {
		return JSON.parse(body.toString('utf8'));
	} catch (cause) {
		throw new Refusal(400, 'ERR_COMMAND', `The command is not JSON: ${(cause as Error).message}.`);
	}
};

/** Errors: `code`, as refusals: more than `byteLengthMax`, or cut off. */
export const readBody = async (
	request: IncomingMessage,
	{ byteLengthMax, what, code }: { byteLengthMax: number; what: string; code: string },
): Promise<Buffer> => {
	const chunks: Buffer[] = [];
	let byteLength = 0;
	await new Promise<void>((resolve, reject) => {
		request.on('data', (chunk: Buffer) => {
			byteLength += chunk.length;
			chunks.push(chunk);
			if (byteLength <= byteLengthMax) return;
			request.pause();
			reject(new Refusal(413, code, `${what} has at most ${byteLengthMax} bytes.`));
		});
		request.on('end', resolve);
		request.on('close', () => reject(new Refusal(400, code, 'The request was cut off.')));
	});
	return Buffer.concat(chunks);
};
