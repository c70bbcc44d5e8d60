// OSC as controllers speak it: real datagrams on the loopback, and a client that is another program's library.
import { readFile } from 'node:fs/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { Monitor } from '../../sidecar/app/monitor.ts';
import { Controller } from '../../sidecar/control/controller.ts';
import { OSC_ADDRESSES } from '../../sidecar/control/osc/addresses.ts';
import { OscFeedback, SUBSCRIBED_US, SUBSCRIBERS } from '../../sidecar/control/osc/feedback.ts';
import { oscPage } from '../../sidecar/control/osc/page.ts';
import { startOscServer, type OscServer, type OscServerOptions } from '../../sidecar/control/osc/server.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { until } from '../support/engines.ts';
import { tuningOf } from '../support/frames.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { i, OscClient } from '../support/osc.ts';
import { openServer, PRESETS, runReport, runView } from '../support/preview.ts';

setLog({ level: 'silent' });

const opened: AsyncDisposable[] = [];
afterEach(async () => {
	for (const one of opened.splice(0)) await one[Symbol.asyncDispose]();
});

const newController = () =>
	new Controller({
		presets: PRESETS,
		preset: PRESETS[0]!,
		tuning: tuningOf(),
		fadeS: 0.5,
		nowUs: () => 0,
		randomSeed: () => 4_000_000_000,
	});

const realTime = {
	nowUs: () => performance.now() * 1000,
	after: (us: number, work: () => void) => {
		const timer = setTimeout(work, us / 1000);
		return () => clearTimeout(timer);
	},
};

const open = async (
	options: Partial<OscServerOptions> = {},
): Promise<{ server: OscServer; controller: Controller }> => {
	const controller = newController();
	const server = await startOscServer({
		host: '127.0.0.1',
		port: 0,
		allow: [],
		feedback: [],
		channels: () => [{ name: 'main', controller }],
		subscribe: (listener) => controller.subscribe(listener),
		...realTime,
		...options,
	});
	opened.push(server);
	return { server, controller };
};

const connect = async (server: OscServer, options: { from?: string } = {}): Promise<OscClient> => {
	const client = await OscClient.open(server.port, options);
	opened.push(client);
	return client;
};

/** Everything that one channel tells. */
const VALUES = 8 + PRESETS.length;

/** A client that has been told everything. */
const subscriber = async (server: OscServer): Promise<OscClient> => {
	const client = await connect(server);
	await client.send('/allaprima/state');
	await until(() => client.heard.length === VALUES);
	client.heard.length = 0;
	return client;
};

describe('is obeyed', () => {
	test.each<[string, Parameters<OscClient['send']>[1][], object]>([
		['/allaprima/style', ['pencil-sketch'], { style: 'pencil-sketch' }],
		['/allaprima/style', [i(2)], { style: 'passthrough' }],
		['/allaprima/style', [1], { style: 'pencil-sketch' }],
		['/allaprima/style/pencil-sketch', [i(1)], { style: 'pencil-sketch' }],
		['/allaprima/style/pencil-sketch', [], { style: 'pencil-sketch' }],
		['/allaprima/style/pencil-sketch', [true], { style: 'pencil-sketch' }],
		['/allaprima/style/pencil-sketch', ['bang'], { style: 'pencil-sketch' }],
		['/allaprima/next', [], { style: 'pencil-sketch' }],
		['/allaprima/previous', [1], { style: 'pencil-sketch' }],
		['/allaprima/toggle', [i(1)], { style: 'passthrough' }],
		['/allaprima/prompt', ['wie ein Ölgemälde 🎨'], { prompt: 'wie ein Ölgemälde 🎨' }],
		['/allaprima/strength', [0.1], { strength: 0.1 }],
		['/allaprima/strength', [i(0)], { strength: 0 }],
		['/allaprima/strength', [{ type: 'double', value: 0.123456789 }], { strength: 0.123456789 }],
		['/allaprima/crossfade', [2.5], { fadeS: 2.5 }],
		['/allaprima/panic', [i(1)], { panic: true }],
		['/allaprima/panic', [true], { panic: true }],
		['/allaprima/panic', [0.5], { panic: true }],
		['/allaprima/seed', [i(7)], { seed: 7 }],
		['/allaprima/seed', [4_000_000_000n], { seed: 4_000_000_000 }],
		['/allaprima/strokes', [], { seed: 4_000_000_000 }],
		['/allaprima/tempo', [120], { tempo: { bpm: 120, beatsPerBar: 4 } }],
		['/allaprima/quantise', ['bar'], { quantise: 'bar' }],
		['/allaprima/region', ['subject,feather=8'], { region: 'subject,feather=8', isRegionOfPreset: false }],
		['/allaprima/region', ['preset'], { region: 'all', isRegionOfPreset: true }],
		['/allaprima/channel/main/next', [], { style: 'pencil-sketch' }],
	])('%s %o', async (address, args, expected) => {
		const { server, controller } = await open();
		const client = await connect(server);
		await client.send(address, ...args);
		await until(() => server.counts.obeyed + server.counts.refused === 1);
		expect(controller.view()).toMatchObject(expected);
	});

	test('a message without a list of types, as old senders have it', async () => {
		const { server, controller } = await open();
		const client = await connect(server);
		await client.sendBytes(Buffer.from('/allaprima/next\0'));
		await until(() => server.counts.obeyed === 1);
		expect(controller.view().style).toBe('pencil-sketch');
	});

	test('a bundle, in its order, and bundles in it', async () => {
		const { server, controller } = await open();
		const client = await connect(server);
		await client.sendPacket({
			timetag: new Date(Date.now() + 3_600_000),
			elements: [
				{ address: '/allaprima/style', args: ['pencil-sketch'] },
				{ timetag: [0, 1], elements: [{ address: '/allaprima/prompt', args: ['in charcoal'] }] },
				{ address: '/allaprima/strength', args: [0.25] },
				{ address: '/allaprima/strength', args: [0.75] },
			],
		});
		await until(() => server.counts.obeyed === 4);
		expect(controller.view()).toMatchObject({ style: 'pencil-sketch', prompt: 'in charcoal', strength: 0.75 });
	});

	test('what is wrong in a bundle leaves the rest of it as it is', async () => {
		const { server, controller } = await open();
		const client = await subscriber(server);
		await client.sendPacket({
			timetag: [0, 1],
			elements: [{ address: '/allaprima/strength', args: [7] }, { address: '/allaprima/next' }],
		});
		await until(() => client.value('/allaprima/error') !== undefined);
		expect(controller.view()).toMatchObject({ style: 'pencil-sketch', strength: 1 });
	});

	test.each([[i(0)], [0], [false]])('a button that is let go (%j) does nothing', async (released) => {
		const { server, controller } = await open();
		const client = await connect(server);
		const buttons = [
			'next',
			'previous',
			'toggle',
			'strokes',
			'tap',
			'state',
			'style/pencil-sketch',
			'style/passthrough',
		];
		const before = controller.view();
		for (const button of buttons) await client.send(`/allaprima/${button}`, released);
		await until(() => server.counts.obeyed === buttons.length);
		expect(controller.view()).toEqual(before);
	});

	test('every address of the table is in one of these tests or of those below', () => {
		const paths =
			'style style/NAME next previous toggle prompt reference strength crossfade panic seed strokes tap tempo quantise region state subscribe';
		expect(OSC_ADDRESSES.map(({ path }) => path)).toEqual(paths.split(' '));
	});
});

describe('is told', () => {
	test('everything to who sends a first message', async () => {
		const { server } = await open();
		const client = await connect(server);
		await client.send('/allaprima/next', i(0));
		await until(() => client.heard.length >= VALUES);
		expect(client.heard).toEqual([
			['/allaprima/style', 's', 'oil-painting'],
			['/allaprima/style/oil-painting', 'i', 1],
			['/allaprima/style/pencil-sketch', 'i', 0],
			['/allaprima/style/passthrough', 'i', 0],
			['/allaprima/prompt', 's', 'transfer this to oil-painting style'],
			['/allaprima/strength', 'f', 1],
			['/allaprima/crossfade', 'f', 0.5],
			['/allaprima/panic', 'i', 0],
			['/allaprima/seed', 'i', 42],
			['/allaprima/quantise', 's', 'off'],
			['/allaprima/region', 's', 'all'],
		]);
	});

	test('to two clients, what each of them changes, once and no more than that', async () => {
		const { server } = await open();
		const [one, other] = [await subscriber(server), await subscriber(server)];
		await one.send('/allaprima/style', 'pencil-sketch');
		await until(() => other.value('/allaprima/style/pencil-sketch') === 1);
		await other.send('/allaprima/strength', 0.5);
		await until(() => one.value('/allaprima/strength') === 0.5);
		await other.send('/allaprima/panic', true);
		await until(() => one.value('/allaprima/panic') === 1 && other.value('/allaprima/panic') === 1);
		for (const client of [one, other])
			expect(client.heard).toEqual([
				['/allaprima/style', 's', 'pencil-sketch'],
				['/allaprima/style/oil-painting', 'i', 0],
				['/allaprima/style/pencil-sketch', 'i', 1],
				['/allaprima/prompt', 's', 'transfer this to pencil-sketch style'],
				['/allaprima/strength', 'f', 0.5],
				['/allaprima/panic', 'i', 1],
			]);
	});

	test('what was changed by another way', async () => {
		const { server, controller } = await open();
		const client = await subscriber(server);
		controller.apply({ type: 'newStrokes' });
		controller.apply({ type: 'prompt', text: 'nul\0in it' });
		await until(() => client.value('/allaprima/prompt') === 'nul in it');
		expect(client.value('/allaprima/seed')).toBe(4_000_000_000n);
	});

	test('to the same client again, everything, when it asks for the state', async () => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.send('/allaprima/state', i(1));
		await until(() => client.heard.length >= VALUES);
		expect(new Set(client.heard.map(([address]) => address)).size).toBe(VALUES);
	});

	test('the light of the style in force, when its button is let go', async () => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.send('/allaprima/style/oil-painting', i(0));
		await until(() => client.heard.length > 0);
		expect(client.heard).toEqual([['/allaprima/style/oil-painting', 'i', 1]]);
	});

	test('its own value to a fader that went back to where it was between two messages of ours', async () => {
		const clock = new ManualClock();
		const { server, controller } = await open(clock);
		const client = await connect(server);
		await client.send('/allaprima/strength', 0.5);
		await until(() => server.counts.obeyed === 1);
		clock.advance(1_000_000);
		await until(() => client.heard.length === VALUES);
		clock.advance(1);
		await client.send('/allaprima/strength', 0.75);
		await until(() => server.counts.obeyed === 2);
		controller.apply({ type: 'strength', value: 0.5 });
		clock.advance(1_000_000);
		await until(() => client.heard.length > VALUES);
		expect(client.heard.slice(VALUES)).toEqual([['/allaprima/strength', 'f', 0.5]]);
	});

	test('nothing more to a client that sends back all that it is told', async () => {
		const clock = new ManualClock();
		const { server, controller } = await open(clock);
		const client = await connect(server);
		client.socket.on('message', (datagram) => void client.sendBytes(datagram));
		await client.send('/allaprima/style', 'pencil-sketch');
		await until(() => server.counts.obeyed === 1);
		clock.advance(1_000_000);
		await until(() => server.counts.obeyed === 1 + VALUES);
		clock.advance(1_000_000);
		controller.apply({ type: 'strength', value: 1 / 3 });
		clock.advance(1_000_000);
		await until(() => server.counts.obeyed === 2 + VALUES); // 32 bits are not 1/3: once more
		clock.advance(1_000_000);
		await until(() => server.counts.obeyed === 3 + VALUES);
		clock.advance(1_000_000);
		controller.apply({ type: 'panic', on: true });
		clock.advance(1_000_000);
		await until(() => client.value('/allaprima/panic') === 1);
		expect(client.heard).toHaveLength(VALUES + 3);
	});

	test('those of the configuration, without a word of theirs', async () => {
		const { server: elsewhere } = await open();
		const target = await connect(elsewhere);
		const { controller } = await open({ feedback: [{ address: '127.0.0.1', port: target.port }] });
		await until(() => target.heard.length === VALUES);
		controller.apply({ type: 'next' });
		await until(() => target.value('/allaprima/style') === 'pencil-sketch');
		expect(target.value('/allaprima/style/pencil-sketch')).toBe(1);
	});

	test('of several channels, each under its name, and the first without', async () => {
		const [first, second] = [newController(), newController()];
		const { server } = await open({
			channels: () => [
				{ name: 'CAM 1 (Painted)', controller: first },
				{ name: 'Gäste/2*', controller: second },
			],
			subscribe: (listener) => {
				first.subscribe(listener);
				return second.subscribe(listener);
			},
		});
		const client = await connect(server);
		await client.send('/allaprima/channel/G%C3%A4ste%2F2%2A/style', 'pencil-sketch');
		await client.send('/allaprima/channel/CAM 1 (Painted)/panic', i(1));
		await until(() => client.heard.length >= 3 * VALUES);
		expect(first.view()).toMatchObject({ style: 'oil-painting', panic: true });
		expect(second.view()).toMatchObject({ style: 'pencil-sketch', panic: false });
		expect(client.value('/allaprima/style')).toBe('oil-painting');
		expect(client.value('/allaprima/channel/CAM%201%20(Painted)/panic')).toBe(1);
		expect(client.value('/allaprima/channel/G%C3%A4ste%2F2%2A/style/pencil-sketch')).toBe(1);
	});
});

describe('a message that is wrong changes nothing, and a subscriber hears why', () => {
	test.each<[string, Parameters<OscClient['send']>[1][], RegExp]>([
		['/allaprima/stile', ['anime'], /nothing at \/allaprima\/stile\. Expected .*style, style\/NAME, next/],
		['/allaprimax/next', [], /nothing at/],
		['/allaprima', [], /nothing at/],
		['/allaprima/', [], /nothing at/],
		['/allaprima/style/', ['pencil-sketch'], /nothing at/],
		['/allaprima/next/constructor', [], /nothing at/],
		['/allaprima/__proto__', [], /nothing at/],
		['/allaprima/channel', [], /nothing at/],
		['/allaprima/channel/none/next', [], /no channel none\. Expected one of main/],
		['/allaprima/style', [], /takes s: a name.*Got nothing/],
		['/allaprima/style', ['oil-paintin'], /oil-paintin is not known\. Did you mean oil-painting\?/],
		['/allaprima/style', [i(3)], /no style 3\. Expected a name, or 0 to 2/],
		['/allaprima/style', [i(-1)], /no style -1/],
		['/allaprima/style', [0.5], /no style 0\.5/],
		['/allaprima/style', [Number.NaN], /no style NaN/],
		['/allaprima/style', [null], /Got null/],
		['/allaprima/style/none', [i(1)], /none is not known/],
		['/allaprima/style/__proto__', [i(1)], /__proto__ is not known/],
		['/allaprima/strength', ['0.5'], /takes f: 0 to 1\. Got s 0\.5/],
		['/allaprima/strength', [1.01], /takes f: 0 to 1\. Got f 1\.01/],
		['/allaprima/strength', [i(-1)], /Got i -1/],
		['/allaprima/strength', [Number.NaN], /Got f NaN/],
		['/allaprima/strength', [Number.POSITIVE_INFINITY], /Got f Infinity/],
		['/allaprima/strength', [true], /Got T/],
		['/allaprima/strength', [0.5, 0.5], /Got f 0\.5, f 0\.5/],
		['/allaprima/crossfade', [61], /takes f: 0 to 60 s/],
		['/allaprima/seed', [0.5], /takes i: 0 to 4294967295/],
		['/allaprima/seed', [4_294_967_296n], /takes i: 0 to 4294967295/],
		['/allaprima/panic', [], /takes i, T or F/],
		['/allaprima/panic', ['on'], /Got s on/],
		['/allaprima/next', ['2'], /takes nothing, or 1/],
		['/allaprima/prompt', [''], /takes s: 1 to 500 characters/],
		['/allaprima/prompt', ['x'.repeat(501)], /501 characters/],
		['/allaprima/prompt', [i(1)], /Got i 1/],
		['/allaprima/prompt', [[['x']]], /Got array/],
		['/allaprima/prompt', ['x'.repeat(9000)], /at most 8192 bytes in a datagram, got 9\d\d\d/],
		['/allaprima/subscribe', [i(0)], /takes i: a port of the sender/],
		['/allaprima/subscribe', [i(65_536)], /takes i: a port of the sender/],
	])('%s %o', async (address, args, message) => {
		const { server, controller } = await open();
		const client = await subscriber(server);
		const before = controller.view();
		await client.send(address, ...args);
		await until(() => client.heard.length > 0);
		expect(client.heard).toEqual([['/allaprima/error', 's', expect.stringMatching(message)]]);
		expect(controller.view()).toEqual(before);
		expect(server.counts.refused).toBe(1);
	});

	test.each([
		['nothing at all', Buffer.alloc(0)],
		['text', Buffer.from('GET / HTTP/1.1\r\n\r\n')],
		['an address that is not ended', Buffer.from('/allaprima/next')],
		['a blob of negative length', Buffer.from('/allaprima/style\0\0\0\0,b\0\0\xff\xff\xff\xff', 'latin1')],
		['a bundle that is cut off', Buffer.from('#bundle\0\0\0\0\0\0\0\0\x01\0\0\0\x40/a\0\0', 'latin1')],
		['a bundle of negative size', Buffer.from('#bundle\0\0\0\0\0\0\0\0\x01\x80\0\0\0', 'latin1')],
		['half a bundle', Buffer.from('#bundle\0\0\0')],
	])('%s is no OSC', async (_, bytes) => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.sendBytes(bytes);
		await until(() => client.heard.length > 0);
		expect(client.heard).toEqual([['/allaprima/error', 's', expect.stringMatching(/^This is no OSC: /)]]);
	});

	test('in few words, however long the message was', async () => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.send('/allaprima/strength', ...Array.from({ length: 5000 }, () => true));
		await until(() => client.heard.length > 0);
		expect(client.value('/allaprima/error')).toMatch(/^.{1000}$/);
	});

	test('and nobody else does: a stranger is not answered, for the sender of a datagram can be made up', async () => {
		const { server } = await open();
		const [stranger, client] = [await connect(server), await subscriber(server)];
		await stranger.send('/allaprima/strength', 2);
		await stranger.sendBytes(Buffer.from('no OSC'));
		await until(() => server.counts.refused === 2);
		await client.send('/allaprima/next');
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
		expect(server.counts.subscribers).toBe(1);
		await stranger.send('/allaprima/next', i(0));
		await until(() => stranger.heard.length === VALUES);
		expect(stranger.value('/allaprima/error')).toBeUndefined();
	});

	test('an error is not answered with another', async () => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.send('/allaprima/error', 'said by another sidecar');
		await client.send('/allaprima/next');
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
		expect(client.value('/allaprima/error')).toBeUndefined();
	});

	test('where nothing is painted yet', async () => {
		const { server } = await open({ channels: () => [], feedback: [{ address: '127.0.0.1', port: 9 }] });
		const client = await connect(server);
		await client.send('/allaprima/next');
		await until(() => server.counts.refused === 1);
		expect(server.counts).toEqual({ obeyed: 0, refused: 1, foreign: 0, subscribers: 1 });
	});

	test('thousands of random datagrams', async () => {
		const { server, controller } = await open();
		const client = await subscriber(server);
		const before = controller.view();
		let seed = 1;
		const random = (below: number) => {
			seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
			return Math.floor((seed / 2 ** 32) * below);
		};
		const starts = [
			'',
			'/',
			'/allaprima/',
			'/allaprima/strength\0,',
			'#bundle\0',
			'#bundle\0\0\0\0\0\0\0\0\x01\0\0\0\x08',
		];
		for (let count = 1; count <= 5000; count++) {
			const noise = Buffer.from(Array.from({ length: random(120) }, () => random(256)));
			await client.sendBytes(Buffer.concat([Buffer.from(starts[random(starts.length)]!, 'latin1'), noise]));
			if (count % 50 !== 0) continue;
			await client.send('/allaprima/next', i(0)); // the socket holds no more than some hundreds
			await until(() => server.counts.obeyed === 1 + count / 50);
		}
		expect(controller.view()).toEqual(before);
		expect(server.counts.refused).toBeGreaterThan(4000);
		await client.send('/allaprima/next');
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
	});

	test('bundles in bundles as deep as a datagram is long', async () => {
		const { server, controller } = await open();
		const client = await subscriber(server);
		let bytes = Buffer.from('/allaprima/next\0');
		while (bytes.length < 8100) {
			const size = Buffer.alloc(4);
			size.writeInt32BE(bytes.length);
			bytes = Buffer.concat([Buffer.from('#bundle\0\0\0\0\0\0\0\0\x01', 'latin1'), size, bytes]);
		}
		await client.sendBytes(bytes);
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
		expect(controller.view().style).toBe('pencil-sketch');
	});
});

describe('subscribers', () => {
	test('are forgotten five minutes after their last message', async () => {
		const clock = new ManualClock();
		const { server, controller } = await open(clock);
		const [silent, busy] = [await connect(server), await connect(server)];
		for (const client of [silent, busy]) await client.send('/allaprima/next', i(0));
		await until(() => server.counts.subscribers === 2);
		clock.advance(SUBSCRIBED_US / 2);
		await busy.send('/allaprima/next', i(0));
		await until(() => server.counts.obeyed === 3);
		clock.advance(SUBSCRIBED_US / 2);
		expect(server.counts.subscribers).toBe(1);
		await until(() => silent.heard.length === VALUES && busy.heard.length === VALUES);
		controller.apply({ type: 'next' });
		clock.advance(1_000_000);
		await until(() => busy.value('/allaprima/style') === 'pencil-sketch');
		await silent.send('/allaprima/state');
		await until(() => server.counts.subscribers === 2);
		clock.advance(1_000_000);
		await until(() => silent.heard.length === 2 * VALUES);
	});

	test('are few, and who asked for it is not pushed out by those who only sent something', async () => {
		const { server, controller } = await open();
		const asked = await connect(server);
		await asked.send('/allaprima/subscribe');
		await until(() => server.counts.obeyed === 1);
		for (let count = 2; count <= 2 * SUBSCRIBERS; count++) {
			await (await connect(server)).send('/allaprima/next', i(0));
			await until(() => server.counts.obeyed === count);
		}
		expect(server.counts.subscribers).toBe(SUBSCRIBERS);
		await until(() => asked.heard.length === VALUES);
		controller.apply({ type: 'next' });
		await until(() => asked.value('/allaprima/style') === 'pencil-sketch');
	});

	test('may listen at another port of theirs, and are not told twice', async () => {
		const { server } = await open();
		const [sender, listener] = [await connect(server), await connect(server)];
		await sender.send('/allaprima/next', i(0));
		await until(() => sender.heard.length === VALUES);
		await sender.send('/allaprima/subscribe', i(listener.port));
		await until(() => listener.heard.length === VALUES);
		await listener.send('/allaprima/next', i(0));
		await sender.send('/allaprima/strength', 2);
		await until(() => listener.value('/allaprima/error') !== undefined);
		await sender.send('/allaprima/next');
		await until(() => listener.value('/allaprima/style') === 'pencil-sketch');
		expect(server.counts.subscribers).toBe(1);
		expect(sender.heard).toHaveLength(VALUES);
	});

	test.each<[string, Parameters<OscClient['send']>[1][]]>([
		['an address', ['127.0.0.2:9000']],
		['an address and a port', ['127.0.0.2', i(9000)]],
		['a port and an address', [i(9000), '127.0.0.2']],
		['a URL', ['osc.udp://127.0.0.2:9000/']],
	])('cannot point elsewhere: %s', async (_, args) => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.send('/allaprima/subscribe', ...args);
		await until(() => client.heard.length > 0);
		expect(client.heard).toEqual([['/allaprima/error', 's', expect.stringMatching(/takes i: a port of the sender/)]]);
		expect(server.counts.subscribers).toBe(1);
	});

	test('of the same port but of another host are others', async () => {
		const { server } = await open();
		const victim = await OscClient.open(server.port, { from: '127.0.0.2' });
		opened.push(victim);
		const client = await subscriber(server);
		await client.send('/allaprima/subscribe', i(victim.port));
		await client.send('/allaprima/next');
		await until(() => server.counts.obeyed === 3);
		await victim.send('/allaprima/strength', 2); // a stranger still: not answered
		await until(() => server.counts.refused === 1);
		await victim.send('/allaprima/next', i(0));
		await until(() => victim.heard.length > 0);
		expect(victim.heard[0]).toEqual(['/allaprima/style', 's', 'pencil-sketch']);
	});

	test('cannot be this server itself, which would keep itself subscribed for ever', async () => {
		const { server } = await open();
		const client = await subscriber(server);
		await client.send('/allaprima/subscribe', i(server.port));
		await until(() => client.heard.length > 0);
		expect(client.value('/allaprima/error')).toMatch(/where this listens itself/);
	});

	test('a server that is told to feed itself does not obey itself', async () => {
		const { server: first } = await open();
		const { port } = first;
		await opened.pop()![Symbol.asyncDispose]();
		const { server } = await open({ port, feedback: [{ address: '127.0.0.1', port }] });
		const client = await subscriber(server);
		await client.send('/allaprima/next');
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
		expect(server.counts).toMatchObject({ obeyed: 2, subscribers: 2 });
	});
});

describe('what is told', () => {
	const peer = { address: '127.0.0.1', port: 9000 };
	const openFeedback = (isFree: () => boolean = () => true) => {
		const clock = new ManualClock();
		const sent: [address: string, to: number][] = [];
		const feedback = new OscFeedback([], '/error', {
			values: () => new Map([['/strength', { tag: 'f', value: 1 }]]),
			send: (address, _, { port }) => void sent.push([address, port]),
			isFree,
			...clock,
		});
		return { clock, sent, feedback };
	};

	test('waits while the socket does not keep up', () => {
		let isFree = false;
		const { clock, sent, feedback } = openFeedback(() => isFree);
		feedback.heard(peer);
		clock.advance(1_000_000);
		expect(sent).toEqual([]);
		isFree = true;
		clock.advance(34_000);
		expect(sent).toEqual([['/strength', 9000]]);
	});

	test('goes to nobody at port 0, where no datagram can be sent', () => {
		const { clock, sent, feedback } = openFeedback();
		feedback.heard({ ...peer, port: 0 });
		feedback.subscribe({ ...peer, port: 0 }, 0);
		feedback.refused({ ...peer, port: 0 }, 'wrong');
		clock.advance(1_000_000);
		expect(sent).toEqual([]);
		feedback.subscribe({ ...peer, port: 0 }, 9001);
		clock.advance(1_000_000);
		expect(sent).toEqual([['/strength', 9001]]);
	});

	test('ends with the server', () => {
		const { clock, sent, feedback } = openFeedback();
		feedback.heard(peer);
		feedback[Symbol.dispose]();
		feedback.changed();
		clock.advance(1_000_000);
		expect(sent).toEqual([]);
	});
});

describe('others', () => {
	test('are not heard unless they are on the list', async () => {
		const { server, controller } = await open({ host: '0.0.0.0', allow: ['127.0.0.1'] });
		const [foreign, client] = [await connect(server, { from: '127.0.0.2' }), await connect(server)];
		for (const address of ['next', 'state', 'subscribe']) await foreign.send(`/allaprima/${address}`);
		await until(() => server.counts.foreign === 3);
		expect(controller.view().style).toBe('oil-painting');
		expect(server.counts).toEqual({ obeyed: 0, refused: 0, foreign: 3, subscribers: 0 });
		await client.send('/allaprima/next');
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
		expect(foreign.heard).toEqual([]);
	});

	test('a list is kept over IPv6 too, where IPv4 comes as ::ffff:', async () => {
		const { server, controller } = await open({ host: '::', allow: ['127.0.0.1'] });
		const [foreign, client] = [await connect(server, { from: '127.0.0.2' }), await connect(server)];
		await foreign.send('/allaprima/panic', true);
		await until(() => server.counts.foreign === 1);
		await client.send('/allaprima/next');
		await until(() => client.value('/allaprima/style') === 'pencil-sketch');
		expect(controller.view().panic).toBe(false);
	});

	test('have the port: the error says what to do', async () => {
		const { server } = await open();
		await expect(open({ port: server.port })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: `UDP port ${server.port} of 127.0.0.1 is taken, perhaps by another allaprima. Choose another with --osc PORT, or none with --osc off.`,
		});
		await expect(open({ host: '192.0.2.1', allow: ['127.0.0.1'] })).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: expect.stringMatching(/this machine has no such address/),
		});
	});
});

describe('a flood', () => {
	test('of 20,000 messages is told as what is in force when its turn comes', async () => {
		const clock = new ManualClock();
		const { server, controller } = await open(clock);
		const client = await connect(server);
		await client.send('/allaprima/next', i(0));
		await until(() => server.counts.obeyed === 1);
		clock.advance(1_000_000);
		await until(() => client.heard.length === VALUES);
		for (let count = 1; count <= 20_000; count++) {
			await client.send('/allaprima/strength', (count % 100) / 100);
			if (count % 100 === 0) await until(() => server.counts.obeyed === count + 1);
			if (count % 2000 === 0) clock.advance(10_000); // 100 ms in all: three turns
		}
		await client.send('/allaprima/strength', 0.5);
		await until(() => controller.view().strength === 0.5);
		clock.advance(34_000);
		await until(() => client.value('/allaprima/strength') === 0.5);
		expect(client.heard.length - VALUES).toBeLessThanOrEqual(4);
	}, 60_000);

	test('of wrong messages is answered as rarely', async () => {
		const clock = new ManualClock();
		const { server } = await open(clock);
		const client = await connect(server);
		await client.send('/allaprima/next', i(0));
		await until(() => server.counts.obeyed === 1);
		clock.advance(1_000_000);
		await until(() => client.heard.length === VALUES);
		for (let count = 1; count <= 1000; count++) {
			await client.send('/allaprima/strength', count + 1);
			if (count % 100 === 0) await until(() => server.counts.refused === count);
		}
		clock.advance(1_000_000);
		await until(() => client.heard.length > VALUES);
		expect(client.heard.slice(VALUES)).toEqual([['/allaprima/error', 's', expect.stringMatching(/Got f 1001\./)]]);
	});

	test('has a line in the log a second, with its count', async () => {
		const clock = new ManualClock();
		const lines: string[] = [];
		setLog({ level: 'warn', json: true, stream: { write: (line) => lines.push(line) } });
		try {
			const { server } = await open({ ...clock, host: '0.0.0.0', allow: ['127.0.0.1'] });
			const [client, foreign] = [await connect(server), await connect(server, { from: '127.0.0.2' })];
			for (let second = 1; second <= 2; second++) {
				for (let count = 100 * second - 99; count <= 100 * second; count++) {
					await client.send(`/allaprima/${'x'.repeat(8000)}`);
					await foreign.send('/allaprima/next');
					await until(() => server.counts.refused === count && server.counts.foreign === count);
				}
				clock.advance(1_000_000);
			}
		} finally {
			setLog({ level: 'silent' });
		}
		const counts = lines.map((line) => {
			const { msg, count } = JSON.parse(line) as { msg: string; count: number };
			return `${msg}: ${count}`;
		});
		// The first at once, and with the first of the next second those between.
		const foreign = 'osc message from an address that is not allowed';
		const refused = 'osc message refused';
		expect(counts).toEqual([1, 100].flatMap((count) => [`${refused}: ${count}`, `${foreign}: ${count}`]));
		for (const line of lines) expect(line.length).toBeLessThan(1500);
	});

	test('of values goes out in parts that a receiver can take', async () => {
		const clock = new ManualClock();
		const controllers = Array.from({ length: 30 }, newController);
		const { server } = await open({
			...clock,
			channels: () => controllers.map((controller, index) => ({ name: `CAM ${index}`, controller })),
		});
		const client = await connect(server);
		await client.send('/allaprima/state');
		await until(() => server.counts.obeyed === 1);
		clock.advance(0);
		await until(() => client.heard.length === 64);
		clock.advance(34_000);
		await until(() => client.heard.length === 128);
		clock.advance(1_000_000);
		await until(() => client.heard.length === 31 * VALUES);
		expect(new Set(client.heard.map(([address]) => address)).size).toBe(31 * VALUES);
	});
});

describe('the page of OSC', () => {
	test('has every address with its value now, and says where OSC is', async () => {
		const { server, controller } = await open();
		controller.apply({ type: 'strength', value: 0.25 });
		const page = oscPage({ osc: server, names: ['main'], channel: { name: 'main', controller } });
		for (const { path } of OSC_ADDRESSES.filter((row) => row.path !== 'style/NAME'))
			expect(page).toContain(`<td>/allaprima/${path}</td>`);
		for (const { name } of PRESETS) expect(page).toContain(`<td>/allaprima/style/${name}</td>`);
		expect(page).toContain('<td>f 0.25</td>');
		expect(page).toContain(`Listens at UDP port ${server.port} of 127.0.0.1. Messages obeyed: 0; wrong: 0;`);
	});

	test('is served with the others, for the channel that is asked for, and has no script', async () => {
		const other = newController();
		const { server } = await openServer({
			others: () => [{ name: 'CAM <2>', controller: other, preview: undefined, run: runView, report: runReport }],
		});
		opened.push(server);
		const response = await fetch(new URL('/osc?channel=CAM%20%3C2%3E', server.url));
		expect(response.headers.get('content-type')).toBe('text/html; charset=utf-8');
		expect(response.headers.get('content-security-policy')).toMatch(/^default-src 'none'/);
		const page = await response.text();
		expect(page).toContain('OSC is off. --osc 7718');
		expect(page).toContain('<td>/allaprima/channel/CAM%20%3C2%3E/style</td>');
		expect(page).toContain('<a href="/osc?channel=CAM%20%3C2%3E">CAM &lt;2&gt;</a>');
		expect(page).not.toMatch(/<script|style=|src=/);
		expect((await fetch(new URL('/osc?channel=none', server.url))).status).toBe(404);
	});

	test('shows prompts and names as text', () => {
		const controller = newController();
		controller.apply({ type: 'prompt', text: `"><script>alert('1')</script>&` });
		const name = '<img src=x onerror=alert(1)>';
		const page = oscPage({ osc: undefined, names: [name, 'main'], channel: { name, controller } });
		expect(page).toContain('<td>s &quot;&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;</td>');
		expect(page).not.toMatch(/<script|<img/);
	});

	test('docs/osc.md has every address too', async () => {
		const text = await readFile(new URL('../../docs/osc.md', import.meta.url), 'utf8');
		for (const { path } of OSC_ADDRESSES) expect(text).toContain(`\`/allaprima/${path}\``);
	});
});

describe('a relay', () => {
	const freeUdpPort = async (): Promise<number> => {
		await using socket = await OscClient.open(0);
		return socket.port;
	};

	test('has every channel in OSC, as they come and go', async () => {
		const monitor = new Monitor();
		const [first, second] = [newController(), newController()];
		monitor.add('CAM 1', { controller: first, problem: () => undefined });
		const osc = { host: '127.0.0.1', port: await freeUdpPort(), allow: [], feedback: [] };
		opened.push(await monitor.serve({ access: undefined, osc, midi: undefined }));
		const client = await OscClient.open(osc.port);
		opened.push(client);
		await client.send('/allaprima/state');
		await until(() => client.heard.length === VALUES);
		const remove = monitor.add('CAM 2', { controller: second, problem: () => undefined });
		await until(() => client.heard.length === 3 * VALUES);
		await client.send('/allaprima/channel/CAM%202/next');
		await until(() => client.value('/allaprima/channel/CAM%202/style') === 'pencil-sketch');
		expect(first.view().style).toBe('oil-painting');
		remove();
		await client.send('/allaprima/channel/CAM%202/next');
		await until(() => client.value('/allaprima/error') !== undefined);
		expect(client.value('/allaprima/error')).toBe('There is no channel CAM%202. Expected one of CAM%201.');
	});

	test('whose page cannot be had gives the port of OSC back', async () => {
		const { server } = await openServer();
		opened.push(server);
		const osc = { host: '127.0.0.1', port: await freeUdpPort(), allow: [], feedback: [] };
		const access = { host: '127.0.0.1', port: server.port, hosts: [] };
		await expect(new Monitor().serve({ access, osc, midi: undefined })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
		expect((await open({ port: osc.port })).server.port).toBe(osc.port);
	});
});
