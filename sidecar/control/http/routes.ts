import type { IncomingMessage } from 'node:http';
import { readCommand } from '../commands.ts';
import { json, Refusal, type Answer } from './answer.ts';
import { channelNameOf, readJson } from './request.ts';
import { channelNamed, stateOf, type Served, type ServedChannel } from './served.ts';

/** What answers one method of one path. */
type Handler = (request: IncomingMessage, served: Served) => Answer | Promise<Answer>;

/**
 * Everything that is answered besides the page and the WebSockets, a line each. Where several channels are painted,
 * `?channel=NAME` says which one is meant; without it the first is.
 */
const ROUTES: Record<string, Record<string, Handler>> = {
	'/api/state': { GET: (request, served) => json(stateOf(served, channelOf(request, served))) },
	'/api/presets': { GET: (request, served) => json(presetsOf(channelOf(request, served))) },
	'/api/commands': { POST: (request, served) => command(request, served) },
	'/healthz': { GET: (_, { health }) => healthAnswer(health().failing) },
	'/readyz': { GET: (_, { health }) => healthAnswer(Object.values(health()).flat()) },
	'/metrics': {
		GET: async (_, { metrics }) => ({ type: 'text/plain; version=0.0.4; charset=utf-8', body: await metrics() }),
	},
};

/** The methods of a path; undefined where there is nothing. */
export const routesAt = (path: string): Record<string, Handler> | undefined =>
	Object.hasOwn(ROUTES, path) ? ROUTES[path] : undefined;

/** The channel that a request is about. Errors: ERR_CHANNEL, as refusals. */
const channelOf = (request: IncomingMessage, served: Served): ServedChannel => {
	const channel = channelNamed(served, channelNameOf(request));
	if (channel) return channel;
	const names = served.channels().map(({ name }) => name);
	if (names.length === 0) throw new Refusal(503, 'ERR_CHANNEL', 'Nothing is painted yet.', { 'Retry-After': '1' });
	throw new Refusal(404, 'ERR_CHANNEL', `There is no such channel. Expected one of ${names.join(', ')}.`);
};

/** In the order of next and previous. */
const presetsOf = ({ controller }: ServedChannel) =>
	controller.presets.map(({ name, title, prompt, strength, seed }) => ({ name, title, prompt, strength, seed }));

const command = async (request: IncomingMessage, served: Served): Promise<Answer> => {
	const channel = channelOf(request, served);
	channel.controller.apply(readCommand(await readJson(request)));
	return json(stateOf(served, channel));
};

const healthAnswer = (wrong: readonly string[]): Answer => ({
	type: 'text/plain; charset=utf-8',
	body: wrong.length === 0 ? 'ok\n' : `${wrong.join('\n')}\n`,
	status: wrong.length === 0 ? 200 : 503,
});
