import type { ImageHeader } from './image-header.ts';

/** What a picture file has besides one picture: how that is to be turned, other frames, texts and profiles. */

/** Exif 2.32, 4.6.4: how the picture is to be turned, 1 (not at all) to 8; 1 where nothing good is said of it. */
export const orientationOf = (bytes: Buffer, { type }: Pick<ImageHeader, 'type'>): number => {
	try {
		const exif = exifOf(bytes, type);
		const orientation = exif && orientationIn(exif);
		return orientation !== undefined && orientation >= 1 && orientation <= 8 ? orientation : 1;
	} catch (error) {
		if (error instanceof RangeError) return 1; // read past the end
		throw error;
	}
};

const exifOf = (bytes: Buffer, type: ImageHeader['type']): Buffer | undefined => {
	if (type === 'jpg') return jpegExif(bytes);
	if (type === 'png')
		return pngChunks(bytes)
			.find(({ name }) => name === 'eXIf')
			?.whole.subarray(8, -4);
	if (type === 'webp') return withoutMark(riffChunks(bytes, 12).find(({ name }) => name === 'EXIF')?.content);
	return undefined;
};

const EXIF_MARK = 'Exif\0\0';

const withoutMark = (content: Buffer | undefined): Buffer | undefined =>
	content?.toString('latin1', 0, EXIF_MARK.length) === EXIF_MARK ? content.subarray(EXIF_MARK.length) : content;

const jpegExif = (bytes: Buffer): Buffer | undefined => {
	for (let at = 2; ;) {
		const marker = bytes.readUInt16BE(at);
		if (marker === 0xffff) {
			at++; // a fill byte
			continue;
		}
		if (marker < 0xff00 || marker === 0xffda || marker === 0xffd9) return undefined;
		const content = bytes.subarray(at + 4, at + 2 + bytes.readUInt16BE(at + 2));
		if (marker === 0xffe1 && content.toString('latin1', 0, EXIF_MARK.length) === EXIF_MARK) return withoutMark(content);
		at += 2 + bytes.readUInt16BE(at + 2);
	}
};

const ORIENTATION = 0x0112;
const SHORT = 3;

/** TIFF 6.0, section 2: byte order, then where the first list of fields lies. */
const orientationIn = (tiff: Buffer): number | undefined => {
	const order = tiff.toString('latin1', 0, 2);
	if (order !== 'II' && order !== 'MM') return undefined;
	const short = (at: number) => (order === 'II' ? tiff.readUInt16LE(at) : tiff.readUInt16BE(at));
	const fields = order === 'II' ? tiff.readUInt32LE(4) : tiff.readUInt32BE(4);
	for (let field = 0; field < short(fields); field++) {
		const at = fields + 2 + 12 * field;
		if (short(at) === ORIENTATION && short(at + 2) === SHORT) return short(at + 8);
	}
	return undefined;
};

interface Chunk {
	name: string;
	content: Buffer;
}

/** With length, name and checksum. */
const pngChunks = (bytes: Buffer): { name: string; whole: Buffer }[] => {
	const chunks: { name: string; whole: Buffer }[] = [];
	for (let at = 8; at + 12 <= bytes.length;) {
		const end = at + 12 + bytes.readUInt32BE(at);
		chunks.push({ name: bytes.toString('latin1', at + 4, at + 8), whole: bytes.subarray(at, end) });
		at = end;
	}
	return chunks;
};

const riffChunks = (bytes: Buffer, from: number): Chunk[] => {
	const chunks: Chunk[] = [];
	for (let at = from; at + 8 <= bytes.length;) {
		const byteLength = bytes.readUInt32LE(at + 4);
		chunks.push({
			name: bytes.toString('latin1', at, at + 4),
			content: bytes.subarray(at + 8, at + 8 + byteLength),
		});
		at += 8 + byteLength + (byteLength & 1);
	}
	return chunks;
};

const ANIMATED = 0x02;
const ALPHA = 0x10;

/** Of a PNG, all that makes its pixels. */
const PIXEL_CHUNKS = ['IHDR', 'PLTE', 'tRNS', 'IDAT', 'IEND'];

/**
 * The same file without what the decoder need not see: of a PNG texts and profiles, which unpack to as much as they like. Of an
 * animated WebP the first frame (RFC 9649, 2.7), for ffmpeg reads none.
 */
export const plainImageOf = (bytes: Buffer, { type }: Pick<ImageHeader, 'type'>): Buffer => {
	if (type === 'png') {
		const kept = pngChunks(bytes).filter(({ name }) => PIXEL_CHUNKS.includes(name));
		return Buffer.concat([bytes.subarray(0, 8), ...kept.map(({ whole }) => whole)]);
	}
	if (type !== 'webp') return bytes;
	const [header, ...chunks] = riffChunks(bytes, 12);
	const isAnimated = header?.name === 'VP8X' && ((header.content[0] ?? 0) & ANIMATED) !== 0;
	const frame = isAnimated ? chunks.find(({ name }) => name === 'ANMF')?.content : undefined;
	if (!frame) return bytes;
	const size = frame.subarray(6, 12);
	return riff([
		{ name: 'VP8X', content: Buffer.concat([Buffer.from([ALPHA, 0, 0, 0]), size]) },
		...riffChunks(frame, 16).filter(({ name }) => ['ALPH', 'VP8 ', 'VP8L'].includes(name)),
	]);
};

const riff = (chunks: readonly Chunk[]): Buffer => {
	const parts = chunks.flatMap(({ name, content }) => {
		const head = Buffer.alloc(8);
		head.write(name, 'latin1');
		head.writeUInt32LE(content.length, 4);
		return [head, content, Buffer.alloc(content.length & 1)];
	});
	const body = Buffer.concat([Buffer.from('WEBP', 'latin1'), ...parts]);
	const head = Buffer.alloc(8);
	head.write('RIFF', 'latin1');
	head.writeUInt32LE(body.length, 4);
	return Buffer.concat([head, body]);
};
