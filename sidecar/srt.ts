import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { SidecarError } from './errors.ts';
import { FfmpegChild } from './ffmpeg.ts';

/** SRT (Secure Reliable Transport) through ffmpeg: what an address may say, and what ffmpeg is told. */

const MODES = ['caller', 'listener', 'rendezvous'] as const;
const KEY_BYTES = ['16', '24', '32'] as const;
const LATENCY_MS = { usual: 120, max: 8000 };
const OPTIONS = ['mode', 'latency', 'passphraseFile', 'pbkeylen', 'streamid'] as const;

/** What encrypts a link where its address names no file. */
export const SRT_PASSPHRASE = 'ALLAPRIMA_SRT_PASSPHRASE';

export interface SrtAddress {
	/** For people, logs and reports: there is no secret in it. */
	name: string;
	host: string;
	port: number;
	mode: (typeof MODES)[number];
	latencyMs: number;
	streamId?: string;
	keyBytes?: string;
	passphraseFile?: string;
}

const refuse = (why: string): SidecarError =>
	new SidecarError(
		'ERR_CONFIG',
		`${why} An address of SRT is srt://HOST:PORT, or srt://:PORT to be called, with ?mode=${MODES.join('|')}, latency=MS, streamid=ID, passphraseFile=PATH, pbkeylen=${KEY_BYTES.join('|')}.`,
	);

const oneOf = <Known extends string>(known: readonly Known[], given: string, option: string): Known => {
	const found = known.find((one) => one === given);
	if (found === undefined) throw refuse(`${option} of SRT is ${known.join(', ')}, not ${given}.`);
	return found;
};

/** Errors: ERR_CONFIG, which repeats no passphrase. */
export const parseSrtAddress = (address: string): SrtAddress => {
	const [, host = '', portText = '', query = ''] =
		/^srt:\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]*):(\d{1,5})(?:\?(.*))?$/s.exec(address) ?? [];
	const port = Number(portText);
	if (!(port > 0 && port < 65_536)) throw refuse('That is no address of SRT.');
	const options = new URLSearchParams(query);
	if (options.has('passphrase'))
		throw refuse(`A passphrase in an address would be seen; put it into ${SRT_PASSPHRASE} or a file.`);
	for (const key of options.keys())
		if (!OPTIONS.some((known) => known === key)) throw refuse('There is an option that is not known.');
	const mode = oneOf(MODES, options.get('mode') ?? (host ? 'caller' : 'listener'), 'mode');
	if (!host && mode !== 'listener') throw refuse(`Who is a ${mode} names a host.`);
	const latencyMs = Number(options.get('latency') ?? LATENCY_MS.usual);
	if (!Number.isInteger(latencyMs) || latencyMs < 0 || latencyMs > LATENCY_MS.max)
		throw refuse(`latency of SRT is 0 to ${LATENCY_MS.max} ms.`);
	const streamId = options.get('streamid') ?? undefined;
	if (streamId !== undefined && (streamId.length === 0 || streamId.length > 512))
		throw refuse('streamid of SRT is 1 to 512 characters.');
	const keyBytes = options.get('pbkeylen');
	const passphraseFile = options.get('passphraseFile');
	return {
		name: `srt://${host}:${port}`,
		host,
		port,
		mode,
		latencyMs,
		...(streamId !== undefined && { streamId }),
		...(keyBytes !== null && { keyBytes: oneOf(KEY_BYTES, keyBytes, 'pbkeylen') }),
		...(passphraseFile && { passphraseFile }),
	};
};

export interface SrtLink {
	name: string;
	/** Options of ffmpeg before the address, and it. */
	options: string[];
	url: string;
	/** What ffmpeg says, without what it may not say. */
	redact: (message: string) => string;
}

/** What ffmpeg is told. Errors: ERR_CONFIG, ERR_RUNTIME, where this ffmpeg has no SRT. */
export const openSrtLink = async (
	address: string,
	environment: Record<string, string | undefined> = process.env,
): Promise<SrtLink> => {
	const parsed = parseSrtAddress(address);
	const passphrase = await passphraseOf(parsed, environment);
	await expectProtocol();
	const { name, host, port, mode, latencyMs, streamId, keyBytes } = parsed;
	return {
		name,
		options: [
			'-mode',
			mode,
			'-latency',
			String(latencyMs * 1000),
			'-transtype',
			'live',
			...(streamId === undefined ? [] : ['-streamid', streamId]),
			...(passphrase === undefined ? [] : ['-passphrase', passphrase]),
			...(keyBytes === undefined ? [] : ['-pbkeylen', keyBytes]),
		],
		url: `srt://${host || '0.0.0.0'}:${port}`,
		redact: (message) => (passphrase === undefined ? message : message.replaceAll(passphrase, '***')),
	};
};

const passphraseOf = async (
	{ passphraseFile }: SrtAddress,
	environment: Record<string, string | undefined>,
): Promise<string | undefined> => {
	const given = passphraseFile
		? await readFile(passphraseFile, 'utf8').catch((cause: NodeJS.ErrnoException) => {
				throw new SidecarError(
					'ERR_CONFIG',
					`passphraseFile ${passphraseFile} cannot be read (${cause.code ?? 'unknown error'}).`,
					{ cause },
				);
			})
		: environment[SRT_PASSPHRASE];
	const passphrase = given?.trim();
	if (!passphrase) return undefined;
	if (passphrase.length >= 10 && passphrase.length <= 79) return passphrase;
	throw new SidecarError(
		'ERR_CONFIG',
		`A passphrase of SRT has 10 to 79 characters, and that of ${passphraseFile ?? SRT_PASSPHRASE} ${passphrase.length}.`,
	);
};

const expectProtocol = async (): Promise<void> => {
	await using child = await FfmpegChild.start('ffmpeg', ['-hide_banner', '-protocols']);
	if (/^\s*srt$/m.test(await text(child.stdout))) return;
	throw new SidecarError(
		'ERR_RUNTIME',
		"This ffmpeg has no SRT. Debian's has; another may be named in ALLAPRIMA_FFMPEG.",
	);
};
