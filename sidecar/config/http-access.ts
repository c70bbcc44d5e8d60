import { open } from 'node:fs/promises';
import { isIPv4 } from 'node:net';
import { SidecarError } from '../errors.ts';
import type { ChatRules } from './schema/api.ts';
import { httpPortOf, type Configuration } from './schema/configuration.ts';

/** Variables with secrets; they are no settings, and no part of the configuration. */
export const HTTP_TOKEN = 'ALLAPRIMA_HTTP_TOKEN';
export const CHAT_TOKEN = 'ALLAPRIMA_CHAT_TOKEN';

/** Where the page and the API are, and who may ask. */
export interface HttpAccess {
	host: string;
	/** 0 takes one that is free. */
	port: number;
	/** Names by which it is reached, besides those of this machine. */
	hosts: readonly string[];
	/** What every request has to show; absent where all of this machine may ask. */
	token?: string;
	/** What opens `POST /api/chat` and nothing else. */
	chatToken?: string;
	/** Absent where viewers may choose nothing. */
	chat?: ChatRules;
}

const LOOPBACK = '127.0.0.1';
const TOKEN = /^[\x21-\x7e]{16,256}$/;
const TOKEN_FILE_BYTES = 4096;
const HOW_TO_MAKE_ONE = 'openssl rand -hex 24 makes one';

export const isLoopback = (host: string): boolean =>
	host.toLowerCase() === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));

/** How this machine reaches what listens at a host. */
export const urlOf = (host: string, port: number): string => {
	const reached = { '0.0.0.0': LOOPBACK, '::': '::1' }[host] ?? host;
	return `http://${reached.includes(':') ? `[${reached}]` : reached}:${port}/`;
};

/**
 * undefined where there is to be no page. Errors: ERR_CONFIG for a token that is too short or can be read by others, and for
 * a host that is reached from elsewhere without one.
 */
export const httpAccessOf = async (
	configuration: Pick<Configuration, 'http' | 'pace' | 'chat'>,
	environment: Record<string, string | undefined>,
): Promise<HttpAccess | undefined> => {
	const port = httpPortOf(configuration);
	if (port === undefined) return undefined;
	const {
		host: asked = LOOPBACK,
		hosts = [],
		tokenFile,
	} = typeof configuration.http === 'object' ? configuration.http : {};
	const token =
		tokenIn(environment, HTTP_TOKEN) ?? (tokenFile === undefined ? undefined : await readTokenFile(tokenFile));
	const chatToken = tokenIn(environment, CHAT_TOKEN);
	if (!isLoopback(asked) && token === undefined)
		throw new SidecarError(
			'ERR_CONFIG',
			`${asked} can be reached from other machines, which takes a token: set ${HTTP_TOKEN} or http.tokenFile (${HOW_TO_MAKE_ONE}), or listen at ${LOOPBACK}.`,
		);
	if (token !== undefined && token === chatToken)
		throw new SidecarError('ERR_CONFIG', `${CHAT_TOKEN} is the token of everything. Expected one of its own.`);
	return {
		host: asked.toLowerCase() === 'localhost' ? LOOPBACK : asked,
		port,
		hosts: [asked, ...hosts].map((name) => name.toLowerCase()),
		...(token !== undefined && { token }),
		...(chatToken !== undefined && { chatToken }),
		...(configuration.chat !== 'off' && { chat: configuration.chat }),
	};
};

/** Errors: ERR_CONFIG for one that cannot be used. */
export const tokenIn = (environment: Record<string, string | undefined>, variable: string): string | undefined => {
	const text = environment[variable];
	return text ? expectToken(text, `environment variable ${variable}`) : undefined;
};

/** Never says what it is: what is wrong with a token must not give it away. */
const expectToken = (text: string, where: string): string => {
	if (TOKEN.test(text)) return text;
	throw new SidecarError(
		'ERR_CONFIG',
		`The token of ${where} cannot be used. Expected 16 to 256 letters, digits or signs, without spaces; got ${text.length} characters (${HOW_TO_MAKE_ONE}).`,
	);
};

const readTokenFile = async (path: string): Promise<string> => {
	let text: string;
	let mode: number;
	try {
		await using file = await open(path);
		const status = await file.stat();
		if (!status.isFile()) throw Object.assign(new Error(), { code: 'not a file' });
		({ mode } = status);
		const { buffer, bytesRead } = await file.read(Buffer.alloc(TOKEN_FILE_BYTES), 0, TOKEN_FILE_BYTES, 0);
		text = buffer.toString('utf8', 0, bytesRead);
	} catch (cause) {
		const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
		throw new SidecarError('ERR_CONFIG', `The token file ${path} cannot be read (${reason}).`, { cause });
	}
	if ((mode & 0o007) !== 0 && process.platform !== 'win32')
		throw new SidecarError(
			'ERR_CONFIG',
			`The token file ${path} is open to every user of this machine (mode ${(mode & 0o777).toString(8)}). Close it: chmod 600 ${path}`,
		);
	return expectToken(text.trim(), `file ${path}`);
};
