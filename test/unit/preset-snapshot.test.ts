import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { readPicturedPreset } from '../../sidecar/control/preset-bundle.ts';
import { encodePng, shrink } from '../../sidecar/control/png.ts';
import { presetOfNow } from '../../sidecar/control/preset-snapshot.ts';
import { savePreset } from '../../sidecar/control/preset-store.ts';
import { readReference } from '../../sidecar/control/reference-image.ts';
import { FILES_MAX, readPreset } from '../../sidecar/control/presets.ts';
import type { PreviewFeed } from '../../sidecar/control/http/served.ts';
import { PreviewSink } from '../../sidecar/egress/preview-sink.ts';
import { rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { frameOf, referenceOfGrey } from '../support/frames.ts';
import { ask } from '../support/http.ts';
import { decodePng, pixelAt } from '../support/png.ts';
import { newController, openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let own: string;
beforeEach(async () => {
	folder = await openTemporaryFolder();
	own = folder.at('allaprima/presets');
	vi.stubEnv('XDG_DATA_HOME', folder.at('.'));
});
afterEach(async () => {
	vi.unstubAllEnvs();
	await folder[Symbol.asyncDispose]();
});

/** The preview as a run has it, with one frame: the source grey, the painting red above and blue below. */
const previewOf = async (
	width: number,
	height: number,
	kind: StyledFrame['kind'] = 'painting',
): Promise<PreviewFeed> => {
	const preview = new PreviewSink({ size: { width, height }, fit: 'stretch', native: loadNative() });
	const pictureOf = (colourAt: (y: number) => number[]): Picture => ({
		...rgbLayout({ width, height }),
		data: Uint8Array.from(
			Array.from({ length: width * height }, (_, index) => colourAt(Math.floor(index / width))).flat(),
		),
	});
	const source = pictureOf(() => [128, 128, 128]);
	const picture = kind === 'painting' ? pictureOf((y) => (y < height / 2 ? [255, 0, 0] : [0, 0, 255])) : source;
	await preview.present({ ...frameOf(0), epoch: 0, kind, source, picture });
	return preview;
};

const open = async (preview?: PreviewFeed) => await openServer(preview ? { preview } : {});

const save = async (port: number, body: unknown, path = '/api/presets') => {
	const answer = await ask(port, path, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: typeof body === 'string' ? body : JSON.stringify(body),
	});
	return { status: answer.status, body: JSON.parse(answer.body) as Record<string, unknown> };
};

describe('what is painted now', () => {
	test('is kept with what was asked of it, and a small picture of the painting', async () => {
		const { server, controller } = await open(await previewOf(512, 288));
		await using _server = server;
		controller.apply({ type: 'prompt', text: 'by candle light' });
		controller.apply({ type: 'strength', value: 0.5 });
		controller.apply({ type: 'seed', value: 9 });
		const { status, body } = await save(server.port, { name: 'candle-light' });
		const path = `${own}/candle-light.style.json`;
		expect(status).toBe(201);
		expect(body).toEqual({
			name: 'candle-light',
			title: 'Candle light',
			prompt: 'by candle light',
			strength: 0.5,
			seed: 9,
			path,
			hasThumbnail: true,
		});
		expect(await readPreset(path)).toMatchObject({ model: 'lite', thumbnail: 'candle-light.thumbnail.png' });
		const { pictures } = await readPicturedPreset(path);
		const thumbnail = decodePng(pictures.thumbnail!.bytes);
		expect([thumbnail.width, thumbnail.height]).toEqual([256, 144]);
		expect(pixelAt(thumbnail, 0.5, 0.25)).toEqual([255, 0, 0, 255]);
		expect(pixelAt(thumbnail, 0.5, 0.75)).toEqual([0, 0, 255, 255]);
	});

	test('is kept with the picture that shows it, which is then read as it was', async () => {
		const controller = newController(() => 0, undefined, true);
		const reference = referenceOfGrey(77);
		controller.show({ name: 'a photo.heic.png', reference });
		const { preset, pictures } = await presetOfNow(
			{ controller, preview: await previewOf(64, 64) },
			{ name: 'like-that' },
		);
		expect(preset).not.toHaveProperty('shown');
		expect(preset).not.toHaveProperty('prompt');
		const path = await savePreset({ preset, pictures }, { folder: own, replace: false });
		expect(await readPreset(path)).toMatchObject({
			reference: 'like-that.reference.png',
			thumbnail: expect.anything(),
		});
		expect((await readReference(`${own}/like-that.reference.png`)).picture.id).toBe(reference.id);
	});

	test('is never written over one that is there', async () => {
		const { server, controller } = await open(await previewOf(64, 64));
		await using _server = server;
		expect((await save(server.port, { name: 'mine', title: 'First' })).status).toBe(201);
		const before = await readFile(`${own}/mine.style.json`);
		controller.apply({ type: 'next' });
		expect(await save(server.port, { name: 'mine' })).toEqual({
			status: 409,
			body: {
				error: { code: 'ERR_STYLE', message: 'There is a preset mine of yours already. Choose another name.' },
			},
		});
		expect(await readFile(`${own}/mine.style.json`)).toEqual(before);
		expect((await readdir(own)).sort()).toEqual(['mine.style.json', 'mine.thumbnail.png']);
	});

	test('has no picture under panic, for that would be of the slate', async () => {
		const controller = newController();
		controller.apply({ type: 'panic', on: true });
		const preview = await previewOf(64, 64);
		expect((await presetOfNow({ controller, preview }, { name: 'mine' })).pictures).toEqual({});
	});

	test('has no picture while the source is shown for want of a painting: a preset is given away', async () => {
		const preview = await previewOf(64, 64, 'unpainted');
		expect((await presetOfNow({ controller: newController(), preview }, { name: 'mine' })).pictures).toEqual({});
	});

	test('has no picture where what the preview gives is none', async () => {
		const preview = (message: Uint8Array): PreviewFeed => ({
			watch: (send) => ({ ready: () => send(message), [Symbol.dispose]: () => {} }),
		});
		const cutOff = Buffer.alloc(28); // its header alone: 64x64, the same picture for both
		cutOff.write('APPV', 'latin1');
		for (const [at, value] of [
			[4, 1],
			[6, 28],
			[8, 64],
			[10, 64],
			[24, 1],
		] as const)
			cutOff.writeUInt16LE(value, at);
		for (const message of [Buffer.alloc(0), Buffer.alloc(28), Buffer.from('APPV'), cutOff]) {
			const kept = await presetOfNow({ controller: newController(), preview: preview(message) }, { name: 'mine' });
			expect(kept.preset).toMatchObject({ name: 'mine', title: 'Mine' });
			expect(kept.pictures).toEqual({});
		}
		expect((await presetOfNow({ controller: newController(), preview: undefined }, { name: 'a' })).pictures).toEqual(
			{},
		);
	});

	test('is nothing to keep where the source is passed through', async () => {
		const { server, controller } = await open();
		await using _server = server;
		controller.apply({ type: 'toggle' });
		expect(await save(server.port, { name: 'mine' })).toMatchObject({
			status: 400,
			body: { error: { code: 'ERR_STYLE', message: expect.stringContaining('Choose a style first') } },
		});
	});
});

describe('a request to keep it', () => {
	test.each<[unknown, number]>([
		[{ name: '../mine' }, 400],
		[{ name: '/etc/mine' }, 400],
		[{ name: 'a/b' }, 400],
		[{ name: '..' }, 400],
		[{ name: 'next' }, 400],
		[{ name: 'passthrough' }, 400],
		[{ name: 'mine', title: '' }, 400],
		[{ name: 'mine', path: '/tmp/mine' }, 400],
		[{ name: 'mine', folder: '..' }, 400],
		[{}, 400],
		['[]', 400],
		['{', 400],
		[{ name: 'x'.repeat(20_000) }, 413],
	])('that is none is refused, and nothing is written: %j', async (body, status) => {
		const { server } = await open(await previewOf(8, 8));
		await using _server = server;
		expect((await save(server.port, body)).status).toBe(status);
		expect(await readdir(folder.at('.'))).toEqual([]);
	});

	test('cannot fill the disk', async () => {
		const { server } = await open(await previewOf(8, 8));
		await using _server = server;
		await mkdir(own, { recursive: true });
		for (let index = 0; index < FILES_MAX; index++) await writeFile(`${own}/p-${index}.style.json`, '');
		const { status, body } = await save(server.port, { name: 'mine' });
		expect(status).toBe(400);
		expect(body).toMatchObject({ error: { message: expect.stringContaining('expected less than 1000') } });
	});

	test('of a foreign page is refused', async () => {
		const { server } = await open(await previewOf(8, 8));
		await using _server = server;
		const { status } = await ask(server.port, '/api/presets', {
			method: 'POST',
			headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
			body: JSON.stringify({ name: 'mine' }),
		});
		expect(status).toBe(403);
		expect(await readdir(folder.at('.'))).toEqual([]);
	});
});

describe('a thumbnail', () => {
	const noise = (width: number, height: number) => ({
		width,
		height,
		data: Uint8Array.from({ length: 3 * width * height }, (_, index) => (index * index * 31 + index * 7) & 255),
	});

	test.each([
		[1, 1],
		[3, 5],
		[64, 48],
	])('is a PNG with every pixel as it was: %ix%i', async (width, height) => {
		const picture = noise(width, height);
		const { data } = decodePng(await encodePng(picture));
		expect(Array.from(data).filter((_, index) => index % 4 !== 3)).toEqual(Array.from(picture.data));
	});

	test('has means of whole pixels, and a picture that is small already stays', () => {
		const grey = (...values: number[]) => Uint8Array.from(values.flatMap((value) => [value, value, value]));
		const small = shrink({ width: 4, height: 2, data: grey(0, 40, 10, 30, 20, 20, 50, 50) }, 2);
		expect(small).toEqual({ width: 2, height: 1, data: grey(20, 35) });
		const picture = noise(16, 9);
		expect(shrink(picture, 256)).toBe(picture);
	});
});
