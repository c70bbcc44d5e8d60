import { help, kebabName } from './fields.ts';
import { HTTP_PORT } from './run-fields.ts';
import { z } from './zod.ts';

export const httpPort = z.int().min(0).max(65_535);
export const hostName = z
	.string()
	.max(253)
	.regex(/^[A-Za-z0-9._:-]+$/, 'expected a name or an address, such as 0.0.0.0 or studio.lan');

export const HttpListen = z.strictObject({
	port: httpPort.exactOptional().meta(help(`Port; else ${HTTP_PORT}`)),
	host: hostName.exactOptional().meta(help('Name or address to listen at; any but this machine alone needs a token')),
	hosts: z.array(hostName).max(16).exactOptional().meta(help('Names by which others reach it, of a reverse proxy say')),
	tokenFile: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('File with the token, which nobody else may read; else ALLAPRIMA_HTTP_TOKEN')),
});

/** What viewers of a stream may ask for, by a bot that asks for them. */
export const ChatRules = z.strictObject({
	styles: z.array(kebabName).min(1).max(100).meta(help('Names of the styles that viewers may choose')),
	coolDownS: z.number().min(0).max(3600).default(30).meta(help('How long a choice of a viewer stands', 's')),
	perUserCoolDownS: z
		.number()
		.min(0)
		.max(86_400)
		.default(120)
		.meta(help('How long a viewer waits between two choices', 's')),
	maxPerMinute: z.int().min(1).max(600).default(6).meta(help('Choices of all viewers together', '1/min')),
});
export type ChatRules = z.infer<typeof ChatRules>;

/** What a bot sends. No prompt: what is painted is the streamer's to answer for. */
export const ChatRequest = z.strictObject({
	style: z.string().trim().min(1).max(80).meta(help('Name or title of a style, as a viewer wrote it')),
	user: z.string().trim().min(1).max(64).meta(help('Who asks, for the cool-down')),
});
export type ChatRequest = z.infer<typeof ChatRequest>;
