import { afterEach, describe, expect, test } from 'vitest';
import type { ScenesAnswer } from '../../sidecar/control/http/schemas.ts';
import type { ServerState } from '../../sidecar/control/http/served.ts';
import { SceneTable } from '../../sidecar/control/scene-table.ts';
import { SidecarError } from '../../sidecar/errors.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const opened: AsyncDisposable[] = [];
afterEach(async () => {
	for (const server of opened.splice(0)) await server[Symbol.asyncDispose]();
});

const open = async (keep: () => Promise<string> = async () => 'allaprima.json') => {
	const table = new SceneTable({ rows: [{ scene: 'Interview', style: 'gone' }], paint: () => {} });
	const { server } = await openServer({ scenes: { table, store: { keep } } });
	opened.push(server);
	return { table, url: new URL('/api/scenes', server.url), stateUrl: new URL('/api/state', server.url) };
};

const put = async (url: URL, body: unknown): Promise<{ status: number; answer: ScenesAnswer; text: string }> => {
	const response = await fetch(url, {
		method: 'PUT',
		headers: { 'Content-Type': 'application/json' },
		body: typeof body === 'string' ? body : JSON.stringify(body),
	});
	const text = await response.text();
	return { status: response.status, answer: JSON.parse(text) as ScenesAnswer, text };
};

describe('the table of scenes', () => {
	test('is read and written, in force at once, and the state tells of the change', async () => {
		const { table, url, stateUrl } = await open();
		table.know(['Interview', 'Break']);
		const before = (await (await fetch(url)).json()) as ScenesAnswer;
		expect(before).toEqual({
			revision: 1,
			scenes: [{ scene: 'Interview', style: 'gone' }],
			known: ['Interview', 'Break'],
		});
		const rows = [
			{ scene: 'Interview', style: 'gone' }, // its file may come back
			{ scene: '<img src=x onerror=alert(1)>', style: 'pencil-sketch' },
			{ scene: '2', style: 'oil-painting' },
		];
		const { status, answer } = await put(url, { scenes: rows, revision: before.revision });
		expect([status, answer.scenes, answer.keptIn]).toEqual([200, rows, 'allaprima.json']);
		expect(table.styleOf('2')).toBe('oil-painting');
		const state = (await (await fetch(stateUrl)).json()) as ServerState;
		expect(state.scenesRevision).toBe(answer.revision);
	});

	test('is in force also where it cannot be kept, and says why', async () => {
		const { table, url } = await open(() => Promise.reject(new SidecarError('ERR_CONFIG', 'the disk is full')));
		const { status, answer } = await put(url, { scenes: [{ scene: 'Break', style: 'oil-painting' }] });
		expect(status).toBe(200);
		expect(answer.keptIn).toBeUndefined();
		expect(answer.problem).toMatch(/gone after this run.*the disk is full/);
		expect(table.styleOf('Break')).toBe('oil-painting');
	});

	const rowsOf = (count: number, scene = (i: number) => `${i}`) =>
		Array.from({ length: count }, (_, i) => ({ scene: scene(i), style: 'oil-painting' }));

	test('has up to 500 rows of the longest names', async () => {
		const { url } = await open();
		const scenes = rowsOf(500, (i) => `${i}`.padEnd(256, '漢'));
		expect((await put(url, { scenes })).answer.scenes).toEqual(scenes);
	});

	test.each([
		['no table', { rows: [] }, 400, /scenes/],
		['a row too many', { scenes: rowsOf(501) }, 400, /500/],
		['a name too long', { scenes: rowsOf(1, () => 'x'.repeat(257)) }, 400, /256/],
		['no name', { scenes: rowsOf(1, () => '') }, 400, /scene/],
		['a scene twice', { scenes: rowsOf(2, () => 'Break') }, 400, /each scene once/],
		['a prototype', { scenes: rowsOf(1, () => '__proto__') }, 400, /another name than __proto__/],
		['an unknown style', { scenes: [{ scene: 'Break', style: 'gone' }] }, 400, /Style gone is not known/],
		['no JSON', '{', 400, /not JSON/],
		['a body without end', `"${'x'.repeat(800_000)}"`, 413, /at most 786432 bytes/],
		['another revision', { scenes: [], revision: 7 }, 409, /changed meanwhile/],
	])('stays as it is for %s', async (_, body, status, message) => {
		const { table, url } = await open();
		const refused = await put(url, body);
		expect(refused.status).toBe(status);
		expect(refused.text).toMatch(message);
		expect([table.rows, table.revision]).toEqual([[{ scene: 'Interview', style: 'gone' }], 0]);
	});

	test('is nowhere where OBS is not in use', async () => {
		const { server } = await openServer();
		opened.push(server);
		const response = await fetch(new URL('/api/scenes', server.url));
		expect([response.status, await response.text()]).toEqual([404, expect.stringMatching(/OBS is not in use/)]);
		expect((await put(new URL('/api/scenes', server.url), { scenes: [] })).status).toBe(404);
		const state = (await (await fetch(new URL('/api/state', server.url))).json()) as ServerState;
		expect(state).not.toHaveProperty('scenesRevision');
	});

	test('is not written by a form of another page', async () => {
		const { table, url } = await open();
		const body = JSON.stringify({ scenes: [] });
		for (const headers of [
			{ 'Content-Type': 'text/plain' },
			{ 'Content-Type': 'application/json', Origin: 'http://evil.example' },
		])
			expect((await fetch(url, { method: 'PUT', headers, body })).status).toBeGreaterThanOrEqual(400);
		expect(table.rows).toHaveLength(1);
	});
});
