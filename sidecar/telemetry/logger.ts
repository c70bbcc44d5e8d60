import { pino, type Logger } from 'pino';

export type { Logger };
export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';
export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent'];

/** Where log lines go; `process.stderr` is one. */
export interface LogStream {
	isTTY?: boolean;
	write(text: string): unknown;
}

export interface LogOptions {
	level?: LogLevel;
	/** JSON lines, also on a terminal; a stream that is no terminal always gets them. */
	json?: boolean;
	stream?: LogStream;
	environment?: Record<string, string | undefined>;
}

const COLOURS: Record<string, string> = { debug: '2', info: '36', warn: '33', error: '31' };

/** Control characters of a foreign text (a file name, a message of ffmpeg) must not reach the terminal. */
export const harmless = (text: string): string =>
	text.replace(
		/[\u0000-\u001f\u007f-\u009f]/g,
		(character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
	);

const factOf = (value: unknown): string => {
	const text = typeof value === 'string' ? value : JSON.stringify(value);
	return harmless(/^[^\s"=]+$/.test(text) ? text : typeof value === 'string' ? JSON.stringify(text) : text);
};

/** One JSON line in the form for people: `12:34:56.789 warn batch late  sequence=12 latencyMs=80`. */
export const humanLine = (line: string, colour: boolean): string => {
	const { level, time, msg, ...facts } = JSON.parse(line) as {
		level: string;
		time: string;
		msg?: string;
	};
	const paint = (code: string, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
	const tail = Object.entries(facts)
		.map(([key, value]) => `${key}=${factOf(value)}`)
		.join(' ');
	return `${paint('2', time.slice(11, 23))} ${paint(COLOURS[level] ?? '0', level.padEnd(5))} ${harmless(msg ?? '')}${tail ? `  ${paint('2', tail)}` : ''}\n`;
};

/** Colour is for terminals, and not where NO_COLOR has any value (no-color.org). */
export const wantsColour = (stream: LogStream, environment: Record<string, string | undefined>): boolean =>
	stream.isTTY === true && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb';

interface Destination {
	write(line: string): void;
	level: LogLevel;
}

const destinationOf = ({
	level,
	json = false,
	stream = process.stderr,
	environment = process.env,
}: LogOptions): Destination => {
	const human = stream.isTTY === true && !json;
	const colour = wantsColour(stream, environment);
	const fromEnvironment = LOG_LEVELS.find((known) => known === environment['ALLAPRIMA_LOG_LEVEL']);
	return {
		level: level ?? fromEnvironment ?? 'info',
		// A log line wipes the progress line off the terminal; that one is drawn again by itself.
		write: (line) => void stream.write(human ? `\r\x1b[K${humanLine(line, colour)}` : line),
	};
};

/** A log of constant messages with facts as fields: `log.warn({ sequence, latencyMs }, 'batch late')`. */
export const createLogger = (options: LogOptions = {}): Logger => {
	const own = destinationOf(options);
	return loggerTo(own, own.level);
};

const loggerTo = (destination: { write(line: string): void }, level: LogLevel): Logger =>
	pino(
		{
			base: null,
			level,
			timestamp: pino.stdTimeFunctions.isoTime,
			formatters: { level: (label) => ({ level: label }) },
			serializers: { error: describeError },
		},
		destination,
	);

const describeError = (error: unknown): unknown => {
	if (!(error instanceof Error)) return error;
	const code = 'code' in error ? { code: error.code } : {};
	return { ...code, message: error.message, ...(process.env['ALLAPRIMA_DEBUG'] ? { stack: error.stack } : {}) };
};

let destination = destinationOf({});

const LINES_KEPT = 200;
const LINE_LENGTH = 1000;
const kept: string[] = [];

/** The newest lines of this thread's log in the form for people, the oldest first. */
export const recentLines = (): readonly string[] => [...kept];

const keep = (line: string): void => {
	kept.push(humanLine(line, false).trimEnd().slice(0, LINE_LENGTH));
	if (kept.length > LINES_KEPT) kept.shift();
};

/** The log of this thread. */
export const log: Logger = loggerTo(
	{
		write: (line) => {
			keep(line);
			destination.write(line);
		},
	},
	destination.level,
);

/** Level and form of this thread's log; a worker starts with those of the environment. */
export const setLog = (options: LogOptions): void => {
	destination = destinationOf(options);
	log.level = destination.level;
};

/**
 * A message that may come often: logged at once, then at most once a second, with `count` of what it
 * stands for. `flush` says what was held back, at the end of a run.
 */
export const repeated = (
	write: (facts: object, message: string) => void,
	message: string,
	{ nowUs, everyUs = 1_000_000 }: { nowUs: () => number; everyUs?: number },
): ((facts?: object) => void) & { flush(): void } => {
	let lastUs = -Infinity;
	let count = 0;
	let held: object = {};
	const flush = () => {
		if (count) write({ ...held, count }, message);
		count = 0;
	};
	const report = (facts: object = {}) => {
		count++;
		held = facts;
		const now = nowUs();
		if (now - lastUs < everyUs) return;
		lastUs = now;
		flush();
	};
	return Object.assign(report, { flush });
};
