import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Thumbnail } from '../../sidecar/control/http/served.ts';
import type { HttpServer } from '../../sidecar/control/http/server.ts';
import { encodePng } from '../../sidecar/control/png.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { presetOf } from '../support/frames.ts';
import { ask, jsonOf } from '../support/http.ts';
import { openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const LATER: Thumbnail = { kind: 'later', reason: 'There is no picture yet.' };
const PRESETS = [presetOf('oil-painting'), presetOf('own', { thumbnail: 'own.png' })];

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let server: HttpServer;
let live: Thumbnail;
let asked: string[];
beforeEach(async () => {
	folder = await openTemporaryFolder();
	vi.stubEnv('XDG_DATA_HOME', folder.at('.'));
	await mkdir(folder.at('allaprima/presets'), { recursive: true });
	await writeFile(folder.at('allaprima/presets/own.style.json'), JSON.stringify(PRESETS[1]));
	asked = [];
	live = LATER;
	const thumbnailOf = async (style: string) => (asked.push(style), live);
	({ server } = await openServer({ presets: PRESETS, thumbnails: { thumbnailOf } }));
});
afterEach(async () => {
	await server[Symbol.asyncDispose]();
	vi.unstubAllEnvs();
	await folder[Symbol.asyncDispose]();
});

const get = (style: string, query = '') => ask(server.port, `/api/thumbnails/${style}${query}`);
const png = () => encodePng({ width: 2, height: 1, data: new Uint8Array(6) });

test('a thumbnail is a picture that nobody keeps', async () => {
	live = { kind: 'picture', type: 'image/png', bytes: await png() };
	const { status, headers } = await get('oil-painting');
	expect(status).toBe(200);
	expect(headers).toMatchObject({ 'content-type': 'image/png', 'cache-control': 'no-store' });
	expect(Number(headers['content-length'])).toBe(live.bytes.length);
	expect((await get('own')).status).toBe(200);
	expect(asked).toEqual(['oil-painting', 'own']);
});

test.each([
	['later', 503, '2'],
	['panic', 409, undefined],
	['none', 404, undefined],
] as const)('%s: %i', async (kind, status, retryAfter) => {
	live = { kind, reason: 'The reason.' };
	const answer = await get('oil-painting');
	expect(answer.status).toBe(status);
	expect(answer.headers['retry-after']).toBe(retryAfter);
	expect(jsonOf(answer.body)).toEqual({ code: 'ERR_THUMBNAIL', message: 'The reason.' });
});

test('an unknown style is named with those there are, and an unknown channel too; neither is painted', async () => {
	const answer = await get('oil');
	expect(answer.status).toBe(404);
	expect(jsonOf(answer.body)).toMatchObject({ code: 'ERR_STYLE', message: expect.stringContaining('oil-painting') });
	for (const style of ['..%2f..%2fetc%2fpasswd', '%00', 'constructor', '__proto__'])
		expect((await get(style)).status, style).toBe(404);
	expect((await get('oil-painting', '?channel=nothing')).status).toBe(404);
	expect(asked).toEqual([]);
});

test('where there is no live one, the picture beside the preset is given', async () => {
	await writeFile(folder.at('allaprima/presets/own.png'), await png());
	const { status, headers, body } = await get('own');
	expect([status, headers['content-type']]).toEqual([200, 'image/png']);
	expect(body).toContain('PNG');
});

test('what lies beside a preset and is no picture, too large or a link elsewhere is not given', async () => {
	const path = folder.at('allaprima/presets/own.png');
	expect((await get('own')).status).toBe(503);
	await writeFile(path, 'secret');
	expect((await get('own')).status).toBe(503);
	await writeFile(path, Buffer.concat([await png(), Buffer.alloc(300_000)]));
	expect((await get('own')).status).toBe(503);
	await writeFile(folder.at('elsewhere.png'), await png());
	await rm(path);
	await symlink(folder.at('elsewhere.png'), path);
	expect((await get('own')).status).toBe(503);
});

test('a channel that has no thumbnails yet says so', async () => {
	const { server: early } = await openServer();
	expect((await ask(early.port, '/api/thumbnails/oil-painting')).status).toBe(503);
	await early[Symbol.asyncDispose]();
});
