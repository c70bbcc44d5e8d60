import { describe, expect, it } from 'vitest';
import { matroskaFrameHeader, matroskaHeader } from '../../sidecar/egress/matroska.ts';

/** Reads elements back, by RFC 9559; masters in `MASTERS` are opened. */
const MASTERS = new Set(['1a45dfa3', '1549a966', '1654ae6b', 'ae', 'e0', '55b0', '1f43b675', 'a0']);
const parse = (bytes: Buffer): [id: string, content: unknown][] => {
	const elements: [string, unknown][] = [];
	for (let at = 0; at < bytes.length;) {
		const idLength = Math.clz32(bytes[at]!) - 23;
		const id = bytes.toString('hex', at, at + idLength);
		const length = Number(bytes.readBigUInt64BE(at + idLength) & 0x00ffffffffffffffn);
		at += idLength + 8;
		if (id === '18538067') continue; // the segment, of unknown size: its children follow
		const content = bytes.subarray(at, at + length);
		elements.push([id, MASTERS.has(id) ? parse(content) : content.toString('hex')]);
		at += length;
	}
	return elements;
};

describe('matroska', () => {
	const size = { width: 321, height: 181 };
	const header = matroskaHeader({ size, frameRate: { num: 30000, den: 1001 }, matrix: 'bt709', range: 'limited' });

	it('describes raw I420 with its size, its colours and microsecond ticks', () => {
		const [, info, tracks] = parse(header);
		expect(info![1]).toContainEqual(['2ad7b1', (1000).toString(16).padStart(4, '0')]);
		const entry = (tracks![1] as [string, [string, unknown][]][])[0]![1];
		expect(entry).toContainEqual(['86', Buffer.from('V_UNCOMPRESSED').toString('hex')]);
		expect(entry).toContainEqual(['23e383', (33_366_667).toString(16).padStart(8, '0')]);
		const video = entry.find(([id]) => id === 'e0')![1] as [string, unknown][];
		expect(video).toContainEqual(['b0', '0141']);
		expect(video).toContainEqual(['ba', 'b5']);
		expect(video).toContainEqual(['2eb524', Buffer.from('I420').toString('hex')]);
		expect(video.find(([id]) => id === '55b0')![1]).toEqual(
			expect.arrayContaining([
				['55b1', '01'],
				['55b9', '01'],
			]),
		);
	});

	it('leaves the size of the stream open', () => {
		expect(header.includes(Buffer.from('1853806701ffffffffffffff', 'hex'))).toBe(true);
	});

	it('gives each frame a cluster with its time, its length and exactly its pixels', () => {
		const pixels = Buffer.alloc(24, 7);
		const bytes = Buffer.concat([
			matroskaFrameHeader({ timestampUs: 5_000_000_000, durationUs: 33_367, byteLength: pixels.length }),
			pixels,
			matroskaFrameHeader({ timestampUs: 5_000_033_367, durationUs: 0, byteLength: pixels.length }),
			pixels,
		]);
		const block = `81000000${pixels.toString('hex')}`;
		expect(parse(bytes)).toEqual([
			[
				'1f43b675',
				[
					['e7', '012a05f200'],
					[
						'a0',
						[
							['9b', '8257'],
							['a1', block],
						],
					],
				],
			],
			[
				'1f43b675',
				[
					['e7', '012a067457'],
					['a0', [['a1', block]]],
				],
			],
		]);
	});

	it('holds a frame of 8K, past what four bytes of length could say with their marker', () => {
		const byteLength = 7680 * 4320 * 1.5;
		const frame = matroskaFrameHeader({ timestampUs: 0, durationUs: 40_000, byteLength });
		expect(parse(Buffer.concat([frame, Buffer.alloc(byteLength)]))).toHaveLength(1);
	});
});
