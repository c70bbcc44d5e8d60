import type { ColorMatrix, ColorRange, FrameRate, Size } from '../frame/frame.ts';

/*
 * The smallest live Matroska stream that carries raw I420 with exact times (RFC 9559): one track, one cluster
 * a frame, a segment of unknown size. Ticks are microseconds, so that a variable rate reaches the encoder as it is.
 */

/** Element IDs as they are written, length marker included. */
const ID = {
	ebml: 0x1a45dfa3,
	docType: 0x4282,
	docTypeVersion: 0x4287,
	docTypeReadVersion: 0x4285,
	segment: 0x18538067,
	info: 0x1549a966,
	timestampScale: 0x2ad7b1,
	muxingApp: 0x4d80,
	writingApp: 0x5741,
	tracks: 0x1654ae6b,
	trackEntry: 0xae,
	trackNumber: 0xd7,
	trackUid: 0x73c5,
	trackType: 0x83,
	flagLacing: 0x9c,
	defaultDuration: 0x23e383,
	codecId: 0x86,
	video: 0xe0,
	pixelWidth: 0xb0,
	pixelHeight: 0xba,
	colourSpace: 0x2eb524,
	colour: 0x55b0,
	matrixCoefficients: 0x55b1,
	range: 0x55b9,
	transferCharacteristics: 0x55ba,
	primaries: 0x55bb,
	cluster: 0x1f43b675,
	timestamp: 0xe7,
	blockGroup: 0xa0,
	blockDuration: 0x9b,
	block: 0xa1,
} as const;

const UNKNOWN_SIZE = Buffer.from('01ffffffffffffff', 'hex');
const TICK_NS = 1000;
/** Track 1, tick 0 of its cluster, no flags. */
const BLOCK_HEADER = Buffer.from([0x81, 0, 0, 0]);

const minimalBytes = (value: number): Buffer => {
	const hex = value.toString(16);
	return Buffer.from(hex.length % 2 ? `0${hex}` : hex, 'hex');
};

/** A length of eight bytes; Matroska allows more bytes than are needed. */
const lengthBytes = (length: number): Buffer => {
	const bytes = Buffer.alloc(8);
	bytes.writeBigUInt64BE(BigInt(length) | (1n << 56n));
	return bytes;
};

/** An element's ID and length, for content of `length` bytes. */
const open = (id: number, length: number): Buffer => Buffer.concat([minimalBytes(id), lengthBytes(length)]);

const element = (id: number, ...content: Uint8Array[]): Buffer => {
	const bytes = Buffer.concat(content);
	return Buffer.concat([open(id, bytes.length), bytes]);
};

const uint = (id: number, value: number): Buffer => element(id, minimalBytes(value));
const string = (id: number, value: string): Buffer => element(id, Buffer.from(value, 'ascii'));

/** What comes before the first frame. */
export const matroskaHeader = ({
	size,
	frameRate,
	matrix,
	range,
}: {
	size: Size;
	frameRate: FrameRate;
	matrix: ColorMatrix;
	range: ColorRange;
}): Buffer => {
	// Codes of ITU-T H.273: 1 is BT.709, 6 is SMPTE 170M (BT.601).
	const colour = matrix === 'bt709' ? 1 : 6;
	return Buffer.concat([
		element(ID.ebml, string(ID.docType, 'matroska'), uint(ID.docTypeVersion, 4), uint(ID.docTypeReadVersion, 2)),
		minimalBytes(ID.segment),
		UNKNOWN_SIZE,
		element(
			ID.info,
			uint(ID.timestampScale, TICK_NS),
			string(ID.muxingApp, 'allaprima'),
			string(ID.writingApp, 'allaprima'),
		),
		element(
			ID.tracks,
			element(
				ID.trackEntry,
				uint(ID.trackNumber, 1),
				uint(ID.trackUid, 1),
				uint(ID.trackType, 1),
				uint(ID.flagLacing, 0),
				uint(ID.defaultDuration, Math.round((1e9 * frameRate.den) / frameRate.num)),
				string(ID.codecId, 'V_UNCOMPRESSED'),
				element(
					ID.video,
					uint(ID.pixelWidth, size.width),
					uint(ID.pixelHeight, size.height),
					string(ID.colourSpace, 'I420'),
					element(
						ID.colour,
						uint(ID.matrixCoefficients, colour),
						uint(ID.transferCharacteristics, colour),
						uint(ID.primaries, colour),
						uint(ID.range, range === 'limited' ? 1 : 2),
					),
				),
			),
		),
	]);
};

/** What comes before a frame's pixels: the cluster and the block that hold them. */
export const matroskaFrameHeader = ({
	timestampUs,
	durationUs,
	byteLength,
}: {
	timestampUs: number;
	durationUs: number;
	byteLength: number;
}): Buffer => {
	const block = open(ID.block, BLOCK_HEADER.length + byteLength);
	const duration = durationUs > 0 ? uint(ID.blockDuration, durationUs) : Buffer.alloc(0);
	const groupLength = duration.length + block.length + BLOCK_HEADER.length + byteLength;
	const group = open(ID.blockGroup, groupLength);
	const timestamp = uint(ID.timestamp, timestampUs);
	const cluster = open(ID.cluster, timestamp.length + group.length + groupLength);
	return Buffer.concat([cluster, timestamp, group, duration, block, BLOCK_HEADER]);
};
