import { ChatRules, HttpListen, httpPort } from './api.ts';
import { fadeField } from './commands.ts';
import { help, promptField, seedField, strengthField } from './fields.ts';
import { MidiListen, midiPort } from './midi.ts';
import { Ndi } from './ndi.ts';
import { sceneStyles } from './obs-scenes.ts';
import { OscListen, oscPort } from './osc.ts';
import { OwnRegion } from './preset.ts';
import {
	HTTP_PORT,
	afterHoldField,
	cameraSide,
	failurePolicyField,
	fitField,
	holdField,
	paintedSizeField,
	staleAfterField,
} from './run-fields.ts';
import { TuningOverrides } from './tuning.ts';
import { z } from './zod.ts';

const Fleet = z.strictObject({
	deadlineMs: z
		.int()
		.min(20)
		.max(10_000)
		.default(300)
		.meta(
			help('How long a live frame or its painting may be on its way; what takes longer is dropped where it is', 'ms'),
		),
	caFile: z.string().min(1).exactOptional().meta(help("Certificate of whoever signed the NATS server's, as PEM")),
	certFile: z.string().min(1).exactOptional().meta(help('Certificate to show to the NATS server, as PEM')),
	keyFile: z.string().min(1).exactOptional().meta(help('Its private key, as PEM')),
	credsFile: z.string().min(1).exactOptional().meta(help('Credentials of an account of NATS (.creds)')),
});
export type Fleet = z.infer<typeof Fleet>;

const Sink = z
	.string()
	.regex(
		/^(null|obs|file:.+|v4l2:.+|ndi:.+|srt:\/\/.+)$/s,
		'expected null, obs, file:PATH, v4l2:DEVICE, ndi:NAME or srt://HOST:PORT',
	);

/** A sink with a failure policy of its own; what is absent is as the run has it. */
const OwnSink = z.strictObject({
	/** What OBS shows is the filter's to say. */
	to: Sink.refine((to) => to !== 'obs', 'expected another sink than obs').meta(help('Where painted frames go')),
	failure: failurePolicyField.exactOptional(),
	holdS: holdField.exactOptional(),
	afterHold: afterHoldField.exactOptional(),
});

/** `allaprima.json` after defaults, environment and flags were joined. */
export const Configuration = z.strictObject({
	$schema: z.string().exactOptional().meta(help('Where editors find the schema')),
	source: z
		.string()
		.regex(
			/^(scene|backdrop(:\d{1,9})?|file:.+|camera:.+|obs(:.+)?|obs-screenshot:.+|ndi:.+|srt:\/\/.+|replay:.+)$/s,
			'expected scene, backdrop (backdrop:SEED), file:PATH, camera:DEVICE, obs, obs-screenshot:SOURCE, ndi:NAME, srt://HOST:PORT or replay:FOLDER',
		)
		.default('scene')
		.meta(
			help(
				'Where frames come from: scene, backdrop (backdrop:SEED: colours that drift, for painting where nothing is filmed), file:PATH, camera:DEVICE, obs (obs:NAME for one filter of several), obs-screenshot:SOURCE, ndi:NAME, srt://HOST:PORT (docs/live.md), or replay:FOLDER',
			),
		),
	cameraSize: z
		.strictObject({ width: cameraSide, height: cameraSide }, { error: 'expected a size such as 1280x720' })
		.exactOptional()
		.meta(help('Size to ask of a camera; else up to 1280x720', 'px')),
	cameraFormat: z
		.string()
		.regex(/^[a-z0-9_]{2,32}$/, 'expected a format by its name in ffmpeg, such as mjpeg or yuyv422')
		.exactOptional()
		.meta(help('Format to ask of a camera, such as mjpeg or yuyv422; else what gives its full rate')),
	sinks: z
		.array(
			z.union([Sink, OwnSink], {
				error:
					'expected null, obs, file:PATH, v4l2:DEVICE, ndi:NAME or srt://HOST:PORT, or in a file {to, failure, holdS, afterHold}, to anything but obs; failure passthrough, hold or slate, holdS 0.1 to 86400 or forever, afterHold slate or passthrough',
			}),
		)
		.min(1)
		.max(16)
		.default(['null'])
		.meta(
			help(
				'Where painted frames go: null, file:PATH, v4l2:DEVICE, ndi:NAME, srt://HOST:PORT (docs/live.md), or obs, to which frames from obs go in any case',
			),
		),
	style: z.string().min(1).default('oil-painting').meta(help('Name of a preset, or the path of a preset file')),
	prompt: promptField.exactOptional(),
	reference: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('A picture that shows the style, for a model that takes one: PNG, JPEG, WebP or GIF')),
	strength: strengthField.exactOptional(),
	seed: seedField.exactOptional(),
	region: OwnRegion.exactOptional().meta(
		help(
			'What is painted in every style; the rest stays the source: all, changed (what moves), subject or background (of a still camera), alpha (where the source is opaque), or a mask FILE; with ,invert and ,feather=PX behind it. Else what the style says',
		),
	),
	model: z.string().min(1).exactOptional().meta(help("Name of a model or its folder; else the preset's model")),
	provider: z
		.enum(['auto', 'cuda', 'dml', 'coreml', 'webgpu', 'cpu'])
		.default('auto')
		.meta(help('Execution provider; auto takes the first that starts')),
	size: paintedSizeField.default('auto'),
	engine: z
		.string()
		.regex(
			/^(local|paired(:[A-Za-z0-9_-]{1,64})?|(nats|tls):\/\/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d{1,5})?)$/,
			'expected local, paired or paired:NAME for a machine that allaprima pair has joined to this one, or a NATS server such as nats://studio.lan or tls://studio.lan:4222; what opens it is for the environment',
		)
		.default('local')
		.meta(
			help(
				'Where the models run: local, paired for the machine that this one is paired with (docs/two-pc.md), or nats://HOST[:PORT] for the workers there (docs/fleet.md)',
			),
		),
	fps: z
		.number()
		.min(1)
		.max(240)
		.exactOptional()
		.meta(help('Frame rate of the scene or backdrop, or to ask of a camera; a file has its own', 'frames/s')),
	fit: fitField.default('cover'),
	output: z
		.enum(['source', 'painted'])
		.default('source')
		.meta(help("Whether sinks get the source's size or the painted size")),
	pace: z
		.enum(['source', 'max'])
		.default('source')
		.meta(help('Live, dropping what comes too fast, or every frame as fast as it can be painted')),
	failure: failurePolicyField.default('passthrough'),
	holdS: holdField.default(10),
	afterHold: afterHoldField.default('slate'),
	staleAfterMs: staleAfterField.default(1000),
	governor: z
		.enum(['on', 'off'])
		.default('on')
		.meta(help('Whether a live picture that is not painted in time gives up what is seen least: docs/live.md')),
	frames: z.int().min(1).exactOptional().meta(help('Stop after this many frames of the source', 'frames')),
	durationS: z.number().positive().max(2_000_000).exactOptional().meta(help('Stop after this long', 's')),
	fadeS: fadeField
		.exactOptional()
		.meta(help("How long a change of style fades; 0 cuts; else as long as OBS's transition, or half a second", 's')),
	http: z
		.union([httpPort, z.literal(['auto', 'off']), HttpListen], {
			error: 'expected a port of 0 to 65535, HOST:PORT, auto, off, or in a file {port, host, hosts, tokenFile}',
		})
		.default('auto')
		.meta(
			help(
				`Where the page is: a port of this machine, or with a token HOST:PORT; auto takes ${HTTP_PORT} for a live run and none for --pace max`,
			),
		),
	chat: z
		.union([z.literal('off'), ChatRules], {
			error: 'expected off or {styles, coolDownS, perUserCoolDownS, maxPerMinute}',
		})
		.default('off')
		.meta(help('What viewers may choose through POST /api/chat')),
	osc: z
		.union([oscPort, z.literal('off'), OscListen], {
			error: 'expected a port of 0 to 65535, ADDRESS:PORT, off, or in a file {port, host, allow, feedback}',
		})
		.default('off')
		.meta(help('Where OSC is obeyed: a UDP port of this machine, or with osc.allow in a file ADDRESS:PORT')),
	midi: z
		.union([midiPort, MidiListen], {
			error: 'expected a part of the name of a port, all, off, or in a file {port, channel, mapping, feedback, clock}',
		})
		.default('off')
		.meta(help('Controllers by MIDI that are obeyed: a part of the name of a port, all, or off')),
	report: z.string().min(1).exactOptional().meta(help('File for the report of the run, as JSON')),
	record: z
		.string()
		.min(1)
		.exactOptional()
		.meta(help('New folder for what is painted and all that is asked meanwhile, to be painted again by replay:FOLDER')),
	obs: z
		.strictObject({
			scenes: sceneStyles
				.exactOptional()
				.meta(help('Style by scene: what is painted when OBS switches to it; where absent, what the page kept')),
			audioInputs: z
				.array(z.string().min(1).max(512))
				.max(64)
				.default([])
				.meta(help('Inputs of OBS whose audio is to wait for the painted picture; needs websocket')),
			websocket: z
				.strictObject({
					url: z
						.string()
						.regex(/^ws(s|\+unix)?:.+/, 'expected an address such as ws://127.0.0.1:4455')
						.default('ws://127.0.0.1:4455')
						.meta(help('Where obs-websocket listens')),
					password: z
						.string()
						.max(256)
						.exactOptional()
						.meta(help('Its password; better in the environment, as ALLAPRIMA_OBS_PASSWORD')),
				})
				.exactOptional()
				.meta(help('How to reach OBS without the plugin')),
		})
		.default({ audioInputs: [] })
		.meta(help('What OBS has to do with styles')),
	fleet: Fleet.default(Fleet.parse({})).meta(help('How workers on other machines are reached')),
	ndi: Ndi.default(Ndi.parse({})).meta(help('What the NDI relay paints, and how it finds it')),
	tuning: TuningOverrides.default({}).meta(help("Overrides of the model's tuning")),
});
export type Configuration = z.infer<typeof Configuration>;

/** The port to listen on; undefined where there is to be no page. A run as fast as it can has nobody to steer it. */
export const httpPortOf = ({ http, pace }: Pick<Configuration, 'http' | 'pace'>): number | undefined => {
	if (http === 'off' || (http === 'auto' && pace === 'max')) return undefined;
	if (typeof http === 'object') return http.port ?? HTTP_PORT;
	return http === 'auto' ? HTTP_PORT : http;
};
