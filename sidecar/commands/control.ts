import { basename } from 'node:path';
import { HTTP_TOKEN, httpAccessOf, tokenIn, urlOf } from '../config/http-access.ts';
import { loadConfiguration } from '../config/load-config.ts';
import { regionOfText } from '../config/region-text.ts';
import type { SavePreset } from '../config/schema/preset.ts';
import { HTTP_PORT } from '../config/schema/run-fields.ts';
import { readSetting, SETTINGS } from '../config/settings.ts';
import { readCommand, styleCommand, type Command } from '../control/commands.ts';
import type { ControlView } from '../control/controller.ts';
import type { SavedPreset } from '../control/http/schemas.ts';
import { SidecarError } from '../errors.ts';
import { checkImage, nameOf, REFERENCE_BYTES_MAX } from '../control/reference-image.ts';
import { readGuarded } from '../control/file-guard.ts';
import { IMAGE_MEDIA_TYPES } from '../control/image-header.ts';
import { printTable, printValue } from './print.ts';

const ANSWER_MS = 5000;
/** A picture has to be sent and decoded. */
const PICTURE_ANSWER_MS = 30_000;

export interface ControlOptions {
	/** Where a sidecar of another machine listens. */
	http?: string;
	/** As the flag has it; else what the configuration says. */
	port?: string;
	/** Of several; else the first. */
	channel?: string;
	json: boolean;
	environment: Record<string, string | undefined>;
}

/** `allaprima style NAME|next|previous`: tells the running sidecar. Errors: ERR_CONTROL where none runs, ERR_STYLE. */
export const changeStyle = async (word: string, options: ControlOptions): Promise<void> => {
	const { control } = await tell(styleCommand(word), options);
	if (options.json) printValue(control);
	else
		process.stdout.write(control.pending ? `${control.pending}, on the ${control.quantise}\n` : `${control.style}\n`);
};

/** `allaprima tempo BPM|tap` and `allaprima quantise off|beat|bar`. Errors: ERR_CONTROL where none runs, ERR_COMMAND. */
export const setTempo = async (command: Command, options: ControlOptions): Promise<void> => {
	const { control } = await tell(command, options);
	if (options.json) return printValue(control);
	const { tempo, quantise } = control;
	const music = tempo ? `${Number(tempo.bpm.toFixed(1))} beats/min` : 'no tempo yet';
	process.stdout.write(`${music}, switches ${quantise === 'off' ? 'at once' : `on the ${quantise}`}\n`);
};

export interface ReferenceFlags {
	/** A frame of what is painted now. */
	frame?: 'painting' | 'source';
	/** As the preset says again. */
	off?: boolean;
}

/**
 * `allaprima reference FILE|--frame|--off`: paints like a picture. Errors: ERR_CONTROL where no sidecar runs, ERR_STYLE,
 * ERR_MODEL where its model takes words alone.
 */
export const changeReference = async (
	file: string | undefined,
	{ frame, off }: ReferenceFlags,
	options: ControlOptions,
): Promise<void> => {
	if ([file, frame, off].filter((one) => one !== undefined).length !== 1)
		throw new SidecarError('ERR_CONFIG', 'Name a picture, or --frame for what is painted now, or --off; one of them.');
	const { control } =
		file === undefined
			? await tell({ type: 'reference', from: frame ?? 'preset' }, options)
			: await sendPicture(file, options);
	if (options.json) return printValue(control);
	const { reference, style } = control;
	process.stdout.write(reference ? `like ${reference.name} (${reference.width}x${reference.height})\n` : `${style}\n`);
};

const sendPicture = async (file: string, options: ControlOptions): Promise<Answer> => {
	const bytes = await readGuarded(file, { byteLengthMax: REFERENCE_BYTES_MAX, follow: true });
	const { type } = checkImage(bytes, file).header;
	const content = type === 'gif' ? 'image/gif' : IMAGE_MEDIA_TYPES[type];
	const path = `/api/reference?name=${encodeURIComponent(nameOf(basename(file)))}`;
	return await askSidecar<Answer>(path, { bytes, type: content }, options, isState);
};

/** `allaprima region WHAT`: what is painted of the picture. Errors: ERR_CONTROL where none runs, ERR_COMMAND. */
export const setRegion = async (text: string, options: ControlOptions): Promise<void> => {
	const command = readCommand({ type: 'region', region: regionOfText(text, (name) => name) });
	const { control } = await tell(command, options);
	if (options.json) printValue(control);
	else process.stdout.write(`${control.region}${control.isRegionOfPreset ? ', as the style says' : ''}\n`);
};

/** `allaprima panic on|off`: nothing but the slate leaves, until it is over. Errors: ERR_CONTROL where no sidecar runs. */
export const setPanic = async (on: boolean, options: ControlOptions): Promise<void> => {
	const { control } = await tell({ type: 'panic', on }, options);
	if (options.json) printValue(control);
	else process.stdout.write(`panic ${control.panic ? 'on' : 'off'}\n`);
};

/**
 * `allaprima presets save NAME`: keeps what the running sidecar paints as a preset of its user.
 * Errors: ERR_CONTROL where none runs, ERR_STYLE where one of that name is there or nothing is painted.
 */
export const savePresetOfNow = async (wish: SavePreset, options: ControlOptions): Promise<void> => {
	const saved = await askSidecar<SavedPreset>('/api/presets', wish, options, isSaved);
	if (options.json) return printValue(saved);
	printTable([[saved.name, saved.path]]);
	if (!saved.hasThumbnail) process.stderr.write(`${saved.name} has no thumbnail: there was no picture to be had\n`);
};

const isSaved = ({ name, path }: Partial<SavedPreset>) => typeof name === 'string' && typeof path === 'string';

interface Place {
	url: URL;
	token: string | undefined;
}

/** A sidecar elsewhere gets the token of the environment, and never what a file of this machine has. */
const placeOf = async ({ http, port, environment }: ControlOptions): Promise<Place> => {
	if (http !== undefined) return { url: readUrl(http), token: tokenIn(environment, HTTP_TOKEN) };
	const setting = SETTINGS.find(({ key }) => key === 'http')!;
	if (port !== undefined) readSetting(setting, port, 'flag --port');
	const configuration = await loadConfiguration({ flags: port === undefined ? {} : { http: port }, environment });
	const access = await httpAccessOf(configuration, environment);
	const url = access ? urlOf(access.host, access.port || HTTP_PORT) : urlOf('127.0.0.1', HTTP_PORT);
	return { url: new URL(url), token: access?.token };
};

const readUrl = (text: string): URL => {
	const url = URL.canParse(text) ? new URL(text) : undefined;
	if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password || url.pathname !== '/')
		throw new SidecarError(
			'ERR_CONFIG',
			'flag --http is not valid: expected an address such as http://192.168.1.20:7717.',
		);
	return url;
};

interface Answer {
	control: Pick<
		ControlView,
		'style' | 'panic' | 'pending' | 'tempo' | 'quantise' | 'reference' | 'region' | 'isRegionOfPreset'
	>;
}

const tell = async (command: Command, options: ControlOptions): Promise<Answer> =>
	await askSidecar<Answer>('/api/commands', command, options, isState);

const isState = ({ control }: Partial<Answer>) => control !== undefined;

/** A body that is no JSON. */
interface Sent {
	bytes: Buffer;
	type: string;
}

const isSent = (body: object): body is Sent => 'bytes' in body && body.bytes instanceof Uint8Array;

/** Sends the body, or without one asks. Errors: ERR_CONTROL where no sidecar answers, ERR_STYLE, ERR_COMMAND. */
export const askSidecar = async <T extends object>(
	path: string,
	body: object | Sent | undefined,
	options: ControlOptions,
	isAnswer: (answer: Partial<T>) => boolean,
): Promise<T> => {
	const { url, token } = await placeOf(options);
	const asked = new URL(path, url);
	if (options.channel !== undefined) asked.searchParams.set('channel', options.channel);
	let response: Response;
	try {
		response = await fetch(asked, {
			method: body ? 'POST' : 'GET',
			headers: {
				'Content-Type': body && isSent(body) ? body.type : 'application/json',
				...(token !== undefined && { Authorization: `Bearer ${token}` }),
			},
			...(body && { body: isSent(body) ? body.bytes : JSON.stringify(body) }),
			redirect: 'error',
			signal: AbortSignal.timeout(body && isSent(body) ? PICTURE_ANSWER_MS : ANSWER_MS),
		});
	} catch (cause) {
		throw new SidecarError(
			'ERR_CONTROL',
			`No allaprima answers at ${url.host}. Start one with allaprima run, or name its port with --port.`,
			{ cause },
		);
	}
	const answer = (await response.json().catch(() => undefined)) as
		| (T & { error?: { code: string; message: string } })
		| undefined;
	if (answer?.error) throw refusalOf(answer.error);
	if (!response.ok || answer === undefined || !isAnswer(answer))
		throw new SidecarError('ERR_CONTROL', `What answers at ${url.host} is no allaprima. Name its port with --port.`);
	return answer;
};

const refusalOf = ({ code, message }: { code: string; message: string }): SidecarError => {
	if (code === 'ERR_STYLE' || code === 'ERR_COMMAND' || code === 'ERR_MODEL') return new SidecarError(code, message);
	return new SidecarError('ERR_CONTROL', code === 'ERR_TOKEN' ? `${message} Set ${HTTP_TOKEN}.` : message);
};
