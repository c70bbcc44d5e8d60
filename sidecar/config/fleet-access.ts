import { open } from 'node:fs/promises';
import { SidecarError } from '../errors.ts';
import type { Fleet } from './schema/configuration.ts';

/** Variables with what opens the NATS server; they are no settings, and no part of the configuration. */
export const NATS_TOKEN = 'ALLAPRIMA_NATS_TOKEN';
export const NATS_USER = 'ALLAPRIMA_NATS_USER';
export const NATS_PASSWORD = 'ALLAPRIMA_NATS_PASSWORD';

/** Where the NATS server is, and what opens it. */
export interface FleetAccess {
	/** As it was given, for messages; there is no secret in it. */
	url: string;
	/** HOST[:PORT]. */
	server: string;
	/** All the ways to it, the best first; absent where there is one. */
	servers?: readonly string[];
	/** Whether it is that of a pair, and what opens it was agreed there. */
	isPaired?: boolean;
	token?: string;
	user?: string;
	password?: string;
	/** What a .creds file holds. */
	credentials?: Uint8Array;
	/** Present where the connection has to be encrypted. */
	tls?: {
		caFile?: string;
		certFile?: string;
		keyFile?: string;
		/** As `caFile`, and what it holds. */
		ca?: string;
		/** The name that the server's certificate has, where it is not the one by which it is reached. */
		servername?: string;
	};
}

const FILE_BYTES_MAX = 65_536;

/** Errors: ERR_CONFIG, where files cannot be read or what is given does not fit together. */
export const fleetAccessOf = async (
	url: string,
	{ caFile, certFile, keyFile, credsFile }: Pick<Fleet, 'caFile' | 'certFile' | 'keyFile' | 'credsFile'>,
	environment: Record<string, string | undefined>,
): Promise<FleetAccess> => {
	const [, scheme, server] = /^(nats|tls):\/\/([^/@]+)$/.exec(url) ?? [];
	if (server === undefined)
		throw new SidecarError(
			'ERR_CONFIG',
			`A NATS server is given as nats://HOST[:PORT] or tls://HOST[:PORT], without a user or a path. What opens it is for the environment: ${NATS_TOKEN}, or ${NATS_USER} and ${NATS_PASSWORD}.`,
		);
	const token = environment[NATS_TOKEN];
	const user = environment[NATS_USER];
	const password = environment[NATS_PASSWORD];
	const ways = [token, user ?? password, credsFile].filter((way) => way !== undefined);
	if (ways.length > 1)
		throw new SidecarError(
			'ERR_CONFIG',
			`One of ${NATS_TOKEN}, ${NATS_USER} with ${NATS_PASSWORD}, and fleet.credsFile opens the NATS server; ${ways.length} are set.`,
		);
	if ((user === undefined) !== (password === undefined))
		throw new SidecarError('ERR_CONFIG', `${NATS_USER} and ${NATS_PASSWORD} go together; only one of them is set.`);
	if ((certFile === undefined) !== (keyFile === undefined))
		throw new SidecarError('ERR_CONFIG', 'fleet.certFile and fleet.keyFile go together; only one of them is set.');
	for (const [key, path] of Object.entries({ caFile, certFile, keyFile })) if (path) await read(`fleet.${key}`, path);
	return {
		url,
		server,
		...(token !== undefined && { token }),
		...(user !== undefined && password !== undefined && { user, password }),
		...(credsFile !== undefined && { credentials: await read('fleet.credsFile', credsFile) }),
		...((scheme === 'tls' || caFile !== undefined || certFile !== undefined) && {
			tls: {
				...(caFile !== undefined && { caFile }),
				...(certFile !== undefined && { certFile }),
				...(keyFile !== undefined && { keyFile }),
			},
		}),
	};
};

const read = async (key: string, path: string): Promise<Uint8Array> => {
	try {
		await using file = await open(path);
		const status = await file.stat();
		if (!status.isFile()) throw Object.assign(new Error(), { code: 'not a file' });
		if (status.size > FILE_BYTES_MAX) throw Object.assign(new Error(), { code: `${status.size} bytes` });
		return await file.readFile();
	} catch (cause) {
		const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
		throw new SidecarError('ERR_CONFIG', `${key} ${path} cannot be read (${reason}).`, { cause });
	}
};
