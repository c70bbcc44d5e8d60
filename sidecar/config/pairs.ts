import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { SidecarError } from '../errors.ts';
import { configurationFolder } from './load-config.ts';
import { Pair, PairsFile } from './schema/pairing.ts';
import { parse } from './schema/parse.ts';

/** The machines that this one is paired with: `paired.json` beside the configuration. It has secrets. */

export type Environment = Record<string, string | undefined>;

/** What `--engine` and `--nats` say for the machine that this one was paired with last. */
export const PAIRED = 'paired';

const FILE_BYTES_MAX = 512 * 1024;
/** The oldest is forgotten. */
const PAIRS_MAX = 32;
const NAME_LENGTH_MAX = 64;

export const pairsPath = (environment: Environment): string => join(configurationFolder(environment), 'paired.json');

/** Where the NATS server of this machine has its files. */
export const fleetServerFolder = (environment: Environment): string =>
	join(configurationFolder(environment), 'fleet-server');

/** Whether a URL of an engine means a machine that this one is paired with: `paired` or `paired:NAME`. */
export const isPaired = (url: string): boolean => url === PAIRED || url.startsWith(`${PAIRED}:`);

/** The newest first; none where there is no file. Errors: ERR_CONFIG, also where others of this machine may read it. */
export const readPairs = async (environment: Environment): Promise<Pair[]> => {
	const path = pairsPath(environment);
	const refuse = (why: string, cause?: unknown): never => {
		throw new SidecarError('ERR_CONFIG', `${path} ${why}`, { cause });
	};
	let text: string;
	let mode: number;
	try {
		await using file = await open(path);
		const status = await file.stat();
		if (!status.isFile()) throw Object.assign(new Error(), { code: 'not a file' });
		if (status.size > FILE_BYTES_MAX) throw Object.assign(new Error(), { code: `${status.size} bytes` });
		({ mode } = status);
		text = await file.readFile('utf8');
	} catch (cause) {
		const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
		if (code === 'ENOENT' || code === 'ENOTDIR') return [];
		return refuse(`cannot be read (${code}).`, cause);
	}
	if ((mode & 0o077) !== 0 && process.platform !== 'win32')
		refuse(
			`has tokens, and other users of this machine may read it (mode ${(mode & 0o777).toString(8)}). Close it: chmod 600 ${path}`,
		);
	let json: unknown;
	try {
		json = JSON.parse(text);
	} catch (cause) {
		refuse('is not JSON. Mend it, or remove it and pair again.', cause);
	}
	return parse(PairsFile, json, path).pairs;
};

/** The pair that a URL means. Errors: ERR_CONFIG, where there is none. */
export const pairOf = async (url: string, environment: Environment): Promise<Pair> => {
	const pairs = await readPairs(environment);
	const name = url === PAIRED ? undefined : url.slice(PAIRED.length + 1);
	const pair = name === undefined ? pairs[0] : pairs.find((own) => own.name === name);
	if (pair) return pair;
	throw new SidecarError(
		'ERR_CONFIG',
		name === undefined || pairs.length === 0
			? 'This machine is not paired with another. Run allaprima pair on the machine that is to paint, and type its code here; or name a NATS server, as nats://HOST.'
			: `This machine is not paired with ${name}. It is with ${pairs.map((own) => own.name).join(', ')}.`,
	);
};

/**
 * Keeps a pair as the newest, in place of one with the same machine at the same end, and gives it as it is called here: two
 * machines may have one name. Errors: ERR_CONFIG; what was kept before stays.
 */
export const keepPair = async (pair: Pair, environment: Environment): Promise<Pair> => {
	const others = (await readPairs(environment)).filter(
		({ certificate, isHost }) => certificate !== pair.certificate || isHost !== pair.isHost,
	);
	const kept = { ...pair, name: freeName(pair.name, others) };
	await writePairs([kept, ...others].slice(0, PAIRS_MAX), environment);
	return kept;
};

/** A name, or where one of `pairs` has it the first of name-2, name-3 and so on that none has. */
export const freeName = (name: string, pairs: readonly Pair[]): string => {
	let free = name;
	for (let i = 2; pairs.some((pair) => pair.name === free); i++) free = `${name.slice(0, NAME_LENGTH_MAX - 3)}-${i}`;
	return free;
};

/** Gives what was forgotten; undefined where there was none of that name. Errors: ERR_CONFIG, also where there are several. */
export const forgetPair = async (name: string, environment: Environment): Promise<Pair | undefined> => {
	const pairs = await readPairs(environment);
	const [forgotten, ...more] = pairs.filter((pair) => pair.name === name);
	if (!forgotten) return undefined;
	if (more.length > 0)
		throw new SidecarError(
			'ERR_CONFIG',
			`${pairsPath(environment)} has ${more.length + 1} machines of the name ${name}. Give all but one another name there, and say which: allaprima pair list.`,
		);
	if (forgotten.isHost) await rm(fleetServerFolder(environment), { recursive: true, force: true });
	await writePairs(
		pairs.filter((pair) => pair !== forgotten),
		environment,
	);
	return forgotten;
};

/** Written beside its place and then renamed: whole, and nobody else's to read from the first byte on. */
const writePairs = async (pairs: readonly Pair[], environment: Environment): Promise<void> => {
	const path = pairsPath(environment);
	const temporary = join(dirname(path), `.paired.${randomBytes(6).toString('hex')}.tmp`);
	const file: PairsFile = { format: 'allaprima-pairs', formatVersion: 1, pairs: [...pairs] };
	try {
		await makePrivateFolder(dirname(path));
		await writeFile(temporary, `${JSON.stringify(file, null, '\t')}\n`, { mode: 0o600, flag: 'wx' });
		await rename(temporary, path);
	} catch (cause) {
		await rm(temporary, { force: true });
		const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
		throw new SidecarError('ERR_CONFIG', `${path} cannot be written (${code}).`, { cause });
	}
};

/** Makes a folder that only this user may look into; one that is there stays as it is. */
const makePrivateFolder = async (path: string): Promise<void> => {
	const made = await mkdir(path, { recursive: true, mode: 0o700 });
	if (made !== undefined) await chmod(path, 0o700);
};
