// The ways to the sidecar: commands, the state as it changes, and frames, one for each time we ask.

import { request } from './login.js';

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 4000;

/** The channel that this page is about, where its address names one. */
const channel = new URLSearchParams(location.search).get('channel');
const query = channel === null ? '' : `?channel=${encodeURIComponent(channel)}`;

/** A WebSocket can have no header: it gets a ticket, which is good once. */
const ticketedUrl = async (path) => {
	const response = await request('/api/tickets', { method: 'POST' });
	const { ticket } = await response.json();
	const url = new URL(`${path}${query}`, location.origin.replace(/^http/, 'ws'));
	url.searchParams.set('ticket', ticket);
	return url;
};

/** A WebSocket that comes back by itself, after ever longer pauses. */
const openSocket = (path, { onOpen = () => {}, onMessage, onLost = () => {} }) => {
	let socket;
	let retryMs = FIRST_RETRY_MS;
	const comeBack = () => {
		onLost();
		setTimeout(() => void connect(), retryMs);
		retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
	};
	const connect = async () => {
		const url = await ticketedUrl(path).catch(() => undefined);
		if (url === undefined) return comeBack();
		socket = new WebSocket(url);
		socket.binaryType = 'arraybuffer';
		socket.addEventListener('open', () => {
			retryMs = FIRST_RETRY_MS;
			onOpen();
		});
		socket.addEventListener('message', ({ data }) => onMessage(data));
		socket.addEventListener('close', comeBack);
	};
	void connect();
	return { send: (text) => socket?.readyState === WebSocket.OPEN && socket.send(text) };
};

/** Calls back with the whole state after each change, and twice a second. */
export const listen = ({ onState, onLost }) =>
	openSocket('/api/events', { onMessage: (data) => onState(JSON.parse(data)), onLost });

/** Calls back with frames, newest first come; asks for none while nobody can see the page. */
export const watch = (onFrame) => {
	const ask = () => document.hidden || socket.send('next');
	const socket = openSocket('/api/preview', {
		onOpen: ask,
		onMessage: (data) => {
			ask();
			onFrame(data);
		},
	});
	document.addEventListener('visibilitychange', ask);
};

/** The styles there are, in order. */
export const presets = async () => (await request(`/api/presets${query}`)).json();

/** A small painting of the live picture in a style; undefined where there is none now. */
export const thumbnail = async (name) => {
	const response = await request(`/api/thumbnails/${encodeURIComponent(name)}${query}`);
	return response.ok ? response.blob() : undefined;
};

/** The picture that shows the style, small; undefined where it cannot be had now. */
export const referencePicture = async () => {
	const response = await request(`/api/reference${query}`);
	return response.ok ? response.blob() : undefined;
};

/** Paints like a picture file. Rejects with what the sidecar has to say against it. */
export const sendReference = async (file) => {
	const named = `${query === '' ? '?' : `${query}&`}name=${encodeURIComponent(file.name)}`;
	const headers = { 'Content-Type': file.type || 'application/octet-stream' };
	const response = await request(`/api/reference${named}`, { method: 'POST', headers, body: file }).catch(() => {
		throw new Error('The sidecar does not answer, or the picture is too large for it.');
	});
	return answerOf(response);
};

/** The newest lines of the sidecar's log. */
export const logLines = async () => (await (await request('/api/log')).json()).lines;

const send = (method, path, body) =>
	request(path, { method, headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }).catch(() => {
		throw new Error('The sidecar does not answer.');
	});

/** Rejects with what the sidecar has to say against it. */
const answerOf = async (response) => {
	const answer = await response.json();
	if (!response.ok) throw new Error(answer.error.message);
	return answer;
};

/** Sends one command. Rejects with what the sidecar has to say against it. */
export const command = async (body) => answerOf(await send('POST', `/api/commands${query}`, body));

/** The workers of the fleet, and which of them paint the channels here. */
export const fleet = async () => answerOf(await request('/api/fleet'));

/** The table of scenes. */
export const scenes = async () => answerOf(await request('/api/scenes'));

/** Replaces the table of scenes; undefined where there is a newer one than the one that was changed. */
export const setScenes = async (table) => {
	const response = await send('PUT', '/api/scenes', table);
	return response.status === 409 ? undefined : answerOf(response);
};

/** For a control that moves: one command under way, and behind it the newest alone. */
export const commandLine = (send) => {
	let next;
	let isUnderWay = false;
	const go = async () => {
		if (isUnderWay || !next) return;
		isUnderWay = true;
		const body = next;
		next = undefined;
		try {
			await send(body);
		} finally {
			isUnderWay = false;
			void go();
		}
	};
	return (body) => {
		next = body;
		void go();
	};
};
