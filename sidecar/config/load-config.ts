import { existsSync } from 'node:fs';
import { readFile, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { SidecarError } from '../errors.ts';
import { NATS_PASSWORD, NATS_TOKEN, NATS_USER } from './fleet-access.ts';
import { CHAT_TOKEN, HTTP_TOKEN } from './http-access.ts';
import { Configuration } from './schema/configuration.ts';
import { parse } from './schema/parse.ts';
import { isRegionWord } from './schema/preset.ts';
import { readSetting, SETTINGS, type Setting } from './settings.ts';
import { sinksOf } from './sinks.ts';

/** What a flag of the command line may hold; absent ones are undefined. */
export type FlagValue = string | boolean | string[] | undefined;

export interface ConfigurationOrigins {
	/** By flag name, without the dashes; names that are no setting are left alone. */
	flags: Record<string, FlagValue>;
	environment: Record<string, string | undefined>;
	/** `--config`: must exist. Without it the file of the platform's folder is read where there is one. */
	file?: string;
	/** What flags say of the section `ndi`; checked with the whole. */
	ndi?: Record<string, unknown>;
}

/** Variables of our own that are no setting. */
const OBS_PASSWORD = 'ALLAPRIMA_OBS_PASSWORD';
const RESERVED_VARIABLES = new Set([
	'ALLAPRIMA_CONFIG',
	'ALLAPRIMA_DEBUG',
	'ALLAPRIMA_FFMPEG',
	'ALLAPRIMA_LOG_LEVEL',
	'ALLAPRIMA_NATS_SERVER',
	'ALLAPRIMA_SRT_PASSPHRASE',
	OBS_PASSWORD,
	HTTP_TOKEN,
	CHAT_TOKEN,
	NATS_TOKEN,
	NATS_USER,
	NATS_PASSWORD,
]);

type Layer = Record<string, unknown> & {
	tuning?: Record<string, unknown>;
	obs?: Record<string, unknown>;
	ndi?: Record<string, unknown>;
};

const isRecord = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null;

/** Where the platform keeps a user's configuration. */
export const configurationFolder = (
	environment: Record<string, string | undefined>,
	platform: NodeJS.Platform = process.platform,
): string => {
	const home = environment['HOME'] || homedir();
	if (platform === 'win32') return join(environment['APPDATA'] || join(home, 'AppData', 'Roaming'), 'allaprima');
	if (platform === 'darwin') return join(home, 'Library', 'Application Support', 'allaprima');
	return join(environment['XDG_CONFIG_HOME'] || join(home, '.config'), 'allaprima');
};

const layerOf = (values: [Setting, unknown][]): Layer => {
	const layer: Layer = {};
	for (const [setting, value] of values)
		if (setting.isTuning) (layer.tuning ??= {})[setting.key] = value;
		else layer[setting.key] = value;
	return layer;
};

const flagLayer = (flags: Record<string, FlagValue>): Layer =>
	layerOf(
		SETTINGS.flatMap((setting) => {
			const given = flags[setting.flag];
			return given === undefined ? [] : [[setting, readSetting(setting, given, `flag --${setting.flag}`)]];
		}),
	);

const environmentLayer = (environment: Record<string, string | undefined>): Layer =>
	layerOf(
		Object.entries(environment)
			.filter(([name, text]) => name.startsWith('ALLAPRIMA_') && text !== undefined && !RESERVED_VARIABLES.has(name))
			.map(([name, text]) => {
				const setting = SETTINGS.find(({ variable }) => variable === name);
				if (!setting)
					throw new SidecarError(
						'ERR_CONFIG',
						`Environment variable ${name} is not known. Expected one of ${SETTINGS.map(({ variable }) => variable).join(', ')}.`,
					);
				return [setting, readSetting(setting, text!, `environment variable ${name}`)];
			}),
	);

/** Paths in a file are meant from where the file lies, or it would mean something else in each working folder. */
const fromFolder = (layer: Layer, folder: string): Layer => {
	const stream = (name: unknown) => {
		const [, kind, own] = (typeof name === 'string' && /^(file|replay):(.+)$/s.exec(name)) || [];
		return own === undefined ? name : `${kind}:${resolve(folder, own)}`;
	};
	const path = (name: unknown) =>
		typeof name === 'string' && /[/\\]|\.json$/.test(name) ? resolve(folder, name) : name;
	const region = (what: unknown) =>
		isRecord(what) && typeof what['mask'] === 'string' && !isRegionWord(what['mask'])
			? { ...what, mask: resolve(folder, what['mask']) }
			: what;
	const moved: Layer = { ...layer };
	if ('source' in moved) moved['source'] = stream(moved['source']);
	if (Array.isArray(moved['sinks']))
		moved['sinks'] = moved['sinks'].map((sink: unknown) =>
			isRecord(sink) ? { ...sink, to: stream(sink['to']) } : stream(sink),
		);
	if ('region' in moved) moved['region'] = region(moved['region']);
	for (const key of ['style', 'model']) if (key in moved) moved[key] = path(moved[key]);
	for (const key of ['report', 'record', 'reference'])
		if (typeof moved[key] === 'string') moved[key] = resolve(folder, moved[key]);
	const { http } = moved;
	if (isRecord(http) && typeof http['tokenFile'] === 'string')
		moved['http'] = { ...http, tokenFile: resolve(folder, http['tokenFile']) };
	const { fleet } = moved;
	if (isRecord(fleet))
		moved['fleet'] = Object.fromEntries(
			Object.entries(fleet).map(([key, value]) =>
				key.endsWith('File') && typeof value === 'string' ? [key, resolve(folder, value)] : [key, value],
			),
		);
	if (moved.ndi) {
		const { runtimePath, channels } = moved.ndi as {
			runtimePath?: string;
			channels?: { style?: string; reference?: string; region?: unknown }[];
		};
		moved.ndi = {
			...moved.ndi,
			...(runtimePath !== undefined && { runtimePath: resolve(folder, runtimePath) }),
			...(channels && {
				channels: channels.map((own) => ({
					...own,
					...(own.style && { style: path(own.style) }),
					...(own.reference && { reference: resolve(folder, own.reference) }),
					...('region' in own && { region: region(own.region) }),
				})),
			}),
		};
	}
	return moved;
};

const fileLayer = async (path: string, mustExist: boolean): Promise<Layer> => {
	let text: string;
	try {
		text = await readFile(path, 'utf8');
	} catch (cause) {
		if (!mustExist && ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '')) return {};
		throw new SidecarError(
			'ERR_CONFIG',
			`Configuration file ${path} cannot be read (${(cause as NodeJS.ErrnoException).code ?? 'unknown error'}).`,
			{ cause },
		);
	}
	let value: unknown;
	try {
		value = JSON.parse(text);
	} catch (cause) {
		throw new SidecarError('ERR_CONFIG', `Configuration file ${path} is not JSON: ${(cause as Error).message}.`, {
			cause,
		});
	}
	parse(Configuration, value, `Configuration file ${path}`);
	// Not the parsed value: that has the defaults filled in, which would then outrank nothing below them.
	return fromFolder(value as Layer, dirname(resolve(path)));
};

const fileOf = async (stream: string): Promise<string | undefined> => {
	if (!stream.startsWith('file:')) return undefined;
	const path = resolve(stream.slice(5));
	return await realpath(path).catch(() => path);
};

/** Two writers of one file, or a sink onto its own source, would destroy the user's file. */
const refuseSharedFiles = async (configuration: Configuration): Promise<void> => {
	const { source, report } = configuration;
	const seen = new Map<string, string>();
	for (const [what, stream] of [
		['source', source],
		...sinksOf(configuration).map(({ to }) => ['sink', to]),
		...(report ? [['report', `file:${report}`]] : []),
	] as [string, string][]) {
		const path = await fileOf(stream);
		if (path === undefined || path.startsWith('/dev/')) continue;
		const other = seen.get(path);
		if (other)
			throw new SidecarError('ERR_CONFIG', `${other} and ${what} are the same file ${path}. Choose another ${what}.`);
		seen.set(path, what);
	}
};

/** A port of a flag leaves what the file says of it, such as a token, a list of senders or a mapping, where it is. */
const joinedListen = (values: unknown[]): unknown =>
	values.reduce((joined: unknown, value) => {
		if (value === undefined) return joined;
		const own = typeof value === 'number' ? { port: value } : value;
		return isRecord(joined) && isRecord(own) ? { ...joined, ...own } : own;
	}, undefined);

/** The file that a run with these origins reads; undefined where there is none. */
export const configurationFileOf = ({
	environment,
	file = environment['ALLAPRIMA_CONFIG'],
}: Pick<ConfigurationOrigins, 'environment' | 'file'>): string | undefined => {
	const path = file ?? join(configurationFolder(environment), 'allaprima.json');
	return file !== undefined || existsSync(path) ? path : undefined;
};

/** Defaults < file < environment < flags. Errors: ERR_CONFIG, naming where the value came from and its key. */
export const loadConfiguration = async ({
	flags,
	environment,
	file,
	ndi,
}: ConfigurationOrigins): Promise<Configuration> => {
	const named = file ?? environment['ALLAPRIMA_CONFIG'];
	const layers = [
		await fileLayer(named ?? join(configurationFolder(environment), 'allaprima.json'), named !== undefined),
		environmentLayer(environment),
		flagLayer(flags),
	];
	const joined: Layer = Object.assign({}, ...layers, {
		tuning: Object.assign({}, ...layers.map(({ tuning }) => tuning)),
	});
	const password = environment[OBS_PASSWORD];
	if (password) joined.obs = { ...joined.obs, websocket: { ...(joined.obs?.['websocket'] as object), password } };
	if (ndi) joined.ndi = { ...joined.ndi, ...ndi };
	if (layers.some(({ http }) => isRecord(http))) joined['http'] = joinedListen(layers.map(({ http }) => http));
	if (joined['osc'] !== undefined) joined['osc'] = joinedListen(layers.map(({ osc }) => osc));
	if (joined['midi'] !== undefined)
		joined['midi'] = joinedListen(
			layers.map(({ midi }) => (typeof midi === 'string' && midi !== 'off' ? { port: midi } : midi)),
		);
	const configuration = parse(Configuration, joined, 'Configuration');
	await refuseSharedFiles(configuration);
	return Object.freeze(configuration);
};
