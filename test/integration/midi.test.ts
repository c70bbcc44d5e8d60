// A controller beside `allaprima run`, on a Linux whose sequencer is real: notes choose styles, and lights come back.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { MidiReader } from '../../sidecar/control/midi/messages.ts';
import { canEmulate, FADERS, MidiMachine, PADS, UNPLUGGED } from '../support/midi-machine.ts';

/** How long an emulated machine takes is not ours to judge. */
const PATIENCE_MS = 500_000;
/** Whoever looks more often takes its time from it. */
const LOOK_MS = 500;
const PAGE = 'http://127.0.0.1:7717';
const MAX = 127;
const [NOTE, CC, PROGRAM] = [0x90, 0xb0, 0xc0];

interface Control {
	style: string;
	strength: number;
	panic: boolean;
	fadeS: number;
	tempo?: { bpm: number };
}

const runs = await canEmulate();
if (!runs) process.stderr.write('midi: skipped, there is no kernel to emulate; scripts/setup --tests gets it\n');

describe.skipIf(!runs)('MIDI', { timeout: PATIENCE_MS }, () => {
	let machine: MidiMachine;
	let styles: string[];

	const until = async (holds: () => Promise<boolean>) => {
		const end = Date.now() + PATIENCE_MS;
		while (!(await holds())) {
			if (Date.now() > end) throw new Error(`what was waited for did not happen:\n${await machine.log()}`);
			await sleep(LOOK_MS);
		}
	};
	const ask = async (path: string, body?: object) => JSON.parse((await machine.fetch(PAGE + path, body)).body) as never;
	const control = async () => ((await ask('/api/state')) as { control: Control }).control;
	const untilControl = async (is: (control: Control) => boolean) => await until(async () => is(await control()));
	const untilLog = async (text: string, count = 1) =>
		await until(async () => (await machine.log()).split(text).length > count);
	/** The value that the controller was sent last for a note or a control change; the kernel sends running status. */
	const shown = async ({ path }: { path: string }, kind: 'note' | 'cc', number: number, channel = 1) =>
		new MidiReader()
			.read(await machine.heard(path))
			.flatMap((message) => ('channel' in message ? message : []))
			.findLast((message) => message.kind === kind && message.number === number && message.channel === channel)?.value;
	const padOf = (style: string) => 36 + styles.indexOf(style);

	beforeAll(async () => {
		machine = await MidiMachine.boot();
		for (const { path } of [PADS, FADERS]) await machine.plugIn(path);
		const painting = ['--source', 'scene', '--sink', 'null', '--provider', 'cpu', '--size', '64x64', '--fps', '1'];
		await machine.start(...painting, '--midi', 'virmidi', '--log-json');
		await untilLog('"msg":"page"');
		styles = ((await ask('/api/presets')) as { name: string }[]).map(({ name }) => name);
	}, PATIENCE_MS);
	afterAll(async () => await machine?.[Symbol.asyncDispose]());

	it('lists the ports of the machine, and none of its own', async () => {
		const { code, output } = await machine.cli('midi', 'list');
		expect({ code, output }).toMatchObject({ code: 0, output: expect.stringContaining(PADS.port) });
		expect(output).not.toContain('RtMidi');
	});

	it('lights the pad of the style in force, on every controller', async () => {
		await until(async () => (await shown(PADS, 'note', padOf('oil-painting'))) === MAX);
		await machine.send(PADS.path, NOTE, padOf('anime'), 100, NOTE, padOf('anime'), 0);
		await untilControl(({ style }) => style === 'anime');
		await until(async () => (await shown(FADERS, 'note', padOf('anime'))) === MAX);
		await until(async () => (await shown(PADS, 'note', padOf('anime'))) === MAX);
		expect(await shown(PADS, 'note', padOf('oil-painting'))).toBe(0);
		await machine.send(FADERS.path, PROGRAM, styles.indexOf('watercolor'));
		await untilControl(({ style }) => style === 'watercolor');
	});

	it('follows a fader by running status, and tells the others where it is', async () => {
		await machine.send(FADERS.path, CC, 1, 100, 1, 50, 1, 32);
		await untilControl(({ strength }) => strength === 32 / MAX);
		await until(async () => (await shown(PADS, 'cc', 1)) === 32);
		await ask('/api/commands', { type: 'strength', value: 1 });
		await until(async () => (await shown(FADERS, 'cc', 1)) === MAX);
		await until(async () => (await shown(PADS, 'cc', 1)) === MAX);
		expect((await control()).strength).toBe(1);
	});

	it('learns a control, keeps it, and forgets it', async () => {
		await ask('/api/midi/learn', { command: { type: 'panic' } });
		await machine.send(PADS.path, NOTE | 9, 96, 1);
		const learned = async () => ((await ask('/api/midi')) as { learned?: object }).learned;
		await until(async () => (await learned()) !== undefined);
		expect(await learned()).toEqual({ control: 'channel 10 note 96', command: 'panic' });
		await machine.send(PADS.path, NOTE | 9, 96, 0, 96, 1);
		await untilControl(({ panic }) => panic);
		await until(async () => (await shown(PADS, 'note', 96, 10)) === MAX);
		const path = '/dev/shm/.local/share/allaprima/midi.json';
		expect(JSON.parse(await machine.read(path))).toMatchObject({
			mapping: { 'channel 10 note 96': { type: 'panic' } },
		});
		await machine.send(PADS.path, NOTE | 9, 96, 0, 96, 1);
		await untilControl(({ panic }) => !panic);
		await ask('/api/midi/forget', { control: 'channel 10 note 96' });
		expect(JSON.parse(await machine.read(path))).toEqual({ format: 'allaprima-midi', formatVersion: 1, mapping: {} });
	});

	it('takes the tempo from a clock', async () => {
		await machine.send(FADERS.path, 0xfa);
		await until(async () => {
			for (let clock = 0; clock < 48; clock++) await machine.send(FADERS.path, 0xf8);
			return (await control()).tempo !== undefined;
		});
		expect((await control()).tempo).toMatchObject({ beatsPerBar: 4 });
	});

	it('stands what is no message, and a flood', async () => {
		const noise = Array.from({ length: 1000 }, (_, i) => (i * 2654435761) >>> 24).filter((byte) => byte < 0xf0);
		await machine.send(PADS.path, ...noise, 0xf0, ...Array.from({ length: 2000 }, (_, i) => i & 0x7f));
		for (let value = 0; value < 1000; value++)
			if (value % 10 === 0) await machine.send(FADERS.path, CC, 7, value & 0x7f);
		await machine.send(FADERS.path, CC, 7, MAX);
		await untilControl(({ fadeS }) => fadeS === 60);
		await machine.send(PADS.path, 0xf7, NOTE, padOf('van-gogh'), 100);
		await untilControl(({ style }) => style === 'van-gogh');
		expect(await machine.log()).not.toContain('"level":"error"');
	});

	it('finds a controller again that was pulled out', async () => {
		for (const { path } of [PADS, FADERS]) await machine.unplug(path);
		await machine.write(UNPLUGGED.unbind, UNPLUGGED.device);
		await untilLog('midi port gone', 8);
		await machine.write(UNPLUGGED.bind, UNPLUGGED.device);
		await untilLog('"direction":"out","msg":"midi port"', 8);
		await machine.plugIn(PADS.path);
		await ask('/api/commands', { type: 'style', name: 'ukiyo-e' });
		await until(async () => (await shown(PADS, 'note', padOf('ukiyo-e'))) === MAX);
		await machine.send(PADS.path, NOTE, padOf('anime'), 100);
		await untilControl(({ style }) => style === 'anime');
		expect((await machine.log()).split('midi port gone')).toHaveLength(9);
	});

	it('puts out the lights at the end', async () => {
		await until(async () => (await shown(PADS, 'note', padOf('anime'))) === MAX);
		expect(await machine.stop()).toEqual({ code: 0, signal: null });
		await until(async () => (await shown(PADS, 'note', padOf('anime'))) === 0);
	});
});
