import { expect, test, vi } from 'vitest';
import type { EngineListener, EngineSettings } from '../../sidecar/engine/engine-process.ts';
import type { FleetContext, FleetStream } from '../../sidecar/fleet/fleet-engines.ts';
import { FleetLine } from '../../sidecar/fleet/fleet-line.ts';
import { LinkMeter } from '../../sidecar/fleet/link-meter.ts';
import { encodeMessage } from '../../sidecar/fleet/messages.ts';
import type { Bus, Received } from '../../sidecar/fleet/nats.ts';
import { wireBytes } from '../../sidecar/fleet/pictures.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { pictureByteLength, rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { parametersOf } from '../support/frames.ts';

const PAINTED = { width: 64, height: 48 };
const native = loadNative();
/** Of a grey picture, whose luma comes first in NV12. */
const levelOf = (sequence: number) => 20 + 10 * sequence;

/** A line whose worker is the test. */
const openLine = async (convert: typeof native.convert = (...pictures) => native.convert(...pictures)) => {
	const published: Uint8Array[] = [];
	let hear: (message: Received) => void = () => {};
	const bus: Bus = {
		payloadMax: 1e6,
		isConnected: true,
		onLost: () => () => {},
		publish: (_, data) => void published.push(data),
		subscribe: async (_, callback) => ((hear = callback), () => {}),
		request: async () => undefined,
		requestAll: async () => [],
	};
	const stream = { name: 's', link: new LinkMeter(), numbers: {} } as unknown as FleetStream;
	const settings = {
		folder: { manifest: { name: 'lite', graphs: {}, textEncoder: { tokenizerSha256: '' } } },
		painted: PAINTED,
		fit: 'stretch',
		batchDeadlineMs: 100,
		inFlightMax: 4,
		parameters: parametersOf(),
	} as unknown as EngineSettings;
	const answers: { source: Picture; picture: Picture }[] = [];
	const gone = vi.fn();
	const listener: EngineListener = {
		ready: () => {},
		pull: () => {},
		gone,
		answer: (_, pictures) => void answers.push(pictures!),
	};
	const context = {
		bus,
		native: { ...native, convert },
		deadlineMs: 1e6,
		nowUs,
		newName: () => 'l',
		place: async (_: unknown, listen: () => Promise<string>) => (await listen(), 'w'),
	} as unknown as FleetContext;
	const line = new FleetLine(context, stream, settings, listener);
	const tell = (head: object, pixels?: Uint8Array) =>
		hear({ data: encodeMessage(head, pixels), isNobody: false, respond: () => {} });
	const wordsOf = (message: Uint8Array) => Buffer.from(message).toString('latin1');
	const frames = () => published.filter((message) => wordsOf(message).includes('"type":"frame"'));
	const isAsked = () => published.some((message) => wordsOf(message).includes('"type":"lease"'));
	const slot = new Uint8Array(pictureByteLength(rgbLayout(PAINTED)));
	const send = (sequence: number) => {
		const times = { sequence, capturedUs: 0, timestampUs: 0, durationUs: 0 };
		line.send({ ...times, slot: 0, layout: rgbLayout(PAINTED) }, slot.fill(levelOf(sequence)), settings.parameters);
		slot.fill(0);
	};
	const answer = async (sequence: number) => {
		const before = answers.length;
		const times = { sequence, capturedUs: 0, timestampUs: 0, durationUs: 0, heardUs: 0, sentUs: 0 };
		const of = { lease: 1, epoch: 0, kind: 'painting', isReused: false, encoding: 'nv12', stages: [], batches: [] };
		tell({ type: 'answer', ...of, ...times }, new Uint8Array(wireBytes(PAINTED)).fill(128));
		await vi.waitFor(() => expect(answers).toHaveLength(before + 1));
	};
	send(0);
	await vi.waitFor(() => expect(isAsked()).toBe(true));
	tell({ type: 'leased', lease: 1 });
	await vi.waitFor(() => expect(frames()).toHaveLength(1));
	/** Of the pixels of a message as they are now. */
	const levels = () => frames().map((message) => message.at(-wireBytes(PAINTED)));
	return { line, stream, answers, gone, frames, levels, send, answer };
};

test('a frame stays as it is until it was answered, and as the last one until another is', async () => {
	const { line, stream, gone, frames, levels, send, answer } = await openLine();
	for (const sequence of [1, 2, 3]) send(sequence);
	await vi.waitFor(() => expect(frames()).toHaveLength(4));
	expect(levels()).toEqual([0, 1, 2, 3].map(levelOf));
	await answer(0);
	send(4);
	send(5);
	await vi.waitFor(() => expect(frames()).toHaveLength(6));
	expect(levels()).toEqual([0, 1, 2, 3, 4, 5].map(levelOf));
	expect(stream.last!.source.data[0]).toBe(levelOf(0));
	await answer(1);
	send(6);
	await vi.waitFor(() => expect(frames()).toHaveLength(7));
	expect(levels().slice(1)).toEqual([1, 2, 3, 4, 5, 6].map(levelOf));
	expect(stream.last!.source.data[0]).toBe(levelOf(1));
	expect(frames()[6]!.buffer).toBe(frames()[0]!.buffer); // whose memory nobody needed any more
	expect(gone).not.toHaveBeenCalled();
	await line.stop();
});

test('a painting comes with its own source, however long that took to convert', async () => {
	let release = () => {};
	const released = new Promise<void>((resolve) => (release = resolve));
	const { line, answers, gone, frames, send, answer } = await openLine(async (from, to, fit) => {
		if (to.format === 'RGB') await released;
		await native.convert(from, to, fit);
	});
	send(1);
	release();
	await vi.waitFor(() => expect(frames()).toHaveLength(2));
	await answer(0);
	await answer(1);
	expect(answers.map(({ source }) => source.data[0])).toEqual([0, 1].map(levelOf));
	expect(gone).not.toHaveBeenCalled();
	await line.stop();
});
