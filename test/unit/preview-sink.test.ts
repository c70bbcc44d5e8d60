import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { PREVIEW_HEADER_BYTES, previewSizeOf, PreviewSink } from '../../sidecar/egress/preview-sink.ts';
import { rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { loadNative, type NativeAddon } from '../../sidecar/native.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { frameOf } from '../support/frames.ts';

setLog({ level: 'silent' });

const SIZE = { width: 4, height: 2 };

const pictureOf = (value: number, size = SIZE): Picture => ({
	...rgbLayout(size),
	data: new Uint8Array(3 * size.width * size.height).fill(value),
});

const styledOf = (sequence: number, parts: Partial<StyledFrame> = {}): StyledFrame => ({
	...frameOf(sequence),
	epoch: 5,
	kind: 'painting',
	source: pictureOf(1),
	picture: pictureOf(sequence + 10),
	...parts,
});

const sinkOf = (size = SIZE, native: Pick<NativeAddon, 'convert'> = loadNative()) => {
	const sink = new PreviewSink({ size, fit: 'cover', native, clock: () => 100_000 });
	const messages: Buffer[] = [];
	const watcher = sink.watch((message) => messages.push(message as Buffer));
	return { sink, messages, watcher };
};

const sequences = (messages: Buffer[]) => messages.map((message) => message.readUInt32LE(12));

describe('a message', () => {
	test('has a header, then the source and the painting', async () => {
		const { sink, messages, watcher } = sinkOf();
		watcher.ready();
		await sink.present(styledOf(2));
		await turn();
		const [message] = messages as [Buffer];
		expect(message.subarray(0, 4).toString()).toBe('APPV');
		expect([4, 6, 8, 10].map((offset) => message.readUInt16LE(offset))).toEqual([1, PREVIEW_HEADER_BYTES, 4, 2]);
		expect([12, 16, 20, 24].map((offset) => message.readUInt32LE(offset))).toEqual([2, 5, 20_000, 0]);
		expect([...message.subarray(28)]).toEqual([...pictureOf(1).data, ...pictureOf(12).data]);
	});

	test('has one picture where both are the same', async () => {
		const { sink, messages, watcher } = sinkOf();
		watcher.ready();
		const picture = pictureOf(7);
		await sink.present(styledOf(0, { source: picture, picture }));
		await turn();
		expect(messages[0]!.readUInt32LE(24)).toBe(1);
		expect([...messages[0]!.subarray(28)]).toEqual([...picture.data]);
	});

	test('has other sizes and formats brought to the size of the preview', async () => {
		const { sink, messages, watcher } = sinkOf();
		const bgra: Picture = {
			...rgbLayout({ width: 40, height: 20 }),
			format: 'BGRA',
			data: new Uint8Array(4 * 40 * 20).map((_, index) => [10, 20, 30, 255][index % 4]!),
		};
		const served = new Promise<void>((resolve) => {
			sink.watch(() => resolve()).ready();
		});
		watcher.ready();
		await sink.present(styledOf(0, { picture: bgra }));
		await served;
		await turn();
		expect([...messages[0]!.subarray(28 + 24)]).toEqual(Array.from({ length: 8 }, () => [30, 20, 10]).flat());
	});

	test.each([
		[
			{ width: 512, height: 288 },
			{ width: 512, height: 288 },
		],
		[
			{ width: 1920, height: 1080 },
			{ width: 532, height: 300 },
		],
		[
			{ width: 32, height: 8192 },
			{ width: 24, height: 6400 },
		],
	])('of a painting at %j is %j', (painted, preview) => {
		expect(previewSizeOf(painted)).toEqual(preview);
	});
});

describe('a watcher', () => {
	test('gets one frame for each time it asks, always the newest', async () => {
		const { sink, messages, watcher } = sinkOf();
		await sink.present(styledOf(0));
		await sink.present(styledOf(1));
		watcher.ready();
		await turn();
		expect(sequences(messages)).toEqual([1]);
		for (const sequence of [2, 3, 4]) await sink.present(styledOf(sequence));
		await turn();
		expect(sequences(messages)).toEqual([1]);
		watcher.ready();
		await turn();
		expect(sequences(messages)).toEqual([1, 4]);
	});

	test('gets no frame twice, also where it is shown again', async () => {
		const { sink, messages, watcher } = sinkOf();
		const frame = styledOf(0);
		watcher.ready();
		await sink.present(frame);
		await turn();
		watcher.ready();
		await sink.present(frame);
		await turn();
		expect(sequences(messages)).toEqual([0]);
	});

	test('that went gets nothing more', async () => {
		const { sink, messages, watcher } = sinkOf();
		watcher.ready();
		watcher[Symbol.dispose]();
		await sink.present(styledOf(0));
		await turn();
		expect(messages).toEqual([]);
	});

	test('shares one message with the others', async () => {
		const { sink, messages, watcher } = sinkOf();
		const others: Uint8Array[] = [];
		sink.watch((message) => others.push(message)).ready();
		watcher.ready();
		await sink.present(styledOf(0));
		await turn();
		expect(others[0]).toBe(messages[0]);
	});
});

test('nothing is converted while nobody asks, and presenting does not wait for it', async () => {
	let conversions = 0;
	const never = () => {
		conversions++;
		return new Promise<void>(() => {});
	};
	const { sink, watcher } = sinkOf({ width: 2, height: 2 }, { convert: never });
	for (let sequence = 0; sequence < 100; sequence++) await sink.present(styledOf(sequence));
	expect(conversions).toBe(0);
	watcher.ready();
	for (let sequence = 100; sequence < 200; sequence++) await sink.present(styledOf(sequence));
	expect(conversions).toBe(1);
});

test('a frame that cannot be converted is left out, and the next one comes', async () => {
	let fails = true;
	const { sink, messages, watcher } = sinkOf(
		{ width: 2, height: 2 },
		{ convert: () => (fails ? Promise.reject(new TypeError('source')) : Promise.resolve()) },
	);
	watcher.ready();
	await sink.present(styledOf(0));
	await turn();
	fails = false;
	await sink.present(styledOf(1));
	await turn();
	expect(sequences(messages)).toEqual([1]);
});
