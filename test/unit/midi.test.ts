// What controllers send and are shown, over cables in memory; on real ports: test/integration/midi.test.ts.
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MidiCommand } from '../../sidecar/config/schema/midi.ts';
import { parse } from '../../sidecar/config/schema/parse.ts';
import { MidiClock } from '../../sidecar/control/midi/clock.ts';
import { readWords, wordsOf } from '../../sidecar/control/midi/commands.ts';
import { ECHO_US, HELD_US } from '../../sidecar/control/midi/feedback.ts';
import { learnedPath } from '../../sidecar/control/midi/learned.ts';
import { controlNamed, DEFAULT_MAPPING, nameOf } from '../../sidecar/control/midi/mapping.ts';
import { MidiReader } from '../../sidecar/control/midi/messages.ts';
import { isWanted, LOOK_US } from '../../sidecar/control/midi/open-ports.ts';
import { midiPage } from '../../sidecar/control/midi/page.ts';
import { LEARN_US, startMidi, type MidiSurface, type MidiSurfaceOptions } from '../../sidecar/control/midi/surface.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { ask } from '../support/http.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Cables } from '../support/midi.ts';
import { newController, openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const [NOTE, CC, PROGRAM] = [0x90, 0xb0, 0xc0];
const MAX = 127;

const opened: AsyncDisposable[] = [];
let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
beforeEach(async () => {
	folder = await openTemporaryFolder();
});
afterEach(async () => {
	for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
	await folder[Symbol.asyncDispose]();
});

const open = async (options: Partial<MidiSurfaceOptions> = {}, cables = new Cables('Pads')) => {
	const clock = new ManualClock();
	const controller = newController(clock.nowUs);
	cables.nowUs = clock.nowUs;
	const surface = await startMidi({
		port: ['all'],
		channel: 'all',
		mapping: {},
		feedback: true,
		clock: true,
		channels: () => [{ controller }],
		subscribe: (listener) => controller.subscribe(listener),
		nowUs: clock.nowUs,
		after: clock.after,
		path: folder.at('midi.json'),
		ports: cables,
		...options,
	});
	opened.push(surface);
	return { clock, controller, surface, cables, send: (...bytes: number[]) => cables.send('Pads', ...bytes) };
};

/** The same, after everything was told. */
const openTold = async (...args: Parameters<typeof open>) => {
	const all = await open(...args);
	all.clock.advance(1_000_000);
	all.cables.sent.length = 0;
	return all;
};

describe('bytes', () => {
	const read = (...bytes: number[]) => new MidiReader().read(bytes);
	const note = (number: number, value: number, channel = 1) => ({ kind: 'note', channel, number, value });

	test.each<[string, number[], object[]]>([
		['a note', [0x90, 60, 100], [note(60, 100)]],
		['a note that is let go', [0x85, 60, 64], [note(60, 0, 6)]],
		['running status', [0x90, 60, 100, 60, 0, 62, 1], [note(60, 100), note(60, 0), note(62, 1)]],
		['a control change', [0xbf, 7, 127], [{ kind: 'cc', channel: 16, number: 7, value: 127 }]],
		['a program change', [0xc0, 5, 6], [5, 6].map((number) => ({ kind: 'program', channel: 1, number, value: 127 }))],
		['a clock in a note', [0x90, 0xf8, 60, 0xfa, 100], [{ kind: 'clock' }, { kind: 'start' }, note(60, 100)]],
		['a note after system exclusive', [0xf0, 0x7e, 1, 2, 0xf7, 0x90, 60, 1], [note(60, 1)]],
		['a note that cuts system exclusive off', [0xf0, 1, 2, 3, 0x90, 60, 1], [note(60, 1)]],
		['no running status after system exclusive', [0x90, 60, 1, 0xf0, 1, 0xf7, 62, 1], [note(60, 1)]],
		['a message cut off by another', [0x90, 60, 0xb0, 1, 2], [{ kind: 'cc', channel: 1, number: 1, value: 2 }]],
		['pressure and pitch bend', [0xd0, 9, 0xe0, 1, 2, 0xa0, 60, 1, 0xfe, 0xff], []],
		['data alone', [60, 100, 3], []],
	])('%s', (_, bytes, expected) => {
		expect(read(...bytes)).toEqual(expected);
	});

	test('any bytes, wherever they are cut, are the same messages, and those are in range', () => {
		fc.assert(
			fc.property(fc.array(fc.integer({ min: 0, max: 255 })), fc.nat(), (bytes, cut) => {
				const reader = new MidiReader();
				const at = cut % (bytes.length + 1);
				const messages = [...reader.read(bytes.slice(0, at)), ...reader.read(bytes.slice(at))];
				expect(messages).toEqual(read(...bytes));
				for (const message of messages)
					if ('channel' in message) {
						expect(message.channel).toBeGreaterThan(0);
						expect(message.channel).toBeLessThan(17);
						expect([message.number, message.value].every((value) => value >= 0 && value < 128)).toBe(true);
					}
			}),
		);
	});
});

describe('names', () => {
	test.each(['note 36', 'cc 0', 'program 127', 'channel 16 note 5'])('of a control: %s', (name) => {
		expect(nameOf(controlNamed(name)!)).toBe(name);
	});

	test.each(['note 128', 'note 007', 'channel 0 note 1', 'channel 17 cc 1', 'bend 1', 'note', ' note 1', 'note 1\n'])(
		'that are none: %j',
		(name) => {
			expect(controlNamed(name)).toBeUndefined();
		},
	);

	test.each<[string, MidiCommand]>([
		['style anime', { type: 'style', name: 'anime' }],
		['style-at 3', { type: 'styleAt', index: 3 }],
		['next', { type: 'next' }],
		['new-strokes', { type: 'newStrokes' }],
		['prompt in red ink', { type: 'prompt', text: 'in red ink' }],
		['panic', { type: 'panic' }],
		['panic off', { type: 'panic', on: false }],
		['strength', { type: 'strength' }],
		['strength 0.5', { type: 'strength', value: 0.5 }],
		['fade 2', { type: 'fade', seconds: 2 }],
		['tempo 120', { type: 'tempo', bpm: 120 }],
		['quantise bar', { type: 'quantise', to: 'bar' }],
		['seed 7', { type: 'seed', value: 7 }],
		['nothing', { type: 'nothing' }],
	])('of a command: %s', (words, command) => {
		expect(wordsOf(command)).toBe(words);
		expect(parse(MidiCommand, readWords(words.split(' ')), 'it')).toEqual(command);
	});

	test.each(['paint', 'style', 'strength 2', 'strength loud', 'panic maybe', 'next 3', 'style-at -1'])(
		'of a command that is none: %s',
		(words) => {
			expect(() => parse(MidiCommand, readWords(words.split(' ')), 'it', 'ERR_COMMAND')).toThrow(/not valid/);
		},
	);
});

describe('is obeyed', () => {
	test.each<[string, number[], object]>([
		['a pad of a style', [NOTE, 37, 1], { style: 'pencil-sketch' }],
		['a pad of a style, on another channel', [NOTE | 9, 37, 1], { style: 'pencil-sketch' }],
		['a program', [PROGRAM, 2], { style: 'passthrough' }],
		['the pad of panic', [NOTE, 47, 100], { panic: true }],
		['the pad of panic, twice', [NOTE, 47, 100, 47, 0, 47, 100], { panic: false }],
		['the pad of previous', [NOTE, 48, 100], { style: 'pencil-sketch' }],
		['the pad of next, let go and pressed', [NOTE, 49, 0, 49, 1, 49, 0, 49, 1], { style: 'oil-painting' }],
		['the pad of toggle', [NOTE, 50, 100], { style: 'passthrough' }],
		['the fader of strength', [CC, 1, 64], { strength: 64 / 127 }],
		['the fader of the fade', [CC, 7, 127], { fadeS: 60 }],
		['the end of the way', [CC, 1, 0, 7, 0], { strength: 0, fadeS: 0 }],
	])('%s', async (_, bytes, expected) => {
		const { clock, controller, send } = await open();
		send(...bytes);
		clock.advance(10_000);
		expect(controller.view()).toMatchObject(expected);
	});

	test('a tap', async () => {
		const { clock, controller, send } = await open();
		for (let tap = 0; tap < 4; tap++) {
			send(NOTE, 51, 100, 51, 0);
			clock.advance(500_000);
		}
		expect(controller.view().tempo).toMatchObject({ bpm: expect.closeTo(120) });
	});

	test('what the configuration maps, before the default; a value that it says, and not that of the control', async () => {
		const { clock, controller, send } = await open({
			mapping: {
				'note 36': { type: 'strength', value: 0.25 },
				'channel 2 note 36': { type: 'next' },
				'note 37': { type: 'nothing' },
				'cc 20': { type: 'tempo' },
				'cc 64': { type: 'toggle' },
				'note 90': { type: 'prompt', text: 'in charcoal' },
				'note 91': { type: 'strength' },
			},
		});
		send(NOTE, 36, 100, 37, 100, CC, 20, 60);
		clock.advance(10_000);
		expect(controller.view()).toMatchObject({ style: 'oil-painting', strength: 0.25, tempo: { bpm: 120 } });
		send(NOTE | 1, 36, 100);
		expect(controller.view().style).toBe('pencil-sketch');
		send(CC, 64, 100, 64, 101, 64, 20, 64, 19);
		expect(controller.view().style).toBe('passthrough');
		send(NOTE, 90, 1, 91, 127, 91, 0);
		clock.advance(10_000);
		expect(controller.view()).toMatchObject({ prompt: 'in charcoal', strength: 1 });
	});

	test('of one channel alone, where that is asked for', async () => {
		const { controller, send } = await open({ channel: 10 });
		send(NOTE, 37, 100);
		expect(controller.view().style).toBe('oil-painting');
		send(NOTE | 9, 37, 100);
		expect(controller.view().style).toBe('pencil-sketch');
	});

	test('a fader that sends a thousand times, where it is when its turn comes', async () => {
		const { clock, controller, surface, send } = await open();
		let changes = 0;
		controller.subscribe(() => changes++);
		for (let i = 0; i < 1000; i++) {
			send(CC, 1, i % 100);
			clock.advance(1000);
		}
		clock.advance(10_000);
		expect(changes).toBeGreaterThan(50);
		expect(changes).toBeLessThanOrEqual(101);
		expect(controller.view().strength).toBe(99 / 127);
		expect(surface.view().counts.obeyed).toBe(1000);
	});

	test('a fader and a button in the order in which they came', async () => {
		const { controller, send } = await open({ mapping: { 'note 1': { type: 'strength', value: 1 } } });
		send(CC, 1, 0, NOTE, 1, 1);
		expect(controller.view().strength).toBe(1);
	});

	test('nothing of a style that is not there, and of no mapping', async () => {
		const { controller, surface, send } = await open();
		const before = controller.view();
		send(NOTE, 39, 100, 99, 100, PROGRAM, 127);
		expect(controller.view()).toEqual(before);
		expect(surface.view().counts).toEqual({ obeyed: 0, refused: 2, unmapped: 1 });
	});

	test('nothing while nothing is painted', async () => {
		const { surface, send, clock } = await open({ channels: () => [] });
		send(NOTE, 36, 100, CC, 1, 1, 0xfa, 0xf8);
		clock.advance(1_000_000);
		expect(surface.view().counts.refused).toBe(2);
	});
});

describe('is shown', () => {
	test('everything, to a controller that is new', async () => {
		const { clock, cables } = await open();
		clock.advance(1_000_000);
		expect(cables.sent).toEqual([
			['Pads', NOTE, 36, MAX],
			['Pads', NOTE, 37, 0],
			['Pads', NOTE, 38, 0],
			['Pads', NOTE, 47, 0],
			['Pads', NOTE, 50, 0],
			['Pads', CC, 1, MAX],
			['Pads', CC, 7, 26],
		]);
	});

	test('what was changed by another way, once', async () => {
		const { clock, controller, cables } = await openTold();
		controller.apply({ type: 'style', name: 'pencil-sketch' });
		controller.apply({ type: 'strength', value: 0.5 });
		controller.apply({ type: 'panic', on: true });
		clock.advance(5_000_000);
		expect(cables.sent).toEqual([
			['Pads', NOTE, 36, 0],
			['Pads', NOTE, 37, MAX],
			['Pads', NOTE, 47, MAX],
			['Pads', CC, 1, 64],
		]);
	});

	test('a value that changes a thousand times, at most thirty times a second', async () => {
		const { clock, controller, cables } = await openTold();
		for (let i = 0; i < 1000; i++) {
			controller.apply({ type: 'strength', value: i / 1000 });
			clock.advance(1000);
		}
		expect(cables.sent.length).toBeGreaterThan(20);
		expect(cables.sent.length).toBeLessThanOrEqual(30);
	});

	test('more than a cable carries, a part at a time', async () => {
		const notes = Array.from({ length: 100 }, (_, number) => [`channel 3 note ${number}`, { type: 'toggle' }]);
		const { clock, cables } = await open({ mapping: Object.fromEntries(notes) as Record<string, MidiCommand> });
		clock.advance(1);
		expect(cables.sent).toHaveLength(16);
		clock.advance(1_000_000);
		expect(cables.sent).toHaveLength(107);
	});

	test('to a fader nothing while it is moved, and nothing of what it did itself', async () => {
		const { clock, controller, cables, send } = await openTold();
		for (let value = 0; value < 100; value++) {
			send(CC, 1, value);
			clock.advance(20_000);
		}
		clock.advance(5_000_000);
		expect(controller.view().strength).toBe(99 / 127);
		expect(cables.sent).toEqual([]);
	});

	test('to a fader that is let go, what was changed meanwhile', async () => {
		const { clock, controller, cables, send } = await openTold();
		send(CC, 1, 10);
		clock.advance(100_000);
		controller.apply({ type: 'strength', value: 1 });
		clock.advance(HELD_US - 200_000);
		expect(cables.sent).toEqual([]);
		clock.advance(HELD_US);
		expect(cables.sent).toEqual([['Pads', CC, 1, MAX]]);
	});

	test('the light of the style in force, when its pad is let go and has gone dark', async () => {
		const { clock, cables, send } = await openTold();
		send(NOTE, 36, 100);
		clock.advance(100_000);
		cables.sent.length = 0;
		send(NOTE, 36, 0);
		clock.advance(100_000);
		expect(cables.sent).toEqual([['Pads', NOTE, 36, MAX]]);
	});

	test('on the channel on which a control was touched last', async () => {
		const { clock, cables, send } = await openTold();
		send(NOTE | 9, 37, 100);
		clock.advance(100_000);
		expect(cables.sent).toContainEqual(['Pads', NOTE | 9, 37, MAX]);
	});

	test('to the other controller, what one of them does', async () => {
		const { clock, cables, send } = await openTold({}, new Cables('Pads', 'Faders'));
		send(CC, 1, 64);
		clock.advance(1_000_000);
		expect(cables.sent).toEqual([['Faders', CC, 1, 64]]);
	});

	test('through a port that gives back all it gets, without turning panic off again', async () => {
		const { clock, controller, cables, send } = await openTold();
		controller.apply({ type: 'panic', on: true });
		clock.advance(40_000);
		for (const [, ...bytes] of cables.sent.splice(0)) send(...bytes);
		expect(controller.view().panic).toBe(true);
		clock.advance(ECHO_US + 1);
		send(NOTE, 47, MAX);
		expect(controller.view().panic).toBe(false);
	});

	test('nothing where that is asked for', async () => {
		const { clock, cables } = await open({ feedback: false });
		clock.advance(1_000_000);
		expect([cables.sent, [...cables.opened]]).toEqual([[], ['in Pads']]);
	});

	test('dark at the end', async () => {
		const { surface, cables } = await openTold();
		await surface[Symbol.asyncDispose]();
		expect(cables.sent).toEqual([['Pads', NOTE, 36, 0]]);
		expect([cables.isClosed, cables.opened.size]).toEqual([true, 0]);
	});
});

describe('ports', () => {
	test.each<[string, string[], boolean]>([
		['nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0', ['all'], true],
		['nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0', ['nanokontrol'], true],
		['nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0', ['launchpad', 'KONTROL2 MIDI'], true],
		['nanoKONTROL2:nanoKONTROL2 MIDI 1 20:0', ['launchpad'], false],
		['Midi Through:Midi Through Port-0 14:0', ['all'], false],
		['Midi Through:Midi Through Port-0 14:0', ['through'], true],
		['RtMidi Output Client:RtMidi Output 129:0', ['all'], false],
		['RtMidi Output Client:RtMidi Output 129:0', ['rtmidi'], false],
	])('%s for %j: %j', (name, parts, expected) => {
		expect(isWanted(name, parts)).toBe(expected);
	});

	test('that go away and come back are heard again, and told everything', async () => {
		const { clock, controller, cables, send } = await openTold();
		cables.plugged.length = 0;
		clock.advance(LOOK_US);
		expect([...cables.opened]).toEqual([]);
		send(NOTE, 37, 100);
		expect(controller.view().style).toBe('oil-painting');
		cables.sent.length = 0;
		cables.plugged.push('Pads', 'Faders');
		clock.advance(LOOK_US + 1_000_000);
		expect([...cables.opened]).toEqual(['in Pads', 'in Faders', 'out Pads', 'out Faders']);
		expect(cables.sent).toHaveLength(14);
		send(NOTE, 37, 100);
		expect(controller.view().style).toBe('pencil-sketch');
	});
});

describe('learns', () => {
	const file = async () => JSON.parse(await readFile(folder.at('midi.json'), 'utf8')) as { mapping: object };

	test('the control that is touched next, on its channel, and obeys it from then on', async () => {
		const { surface, controller, send } = await open();
		surface.learn({ type: 'style', name: 'passthrough' });
		expect(surface.view().learning).toEqual({ command: 'style passthrough', expiresInS: 30 });
		send(NOTE | 1, 37, 0, 37, 90);
		expect(controller.view().style).toBe('oil-painting');
		expect(surface.view()).toMatchObject({ learned: { control: 'channel 2 note 37', command: 'style passthrough' } });
		expect(surface.view().learning).toBeUndefined();
		send(NOTE | 1, 37, 90);
		expect(controller.view().style).toBe('passthrough');
		send(NOTE, 37, 90);
		expect(controller.view().style).toBe('pencil-sketch');
	});

	test('keeps it for the next start, and forgets it', async () => {
		const first = await open();
		first.surface.learn({ type: 'strength' });
		first.send(PROGRAM, 4, CC, 20, 5); // a program has no value to follow
		await first.surface[Symbol.asyncDispose]();
		expect((await file()).mapping).toEqual({ 'channel 1 cc 20': { type: 'strength' } });
		const { surface, controller, clock, send } = await open();
		send(CC, 20, 0);
		clock.advance(10_000);
		expect(controller.view().strength).toBe(0);
		await surface.forget('channel 1 cc 20');
		expect((await file()).mapping).toEqual({});
		send(CC, 20, 127);
		clock.advance(10_000);
		expect(controller.view().strength).toBe(0);
		await expect(surface.forget('note 36')).rejects.toMatchObject({ code: 'ERR_COMMAND' });
		await expect(surface.forget('__proto__')).rejects.toMatchObject({ code: 'ERR_COMMAND' });
	});

	test('nothing after half a minute', async () => {
		const { surface, controller, clock, send } = await open();
		surface.learn({ type: 'toggle' });
		clock.advance(LEARN_US);
		send(NOTE, 37, 90);
		expect(controller.view().style).toBe('pencil-sketch');
		expect(surface.view()).not.toHaveProperty('learned');
	});

	test('nothing more than the file may have', async () => {
		const { surface, send } = await open();
		const learn = (control: number) => {
			surface.learn({ type: 'next' });
			send(NOTE | (control >> 7), control & 0x7f, 1);
		};
		for (let control = 0; control < 513; control++) learn(control);
		expect(surface.view().mapping.filter(({ from }) => from === 'learned')).toHaveLength(512);
		expect(surface.view().counts.refused).toBe(1);
		learn(3);
		expect(surface.view().learned).toEqual({ control: 'channel 1 note 3', command: 'next' });
	});

	test('beside the presets of the user', () => {
		expect(learnedPath({ XDG_DATA_HOME: '/data' })).toBe('/data/allaprima/midi.json');
		expect(learnedPath({ HOME: '/me' })).toBe('/me/.local/share/allaprima/midi.json');
	});

	test.each([
		['no JSON', '{', /midi\.json:1:2 is not JSON/],
		['another format', '{"format":"x","formatVersion":1,"mapping":{}}', /midi\.json:1:11 format: expected/],
		[
			'a control that is none',
			'{"format":"allaprima-midi","formatVersion":1,"mapping":{"note 200":{"type":"next"}}}',
			/midi\.json:1:\d+ mapping/,
		],
		[
			'a command that is none',
			'{"format":"allaprima-midi","formatVersion":1,"mapping":{"note 2":{"type":"nxt"}}}',
			/midi\.json:1:\d+ mapping\.note 2/,
		],
		[
			'a strange key',
			'{"format":"allaprima-midi","formatVersion":1,"mapping":{},"x":1}',
			/midi\.json:1:\d+ x: is no key/,
		],
		['too much', `{"format":"${'x'.repeat(70_000)}"}`, /expected at most 65536/],
	])('and refuses a file with %s, which stays as it is', async (_, text, message) => {
		await writeFile(folder.at('midi.json'), text);
		await expect(open()).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringMatching(message) });
		expect(await readFile(folder.at('midi.json'), 'utf8')).toBe(text);
	});

	test('and refuses a folder in its place; a link is replaced, and what it led to stays', async () => {
		await mkdir(folder.at('midi.json'));
		await expect(open()).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		await writeFile(folder.at('other'), '{"format":"allaprima-midi","formatVersion":1,"mapping":{}}');
		await symlink(folder.at('other'), folder.at('link'));
		const { surface, send } = await open({ path: folder.at('link') });
		surface.learn({ type: 'next' });
		send(NOTE, 1, 1);
		await surface[Symbol.asyncDispose]();
		expect(await readFile(folder.at('other'), 'utf8')).not.toContain('next');
		expect(await readFile(folder.at('link'), 'utf8')).toContain('next');
	});
});

describe('a clock', () => {
	const CLOCKS = 24;

	test('tells the tempo at each bar, however unevenly it comes', () => {
		const clock = new MidiClock();
		const bars: { bpm: number; clock: number }[] = [];
		clock.hear('start', 0, 4);
		for (let i = 0; i < 10 * 4 * CLOCKS; i++) {
			const bar = clock.hear('clock', i * 20_833.33 + ((i * 7919) % 5000), 4);
			if (bar) bars.push({ bpm: bar.bpm, clock: i });
		}
		expect(bars.map((bar) => bar.clock)).toEqual(Array.from({ length: 9 }, (_, bar) => (bar + 1) * 4 * CLOCKS));
		for (const { bpm } of bars) expect(bpm).toBeCloseTo(120, 0);
	});

	test('begins a bar at start, tells nothing after stop, and goes on', () => {
		const clock = new MidiClock();
		let us = 0;
		const beats = (count: number) => {
			let told = 0;
			for (let i = 0; i < count * CLOCKS; i++) if (clock.hear('clock', (us += 20_833), 4)) told++;
			return told;
		};
		expect(beats(6)).toBe(1);
		clock.hear('start', us, 4);
		expect(beats(1)).toBe(1);
		clock.hear('stop', us, 4);
		expect(beats(8)).toBe(0);
		clock.hear('continue', us, 4);
		expect(beats(3)).toBe(0);
		expect(beats(1)).toBe(1);
	});

	test('that is no music tells nothing', () => {
		for (const stepUs of [100, 200_000, 0]) {
			const clock = new MidiClock();
			for (let i = 0; i < 500; i++) expect(clock.hear('clock', i * stepUs, 4)).toBeUndefined();
		}
	});

	test('leads the tempo of what is painted, from its downbeat, unless that is not wanted', async () => {
		for (const isWanted of [true, false]) {
			const { clock, controller, send } = await open({ clock: isWanted });
			send(0xfa);
			for (let i = 0; i <= 4 * CLOCKS; i++) {
				send(0xf8);
				clock.advance(20_833);
			}
			expect(controller.view().tempo).toEqual(isWanted ? { bpm: 120, beatsPerBar: 4 } : undefined);
		}
	});
});

describe('the API', () => {
	const headers = { 'content-type': 'application/json' };
	const openApi = async (midi?: MidiSurface) => {
		const { server } = await openServer(midi ? { midi } : {});
		opened.push(server);
		return async (path: string, body?: object) =>
			await ask(server.port, path, { ...(body && { method: 'POST', headers, body: JSON.stringify(body) }) });
	};

	test('says where MIDI is off', async () => {
		const api = await openApi();
		for (const answer of [
			await api('/api/midi'),
			await api('/api/midi/learn', { command: { type: 'next' } }),
			await api('/api/midi/forget', { control: 'note 1' }),
		])
			expect([answer.status, answer.body]).toEqual([404, expect.stringContaining('ERR_MIDI')]);
		expect((await api('/midi')).body).toContain('MIDI is off');
	});

	test('learns and forgets', async () => {
		const { surface, send } = await open();
		const api = await openApi(surface);
		const started = await api('/api/midi/learn', { command: { type: 'style', name: 'anime' } });
		expect(JSON.parse(started.body)).toMatchObject({ learning: { command: 'style anime' } });
		send(NOTE, 1, 1);
		const row = { control: 'channel 1 note 1', command: 'style anime', from: 'learned' };
		expect((JSON.parse((await api('/api/midi')).body) as { mapping: object[] }).mapping).toContainEqual(row);
		expect((await api('/api/midi/forget', { control: row.control })).body).not.toContain('learned');
	});

	test.each([
		['/api/midi/learn', {}],
		['/api/midi/learn', { command: { type: 'shutdown' } }],
		['/api/midi/learn', { command: { type: 'next' }, port: 1 }],
		['/api/midi/learn', { command: { type: 'strength', value: 2 } }],
		['/api/midi/forget', { control: '../../etc/passwd' }],
		['/api/midi/forget', { control: 'note 36' }],
	])('refuses %s %j', async (path, body) => {
		const { surface } = await open();
		const answer = await (await openApi(surface))(path, body);
		expect([answer.status, answer.body]).toEqual([400, expect.stringContaining('ERR_COMMAND')]);
		expect(surface.view()).not.toHaveProperty('learning');
	});

	test('has a page, on which names are text', async () => {
		const { surface } = await open(
			{ mapping: { 'note 1': { type: 'prompt', text: '<script>' } } },
			new Cables('<img src=x>'),
		);
		const page = midiPage(surface.view());
		expect(page).toContain('&lt;img src=x&gt;');
		expect(page).toContain('prompt &lt;script&gt;');
		expect(page).not.toMatch(/<script|<img/);
	});
});

test('the default mapping has the controls that docs/midi.md says', () => {
	expect(Object.keys(DEFAULT_MAPPING).filter((name) => !name.startsWith('program'))).toEqual([
		...Array.from({ length: 16 }, (_, pad) => `note ${36 + pad}`),
		'cc 1',
		'cc 7',
	]);
});
