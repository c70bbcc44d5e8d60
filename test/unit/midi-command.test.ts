// `allaprima midi` beside a sidecar whose controller is on a cable in memory.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { forgetMidi, learnMidi, showMidi } from '../../sidecar/commands/midi.ts';
import { LEARN_US, startMidi, type MidiSurface } from '../../sidecar/control/midi/surface.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { openTemporaryFolder } from '../support/clips.ts';
import { until } from '../support/engines.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { Cables } from '../support/midi.ts';
import { newController, openServer } from '../support/preview.ts';

setLog({ level: 'silent' });

const cables = new Cables('Pads');
let clock: ManualClock;
let surface: MidiSurface;
let opened: AsyncDisposable[];
let output: string;
let options: { port: string; json: boolean; environment: Record<string, string> };
beforeEach(async () => {
	const folder = await openTemporaryFolder();
	clock = new ManualClock();
	const controller = newController();
	surface = await startMidi({
		port: ['all'],
		channel: 'all',
		mapping: {},
		feedback: false,
		clock: false,
		channels: () => [{ controller }],
		subscribe: () => () => {},
		nowUs: clock.nowUs,
		after: clock.after,
		path: folder.at('midi.json'),
		ports: cables,
	});
	const { server } = await openServer({ midi: surface });
	opened = [server, surface, folder];
	options = { port: String(server.port), json: false, environment: { HOME: folder.at('.') } };
	output = '';
	for (const stream of [process.stdout, process.stderr])
		vi.spyOn(stream, 'write').mockImplementation((text) => {
			output += String(text);
			return true;
		});
});
afterEach(async () => {
	vi.restoreAllMocks();
	for (const one of opened) await one[Symbol.asyncDispose]();
});

test('maps the control that is touched, shows it, and forgets it', async () => {
	const learning = learnMidi(['style', 'pencil-sketch'], options);
	await until(() => surface.view().learning !== undefined);
	cables.send('Pads', 0x92, 36, 100);
	await learning;
	expect(output).toBe('Touch the control for: style pencil-sketch\nchannel 3 note 36  style pencil-sketch\n');
	output = '';
	await showMidi(options);
	expect(output).toMatch(/^open {2}in {3}Pads$/m);
	expect(output).toMatch(/^channel 3 note 36 +style pencil-sketch +learned$/m);
	output = '';
	await forgetMidi('channel 3 note 36', options);
	expect(output).toBe('channel 3 note 36  nothing\n');
});

test('says that nothing was touched', async () => {
	const learning = learnMidi(['panic'], options);
	await until(() => surface.view().learning !== undefined);
	clock.advance(LEARN_US);
	await expect(learning).rejects.toMatchObject({ code: 'ERR_CONTROL', message: expect.stringMatching(/No control/) });
});

test('asks for no command that is none, and forgets nothing that was not learned', async () => {
	await expect(learnMidi(['paint'], options)).rejects.toMatchObject({ code: 'ERR_COMMAND' });
	expect(surface.view().learning).toBeUndefined();
	await expect(forgetMidi('note 36', options)).rejects.toMatchObject({ code: 'ERR_COMMAND' });
});
