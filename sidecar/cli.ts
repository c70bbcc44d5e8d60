#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Argument, Command, CommanderError, Option } from 'commander';
import { harmlessLines } from './commands/print.ts';
import type { ReferenceFlags } from './commands/control.ts';
import type { PairFlags } from './commands/pair.ts';
import type { RelayFlags } from './commands/relay.ts';
import type { WorkerFlags } from './commands/worker.ts';
import type { FlagValue } from './config/load-config.ts';
import { SETTINGS, type Setting } from './config/settings.ts';
import { exitCodeOf, isSidecarError, SidecarError } from './errors.ts';
import { LOG_LEVELS, setLog, type LogLevel } from './telemetry/logger.ts';

/**
 * The command line. Commands lie in commands/ and are loaded when they are called, so that help and
 * presets work where the addon or onnxruntime is missing.
 */

const EXIT_CONFIGURATION = 2;
/** What a clean end may take before the process goes anyway. */
const LINGER_MS = 3000;

const debug = Boolean(process.env['ALLAPRIMA_DEBUG']);

const camel = (flag: string): string => flag.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

const ending = new AbortController();

/**
 * The first signal asks for a clean end. The second ends at once and by the signal itself: `process.exit` would
 * stop the workers in the middle of onnxruntime, which aborts the process with a message of its own.
 */
const interruption = (names: readonly ('SIGINT' | 'SIGTERM' | 'SIGHUP')[] = ['SIGINT', 'SIGTERM', 'SIGHUP']) => {
	for (const name of names)
		process.on(name, () => {
			if (!ending.signal.aborted) return ending.abort();
			process.emit('exit', 128 + constants.signals[name]); // for those who have to end a program of theirs
			process.removeAllListeners(name);
			process.kill(process.pid, name);
		});
	return ending.signal;
};

const addSettings = (command: Command, settings: readonly Setting[] = SETTINGS): Command => {
	for (const { flag, kind, help, placeholder, default: preset } of settings) {
		const text = typeof preset === 'string' || typeof preset === 'number' ? `${help} [${preset}]` : help;
		if (kind === 'boolean') {
			command.addOption(new Option(`--${flag}`, text)).addOption(new Option(`--no-${flag}`).hideHelp());
		} else {
			const option = new Option(`--${flag} <${placeholder}>`, kind === 'list' ? `${text}; may be given again` : text);
			if (kind === 'list') option.argParser((value: string, others?: string[]) => [...(others ?? []), value]);
			command.addOption(option);
		}
	}
	return command;
};

const flagsOf = (options: Record<string, unknown>): Record<string, FlagValue> =>
	Object.fromEntries(SETTINGS.map(({ flag }) => [flag, options[camel(flag)] as FlagValue]));

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as {
	version: string;
};

const program = new Command('allaprima')
	.description('Live video stylization: frames in, paintings out.')
	.version(version)
	.exitOverride()
	.showHelpAfterError('(--help says more)')
	.configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 100, 120) });

const withJson = (command: Command): Command => command.option('--json', 'give the result as JSON on stdout');

const withLog = (command: Command): Command =>
	command
		.addOption(new Option('--log-level <LEVEL>', 'what is logged on stderr').choices([...LOG_LEVELS]))
		.option('--log-json', 'log as JSON lines, also on a terminal')
		.hook('preAction', (_, action) => {
			const { logLevel, logJson } = action.opts<{ logLevel?: LogLevel; logJson?: boolean }>();
			setLog({ ...(logLevel && { level: logLevel }), json: logJson === true });
		});

interface ControlFlags {
	channel?: string;
	http?: string;
	port?: string;
	json?: boolean;
}

const controlOptions = (options: ControlFlags) => ({
	...(options.http !== undefined && { http: options.http }),
	...(options.channel !== undefined && { channel: options.channel }),
	...(options.port !== undefined && { port: options.port }),
	environment: process.env,
	...wantsJson(options),
});

const wantsJson = (options: { json?: boolean }) => ({ json: options.json === true });

withLog(withJson(addSettings(program.command('run').description('paint a source into sinks'))))
	.option('--config <FILE>', "configuration file, else allaprima.json in the platform's configuration folder")
	.addHelpText('after', '\nEvery setting is also an environment variable: --batch-size is ALLAPRIMA_BATCH_SIZE.')
	.action(async (options: Record<string, unknown> & { json?: boolean; config?: string }) => {
		const { run } = await import('./commands/run.ts');
		const file = options.config === undefined ? {} : { file: options.config };
		await run(
			{ flags: flagsOf(options), environment: process.env, ...file },
			{ signal: interruption(), ...wantsJson(options) },
		);
	});

/** What a relay has no use for: its sources and sinks are NDI's. */
const NOT_FOR_RELAY = new Set(['source', 'sinks', 'cameraSize', 'cameraFormat', 'fps', 'pace', 'output', 'record']);

const addNetwork = (command: Command): Command =>
	command
		.option('--groups <NAMES>', 'groups to look for sources in, and to send to')
		.addOption(
			new Option('--extra-ip <ADDRESS>', 'a machine to ask for sources; may be given again').argParser(
				(value: string, others?: string[]) => [...(others ?? []), value],
			),
		)
		.option('--runtime <PATH>', 'file or folder of the NDI runtime');

withLog(
	withJson(
		addSettings(
			addNetwork(
				program
					.command('relay')
					.description('paint NDI sources into NDI sources of their own, for as long as it runs')
					.option('--in <NAME|HOST:PORT>', 'source to paint, else the channels of the configuration')
					.option('--out <NAME>', 'what the painted stream is called [NAME (Painted)]'),
			)
				.option('--delay-ms <auto|N>', 'how much later than the source the stream is [auto]')
				.option('--no-failover', 'do not send receivers to the source if the relay dies')
				.option('--no-when-watched', 'paint while nobody receives, too'),
			SETTINGS.filter(({ key }) => !NOT_FOR_RELAY.has(key)),
		),
	),
)
	.option('--config <FILE>', "configuration file, else allaprima.json in the platform's configuration folder")
	.addHelpText('after', '\nSIGHUP reads the configuration again; channels that are the same go on.')
	.action(async (options: Record<string, unknown> & RelayFlags & { json?: boolean; config?: string }) => {
		const { relay } = await import('./commands/relay.ts');
		const file = options.config === undefined ? {} : { file: options.config };
		await relay(
			options,
			{ flags: flagsOf(options), environment: process.env, ...file },
			{
				signal: interruption(['SIGINT', 'SIGTERM']),
				onHangup: (reload) => {
					process.on('SIGHUP', reload);
					return () => void process.off('SIGHUP', reload);
				},
				...wantsJson(options),
			},
		);
	});

/** What a worker has a use for: the rest is the sidecars' to say. */
const FOR_WORKER = new Set(['model', 'provider']);
const workerOrigins = ({ config, ...options }: Record<string, unknown> & { config?: string }) => ({
	flags: flagsOf(options),
	environment: process.env,
	...(config !== undefined && { file: config }),
});

const worker = withLog(
	addSettings(
		program
			.command('worker')
			.description('paint for others: for a paired machine (docs/two-pc.md), or through a NATS server (docs/fleet.md)')
			.option('--nats <URL>', 'nats://HOST[:PORT], tls://HOST[:PORT], paired or paired:NAME', 'paired')
			.option('--name <NAME>', 'what it is called there, else as this machine')
			.option('--lines <N>', 'streams that it paints at a time, at most [16]')
			.option('--metrics <PORT>', 'where Prometheus asks, on this machine'),
		SETTINGS.filter(({ key }) => FOR_WORKER.has(key)),
	),
)
	.option('--config <FILE>', "configuration file, else allaprima.json in the platform's configuration folder")
	.addHelpText('after', '\nSIGTERM and SIGINT let its streams go elsewhere before it ends.')
	.action(async (options: Record<string, unknown> & WorkerFlags & { config?: string }) => {
		const { work } = await import('./commands/worker.ts');
		await work(options, workerOrigins(options), { signal: interruption() });
	});
type WorkerOptions = WorkerFlags & { json?: boolean; config?: string } & Record<string, unknown>;
// --nats and --config are the command's above, wherever they stand.
const ofWorker = (command: Command): Command => command.addHelpText('after', '\nIt takes --nats URL, as worker does.');
ofWorker(withJson(worker.command('list').description('the workers there are, and what they paint'))).action(
	async (_, command: Command) => {
		const options = command.optsWithGlobals<WorkerOptions>();
		const { listWorkers } = await import('./commands/worker.ts');
		await listWorkers(options, workerOrigins(options), wantsJson(options));
	},
);
ofWorker(
	worker.command('drain').description('let the streams of a worker go elsewhere, and end it').argument('<NAME>'),
).action(async (name: string, _, command: Command) => {
	const options = command.optsWithGlobals<WorkerOptions>();
	const { drainWorker } = await import('./commands/worker.ts');
	await drainWorker(name, options, workerOrigins(options), { signal: interruption() });
});

const pairing = withJson(
	program
		.command('pair')
		.description('join two machines: shows a code where painting is to be done, and takes it on the other')
		.argument('[CODE]', 'what the other machine shows; - reads it from standard input')
		.addOption(
			new Option('--address <ADDRESS>', 'by which the other reaches this machine; may be given again').argParser(
				(value: string, others?: string[]) => [...(others ?? []), value],
			),
		)
		.option('--name <NAME>', 'what this machine is called there, else as it is called')
		.option('--port <PORT>', 'TCP port at which paired machines talk [7720]')
		.option('--minutes <N>', 'how long the code is good [10]'),
).action(
	async (code: string | undefined, { address, name, port, minutes, ...options }: PairFlags & { json?: boolean }) => {
		const { pair } = await import('./commands/pair.ts');
		await pair(
			code,
			{
				...(address && { address }),
				...(name !== undefined && { name }),
				...(port !== undefined && { port }),
				...(minutes !== undefined && { minutes }),
			},
			{ environment: process.env, interruption, ...wantsJson(options) },
		);
	},
);
pairing
	.command('list')
	.description('the machines that this one is paired with')
	.action(async (_, command: Command) => {
		const { listPairs } = await import('./commands/pair.ts');
		await listPairs({ environment: process.env, ...wantsJson(command.optsWithGlobals<{ json?: boolean }>()) });
	});
pairing
	.command('forget')
	.description('be paired with a machine no longer')
	.argument('<NAME>')
	.action(async (name: string) => {
		const { forget } = await import('./commands/pair.ts');
		await forget(name, { environment: process.env });
	});

const ndi = program.command('ndi').description('NDI® on this network (https://ndi.video)');
withJson(addNetwork(ndi.command('list').description('the sources that can be seen from here'))).action(
	async ({ extraIp, ...options }: { extraIp?: string[]; groups?: string; runtime?: string; json?: boolean }) => {
		const { listNdiSources } = await import('./commands/ndi.ts');
		await listNdiSources({
			...options,
			...(extraIp && { extraIps: extraIp }),
			environment: process.env,
			...wantsJson(options),
		});
	},
);

const toProcess = (command: Command): Command =>
	withJson(
		command
			.option('--port <PORT>', 'where it listens, else what the configuration says')
			.option('--http <URL>', 'where one of another machine listens; its token is in ALLAPRIMA_HTTP_TOKEN'),
	);

const toSidecar = (command: Command): Command =>
	toProcess(command.option('--channel <NAME>', 'of a relay: the painted stream that is meant, else the first'));

toSidecar(
	program.command('style').description('change the style of the running sidecar').argument('<NAME|next|previous>'),
).action(async (word: string, options: ControlFlags) => {
	const { changeStyle } = await import('./commands/control.ts');
	await changeStyle(word, controlOptions(options));
});

toSidecar(
	program
		.command('reference')
		.description('let a picture show the running sidecar the style, where its model takes one')
		.argument('[FILE]', 'PNG, JPEG, WebP or GIF')
		.addOption(
			new Option('--frame [painting|source]', 'the picture of now instead of a file')
				.choices(['painting', 'source'])
				.preset('painting'),
		)
		.option('--off', 'paint as the preset says again'),
).action(async (file: string | undefined, { frame, off, ...options }: ControlFlags & ReferenceFlags) => {
	const { changeReference } = await import('./commands/control.ts');
	const flags = { ...(frame !== undefined && { frame }), ...(off !== undefined && { off }) };
	await changeReference(file, flags, controlOptions(options));
});

toSidecar(
	program
		.command('panic')
		.description('show nothing but the slate, at once, or end that')
		.addArgument(new Argument('<on|off>').choices(['on', 'off'])),
).action(async (word: string, options: ControlFlags) => {
	const { setPanic } = await import('./commands/control.ts');
	await setPanic(word === 'on', controlOptions(options));
});

toSidecar(
	program
		.command('tempo')
		.description('tell the running sidecar how fast the music is, or tap along')
		.argument('<BPM|tap>', 'beats a minute, or tap for each beat'),
).action(async (word: string, options: ControlFlags) => {
	const { setTempo } = await import('./commands/control.ts');
	await setTempo(word === 'tap' ? { type: 'tap' } : { type: 'tempo', bpm: Number(word) }, controlOptions(options));
});

toSidecar(
	program
		.command('quantise')
		.description('let switches of style wait for the beat or the bar')
		.addArgument(new Argument('<off|beat|bar>').choices(['off', 'beat', 'bar'])),
).action(async (word: 'off' | 'beat' | 'bar', options: ControlFlags) => {
	const { setTempo } = await import('./commands/control.ts');
	await setTempo({ type: 'quantise', to: word }, controlOptions(options));
});

toSidecar(
	program
		.command('region')
		.description('what is painted of the picture; the rest stays the source')
		.argument(
			'<WHAT>',
			'all, changed, subject, background, alpha, preset, or a mask beside the presets; ,invert ,feather=PX',
		),
).action(async (what: string, options: ControlFlags) => {
	const { setRegion } = await import('./commands/control.ts');
	await setRegion(what, controlOptions(options));
});

const midi = program.command('midi').description('controllers by MIDI');
withJson(midi.command('list').description('the ports of this machine')).action(async (options: { json?: boolean }) => {
	const { listMidiPorts } = await import('./commands/midi.ts');
	await listMidiPorts(wantsJson(options));
});
toProcess(midi.command('show').description('ports and mapping of the running sidecar')).action(
	async (options: ControlFlags) => {
		const { showMidi } = await import('./commands/midi.ts');
		await showMidi(controlOptions(options));
	},
);
toProcess(
	midi
		.command('learn')
		.description('map the control that is touched next, and keep that')
		.argument('<COMMAND...>', 'style NAME, style-at N, next, previous, toggle, panic, strength, fade, tempo, tap, ...'),
).action(async (words: string[], options: ControlFlags) => {
	const { learnMidi } = await import('./commands/midi.ts');
	await learnMidi(words, controlOptions(options));
});
toProcess(
	midi
		.command('forget')
		.description('forget what was learned of a control')
		.argument('<CONTROL...>', 'as midi show calls it, such as: channel 1 note 36'),
).action(async (words: string[], options: ControlFlags) => {
	const { forgetMidi } = await import('./commands/midi.ts');
	await forgetMidi(words.join(' '), controlOptions(options));
});

const presets = program.command('presets').description('the styles there are');
withJson(presets.command('list').description('all presets')).action(async (options: { json?: boolean }) => {
	const { listPresetsCommand } = await import('./commands/presets.ts');
	await listPresetsCommand(wantsJson(options));
});
withJson(presets.command('show').description('one preset').argument('<NAME|FILE>')).action(
	async (style: string, options: { json?: boolean }) => {
		const { showPreset } = await import('./commands/presets.ts');
		await showPreset(style, wantsJson(options));
	},
);
withJson(
	presets
		.command('check')
		.alias('validate')
		.description('check preset files and bundles, or all presets')
		.argument('[FILE...]'),
).action(async (paths: string[], options: { json?: boolean }) => {
	const { checkPresets } = await import('./commands/presets.ts');
	await checkPresets(paths, wantsJson(options));
});
const mayReplace = (options: { force?: boolean; json?: boolean }) => ({
	force: options.force === true,
	...wantsJson(options),
});
withJson(presets.command('import').description('take a preset that somebody gave away, as one of your own'))
	.argument('<FILE>', 'a bundle (NAME.allaprima-style) or a preset file (NAME.style.json)')
	.option('--force', 'replace one of that name')
	.action(async (file: string, options: { force?: boolean; json?: boolean }) => {
		const { importPreset } = await import('./commands/presets.ts');
		await importPreset(file, mayReplace(options));
	});
withJson(presets.command('export').description('write a preset and its pictures as one file, to give away'))
	.argument('<NAME>')
	.argument('[FILE]', 'else NAME.allaprima-style')
	.option('--force', 'replace the file')
	.action(async (name: string, file: string | undefined, options: { force?: boolean; json?: boolean }) => {
		const { exportPreset } = await import('./commands/presets.ts');
		await exportPreset(name, file, mayReplace(options));
	});
toSidecar(
	presets
		.command('save')
		.description('keep what the running sidecar paints now as a preset of your own')
		.argument('<NAME>', 'in kebab-case, such as my-oil')
		.option('--title <TITLE>', 'name for people, else made of NAME'),
).action(async (name: string, { title, ...options }: ControlFlags & { title?: string }) => {
	const { savePresetOfNow } = await import('./commands/control.ts');
	await savePresetOfNow({ name, ...(title !== undefined && { title }) }, controlOptions(options));
});
withJson(presets.command('remove').description('remove one of your own').argument('<NAME>')).action(
	async (name: string, options: { json?: boolean }) => {
		const { removePresetCommand } = await import('./commands/presets.ts');
		await removePresetCommand(name, wantsJson(options));
	},
);

const obs = program.command('obs').description('the plugin in OBS');
withJson(obs.command('install').description("put the plugin into this user's OBS"))
	.option('--autostart', 'from now on OBS starts the painter, and ends it')
	.option('--no-autostart', 'from now on it does not')
	.action(async ({ autostart, ...options }: { json?: boolean; autostart?: boolean }) => {
		const { installPlugin } = await import('./commands/obs.ts');
		const choice = autostart === undefined ? {} : { autostart };
		await installPlugin({ environment: process.env, ...choice, ...wantsJson(options) });
	});
withJson(obs.command('status').description('whether OBS and the plugin are there')).action(
	async (options: { json?: boolean }) => {
		const { obsStatus } = await import('./commands/obs.ts');
		process.exitCode = await obsStatus({ environment: process.env, ...wantsJson(options) });
	},
);

const models = program.command('models').description('the models there are');
withJson(models.command('list').description('all models')).action(async (options: { json?: boolean }) => {
	const { listModels } = await import('./commands/models.ts');
	await listModels(wantsJson(options));
});
withJson(
	models
		.command('verify')
		.description('check hashes, graphs and shapes of one model, or of all')
		.argument('[NAME|DIR]'),
).action(async (model: string | undefined, options: { json?: boolean }) => {
	const { verifyModels } = await import('./commands/models.ts');
	await verifyModels(model, wantsJson(options));
});
withJson(models.command('import').description('take a model folder in, to be run by its name').argument('<FOLDER>'))
	.option('--accept-licence', 'answer yes to its licence, which is shown')
	.action(async (folder: string, options: { json?: boolean; acceptLicence?: boolean }) => {
		const { importModelFolder } = await import('./commands/models.ts');
		const { acceptLicence = false } = options;
		await importModelFolder(folder, { acceptLicence, signal: interruption(), ...wantsJson(options) });
	});

withLog(
	withJson(program.command('eval').description('measure flicker and detail of a painted clip against its source')),
)
	.requiredOption('--source <FILE>', 'the clip that was painted')
	.requiredOption('--styled <FILE>', 'the painted clip')
	.action(async (options: { source: string; styled: string; json?: boolean }) => {
		const { evaluate } = await import('./commands/eval.ts');
		await evaluate(options, { signal: interruption(), ...wantsJson(options) });
	});

withJson(program.command('doctor').description('look for what a run needs')).action(
	async (options: { json?: boolean }) => {
		const { examine } = await import('./commands/doctor.ts');
		process.exitCode = await examine(wantsJson(options));
	},
);

program
	.command('bench')
	.description('measure this machine; flags go to scripts/bench')
	.argument('[ARGUMENT...]')
	.allowUnknownOption()
	.helpOption(false)
	.action(async (_, __, command: Command) => {
		const script = fileURLToPath(new URL('../scripts/bench.mjs', import.meta.url));
		if (!existsSync(script)) throw new SidecarError('ERR_RUNTIME', `${script} is missing; it comes with the sources.`);
		const child = spawn(process.execPath, [script, ...command.args], { stdio: 'inherit' });
		const [code] = (await once(child, 'exit')) as [number | null];
		process.exitCode = code ?? 1;
	});

/** Prints what went wrong, for people, and gives the exit code. Traces are for ALLAPRIMA_DEBUG. */
const explain = (error: unknown): number => {
	if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : EXIT_CONFIGURATION;
	const message = error instanceof Error ? error.message : String(error);
	const text = isSidecarError(error)
		? message
		: `internal error: ${message}${debug ? '' : '. ALLAPRIMA_DEBUG=1 says where.'}`;
	process.stderr.write(`allaprima: ${harmlessLines(text)}\n`);
	if (debug && error instanceof Error) process.stderr.write(`${error.stack}\n`);
	return exitCodeOf(error);
};

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
	// The reader of a pipe has seen enough (`| head`).
	process.exit(error.code === 'EPIPE' ? 0 : 1);
});
process.on('uncaughtException', (error) => {
	process.exitCode = explain(error);
	ending.abort();
	setTimeout(() => process.exit(), LINGER_MS).unref();
});

try {
	await program.parseAsync();
} catch (error) {
	process.exitCode = explain(error);
}
setTimeout(() => process.exit(), LINGER_MS).unref();
