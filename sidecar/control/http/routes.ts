import type { IncomingMessage } from 'node:http';
import { ChatRequest } from '../../config/schema/api.ts';
import { ForgetMidi, LearnMidi } from '../../config/schema/midi.ts';
import { parse } from '../../config/schema/parse.ts';
import { maskFileOf, SavePreset, type Preset } from '../../config/schema/preset.ts';
import { log, recentLines } from '../../telemetry/logger.ts';
import type { ChatDoor } from '../chat.ts';
import { readCommand } from '../commands.ts';
import { IMAGE_MEDIA_TYPES } from '../image-header.ts';
import { readMaskFile } from '../mask-file.ts';
import { midiPage } from '../midi/page.ts';
import type { MidiServed } from '../midi/surface.ts';
import { oscPage } from '../osc/page.ts';
import { presetOfNow } from '../preset-snapshot.ts';
import { savePreset } from '../preset-store.ts';
import { ownThumbnail } from '../preset-thumbnail.ts';
import { presetFolders, unknownStyle } from '../presets.ts';
import type { Access } from './access.ts';
import { json, Refusal, type Answer } from './answer.ts';
import { apiAnswer } from './openapi.ts';
import { channelNameOf, readJson } from './request.ts';
import { expectReferences, forgetReference, paintLike, readReference } from './references.ts';
import { readScenes, writeScenes } from './scenes.ts';
import type { ErrorAnswer, PresetView, SavedPreset } from './schemas.ts';
import {
	channelNamed,
	fleetViewOf,
	stateOf,
	type ChatAnswer,
	type Served,
	type ServedChannel,
	type Thumbnail,
} from './served.ts';

/** A request with everything that it can be answered from. */
export interface Call {
	request: IncomingMessage;
	/** The parts of the path that stand in braces in the route. */
	path: Record<string, string>;
	served: Served;
	access: Access;
	/** Of a channel by its name; undefined where viewers may choose nothing. */
	chatOf: (channel: string) => ChatDoor | undefined;
	nowUs: () => number;
}

type Handler = (call: Call) => Answer | Promise<Answer>;

/**
 * Everything that is answered besides the page and the WebSockets, a line each; what it is for says operations.ts. Where
 * several channels are painted, `?channel=NAME` says which one is meant; without it the first is.
 */
export const ROUTES = {
	'GET /api': (call) => apiAnswer(call.request, call.served),
	'GET /api/state': (call) => json(stateOf(call.served, channelOf(call))),
	'GET /api/report': (call) => json(channelOf(call).report()),
	'GET /api/presets': (call) => json(presetsOf(channelOf(call))),
	'POST /api/presets': (call) => savePresetOfNow(call),
	'GET /api/thumbnails/{name}': (call) => thumbnail(call),
	'POST /api/commands': (call) => command(call),
	'POST /api/reference': (call) => paintLike(call, channelOf(call)),
	'GET /api/reference': (call) => readReference(channelOf(call)),
	'DELETE /api/reference': (call) => forgetReference(call, channelOf(call)),
	'POST /api/styles/{name}/activate': (call) => activate(call),
	'POST /api/panic/{state}': (call) => panic(call),
	'POST /api/chat': (call) => chat(call),
	'GET /api/midi': ({ served }) => json(midiOf(served).view()),
	'POST /api/midi/learn': (call) => learnMidi(call),
	'POST /api/midi/forget': (call) => forgetMidi(call),
	'GET /api/fleet': (call) => fleet(call),
	'GET /api/scenes': (call) => readScenes(call),
	'PUT /api/scenes': (call) => writeScenes(call),
	'POST /api/tickets': ({ access }) => json(access.newTicket()),
	'GET /api/log': () => json({ lines: recentLines() }),
	'GET /healthz': ({ served }) => healthAnswer(served.health().failing),
	'GET /readyz': ({ served }) => healthAnswer(Object.values(served.health()).flat()),
	'GET /metrics': async ({ served }) => ({
		type: 'text/plain; version=0.0.4; charset=utf-8',
		body: await served.metrics(),
	}),
	'GET /osc': (call) => osc(call),
	'GET /midi': ({ served }) => ({ type: 'text/html; charset=utf-8', body: midiPage(served.midi?.view()) }),
} satisfies Record<`${'GET' | 'POST' | 'PUT' | 'DELETE'} /${string}`, Handler>;

export type RouteName = keyof typeof ROUTES;

interface Route {
	handle: Handler;
	path: Record<string, string>;
}

const TABLE = Object.entries(ROUTES as Record<string, Handler>).map(([name, handle]) => {
	const [method, pattern] = name.split(' ') as [string, string];
	return { method, segments: pattern.split('/'), handle };
});

/** What answers at a path, by method; empty where there is nothing. */
export const routesAt = (path: string): Map<string, Route> => {
	const given = path.split('/');
	return new Map(
		TABLE.flatMap(({ method, segments, handle }) => {
			const values = matching(segments, given);
			return values ? [[method, { handle, path: values }]] : [];
		}),
	);
};

const matching = (segments: readonly string[], given: readonly string[]): Record<string, string> | undefined => {
	if (segments.length !== given.length) return undefined;
	const values: [string, string][] = [];
	for (const [index, segment] of segments.entries()) {
		const name = /^\{(\w+)\}$/.exec(segment)?.[1];
		const value = name === undefined ? given[index] : decoded(given[index]!);
		if (value === undefined || (name === undefined && value !== segment)) return undefined;
		if (name !== undefined) values.push([name, value]);
	}
	return Object.fromEntries(values);
};

const decoded = (text: string): string | undefined => {
	try {
		return decodeURIComponent(text);
	} catch {
		return undefined;
	}
};

/** The channel that a request is about. Errors: ERR_CHANNEL, as refusals. */
const channelOf = ({ request, served }: Call): ServedChannel => {
	const channel = channelNamed(served, channelNameOf(request));
	if (channel) return channel;
	const names = served.channels().map(({ name }) => name);
	if (names.length === 0) throw new Refusal(503, 'ERR_CHANNEL', 'Nothing is painted yet.', { 'Retry-After': '1' });
	throw new Refusal(404, 'ERR_CHANNEL', `There is no such channel. Expected one of ${names.join(', ')}.`);
};

/** In the order of next and previous. */
const presetsOf = ({ controller }: ServedChannel): PresetView[] => controller.presets.map(presetViewOf);

const presetViewOf = ({ name, title, prompt = '', strength, seed }: Preset): PresetView => ({
	name,
	title,
	prompt,
	strength,
	seed,
});

const savePresetOfNow = async (call: Call): Promise<Answer> => {
	const channel = channelOf(call);
	const wish = parse(SavePreset, await readJson(call.request), 'The preset', 'ERR_COMMAND');
	const pictured = await presetOfNow(channel, wish);
	const view = presetViewOf(pictured.preset);
	const path = await savePreset(pictured, { folder: presetFolders()[0]!, replace: false }).catch((error: Error) => {
		if ((error.cause as NodeJS.ErrnoException | undefined)?.code !== 'EEXIST') throw error;
		throw new Refusal(409, 'ERR_STYLE', `There is a preset ${view.name} of yours already. Choose another name.`);
	});
	const hasThumbnail = pictured.pictures.thumbnail !== undefined;
	return { ...json({ ...view, path, hasThumbnail } satisfies SavedPreset), status: 201 };
};

const command = async (call: Call): Promise<Answer> => {
	const channel = channelOf(call);
	const asked = readCommand(await readJson(call.request));
	if (asked.type === 'reference' && asked.from !== 'preset') expectReferences(channel);
	const mask = asked.type === 'region' && asked.region !== 'preset' ? maskFileOf(asked.region) : undefined;
	if (mask !== undefined) await readMaskFile(mask, presetFolders());
	await channel.controller.carryOut(asked);
	return json(stateOf(call.served, channel));
};

/** The preset that the path names. Errors: ERR_STYLE, as a refusal. */
const presetIn = ({ path }: Call, { controller }: ServedChannel): Preset => {
	const name = path['name']!;
	const preset = controller.presets.find((known) => known.name === name);
	if (preset) return preset;
	const names = controller.presets.map((known) => known.name);
	throw new Refusal(404, 'ERR_STYLE', unknownStyle(name, names).message);
};

const THUMBNAIL_STATUS = { later: 503, panic: 409, none: 404 } as const;

const thumbnail = async (call: Call): Promise<Answer> => {
	const channel = channelOf(call);
	const preset = presetIn(call, channel);
	const live: Thumbnail = (await channel.thumbnails?.thumbnailOf(preset.name)) ?? {
		kind: 'later',
		reason: 'Nothing is painted yet.',
	};
	if (live.kind === 'picture') return { type: live.type, body: live.bytes };
	const own = await ownThumbnail(preset, presetFolders());
	if (own) return { type: IMAGE_MEDIA_TYPES[own.type], body: own.bytes };
	throw new Refusal(
		THUMBNAIL_STATUS[live.kind],
		'ERR_THUMBNAIL',
		live.reason,
		live.kind === 'later' ? { 'Retry-After': '2' } : {},
	);
};

const activate = (call: Call): Answer => {
	const channel = channelOf(call);
	const { name } = presetIn(call, channel);
	channel.controller.apply({ type: 'style', name });
	return json(stateOf(call.served, channel));
};

const panic = (call: Call): Answer => {
	const channel = channelOf(call);
	const { state } = call.path;
	if (state !== 'on' && state !== 'off')
		throw new Refusal(404, 'ERR_PATH', 'Expected /api/panic/on or /api/panic/off.');
	channel.controller.apply({ type: 'panic', on: state === 'on' });
	return json(stateOf(call.served, channel));
};

const CHAT_STATUS = { panic: 409, style: 404, 'cool-down': 429 } as const;

const chat = async (call: Call): Promise<Answer> => {
	const { controller, name } = channelOf(call);
	const door = call.chatOf(name);
	if (!door)
		throw new Refusal(
			404,
			'ERR_CHAT',
			'Viewers may choose nothing here. List styles under chat.styles in the configuration.',
		);
	const wish = parse(ChatRequest, await readJson(call.request), 'The wish', 'ERR_COMMAND');
	const { style, panic: isPanic } = controller.view();
	const decision = door.decide(wish, { presets: controller.presets, style, isPanic }, call.nowUs());
	log.debug({ ...wish, decision: decision.kind }, 'chat');
	const { message } = decision;
	if (decision.kind === 'paint') {
		if (decision.style !== style) controller.apply({ type: 'style', name: decision.style });
		return json({ message, style: decision.style, nextInS: decision.nextInS } satisfies ChatAnswer);
	}
	const { reason, retryAfterS } = decision;
	return {
		...json({ message, error: { code: 'ERR_CHAT', message } } satisfies ErrorAnswer),
		status: CHAT_STATUS[reason],
		headers: retryAfterS === undefined ? {} : { 'Retry-After': String(retryAfterS) },
	};
};

/** Errors: ERR_MIDI, as refusals. */
const midiOf = ({ midi }: Served): MidiServed => {
	if (midi) return midi;
	throw new Refusal(404, 'ERR_MIDI', 'MIDI is off. Turn it on with --midi NAME, or --midi all.');
};

const learnMidi = async ({ request, served }: Call): Promise<Answer> => {
	const midi = midiOf(served);
	midi.learn(parse(LearnMidi, await readJson(request), 'What is to be learned', 'ERR_COMMAND').command);
	return json(midi.view());
};

const fleet = async ({ served }: Call): Promise<Answer> => {
	if (served.fleet) return json(await fleetViewOf(served, served.fleet));
	throw new Refusal(404, 'ERR_FLEET', 'The engine runs on this machine. Start with --engine to paint with others.');
};

const forgetMidi = async ({ request, served }: Call): Promise<Answer> => {
	const midi = midiOf(served);
	await midi.forget(parse(ForgetMidi, await readJson(request), 'What is to be forgotten', 'ERR_COMMAND').control);
	return json(midi.view());
};

const osc = (call: Call): Answer => {
	const { served } = call;
	const names = served.channels().map(({ name }) => name);
	return { type: 'text/html; charset=utf-8', body: oscPage({ osc: served.osc, names, channel: channelOf(call) }) };
};

const healthAnswer = (wrong: readonly string[]): Answer => ({
	type: 'text/plain; charset=utf-8',
	body: wrong.length === 0 ? 'ok\n' : `${wrong.join('\n')}\n`,
	status: wrong.length === 0 ? 200 : 503,
});
