import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { ChatDoor, type ChatView } from '../../sidecar/control/chat.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { presetOf } from '../support/frames.ts';
import { ask } from '../support/http.ts';
import { openServer, PRESETS } from '../support/preview.ts';

setLog({ level: 'silent' });

const RULES = { styles: ['anime', 'pencil-sketch'], coolDownS: 30, perUserCoolDownS: 120, maxPerMinute: 3 };
const VIEW: ChatView = {
	presets: [...PRESETS, presetOf('anime', { title: 'Anime' })],
	style: 'oil-painting',
	isPanic: false,
};
const S = 1_000_000;
const by = (user: string, style = 'anime') => ({ style, user });

describe('a viewer', () => {
	test.each(['anime', 'Anime', '  ANIME ', 'anime!'])('gets a style by its name, written %j', (style) => {
		expect(new ChatDoor(RULES).decide(by('a', style), VIEW, 0)).toEqual({
			kind: 'paint',
			style: 'anime',
			message: 'Painting in Anime. Next in 30 s.',
			nextInS: 30,
		});
	});

	test.each(['pencil-sketch', 'Pencil sketch', 'pencil_sketch', 'PENCIL  SKETCH'])('or by its title: %j', (style) => {
		expect(new ChatDoor(RULES).decide(by('a', style), VIEW, 0)).toMatchObject({
			kind: 'paint',
			style: 'pencil-sketch',
		});
	});

	test.each([
		'oil-painting',
		'passthrough',
		'nothing',
		'',
		'-',
		'transfer this to something rude',
		'__proto__',
		'anim',
	])('does not get what is not on the list: %j', (style) => {
		expect(new ChatDoor(RULES).decide(by('a', style), { ...VIEW, style: 'anime' }, 0)).toEqual({
			kind: 'refuse',
			reason: 'style',
			message: 'There is no such style. Choose from: Pencil sketch, Anime.',
		});
	});

	test('waits for the choice of another to stand, and longer for the next of their own', () => {
		const door = new ChatDoor(RULES);
		expect(door.decide(by('a'), VIEW, 0).kind).toBe('paint');
		expect(door.decide(by('b'), VIEW, 1)).toEqual({
			kind: 'refuse',
			reason: 'cool-down',
			message: 'Next style in 30 s.',
			retryAfterS: 30,
		});
		expect(door.decide(by('A'), VIEW, 30 * S)).toEqual({
			kind: 'refuse',
			reason: 'cool-down',
			message: 'You have just chosen. Again in 90 s.',
			retryAfterS: 90,
		});
		expect(door.decide(by('b'), VIEW, 30 * S).kind).toBe('paint');
		expect(door.decide(by('a'), VIEW, 120 * S).kind).toBe('paint');
	});

	test('finds the minute full after as many choices as it has', () => {
		const door = new ChatDoor({ ...RULES, coolDownS: 0 });
		for (const [index, user] of ['a', 'b', 'c'].entries())
			expect(door.decide(by(user), VIEW, index * S).kind).toBe('paint');
		expect(door.decide(by('d'), VIEW, 3 * S)).toMatchObject({ reason: 'cool-down', retryAfterS: 57 });
		expect(door.decide(by('d'), VIEW, 60 * S).kind).toBe('paint');
	});

	test('changes nothing in panic, and no wait begins with what was refused', () => {
		const door = new ChatDoor(RULES);
		expect(door.decide(by('a'), { ...VIEW, isPanic: true }, 0)).toMatchObject({ kind: 'refuse', reason: 'panic' });
		expect(door.decide(by('a', 'nothing'), VIEW, 0)).toMatchObject({ reason: 'style' });
		expect(door.decide(by('a'), { ...VIEW, style: 'anime' }, 0)).toMatchObject({ message: 'It is Anime already.' });
		expect(door.decide(by('a'), VIEW, 0).kind).toBe('paint');
	});

	test('is forgotten after a thousand others, and nothing grows with their number', () => {
		const door = new ChatDoor({ ...RULES, coolDownS: 0, perUserCoolDownS: 86_400, maxPerMinute: 600 });
		for (let user = 0; user <= 1000; user++) expect(door.decide(by(`u${user}`), VIEW, user * S).kind).toBe('paint');
		expect(door.decide(by('u1'), VIEW, 2000 * S)).toMatchObject({ reason: 'cool-down' });
		expect(door.decide(by('u0'), VIEW, 2000 * S)).toMatchObject({ kind: 'paint' });
	});

	test('cannot make the bot say anything', () => {
		const words = 'zqxj';
		fc.assert(
			fc.property(fc.string(), fc.string(), fc.boolean(), (style, user, isPanic) => {
				const door = new ChatDoor(RULES);
				for (const nowUs of [0, 1]) {
					const wish = { style: `${words}${style}`, user: `${words}${user}` };
					expect(door.decide(wish, { ...VIEW, isPanic }, nowUs).message).not.toContain(words);
				}
			}),
		);
	});
});

describe('POST /api/chat', () => {
	const opened: AsyncDisposable[] = [];
	afterEach(async () => {
		for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
	});
	let nowMs = 0;
	const open = async (options: Parameters<typeof openServer>[0] = {}) => {
		nowMs = 1000;
		const pair = await openServer({ presets: VIEW.presets, nowMs: () => nowMs, access: { chat: RULES }, ...options });
		opened.push(pair.server);
		return pair;
	};
	const send = async (port: number, wish: unknown, query = '') => {
		const headers = { 'content-type': 'application/json' };
		const answer = await ask(port, `/api/chat${query}`, { method: 'POST', headers, body: JSON.stringify(wish) });
		return { ...answer, body: JSON.parse(answer.body) as Record<string, unknown> };
	};

	test('paints what a viewer chose, once in a while', async () => {
		const { server, controller } = await open();
		expect(await send(server.port, by('a'))).toMatchObject({
			status: 200,
			body: { message: 'Painting in Anime. Next in 30 s.', style: 'anime', nextInS: 30 },
		});
		expect(controller.view().style).toBe('anime');
		expect(await send(server.port, by('b', 'pencil sketch'))).toMatchObject({
			status: 429,
			headers: { 'retry-after': '30' },
			body: { message: 'Next style in 30 s.', error: { code: 'ERR_CHAT' } },
		});
		expect(controller.view().style).toBe('anime');
		nowMs += 30_000;
		expect((await send(server.port, by('b', 'pencil sketch'))).status).toBe(200);
	});

	test('leaves a prompt of the streamer alone when its style is asked for again', async () => {
		const { server, controller } = await open();
		controller.apply({ type: 'style', name: 'anime' });
		controller.apply({ type: 'prompt', text: 'what the streamer wants' });
		expect((await send(server.port, by('a'))).status).toBe(200);
		expect(controller.view().prompt).toBe('what the streamer wants');
	});

	test('is refused in panic, with 409', async () => {
		const { server, controller } = await open();
		controller.apply({ type: 'panic', on: true });
		expect((await send(server.port, by('a'))).status).toBe(409);
		expect(controller.view().style).toBe('oil-painting');
	});

	test('is off unless the configuration says so, and says what to do', async () => {
		const { server } = await open({ access: {} });
		const { status, body } = await send(server.port, by('a'));
		expect(status).toBe(404);
		expect(body).toMatchObject({ error: { code: 'ERR_CHAT', message: expect.stringContaining('chat.styles') } });
	});

	test.each([
		['a prompt', { ...by('a'), prompt: 'something rude' }],
		['no user', { style: 'anime' }],
		['an endless user', by('x'.repeat(65))],
		['an endless style', by('a', 'x'.repeat(81))],
		['a number', 1],
	])('takes no %s', async (_, wish) => {
		const { server, controller } = await open();
		const { status, body } = await send(server.port, wish);
		expect(status).toBe(400);
		expect(body).toMatchObject({ error: { code: 'ERR_COMMAND' } });
		expect(controller.view().style).toBe('oil-painting');
	});

	test('keeps a cool-down for each channel', async () => {
		const { newController, runReport, runView } = await import('../support/preview.ts');
		const other = {
			name: 'CAM 2',
			controller: newController(undefined, VIEW.presets),
			preview: undefined,
			run: runView,
			report: runReport,
		};
		const { server } = await open({ others: () => [other] });
		expect((await send(server.port, by('a'))).status).toBe(200);
		expect((await send(server.port, by('b'), '?channel=CAM%202')).status).toBe(200);
		expect(other.controller.view().style).toBe('anime');
	});
});

test('what a viewer is called is in the log at debug alone', async () => {
	const lines: string[] = [];
	const body = JSON.stringify(by('a-viewer-by-name'));
	const headers = { 'content-type': 'application/json' };
	for (const level of ['info', 'debug'] as const) {
		setLog({ level, stream: { write: (line: string) => lines.push(line) } });
		const { server } = await openServer({ presets: VIEW.presets, access: { chat: RULES } });
		await ask(server.port, '/api/chat', { method: 'POST', headers, body });
		await server[Symbol.asyncDispose]();
		expect(lines.some((line) => line.includes('a-viewer-by-name'))).toBe(level === 'debug');
	}
	setLog({ level: 'silent' });
});
