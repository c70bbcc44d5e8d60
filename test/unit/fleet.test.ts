import { describe, expect, it } from 'vitest';
import { FLEET_PROTOCOL, FleetBid, FleetOpen, FromWorker, ToWorker } from '../../sidecar/config/schema/fleet.ts';
import { ClockOffset } from '../../sidecar/fleet/clock-offset.ts';
import { leaseHolds } from '../../sidecar/fleet/leases.ts';
import { LinkMeter } from '../../sidecar/fleet/link-meter.ts';
import {
	decodeMessage,
	encodeInRoom,
	encodeMessage,
	HEAD_BYTES_MAX,
	ROOM_BYTES,
} from '../../sidecar/fleet/messages.ts';
import { fromWire, toWire } from '../../sidecar/fleet/pictures.ts';
import { place, type TimedBid } from '../../sidecar/fleet/placement.ts';
import { decodePrompts, encodePrompts } from '../../sidecar/fleet/prompts.ts';
import { RateMeter } from '../../sidecar/fleet/rate-meter.ts';
import { FleetSimulation, type SimulatedFleet } from '../../sidecar/fleet/simulated-fleet.ts';
import { pictureByteLength, rgbLayout } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { parametersOf } from '../support/frames.ts';

describe('a message', () => {
	const beat = { type: 'beat', atUs: 7 } as const;

	it('comes out as it went in, with what it speaks of', () => {
		const payload = new Uint8Array([1, 2, 3]);
		const { head, payload: read } = decodeMessage(ToWorker, encodeMessage(beat, payload), 'it');
		expect(head).toEqual(beat);
		expect(read).toEqual(payload);
	});

	it.each([0, ROOM_BYTES - 38, ROOM_BYTES - 37, 40_000])(
		'is the same in the room before its pixels, with %i more letters',
		(more) => {
			const memory = new Uint8Array(ROOM_BYTES + 3).fill(9);
			memory.set([1, 2, 3], ROOM_BYTES);
			const head = { ...beat, more: 'a'.repeat(more) };
			const message = encodeInRoom(head, memory);
			expect(Buffer.from(message)).toEqual(Buffer.from(encodeMessage(head, new Uint8Array([1, 2, 3]))));
			expect(message.buffer === memory.buffer).toBe(more <= ROOM_BYTES - 38);
		},
	);

	it('gives its payload as bytes of which a slice is a copy', () => {
		const bytes = encodeMessage(beat, new Uint8Array([1, 2, 3]));
		const kept = decodeMessage(ToWorker, bytes, 'it').payload.slice();
		bytes.fill(0);
		expect(kept).toEqual(new Uint8Array([1, 2, 3]));
	});

	it.each([
		['nothing', Buffer.alloc(0), /cut off/],
		['less than a length', Buffer.from([1, 0]), /cut off/],
		['less than it says', encodeMessage(beat).slice(0, -1), /cut off/],
		['more words than there may be', Buffer.from([0, 0, 2, 0, ...Buffer.alloc(HEAD_BYTES_MAX * 2 + 4)]), /cut off/],
		['no JSON', Buffer.from([1, 0, 0, 0, 0x7b]), /not JSON/],
		['words nobody knows', encodeMessage({ type: 'sing' }), /not valid/],
		['a key too many', encodeMessage({ ...beat, more: 1 }), /not valid/],
	])('that is %s is refused', (_, bytes, why) => {
		expect(() => decodeMessage(ToWorker, bytes, 'it')).toThrow(why);
		expect(() => decodeMessage(ToWorker, bytes, 'it')).toThrow(expect.objectContaining({ code: 'ERR_FLEET' }));
	});

	it('does not say in its error what was said', () => {
		const parameters = { ...parametersOf(), conditioning: [{ prompt: 'a secret', weight: 7 }] };
		const open = { protocol: FLEET_PROTOCOL, parameters };
		expect(() => decodeMessage(FleetOpen, encodeMessage(open), 'it')).toThrow(/^(?![\s\S]*secret)/);
	});

	it('asks for no more frames at a time than a ring has slots for, beside the one that is written', () => {
		const open = {
			protocol: 2,
			stream: 's',
			line: 'l',
			model: { name: 'lite', sha256: 'a'.repeat(64) },
			painted: { width: 64, height: 64 },
			batchDeadlineMs: null,
			parameters: parametersOf(),
		};
		const asked = (inFlightMax: number) => decodeMessage(FleetOpen, encodeMessage({ ...open, inFlightMax }), 'it').head;
		expect(asked(63).inFlightMax).toBe(63);
		expect(() => asked(64)).toThrow(/not valid/);
	});

	it('of a worker has bounds, too', () => {
		const answer = {
			type: 'answer',
			lease: 1,
			sequence: 1,
			capturedUs: 0,
			timestampUs: 0,
			durationUs: 0,
			epoch: 0,
			kind: 'painting',
			isReused: false,
			encoding: 'jpeg',
			heardUs: 1,
			sentUs: 1,
			stages: [['unet', 1]],
			batches: [],
		};
		expect(decodeMessage(FromWorker, encodeMessage(answer), 'it').head).toEqual(answer);
		const wrong = [{ lease: 0 }, { sequence: -1 }, { kind: 'unpainted' }, { stages: Array(300).fill(['unet', 1]) }];
		for (const part of wrong)
			expect(() => decodeMessage(FromWorker, encodeMessage({ ...answer, ...part }), 'it')).toThrow(/not valid/);
	});
});

describe('embeddings', () => {
	const model = { shape: [1, 2, 3], maskShape: [1, 2] };
	const embeds = {
		promptEmbeds: { shape: [1, 2, 3], data: new Float32Array([1, 2, 3, 4, 5, 6]) },
		attentionMask: { shape: [1, 2], data: new BigInt64Array([1n, 0n]) },
	};

	it('come out as they went in, the neutral prompt too', () => {
		const encoded = [
			{ prompt: 'oil', embeds },
			{ prompt: undefined, embeds },
		];
		const { prompts, payload } = encodePrompts(encoded);
		expect(decodePrompts(prompts, payload, model)).toEqual(encoded);
	});

	it('of another size than is said are refused', () => {
		const { prompts, payload } = encodePrompts([{ prompt: 'oil', embeds }]);
		expect(decodePrompts(prompts, payload.subarray(1), model)).toBeUndefined();
		expect(decodePrompts([{ ...prompts[0]!, shape: [1, 65_536, 65_536] }], payload, model)).toBeUndefined();
	});

	it('of another model are refused, as many bytes as they may have', () => {
		const { prompts, payload } = encodePrompts([{ prompt: 'oil', embeds }]);
		expect(decodePrompts(prompts, payload, { ...model, shape: [1, 3, 2] })).toBeUndefined();
		expect(decodePrompts(prompts, payload, { ...model, maskShape: [2, 1] })).toBeUndefined();
		expect(decodePrompts([{ ...prompts[0]!, shape: [1, 3, 2] }], payload, model)).toBeUndefined();
	});

	it.each([NaN, Infinity, -Infinity])('with %s in them are refused', (number) => {
		const promptEmbeds = { shape: [1, 2, 3], data: new Float32Array([1, 2, 3, 4, number, 6]) };
		const { prompts, payload } = encodePrompts([{ prompt: 'oil', embeds: { ...embeds, promptEmbeds } }]);
		expect(decodePrompts(prompts, payload, model)).toBeUndefined();
	});
});

describe('placement', () => {
	const PIXELS = 64 * 64;
	const bid = (worker: string, over: Partial<TimedBid> = {}): TimedBid => ({
		protocol: FLEET_PROTOCOL,
		worker,
		host: worker,
		capacity: 4e6,
		load: 0,
		lines: 0,
		linesMax: 16,
		answerMs: 1,
		...over,
	});
	/** Deterministic: Mulberry32. */
	const dice = (seed: number) => () => {
		seed = (seed + 0x6d2b79f5) | 0;
		let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
		t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
	const firsts = (bids: TimedBid[], times = 4000): Record<string, number> => {
		const random = dice(1);
		const counts: Record<string, number> = {};
		for (let i = 0; i < times; i++) {
			const { worker } = place(bids, PIXELS, random)[0]!;
			counts[worker] = (counts[worker] ?? 0) + 1 / times;
		}
		return counts;
	};

	it('asks nobody who refuses or is full, and all others once', () => {
		const bids = [bid('a'), bid('b', { refuses: 'draining' }), bid('c', { lines: 16 }), bid('d')];
		expect(
			place(bids, PIXELS, dice(2))
				.map(({ worker }) => worker)
				.sort(),
		).toEqual(['a', 'd']);
	});

	it('follows the room that there is', () => {
		const counts = firsts([bid('large', { capacity: 9e6 }), bid('small', { capacity: 3e6 })]);
		expect(counts['large']).toBeCloseTo(0.75, 1);
		const loaded = firsts([bid('loaded', { load: 3e6 }), bid('free')]);
		expect(loaded['free']).toBeCloseTo(0.8, 1);
	});

	it('prefers who is near, and paints with who is full rather than not at all', () => {
		expect(firsts([bid('near'), bid('far', { answerMs: 90 })])['near']).toBeGreaterThan(0.85);
		expect(place([bid('full', { load: 9e6 })], PIXELS, dice(3))).toHaveLength(1);
		expect(firsts([bid('full', { capacity: 9e7, load: 9e7 }), bid('free')])['free']).toBeCloseTo(1);
	});
});

describe('a fleet in virtual time', () => {
	const fleet = (over: Partial<SimulatedFleet> = {}) =>
		new FleetSimulation({
			streams: 100,
			streamsPerSidecar: 4,
			fps: 30,
			capacities: [40, 40, 40, 40],
			linesMax: 64,
			bidsMs: 10,
			openMs: 50,
			noticeMs: 33,
			random: Math.random,
			...over,
		});

	it('has no worker that is full while another has room', () => {
		expect(fleet().outcome).toMatchObject({ homeless: 0, slowestShare: 1 });
	});

	it('takes in the streams of a worker that died, in the time that the others take to open them', () => {
		const { moved, backMs, homeless, slowestShare } = fleet().kill([0]);
		expect(moved).toBeGreaterThan(10);
		expect(homeless).toBe(0);
		expect(slowestShare).toBe(1);
		expect(backMs.p50).toBeGreaterThan(33 + 10 + 50 - 1);
		expect(backMs.max).toBeLessThan(33 + 25 * 10 + 50 * moved);
	});

	it('leaves streams without a worker where there is no place, and says so', () => {
		expect(fleet({ linesMax: 20 }).outcome.homeless).toBe(20);
	});
});

describe('the offset of a clock', () => {
	it('is that of the fastest of the last messages', () => {
		const offset = new ClockOffset();
		expect(offset.aheadUs).toBeUndefined();
		offset.add({ sentUs: 1000, thereUs: 501_000, heardUs: 21_000 });
		expect(offset.aheadUs).toBe(490_000);
		offset.add({ sentUs: 30_000, thereUs: 530_500, heardUs: 31_000 });
		expect(offset.aheadUs).toBe(500_000);
		expect(offset.roundTripUs).toBe(1000);
		for (let i = 0; i < 16; i++) offset.add({ sentUs: 0, thereUs: 700_000, heardUs: 4000 });
		expect(offset.aheadUs).toBe(698_000);
	});

	it('believes no message that came before it was sent', () => {
		const offset = new ClockOffset();
		offset.add({ sentUs: 1000, thereUs: 0, heardUs: 900 });
		expect(offset.aheadUs).toBeUndefined();
	});
});

describe('a lease', () => {
	it('is believed in for a shorter time than the table keeps it', () => {
		expect(leaseHolds(1000, 1000 + 2399, 3000)).toBe(true);
		expect(leaseHolds(1000, 1000 + 2400, 3000)).toBe(false);
	});
});

describe('the encoding of pictures', () => {
	const BYTES = { nv12: 221_184, jpeg: 30_000 };
	const NEEDED = 8 * BYTES.nv12 * 30;
	/** Half a minute over a link of so many bits a second with a way of so long, and what was chosen each second. */
	const over = (meter: LinkMeter, bitsPerSecond: number, emptyWayUs: number, fromS = 0, jitterUs = () => 0) =>
		Array.from({ length: 30 }, (_, second) => {
			for (let frame = 0; frame < 30; frame++) {
				const bytes = BYTES[meter.encoding];
				const isFull = 8 * bytes * 30 > bitsPerSecond;
				const wayUs = emptyWayUs + (8e6 * bytes * (isFull ? 3 : 1)) / bitsPerSecond + jitterUs();
				for (const direction of ['toWorker', 'toSidecar'] as const) meter.add({ direction, bytes, wayUs, emptyWayUs });
				meter.decide(NEEDED, (fromS + second + frame / 30) * 1e6);
			}
			return meter.encoding;
		});

	it('is NV12 where the link carries it, whatever else the machines have to do', () => {
		const meter = new LinkMeter();
		let frame = 0;
		const busy = () => (frame++ % 3 === 0 ? 40_000 : 1000);
		expect(new Set(over(meter, 1e9, 300, 0, busy))).toEqual(new Set(['nv12']));
		expect(meter.bitsPerSecond).toBeGreaterThan(NEEDED);
	});

	it.each([
		[20e6, 300],
		[20e6, 30_000],
		[60e6, 300],
	])('is JPEG at once and for good on a link of %d bits/s', (bitsPerSecond, emptyWayUs) => {
		expect(new Set(over(new LinkMeter(), bitsPerSecond, emptyWayUs))).toEqual(new Set(['jpeg']));
	});

	it('is NV12 again some seconds after the link became wide, and that more and more rarely', () => {
		const meter = new LinkMeter();
		over(meter, 20e6, 300);
		const wide = over(meter, 1e9, 300, 30);
		expect(wide.indexOf('nv12')).toBeGreaterThanOrEqual(3);
		expect(wide.indexOf('nv12')).toBeLessThanOrEqual(5);
		expect(wide.lastIndexOf('jpeg')).toBeLessThan(wide.indexOf('nv12'));
		over(meter, 20e6, 300, 60);
		expect(over(meter, 1e9, 300, 90).indexOf('nv12')).toBeGreaterThanOrEqual(6);
	});

	it('is JPEG where one way is narrow', () => {
		const meter = new LinkMeter();
		for (let i = 0; i < 4; i++) {
			meter.add({ direction: 'toWorker', bytes: BYTES.nv12, wayUs: 1000, emptyWayUs: 300 });
			meter.add({ direction: 'toSidecar', bytes: BYTES.nv12, wayUs: 90_000, emptyWayUs: 300 });
		}
		expect(meter.decide(NEEDED, 0)).toBe('jpeg');
	});
});

describe('a picture on its way', () => {
	const SIZE = { width: 64, height: 48 };
	const native = loadNative();
	const pictureOf = (levelAt: (index: number) => number) => {
		const layout = rgbLayout(SIZE);
		return { ...layout, data: Uint8Array.from({ length: pictureByteLength(layout) }, (_, i) => levelAt(i)) };
	};
	const gradient = pictureOf((i) => 60 + Math.floor(i / 3 / SIZE.width) + 10 * (i % 3));

	it.each(['nv12', 'jpeg'] as const)('as %s is the same but for a little', async (encoding) => {
		const wire = await toWire(gradient, encoding, native);
		expect(wire.encoding).toBe(encoding);
		const { data } = await fromWire(wire, SIZE, native);
		expect(Math.max(...data.map((value, i) => Math.abs(value - gradient.data[i]!)))).toBeLessThan(8);
	});

	it('stays NV12 where a JPEG of it would be larger', async () => {
		let state = 1;
		const noise = pictureOf(() => (state = (state * 1_664_525 + 1_013_904_223) >>> 0) >>> 24);
		const tiny = { ...rgbLayout({ width: 4, height: 4 }), data: noise.data.slice(0, 48) };
		expect((await toWire(tiny, 'jpeg', native)).encoding).toBe('nv12');
	});

	it('that is damaged, of another size or none at all is refused, and the next is taken', async () => {
		const whole = await toWire(gradient, 'jpeg', native);
		const refused = async (data: Uint8Array, size = SIZE) =>
			await expect(fromWire({ encoding: 'jpeg', data }, size, native)).rejects.toMatchObject({ code: 'ERR_FLEET' });
		await refused(whole.data.slice(0, -20));
		await refused(whole.data, { width: 48, height: 64 });
		await refused(new Uint8Array());
		await refused(Buffer.concat([whole.data, new Uint8Array(5000)])); // whole, and longer than NV12
		await refused(new Uint8Array(2000).fill(0xff));
		await expect(fromWire({ encoding: 'nv12', data: whole.data }, SIZE, native)).rejects.toThrow(/expected 4608/);
		await fromWire(whole, SIZE, native);
	});
});

describe('a rate', () => {
	it('is of the last three seconds, and of less at first', () => {
		let nowUs = 10_000_000;
		const meter = new RateMeter(() => nowUs);
		for (; nowUs < 11_000_000; nowUs += 100_000) meter.add(1);
		expect(meter.perSecond).toBeCloseTo(10, 0);
		expect(meter.isSettled).toBe(false);
		for (; nowUs < 15_000_000; nowUs += 50_000) meter.add(1);
		expect(meter.perSecond).toBeGreaterThan(16);
		expect(meter.isSettled).toBe(true);
		nowUs += 4_000_000;
		expect(meter.perSecond).toBe(0);
	});
});

describe('a bid', () => {
	it('of a newer worker may say more', () => {
		const bid = {
			protocol: FLEET_PROTOCOL,
			worker: 'a',
			host: 'a',
			capacity: 1,
			load: 0,
			lines: 0,
			linesMax: 1,
			gpu: 'new',
		};
		expect(decodeMessage(FleetBid, encodeMessage(bid), 'it').head.worker).toBe('a');
	});
});
