// The page in a real browser, against a real sidecar that paints the built-in scene.
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium, type Browser, type Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ServerState } from '../../sidecar/control/http/served.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { enginePids } from '../support/engines.ts';
import { presetOf } from '../support/frames.ts';

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const PATIENCE = { timeout: 30_000, interval: 50 };

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
const environment = () => ({ PATH: process.env['PATH'], HOME: folder.at('home') });

/** With an OBS that is not there, so that there is a table of scenes. */
const configurationFile = () => folder.at('home/.config/allaprima/allaprima.json');

interface Sidecar {
	child: ChildProcess;
	url: string;
	port: number;
}

/** Small and slow, so that two cores have time for the browser too. */
const startSidecar = async (port = 0): Promise<Sidecar> => {
	const args = ['--size', '320x192', '--fps', '12', '--provider', 'cpu', '--fade', '0.2', '--http', String(port)];
	const child = spawn(process.execPath, [cli, 'run', '--log-json', ...args], {
		env: environment(),
		stdio: ['ignore', 'ignore', 'pipe'],
	});
	const said: string[] = [];
	for await (const line of createInterface({ input: child.stderr })) {
		said.push(line);
		const url = /"url":"(http:[^"]+)"/.exec(line)?.[1];
		if (!url) continue;
		child.stderr.resume(); // whatever else it says
		return { child, url, port: Number(new URL(url).port) };
	}
	throw new Error(`the sidecar ended before its page was there: ${said.join('\n')}`);
};

const stopSidecar = async ({ child }: Sidecar, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
	if (child.exitCode !== null || child.signalCode !== null) return;
	const exited = once(child, 'exit');
	child.kill(signal);
	await exited;
};

let browser: Browser;
let sidecar: Sidecar;
beforeAll(async () => {
	folder = await openTemporaryFolder();
	await mkdir(folder.at('home/.config/allaprima'), { recursive: true });
	await writeFile(
		configurationFile(),
		'{\n  "fadeS": 0.4,\n  "obs": { "websocket": { "url": "ws://127.0.0.1:1" } }\n}\n',
	);
	[sidecar, browser] = await Promise.all([
		startSidecar(),
		chromium.launch({
			executablePath: process.env['CHROMIUM'] ?? '/usr/bin/chromium',
			args: ['--no-sandbox', '--disable-gpu'], // root, as in CI, may not use the sandbox
		}),
	]);
});
afterAll(async () => {
	await browser?.close();
	if (sidecar) await stopSidecar(sidecar);
	await folder?.[Symbol.asyncDispose]();
});

let page: Page;
let complaints: string[];
beforeEach(async () => {
	await ask({ type: 'style', name: 'oil-painting' });
	page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
	complaints = [];
	page.on('pageerror', ({ message }) => complaints.push(message));
	page.on('console', (message) => {
		// A thumbnail that is not there yet is refused, and Chromium says so.
		const isThumbnail = message.location().url.includes('/api/thumbnails/');
		if (message.type() === 'error' && !isThumbnail) complaints.push(message.text());
	});
	await page.goto(sidecar.url);
	await page.locator('body[data-link=open][data-epoch]').waitFor({ timeout: 30_000 });
	await isPressed('oil-painting'); // the styles have come
});
afterEach(async () => {
	await page.close();
});

const ask = (command: object) =>
	fetch(new URL('/api/commands', sidecar.url), {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify(command),
	});

const control = async () => ((await (await fetch(new URL('/api/state', sidecar.url))).json()) as ServerState).control;

const styleButton = (name: string) => page.locator(`button[data-style=${name}]`);

const isPressed = (name: string) => page.locator(`button[data-style=${name}][aria-pressed=true]`).waitFor();

/** Mean over all channels of what a canvas shows, and of the differences between the two, on the 0..255 scale. */
const canvases = () =>
	page.evaluate(`(() => {
		const [a, b] = ['source', 'painting'].map((id) => {
			const canvas = document.getElementById(id);
			return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
		});
		let light = 0, apart = 0;
		for (let i = 0; i < a.data.length; i++) {
			light += b.data[i];
			apart += Math.abs(a.data[i] - b.data[i]);
		}
		return { width: b.width, height: b.height, light: light / a.data.length, apart: apart / a.data.length };
	})()`) as Promise<{ width: number; height: number; light: number; apart: number }>;

const isDrawn = (id: string) =>
	page.evaluate(`(() => {
		const canvas = document.getElementById('${id}');
		return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((value) => value > 0);
	})()`) as Promise<boolean>;

/** Whether a plot has something in the colour of the budget. */
const hasBudget = (id: string) =>
	page.evaluate(`(() => {
		const canvas = document.getElementById('${id}');
		const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
		for (let i = 0; i < data.length; i += 4)
			if (data[i] === 0x8f && data[i + 1] === 0xb3 && data[i + 2] === 0xcf && data[i + 3] > 200) return true;
		return false;
	})()`) as Promise<boolean>;

describe('the picture', () => {
	test('is the source and its painting, live', async () => {
		await expect.poll(async () => (await canvases()).apart, PATIENCE).toBeGreaterThan(2);
		expect(await canvases()).toMatchObject({ width: 320, height: 192 });
		expect((await canvases()).light).toBeGreaterThan(20);
		const first = await page.locator('#source').screenshot();
		await expect.poll(async () => (await page.locator('#source').screenshot()).equals(first), PATIENCE).toBe(false);
		expect(await page.locator('#veil').getAttribute('class')).toBe('veil');
		expect(complaints).toEqual([]);
	});

	test('is divided where the user drags the divider, by mouse and by keys, and stays so', async () => {
		const divider = page.getByRole('slider', { name: 'Divider between source and painting' });
		const box = (await page.locator('#stage').boundingBox())!;
		await page.mouse.move(box.x + box.width / 2, box.y + box.height / 3);
		await page.mouse.down();
		await page.mouse.move(box.x + box.width * 0.25, box.y + 20, { steps: 4 });
		await page.mouse.up();
		expect(await divider.getAttribute('aria-valuenow')).toBe('25');
		expect(await divider.getAttribute('aria-valuetext')).toBe('25 % source, 75 % painting');
		await page.keyboard.press('ArrowRight');
		expect(await divider.getAttribute('aria-valuenow')).toBe('27');
		await page.keyboard.press('End');
		expect(await divider.getAttribute('aria-valuenow')).toBe('100');
		await page.keyboard.press('Home');
		expect(await divider.getAttribute('aria-valuenow')).toBe('0');
		await page.keyboard.press('Shift+ArrowRight');
		const clip = await page.evaluate("getComputedStyle(document.getElementById('painting')).clipPath");
		expect(clip).toBe('inset(0px 0px 0px 10%)');
		await page.reload();
		expect(await divider.getAttribute('aria-valuenow')).toBe('10');
	});

	test('shows rate and latency, as numbers and plots', async () => {
		await expect.poll(async () => Number(await page.locator('#fps').textContent()), PATIENCE).toBeGreaterThan(0);
		expect(Number(await page.locator('#latency').textContent())).toBeGreaterThan(0);
		await expect.poll(() => isDrawn('plot-latency'), PATIENCE).toBe(true);
		await expect.poll(() => isDrawn('plot-fps'), PATIENCE).toBe(true);
		// The source has 12 frames a second.
		await page.getByRole('img', { name: /^Latency \d+ milliseconds, .*; a frame lasts 83$/ }).waitFor();
		await page.getByRole('img', { name: /^Denoiser \d+ milliseconds a batch, .*; budget 83$/ }).waitFor();
		for (const plot of ['plot-latency', 'plot-streams']) await expect.poll(() => hasBudget(plot), PATIENCE).toBe(true);
		expect(await hasBudget('plot-fps')).toBe(false);
		expect(await page.locator('#about').textContent()).toBe('scene, painted at 320×192 by lite on cpu');
	});
});

describe('a style', () => {
	test('is changed by its button, and the picture is of the new epoch', async () => {
		const before = await control();
		await styleButton('pencil-sketch').click();
		await isPressed('pencil-sketch');
		const { epoch, style } = await control();
		expect({ style, epoch }).toEqual({ style: 'pencil-sketch', epoch: before.epoch + 1 });
		await page.locator(`body[data-epoch="${epoch}"]`).waitFor({ timeout: 30_000 });
		expect(await page.locator('#tag-style').textContent()).toBe('Pencil sketch');
		expect(await styleButton('oil-painting').getAttribute('aria-pressed')).toBe('false');
	});

	test('is changed by number keys; 0 shows the source alone', async () => {
		await page.keyboard.press('4');
		await isPressed('pencil-sketch');
		await page.keyboard.press('0');
		await isPressed('passthrough');
		await expect.poll(async () => (await canvases()).apart, PATIENCE).toBe(0);
		await page.keyboard.press(']');
		await isPressed('render-3d'); // the one after pencil
		await expect.poll(async () => (await canvases()).apart, PATIENCE).toBeGreaterThan(2);
		await page.keyboard.press('[');
		await isPressed('pencil-sketch');
		const { seed } = await control();
		await page.keyboard.press('n');
		await expect.poll(async () => (await control()).seed, PATIENCE).not.toBe(seed);
	});

	test('is changed by the command line, and the page follows', async () => {
		const allaprima = (...args: string[]) =>
			spawnSync(process.execPath, [cli, 'style', ...args, '--port', String(sidecar.port)], {
				encoding: 'utf8',
				env: environment(),
			});
		expect(allaprima('next')).toMatchObject({ status: 0, stdout: 'pencil-sketch\n' });
		await isPressed('pencil-sketch');
		expect(JSON.parse(allaprima('previous', '--json').stdout)).toMatchObject({ style: 'oil-painting' });
		await isPressed('oil-painting');
		expect(allaprima('oil-paintng')).toMatchObject({
			status: 2,
			stderr: expect.stringMatching(/Did you mean oil-painting\?/),
		});
	});

	test('is there as soon as its file is saved, and goes with it', async () => {
		const presets = folder.at('home/.local/share/allaprima/presets');
		await mkdir(presets, { recursive: true });
		await writeFile(`${presets}/woodcut.style.json`, JSON.stringify(presetOf('woodcut', { title: 'Woodcut' })));
		await styleButton('woodcut').click();
		await isPressed('woodcut');
		expect(await page.locator('#tag-style').textContent()).toBe('Woodcut');
		await rm(`${presets}/woodcut.style.json`);
		await styleButton('woodcut').waitFor({ state: 'detached' });
		expect(await page.locator('#tag-style').textContent()).toBe('Woodcut');
		await styleButton('oil-painting').click();
		await isPressed('oil-painting');
	});

	test('may be changed 50 times a second: the last one is shown', async () => {
		const names = ['pencil-sketch', 'passthrough', 'oil-painting'];
		for (let change = 0; change < 50; change++) await ask({ type: 'style', name: names[change % 3] });
		await ask({ type: 'style', name: 'pencil-sketch' });
		await isPressed('pencil-sketch');
		const { epoch } = await control();
		await page.locator(`body[data-epoch="${epoch}"]`).waitFor({ timeout: 30_000 });
		expect(complaints).toEqual([]);
	});
});

describe('thumbnails', () => {
	/** How far the pictures of two styles are from each other; 0 where neither has one. */
	const apart = (a: string, b: string) =>
		page.evaluate(`(() => {
			const [a, b] = ['${a}', '${b}'].map((style) => {
				const canvas = document.querySelector('[data-style="' + style + '"] canvas');
				return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
			});
			return a.reduce((sum, value, index) => sum + Math.abs(value - b[index]), 0) / a.length;
		})()`) as Promise<number>;

	test('are painted from the live picture, one after the other', async () => {
		const [asked, underWay] = [new Set<string>(), new Set<object>()];
		let most = 0;
		page.on('request', (request) => {
			if (!request.url().includes('/api/thumbnails/')) return;
			asked.add(new URL(request.url()).pathname.slice('/api/thumbnails/'.length));
			most = Math.max(most, underWay.add(request).size);
		});
		page.on('requestfinished', (request) => underWay.delete(request));
		page.on('requestfailed', (request) => underWay.delete(request));
		await expect.poll(() => apart('pencil-sketch', 'anime'), PATIENCE).toBeGreaterThan(5);
		await expect.poll(() => asked.size, { timeout: 60_000, interval: 100 }).toBeGreaterThanOrEqual(7);
		expect(most).toBe(1);
		expect(asked).not.toContain('oil-painting'); // that is on the stage
		expect(asked).not.toContain('passthrough');
	});

	test('are not asked for where nobody looks', async () => {
		await page.evaluate("Object.defineProperty(document, 'hidden', { get: () => true })");
		await page.waitForTimeout(500); // one that is under way
		let asked = 0;
		page.on('request', (request) => (asked += Number(request.url().includes('/api/thumbnails/'))));
		await page.waitForTimeout(10_500); // each is due again in ten seconds
		expect(asked).toBe(0);
	});

	test('that cannot be had leave the tiles plain, and everything else as it is', async () => {
		const other = await browser.newPage();
		let asked = 0;
		await other.route('**/api/thumbnails/**', async (route) => {
			if (asked++ % 2) await route.abort();
			else await route.fulfill({ status: 200, contentType: 'image/png', body: 'no picture' });
		});
		const errors: string[] = [];
		other.on('pageerror', ({ message }) => errors.push(message));
		await other.goto(sidecar.url);
		await other.locator('body[data-epoch]').waitFor({ timeout: 30_000 });
		await expect.poll(() => asked, PATIENCE).toBeGreaterThan(3);
		await other.locator('button[data-style=anime]').click();
		await other.locator('button[data-style=anime][aria-pressed=true]').waitFor();
		expect(errors).toEqual([]);
		await other.close();
	});
});

describe('the controls', () => {
	test('have names that a screen reader can say', async () => {
		const named: [role: Parameters<Page['getByRole']>[0], name: string | RegExp][] = [
			['slider', 'Strength'],
			['slider', 'Fade between styles'],
			['textbox', 'Prompt'],
			['spinbutton', 'Seed'],
			['group', 'Style'],
			['button', 'Oil painting'],
			['button', 'Pencil sketch'],
			['button', 'Paint'],
			['button', 'New strokes'],
			['button', 'Panic'],
			['button', 'Tap'],
			['group', 'Modifiers'],
			['group', /^Tempo/],
			['button', 'muted'],
			['checkbox', 'Paint as I type'],
			['combobox', 'When a switch of style is made'],
			['slider', 'Divider between source and painting'],
		];
		for (const [role, name] of named)
			expect(await page.getByRole(role, { name, exact: true }).count(), `${name}`).toBe(1);
	});

	test('all have a name, and all can have the focus', async () => {
		await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
		const { nameless, deaf } = (await page.evaluate(`(() => {
			const controls = [...document.querySelectorAll('button, input, select, textarea, summary, a, [role=slider]')]
				.filter((control) => control.checkVisibility());
			const nameOf = (control) => control.ariaLabel ?? (control.labels?.[0] ?? control).textContent.trim();
			const isDeaf = (control) => (control.focus(), document.activeElement !== control);
			const said = (some) => some.map((control) => control.outerHTML.slice(0, 80));
			return {
				nameless: said(controls.filter((control) => !nameOf(control))),
				deaf: said(controls.filter(isDeaf)),
			};
		})()`)) as Record<'nameless' | 'deaf', string[]>;
		expect([nameless, deaf]).toEqual([[], []]);
	});

	test('paint a prompt at Enter, and take it back at Escape', async () => {
		const prompt = page.getByRole('textbox', { name: 'Prompt' });
		await prompt.fill('a 2nd painting, by candle light');
		await prompt.press('Enter');
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe('a 2nd painting, by candle light');
		expect((await control()).style).toBe('oil-painting'); // the 2 was text
		await prompt.fill('nonsense');
		await prompt.press('Escape');
		expect(await prompt.inputValue()).toBe('a 2nd painting, by candle light');
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe('a 2nd painting, by candle light');
	});

	test('paint a prompt while it is typed, and take it back; or not, where that is not wanted', async () => {
		const prompt = page.getByRole('textbox', { name: 'Prompt' });
		const { prompt: plain, epoch } = await control();
		await prompt.fill('');
		await prompt.pressSequentially('an etching');
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe('an etching');
		expect((await control()).epoch - epoch).toBeLessThan(10); // not for every letter
		await prompt.pressSequentially(' of a dog');
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe('an etching of a dog');
		await prompt.press('Escape');
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe(plain);
		expect(await prompt.inputValue()).toBe(plain);
		await page.getByRole('checkbox', { name: 'Paint as I type' }).uncheck();
		await prompt.fill('by Enter alone');
		await page.waitForTimeout(1200); // twice as long as typing rests
		expect((await control()).prompt).toBe(plain);
		expect(await prompt.inputValue()).toBe('by Enter alone'); // the state leaves it alone
		await page.getByRole('button', { name: 'Paint', exact: true }).click();
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe('by Enter alone');
		await page.reload();
		expect(await page.getByRole('checkbox', { name: 'Paint as I type' }).isChecked()).toBe(false);
	});

	test('put modifiers into the prompt and take them out, as the prompt says', async () => {
		const prompt = page.getByRole('textbox', { name: 'Prompt' });
		const muted = page.getByRole('button', { name: 'muted', exact: true });
		const { prompt: plain } = await control();
		await page.getByRole('button', { name: 'muted', pressed: false }).click();
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe(`${plain}, muted colors`);
		await page.getByRole('button', { name: 'muted', pressed: true }).waitFor();
		expect(await prompt.inputValue()).toBe(`${plain}, muted colors`);
		await page.getByRole('button', { name: 'dark' }).click();
		await muted.press('Enter');
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe(`${plain}, dark`);
		await ask({ type: 'prompt', text: 'Muted colors, all of them' }); // somebody else
		await page.getByRole('button', { name: 'muted', pressed: true }).waitFor();
		await page.getByRole('button', { name: 'dark', pressed: false }).waitFor();
		await ask({ type: 'prompt', text: 'muted colors' });
		await expect.poll(() => prompt.inputValue(), PATIENCE).toBe('muted colors');
		await muted.click(); // nothing else is left: the style as it is
		await expect.poll(async () => (await control()).prompt, PATIENCE).toBe(plain);
		await ask({ type: 'style', name: 'passthrough' }); // there is nothing to modify
		await expect.poll(() => muted.isDisabled(), PATIENCE).toBe(true);
	});

	test('move strength, fade and seed', async () => {
		await page.getByRole('slider', { name: 'Strength' }).press('Home');
		await expect.poll(async () => (await control()).strength, PATIENCE).toBe(0);
		await page.getByRole('slider', { name: 'Fade between styles' }).press('ArrowRight');
		await expect.poll(async () => (await control()).fadeS, PATIENCE).toBeCloseTo(0.3);
		expect(await page.locator('#strength-value').textContent()).toBe('0 %');
		const seed = page.getByRole('spinbutton', { name: 'Seed' });
		await seed.fill('1234');
		await seed.press('Enter');
		await expect.poll(async () => (await control()).seed, PATIENCE).toBe(1234);
		await page.getByRole('button', { name: 'New strokes' }).click();
		await expect.poll(async () => (await control()).seed, PATIENCE).not.toBe(1234);
		const { seed: random } = await control();
		await expect.poll(() => seed.inputValue(), PATIENCE).toBe(String(random));
	});

	test('say what is painted of the picture, and show what was said elsewhere', async () => {
		const region = page.getByRole('combobox', { name: 'Painted' });
		await region.selectOption('background');
		await expect.poll(async () => (await control()).region, PATIENCE).toBe('background');
		await region.blur();
		await ask({ type: 'region', region: { mask: 'subject', feather: 8 } });
		await expect.poll(() => region.inputValue(), PATIENCE).toBe('subject');
		expect(await page.locator('#region-file').textContent()).toBe('subject,feather=8');
		await region.selectOption('preset');
		await expect.poll(async () => (await control()).isRegionOfPreset, PATIENCE).toBe(true);
	});

	test('let a style wait for the beat that was tapped', async () => {
		const tap = page.getByRole('button', { name: 'Tap' });
		const waits = page.getByRole('combobox', { name: 'When a switch of style is made' });
		await tap.click();
		await page.waitForTimeout(1500); // 40 beats a minute
		await page.keyboard.press('t');
		await expect.poll(async () => (await control()).tempo?.bpm ?? 0, PATIENCE).toBeGreaterThan(20);
		await expect.poll(() => page.locator('#tempo-value').textContent(), PATIENCE).toMatch(/^\d+ beats\/min$/);
		await waits.selectOption('bar');
		await expect.poll(async () => (await control()).quantise, PATIENCE).toBe('bar');
		await ask({ type: 'tempo', bpm: 30, beatsPerBar: 16 }); // a bar of half a minute
		await styleButton('pencil-sketch').click();
		await expect.poll(() => styleButton('pencil-sketch').getAttribute('class'), PATIENCE).toBe('pending');
		expect(await control()).toMatchObject({ style: 'oil-painting', pending: 'pencil-sketch' });
		await waits.selectOption('off');
		await isPressed('pencil-sketch');
		await expect.poll(() => styleButton('pencil-sketch').getAttribute('class'), PATIENCE).toBe('');
	});

	test('are listed by their keys, with those of OBS and the ways from elsewhere', async () => {
		await page.getByText('Keys', { exact: true }).click();
		const keys = page.locator('#keys');
		await expect.poll(() => keys.innerText(), PATIENCE).toMatch(/panic: nothing but the slate/);
		expect(await keys.innerText()).toMatch(/Alla Prima: painting on or off/);
		for (const name of ['OSC', 'MIDI', 'HTTP and WebSocket']) {
			const href = await keys.getByRole('link', { name }).getAttribute('href');
			expect((await fetch(new URL(href!, sidecar.url))).status, name).toBe(200);
		}
	});

	test('leave the keys to a list that is open', async () => {
		await page.getByRole('combobox', { name: 'When a switch of style is made' }).focus();
		await page.keyboard.press('p');
		await page.keyboard.press('n');
		await page.keyboard.press('Escape');
		expect(await control()).toMatchObject({ panic: false, style: 'oil-painting' });
	});

	test('show the log', async () => {
		const lines = page.getByRole('log', { name: 'Newest lines of the log' });
		expect(await lines.isVisible()).toBe(false);
		await page.getByText('Log', { exact: true }).click();
		await expect.poll(() => lines.textContent(), PATIENCE).toMatch(/info +painting +model=lite/);
	});

	test('fit a dock of OBS', async () => {
		await page.setViewportSize({ width: 300, height: 700 });
		await page.goto(new URL('/dock', sidecar.url).href);
		await styleButton('pencil-sketch').click();
		await isPressed('pencil-sketch');
		await expect.poll(() => page.locator('#flicker').textContent(), PATIENCE).toMatch(/^\d+\.\d$/);
		const wide = await page.evaluate(`[...document.querySelectorAll('body *')]
			.filter((element) => element.getBoundingClientRect().right > innerWidth + 1).map((element) => element.id || element.className)`);
		expect(wide).toEqual([]);
	});

	test('say what was refused', async () => {
		const seed = page.getByRole('spinbutton', { name: 'Seed' });
		await seed.fill('5000000000');
		await seed.press('Enter');
		await expect.poll(() => page.getByRole('alert').textContent(), PATIENCE).toMatch(/value/);
	});
});

describe('the table of scenes', () => {
	const section = () => page.locator('#scenes');
	const rows = () => section().locator('tbody tr').allInnerTexts();
	const scenes = async () =>
		(
			(await (await fetch(new URL('/api/scenes', sidecar.url))).json()) as {
				scenes: { scene: string; style: string }[];
			}
		).scenes;
	const kept = async () =>
		(JSON.parse(await readFile(configurationFile(), 'utf8')) as { obs: { scenes: Record<string, string> } }).obs.scenes;
	const add = async (scene: string, style: string) => {
		await page.getByRole('combobox', { name: 'Scene to add' }).fill(scene);
		await page.getByRole('combobox', { name: 'Its style' }).selectOption(style);
		await page.getByRole('button', { name: 'Add', exact: true }).click();
		await page.getByRole('combobox', { name: `Style of ${scene}` }).waitFor();
	};
	beforeEach(async () => {
		await page.getByText('Scenes of OBS').click();
	});

	test('is edited in place: in force at once, and kept in the configuration file', async () => {
		await add('Interview', 'pencil-sketch');
		await add('Break', 'anime');
		expect(await scenes()).toEqual([
			{ scene: 'Interview', style: 'pencil-sketch' },
			{ scene: 'Break', style: 'anime' },
		]);
		await page.getByRole('combobox', { name: 'Style of Interview' }).selectOption('van-gogh');
		await expect.poll(kept, PATIENCE).toEqual({ Interview: 'van-gogh', Break: 'anime' });
		await page.getByRole('button', { name: 'Remove Interview' }).click();
		await expect.poll(kept, PATIENCE).toEqual({ Break: 'anime' });
		await expect.poll(() => section().locator('.note').textContent(), PATIENCE).toContain('allaprima.json');
		expect(await readFile(configurationFile(), 'utf8')).toMatch(/^\{\n {2}"fadeS": 0\.4,\n/);
		await page.reload();
		await page.getByText('Scenes of OBS').click();
		await page.getByRole('combobox', { name: 'Style of Break' }).waitFor();
		expect(complaints).toEqual([]);
	});

	test('shows what somebody else changed, and a change of both', async () => {
		await add('Interview', 'anime');
		const url = new URL('/api/scenes', sidecar.url);
		const other = [...(await scenes()), { scene: 'Game', style: 'watercolor' }];
		await fetch(url, {
			method: 'PUT',
			headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify({ scenes: other }),
		});
		await page.getByRole('combobox', { name: 'Style of Interview' }).selectOption('ukiyo-e');
		await expect
			.poll(scenes, PATIENCE)
			.toEqual(other.map((row) => (row.scene === 'Interview' ? { ...row, style: 'ukiyo-e' } : row)));
		await page.getByRole('combobox', { name: 'Style of Game' }).waitFor();
	});

	test('shows any name as text, and says what cannot be', async () => {
		const hostile = '<img src=x onerror="document.title=1"> \u202e "&lt;';
		await add(hostile, 'anime');
		expect((await rows()).join()).toContain(hostile);
		expect(await section().locator('img').count()).toBe(0);
		await page.getByRole('combobox', { name: 'Scene to add' }).fill('__proto__');
		await page.getByRole('combobox', { name: 'Scene to add' }).press('Enter');
		await expect.poll(() => section().getByRole('alert').textContent(), PATIENCE).toMatch(/another name/);
		expect(await page.title()).toBe('Alla Prima');
		await page.getByRole('button', { name: `Remove ${hostile}` }).click();
		await expect.poll(rows, PATIENCE).not.toContain(hostile);
	});
});

test('the page weighs less than 200 kB, and asks nobody else for anything', async () => {
	const weights = new Map<string, number>();
	const other = await browser.newPage();
	other.on('response', async (response) => {
		const { pathname, origin } = new URL(response.url());
		expect(origin).toBe(new URL(sidecar.url).origin);
		if (!pathname.startsWith('/api/')) weights.set(pathname, (await response.body()).byteLength);
	});
	await other.goto(sidecar.url);
	await other.locator('body[data-epoch]').waitFor({ timeout: 30_000 });
	await other.close();
	expect([...weights.keys()]).toEqual(expect.arrayContaining(['/', '/page.css', '/page.js', '/styles.js']));
	expect([...weights.values()].reduce((sum, weight) => sum + weight)).toBeLessThan(200_000);
});

test.each([300, 768, 1280, 1920])('nothing is wider than a window of %i pixels', async (width) => {
	await page.setViewportSize({ width, height: 900 });
	await page.evaluate("for (const details of document.querySelectorAll('details')) details.open = true");
	const overflow = 'document.documentElement.scrollWidth - document.documentElement.clientWidth';
	expect(await page.evaluate(overflow)).toBe(0);
	const stage = (await page.locator('#stage').boundingBox())!;
	expect(stage.x).toBeGreaterThanOrEqual(0);
	expect(stage.x + stage.width).toBeLessThanOrEqual(width);
	expect(stage.width / stage.height).toBeCloseTo(320 / 192, 1);
});

test('there is no fleet where the engine runs here', async () => {
	expect(await page.locator('#fleet').isVisible()).toBe(false);
});

test('panic shows nothing but the slate, until it is over', async () => {
	const tilesDrawn = () =>
		page.evaluate(`[...document.querySelectorAll('#styles canvas')].filter((canvas) => {
			const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
			return data.some((value) => value > 0);
		}).length`) as Promise<number>;
	await expect.poll(async () => (await canvases()).apart, PATIENCE).toBeGreaterThan(2);
	await expect.poll(tilesDrawn, PATIENCE).toBeGreaterThan(1);
	await page.keyboard.press('p');
	const button = page.getByRole('button', { name: 'Panic', pressed: true });
	await button.waitFor();
	await page.getByText('panic: only the slate').waitFor();
	// The card alone, in both halves: dark.
	await expect.poll(async () => (await canvases()).apart, PATIENCE).toBe(0);
	expect((await canvases()).light).toBeLessThan(100);
	expect(await tilesDrawn()).toBe(0);
	const off = spawnSync(process.execPath, [cli, 'panic', 'off', '--port', String(sidecar.port)], { encoding: 'utf8' });
	expect(off).toMatchObject({ status: 0, stdout: 'panic off\n' });
	await page.getByRole('button', { name: 'Panic', pressed: false }).waitFor();
	await expect.poll(async () => (await canvases()).apart, PATIENCE).toBeGreaterThan(2);
	await page.getByRole('button', { name: 'Panic' }).click();
	await expect.poll(async () => (await control()).panic, PATIENCE).toBe(true);
	await page.getByRole('button', { name: 'Panic' }).click();
	await expect.poll(async () => (await control()).panic, PATIENCE).toBe(false);
});

test('the page says that the engine hangs, and that another one paints', async () => {
	const [engine] = enginePids(sidecar.child.pid);
	process.kill(engine!, 'SIGSTOP');
	await page.locator('body[data-engine=stale]').waitFor({ timeout: 30_000 });
	await page.getByText('engine gives no frames').waitFor();
	await expect.poll(async () => (await canvases()).apart, PATIENCE).toBe(0); // the source passes through
	await page.locator('body[data-engine=painting]').waitFor({ timeout: 30_000 });
	await expect.poll(async () => (await canvases()).apart, PATIENCE).toBeGreaterThan(2);
	expect(await page.locator('#restarts').textContent()).toBe('1 restart');
	expect(Number(await page.locator('#unpainted').textContent())).toBeGreaterThan(10);
});

test('the page comes back by itself when the sidecar does, also after a kill', async () => {
	await stopSidecar(sidecar, 'SIGKILL');
	await page.locator('body[data-link=lost]').waitFor();
	await page.getByText('The sidecar does not answer. Trying again.').waitFor();
	sidecar = await startSidecar(sidecar.port);
	await page.locator('body[data-link=open]').waitFor({ timeout: 30_000 });
	await isPressed('oil-painting');
	await expect.poll(async () => (await canvases()).apart, PATIENCE).toBeGreaterThan(2);
	await expect.poll(() => page.locator('#veil').getAttribute('class'), PATIENCE).toBe('veil');
});

test('the sidecar ends cleanly while somebody looks on', async () => {
	const { child } = sidecar;
	await stopSidecar(sidecar);
	expect(child.exitCode).toBe(0);
	sidecar = await startSidecar(sidecar.port);
});
