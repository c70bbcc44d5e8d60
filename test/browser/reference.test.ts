// A picture as a style, on the page in a real browser. The server and the control are the real ones; no engine paints, for no
// model that is here takes a picture.
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { FrameLook } from '../../sidecar/app/frame-look.ts';
import type { Controller } from '../../sidecar/control/controller.ts';
import type { HttpServer } from '../../sidecar/control/http/server.ts';
import { readReference } from '../../sidecar/control/reference-image.ts';
import { PreviewSink } from '../../sidecar/egress/preview-sink.ts';
import { rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { ffmpeg, openTemporaryFolder } from '../support/clips.ts';
import { frameOf } from '../support/frames.ts';
import { openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const SIZE = { width: 512, height: 288 };
const pictureOf = (colourAt: (x: number, y: number) => readonly number[]): Picture => ({
	...rgbLayout(SIZE),
	data: Uint8Array.from(
		Array.from({ length: SIZE.width * SIZE.height }, (_, i) =>
			colourAt(i % SIZE.width, Math.floor(i / SIZE.width)),
		).flat(),
	),
});
const frame = {
	...frameOf(0),
	epoch: 0,
	kind: 'painting' as const,
	source: pictureOf((x, y) => [x / 2, y / 2, 90]),
	picture: pictureOf((x, y) => [200, (x * y) % 200, 60]),
};

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let browser: Browser;
beforeAll(async () => {
	folder = await openTemporaryFolder();
	await ffmpeg(`-f lavfi -i mandelbrot=s=900x600 -frames:v 1 ${picture()}`);
	browser = await chromium.launch({
		executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
		args: ['--no-sandbox', '--disable-gpu'],
	});
});
afterAll(async () => {
	await browser?.close();
	await folder?.[Symbol.asyncDispose]();
});
const picture = () => folder.at('starry_night.png');

const opened: AsyncDisposable[] = [];
let controller: Controller;
let server: HttpServer;
let page: Page;
let complaints: string[];
const open = async (takesReferences: boolean) => {
	const preview = new PreviewSink({ size: SIZE, fit: 'stretch', native: loadNative() });
	({ controller, server } = await openServer({ preview, takesReferences }));
	opened.push(preview, server);
	await preview.present(frame);
	const look = new FrameLook({
		controller,
		failure: 'passthrough',
		canvas: { painted: SIZE, fit: 'stretch' },
		native: loadNative(),
	});
	look.see(frame);
	controller.takeFramesFrom(look.take);
	await page.goto(server.url);
	await page.locator('body[data-link=open][data-epoch]').waitFor();
	await page.locator('button[data-style=oil-painting][aria-pressed=true]').waitFor();
};
beforeEach(async () => {
	page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
	complaints = [];
	page.on('pageerror', ({ message }) => complaints.push(message));
});
afterEach(async () => {
	expect(complaints).toEqual([]);
	await page.close();
	for (const one of opened.splice(0).reverse()) await one[Symbol.asyncDispose]();
});

/** Drops a file in the middle of the page; says whether the page kept the browser from opening it. */
const drop = (name: string, type: string, base64: string) =>
	page.evaluate(`(() => {
		const bytes = Uint8Array.from(atob(${JSON.stringify(base64)}), (letter) => letter.charCodeAt(0));
		const dataTransfer = new DataTransfer();
		dataTransfer.items.add(new File([bytes], ${JSON.stringify(name)}, { type: ${JSON.stringify(type)} }));
		const on = document.getElementById('stage');
		const send = (type) => on.dispatchEvent(new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true }));
		send('dragenter');
		const isShown = document.body.hasAttribute('data-drop');
		const isOver = !send('dragover');
		const isDropped = !send('drop');
		return { isShown, isOver, isDropped, isLeft: !document.body.hasAttribute('data-drop') };
	})()`) as Promise<{ isShown: boolean; isOver: boolean; isDropped: boolean; isLeft: boolean }>;

/** Mean of what the small picture shows; 0 where it shows nothing. */
const smallPicture = () =>
	page.evaluate(`(() => {
		const canvas = document.querySelector('#reference canvas');
		const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
		return data.reduce((sum, value) => sum + value, 0) / data.length;
	})()`) as Promise<number>;

const text = (selector: string) => page.locator(selector).textContent();

test('one that is chosen is painted like, shown small, and taken back', async () => {
	await open(true);
	expect(await page.locator('#reference').isVisible()).toBe(true);
	expect(await page.locator('#reference .shown').isVisible()).toBe(false);
	await page.locator('#reference input').setInputFiles(picture());
	await page.locator('#reference .shown').waitFor();
	expect(controller.view().reference).toMatchObject({ name: 'starry_night.png', width: 900, height: 600 });
	expect(await text('#reference .name')).toBe('starry_night.png');
	expect(await text('#tag-style')).toBe('Like starry_night.png');
	await expect.poll(smallPicture).toBeGreaterThan(60);
	await page.getByRole('img', { name: 'The picture that shows the style: starry_night.png' }).waitFor();
	controller.apply({ type: 'panic', on: true });
	await expect.poll(smallPicture).toBe(0);
	controller.apply({ type: 'panic', on: false });
	await expect.poll(smallPicture).toBeGreaterThan(60);
	await page.getByRole('button', { name: 'Paint as the style says again' }).click();
	await page.locator('#reference .shown').waitFor({ state: 'hidden' });
	expect(controller.view()).toMatchObject({ prompt: 'transfer this to oil-painting style' });
	expect(await text('#tag-style')).toBe('Oil painting');
});

test('one that is dropped is painted like; what is no picture is said, and the page stays', async () => {
	await open(true);
	const base64 = (await ffmpeg('-f lavfi -i color=red:s=64x64 -frames:v 1 -f image2pipe -c:v png pipe:1')).toString(
		'base64',
	);
	expect(await drop('red.png', 'image/png', base64)).toEqual({
		isShown: true,
		isOver: true,
		isDropped: true,
		isLeft: true,
	});
	await expect.poll(() => controller.view().reference?.name).toBe('red.png');
	await drop('notes.txt', 'text/plain', btoa('no picture'));
	await page.getByRole('alert').getByText('A picture is sent as image/png').waitFor();
	await drop('notes.png', 'image/png', btoa('no picture'));
	await page.getByRole('alert').getByText('The picture notes.png is no picture that is understood').waitFor();
	expect(controller.view().reference?.name).toBe('red.png');
	await page.locator('button[data-style=pencil-sketch]').click();
	await page.locator('#reference .shown').waitFor({ state: 'hidden' });
});

test('a frame of now is painted like, by its button and its key; of the source while that is passed through', async () => {
	await open(true);
	await page.getByRole('button', { name: 'Like this frame' }).click();
	await expect.poll(() => controller.view().reference?.name).toBe('painting');
	expect(controller.target.shown!.picture.data).toEqual(frame.picture.data);
	await page.keyboard.press('0');
	await page.locator('button[data-style=passthrough][aria-pressed=true]').waitFor();
	await page.keyboard.press('l');
	await expect.poll(() => controller.view().reference?.name).toBe('source');
	expect(controller.view().style).toBe('oil-painting');
	expect(controller.target.shown!.picture.data).toEqual(frame.source.data);
});

test('there is none for a model that takes words alone: a drop is refused with the reason', async () => {
	await open(false);
	expect(await page.locator('#reference').isVisible()).toBe(false);
	expect(await drop('red.png', 'image/png', btoa('x'))).toEqual({
		isShown: false,
		isOver: true,
		isDropped: true,
		isLeft: true,
	});
	await page.getByRole('alert').getByText('takes no picture as a style, but words alone').waitFor();
	await page.keyboard.press('l');
	expect(controller.view()).not.toHaveProperty('reference');
});

test('everything fits, at 300 pixels too', async () => {
	await open(true);
	controller.show({
		name: `${'a-very-long-name-of-a-picture-'.repeat(4)}.png`,
		reference: (await readReference(picture())).picture,
	});
	await expect.poll(smallPicture).toBeGreaterThan(10);
	for (const width of [300, 1280]) {
		await page.setViewportSize({ width, height: 800 });
		const over = await page.evaluate('document.documentElement.scrollWidth - innerWidth');
		expect(over, `at ${width} px`).toBeLessThanOrEqual(0);
		const shots = process.env['SCREENSHOTS'];
		if (shots === undefined) continue;
		await page.screenshot({ path: `${shots}/reference-${width}.png`, fullPage: true });
		await page.locator('#reference').screenshot({ path: `${shots}/reference-part-${width}.png` });
	}
});
