import { ChatRequest } from '../../config/schema/api.ts';
import { Command } from '../../config/schema/commands.ts';
import { ForgetMidi, LearnMidi } from '../../config/schema/midi.ts';
import { SetScenes } from '../../config/schema/obs-scenes.ts';
import { jsonSchemaOf } from '../../config/schema/parse.ts';
import { SavePreset } from '../../config/schema/preset.ts';
import { REFERENCE_MEDIA_TYPES } from './references.ts';
import type { RouteName } from './routes.ts';
import {
	chatAnswer,
	fleetView,
	logAnswer,
	midiView,
	presetView,
	runReport,
	savedPreset,
	scenesAnswer,
	serverState,
	ticketAnswer,
} from './schemas.ts';

/** What one route is for, as /api tells it. */
export interface Operation {
	summary: string;
	/** Of the body, as JSON. */
	body?: object;
	/** What the body may be instead. */
	bodyTypes?: readonly string[];
	/** Besides the channel. */
	query?: Record<string, string>;
	/** Whether `?channel=` says which channel is meant. */
	ofChannel?: boolean;
	/** Of the answer; 200 where absent. */
	status?: number;
	/** Besides that; each is the answer of an error unless it says otherwise. */
	refusals?: Record<number, string>;
	/** Of a JSON answer; what is no JSON has its type instead. */
	answer: { schema: object } | { type: string };
}

const STATE = { schema: serverState };
const HEALTH = { answer: { type: 'text/plain' }, refusals: { 503: 'What is wrong, a line each' } };

/** A route without its line here does not compile. */
export const OPERATIONS: Record<RouteName, Operation> = {
	'GET /api': { summary: 'This document: JSON, or a page where text/html is asked for', answer: { schema: {} } },
	'GET /api/state': { summary: 'What is painted, and how it goes', ofChannel: true, answer: STATE },
	'GET /api/report': {
		summary: 'The run so far, as --report writes it at the end',
		ofChannel: true,
		answer: { schema: runReport },
	},
	'GET /api/presets': {
		summary: 'The styles there are, in the order of next and previous',
		ofChannel: true,
		answer: { schema: { type: 'array', items: presetView } },
	},
	'POST /api/presets': {
		summary: 'Keeps what is painted now as a preset of the user of the sidecar',
		ofChannel: true,
		body: jsonSchemaOf(SavePreset),
		refusals: { 400: 'No name for a preset, or nothing is painted', 409: 'A preset of that name is there' },
		status: 201,
		answer: { schema: savedPreset },
	},
	'GET /api/thumbnails/{name}': {
		summary:
			'A small painting of the live picture in a style, at most 10 s old; else the picture that the preset has of its own',
		ofChannel: true,
		refusals: {
			404: 'No such style, or one that has no thumbnail',
			409: 'Not while panic is on',
			503: 'Not yet: again after the seconds of Retry-After',
		},
		answer: { type: 'image/png' },
	},
	'POST /api/commands': {
		summary: 'Carries out one command',
		ofChannel: true,
		body: jsonSchemaOf(Command),
		refusals: {
			400: 'A command that is none, or cannot be carried out now',
			409: 'The model takes no picture as a style',
			413: 'Too long',
			415: 'Not sent as application/json',
		},
		answer: STATE,
	},
	'POST /api/reference': {
		summary:
			'Paints like the picture that is sent: up to 64 MiB, 16 to 8192 px a side; of an animated one the first frame',
		ofChannel: true,
		query: { name: 'What the picture is called, for people' },
		bodyTypes: REFERENCE_MEDIA_TYPES,
		refusals: {
			400: 'No picture that can be decoded',
			409: 'The model takes words alone, or something else was chosen meanwhile',
			413: 'Too long',
			415: 'Not sent as a picture',
			503: 'Other pictures are being sent: again after the seconds of Retry-After',
		},
		answer: STATE,
	},
	'GET /api/reference': {
		summary: 'The picture that shows the style, small',
		ofChannel: true,
		refusals: { 404: 'No picture shows it', 409: 'Not while panic is on' },
		answer: { type: 'image/png' },
	},
	'DELETE /api/reference': {
		summary: 'Paints as the preset says again',
		ofChannel: true,
		answer: STATE,
	},
	'POST /api/styles/{name}/activate': {
		summary: 'Changes to a style, for buttons that can send no body',
		ofChannel: true,
		refusals: { 404: 'No such style' },
		answer: STATE,
	},
	'POST /api/panic/{state}': {
		summary: 'on: nothing but the slate is shown; off: ends that',
		ofChannel: true,
		refusals: { 404: 'Neither on nor off' },
		answer: STATE,
	},
	'POST /api/chat': {
		summary: 'A viewer chooses a style, as far as the configuration lets them',
		ofChannel: true,
		body: jsonSchemaOf(ChatRequest),
		refusals: {
			404: 'No such style, or none that can be chosen',
			409: 'Not while panic is on',
			429: 'In the cool-down, for the seconds of Retry-After',
		},
		answer: { schema: chatAnswer },
	},
	'GET /api/midi': {
		summary: 'Ports of MIDI, and what controls do',
		refusals: { 404: 'MIDI is off' },
		answer: { schema: midiView },
	},
	'POST /api/midi/learn': {
		summary: 'Maps the control that is touched within half a minute to a command, and keeps that',
		body: jsonSchemaOf(LearnMidi),
		refusals: { 400: 'A command that is none', 404: 'MIDI is off' },
		answer: { schema: midiView },
	},
	'POST /api/midi/forget': {
		summary: 'Forgets what was learned of a control',
		body: jsonSchemaOf(ForgetMidi),
		refusals: { 400: 'Nothing was learned of it', 404: 'MIDI is off' },
		answer: { schema: midiView },
	},
	'GET /api/fleet': {
		summary: 'The workers of the fleet, what they paint, and which of them paint the channels here',
		refusals: { 404: 'The engine runs on this machine' },
		answer: { schema: fleetView },
	},
	'GET /api/scenes': {
		summary: 'What is painted in which scene of OBS, and the scenes that OBS told of',
		refusals: { 404: 'OBS is not in use' },
		answer: { schema: scenesAnswer },
	},
	'PUT /api/scenes': {
		summary:
			'Replaces what is painted in which scene: in force at once, and kept in the configuration file or for the user',
		body: jsonSchemaOf(SetScenes),
		refusals: {
			400: 'No table, or an unknown style',
			404: 'OBS is not in use',
			409: 'Changed by somebody else meanwhile',
		},
		answer: { schema: scenesAnswer },
	},
	'POST /api/tickets': {
		summary: 'A ticket for one WebSocket, as ?ticket=, where there is a token',
		answer: { schema: ticketAnswer },
	},
	'GET /api/log': { summary: 'The newest lines of the log, the oldest of them first', answer: { schema: logAnswer } },
	'GET /healthz': { summary: 'Whether the process does its work; asks for no token', ...HEALTH },
	'GET /readyz': { summary: 'Whether every channel has a picture to show', ...HEALTH },
	'GET /metrics': { summary: 'For Prometheus', answer: { type: 'text/plain' } },
	'GET /osc': {
		summary: 'A page with what OSC understands, and the values now',
		ofChannel: true,
		answer: { type: 'text/html' },
	},
	'GET /midi': { summary: 'A page with the ports of MIDI, and what controls do', answer: { type: 'text/html' } },
};

/** Paths of WebSockets, which OpenAPI has no words for, with what goes over them. */
export const WEB_SOCKETS: Record<string, string> = {
	'/api/events': 'Sends the state, as GET /api/state has it, at once, after each change, and twice a second.',
	'/api/preview':
		'Sends the newest frame for each message that the client sends: a header of little-endian numbers (bytes 0 u32 APPV, 4 u16 version, 6 u16 length of the header, 8 u16 width, 10 u16 height, 12 u32 sequence, 16 u32 epoch, 20 u32 latency in microseconds, 24 u32 flags), then source and painting in RGB; under flag 1 one picture stands for both.',
};
