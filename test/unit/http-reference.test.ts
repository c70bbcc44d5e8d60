import { afterEach, describe, expect, test } from 'vitest';
import type { Controller } from '../../sidecar/control/controller.ts';
import type { ServerState } from '../../sidecar/control/http/served.ts';
import { HeldBytes, ReferenceDoor } from '../../sidecar/control/reference-door.ts';
import { checkImage, REFERENCE_BYTES_MAX } from '../../sidecar/control/reference-image.ts';
import type { ReferencePicture } from '../../sidecar/parameters.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { referenceOfGrey } from '../support/frames.ts';
import { ask, jsonOf } from '../support/http.ts';
import { cmykJpegOf, pngOf } from '../support/images.ts';
import { newController, openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const opened: AsyncDisposable[] = [];
const open = async (options: Parameters<typeof openServer>[0] = {}) => {
	const pair = await openServer({ takesReferences: true, ...options });
	opened.push(pair.server);
	return pair;
};
afterEach(async () => {
	for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
});

const png = pngOf({ width: 640, height: 320, row: Buffer.alloc(3 * 640, 90) });

const post = (url: string, body: Uint8Array, { type = 'image/png', query = '' } = {}) =>
	fetch(new URL(`/api/reference${query}`, url), { method: 'POST', body, headers: { 'Content-Type': type } });

describe('a picture that is sent', () => {
	test('is painted like, shown small, and taken back', async () => {
		const { server, controller } = await open();
		const small = () => fetch(new URL('/api/reference', server.url));
		expect((await small()).status).toBe(404);
		const answer = await post(server.url, png, { query: '?name=starry%20night.png' });
		expect(answer.status).toBe(200);
		const { control, takesReferences } = (await answer.json()) as ServerState;
		expect(takesReferences).toBe(true);
		expect(control).toMatchObject({
			style: 'oil-painting',
			prompt: '',
			epoch: 1,
			reference: { name: 'starry night.png', width: 640, height: 320, isOfPreset: false },
		});
		expect(controller.target.shown!.picture.data[0]).toBe(90);
		const shown = await small();
		expect([shown.status, shown.headers.get('content-type')]).toEqual([200, 'image/png']);
		expect(checkImage(Buffer.from(await shown.arrayBuffer()), 'it').header).toMatchObject({ width: 213, height: 106 });
		controller.apply({ type: 'panic', on: true });
		expect((await small()).status).toBe(409);
		controller.apply({ type: 'panic', on: false });
		const forgotten = await fetch(new URL('/api/reference', server.url), { method: 'DELETE' });
		expect(((await forgotten.json()) as ServerState).control).not.toHaveProperty('reference');
		expect(controller.target.prompt).toBe('transfer this to oil-painting style');
		expect((await small()).status).toBe(404);
	});

	test('may be of any kind that is understood, whatever it is sent as', async () => {
		const { server } = await open();
		expect((await post(server.url, cmykJpegOf(16, [255, 0, 0, 255]), { type: 'image/jpeg; q=1' })).status).toBe(200);
		expect((await post(server.url, png, { type: 'image/webp' })).status).toBe(200);
	});

	test.each<[string, Uint8Array, string, number, string, RegExp]>([
		['a text', Buffer.from('not a picture'), 'image/png', 400, 'ERR_STYLE', /is no picture that is understood/],
		['nothing', Buffer.alloc(0), 'image/png', 400, 'ERR_STYLE', /is no picture/],
		['one pixel', pngOf({ width: 1, height: 1 }), 'image/png', 400, 'ERR_STYLE', /has 1x1 px, expected/],
		['20,000 pixels', pngOf({ width: 20_000, height: 20_000, rows: 1 }), 'image/png', 400, 'ERR_STYLE', /20000x20000/],
		['half of one', png.subarray(0, 60), 'image/png', 400, 'ERR_STYLE', /cannot be decoded/],
		['what a form sends', png, 'multipart/form-data', 415, 'ERR_STYLE', /is sent as image\/png, image\/jpeg/],
		['JSON', Buffer.from('{}'), 'application/json', 415, 'ERR_STYLE', /is sent as/],
	])('is refused where it is %s', async (_, body, type, status, code, message) => {
		const { server, controller } = await open();
		const before = controller.view();
		const response = await post(server.url, body, { type });
		expect(response.status).toBe(status);
		const error = jsonOf(await response.text());
		expect(error.code).toBe(code);
		expect(error.message).toMatch(message);
		expect(controller.view()).toEqual(before);
	});

	test('is refused by its length before it is sent', async () => {
		const { server } = await open();
		const headers = { 'Content-Type': 'image/png', 'Content-Length': String(REFERENCE_BYTES_MAX + 1) };
		const answer = await ask(server.port, '/api/reference', { method: 'POST', headers, body: 'x' });
		expect([answer.status, jsonOf(answer.body).message]).toEqual([413, 'A picture has at most 67108864 bytes.']);
	});

	test('is refused from pages of other origins', async () => {
		const { server, controller } = await open();
		for (const method of ['POST', 'DELETE']) {
			const headers = { Origin: 'http://evil.example', 'Content-Type': 'image/png' };
			expect((await ask(server.port, '/api/reference', { method, headers })).status).toBe(403);
		}
		expect(controller.view()).not.toHaveProperty('reference');
	});

	test('is refused where the model takes words alone; so is a frame', async () => {
		const { server, controller } = await open({ takesReferences: false });
		const response = await post(server.url, png);
		expect([response.status, jsonOf(await response.text()).code]).toEqual([409, 'ERR_MODEL']);
		for (const [from, status] of [
			['painting', 409],
			['source', 409],
			['preset', 200],
		] as const) {
			const answer = await ask(server.port, '/api/commands', {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify({ type: 'reference', from }),
			});
			expect(answer.status, from).toBe(status);
		}
		expect(controller.view().epoch).toBe(0);
	});

	test('a frame of now is painted like by a command', async () => {
		const { server, controller } = await open();
		const command = () =>
			ask(server.port, '/api/commands', {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: '{"type":"reference","from":"painting"}',
			});
		const early = await command();
		expect([early.status, jsonOf(early.body).message]).toEqual([400, expect.stringMatching(/nothing is painted yet/)]);
		using _frames = controller.takeFramesFrom(async () => referenceOfGrey(3));
		expect((JSON.parse((await command()).body) as ServerState).control.reference).toMatchObject({ name: 'painting' });
	});
});

describe('the door', () => {
	const image = (width: number) => checkImage(pngOf({ width, height: 16 }), 'a picture');
	/** Decodes when it is told to. */
	const slowDoor = () => {
		const waiting: { width: number; done: (level: number) => void }[] = [];
		const door = new ReferenceDoor(
			({ header }) =>
				new Promise<ReferencePicture>((resolve) =>
					waiting.push({ width: header.width, done: (level) => resolve(referenceOfGrey(level)) }),
				),
		);
		return { door, waiting };
	};
	const controllers = (count: number): Controller[] =>
		Array.from({ length: count }, () => newController(() => 0, undefined, true));
	const settled = () => new Promise((resolve) => setImmediate(resolve));

	test('decodes one at a time, and of fifty that wait the last alone', async () => {
		const { door, waiting } = slowDoor();
		const [controller] = controllers(1);
		const answers = [door.show(controller!, image(16), '0')];
		await settled();
		for (let i = 1; i < 50; i++) answers.push(door.show(controller!, image(16 + i), `${i}`));
		await settled();
		expect(waiting.map(({ width }) => width)).toEqual([16]);
		waiting[0]!.done(0);
		await settled();
		expect(waiting.map(({ width }) => width)).toEqual([16, 65]);
		waiting[1]!.done(49);
		expect(await Promise.all(answers)).toEqual([...Array.from({ length: 49 }, () => false), true]);
		expect(controller!.view().reference).toMatchObject({ name: '49', id: referenceOfGrey(49).id });
		expect(controller!.view().epoch).toBe(1);
	});

	test('paints no picture that came before the style in force, and one for each channel', async () => {
		const { door, waiting } = slowDoor();
		const [first, second] = controllers(2);
		const answers = [door.show(first!, image(16), 'a'), door.show(second!, image(17), 'b')];
		await settled();
		first!.apply({ type: 'style', name: 'pencil-sketch' });
		waiting[0]!.done(1);
		await settled();
		waiting[1]!.done(2);
		expect(await Promise.all(answers)).toEqual([false, true]);
		expect(first!.view()).toMatchObject({ style: 'pencil-sketch' });
		expect(first!.view()).not.toHaveProperty('reference');
		expect(second!.view().reference).toMatchObject({ name: 'b' });
	});

	test('goes on after one that cannot be decoded', async () => {
		const door = new ReferenceDoor();
		const [controller] = controllers(1);
		const broken = door.show(controller!, checkImage(png.subarray(0, 60), 'half'), 'half');
		await expect(broken).rejects.toMatchObject({ code: 'ERR_STYLE' });
		expect(await door.show(controller!, checkImage(png, 'whole'), 'whole')).toBe(true);
	});

	test('holds so many bytes at a time and no more', () => {
		const held = new HeldBytes(100);
		const first = held.take(60)!;
		expect(held.take(60)).toBeUndefined();
		const second = held.take(40)!;
		expect(held.take(1)).toBeUndefined();
		first[Symbol.dispose]();
		second[Symbol.dispose]();
		expect(held.take(100)).toBeDefined();
	});
});
