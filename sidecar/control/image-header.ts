/** What a picture file says of itself in its first bytes. Nothing is decoded. */
export interface ImageHeader {
	type: ImageType | 'gif';
	/** In px, as `height`. */
	width: number;
	height: number;
}
export const IMAGE_TYPES = ['png', 'jpg', 'webp'] as const;
export type ImageType = (typeof IMAGE_TYPES)[number];
export const IMAGE_MEDIA_TYPES: Record<ImageType, string> = { png: 'image/png', jpg: 'image/jpeg', webp: 'image/webp' };

/** Of a PNG, JPEG, WebP or GIF file; undefined of anything else, and of one that is cut off before its size. */
export const imageHeaderOf = (bytes: Buffer): ImageHeader | undefined => {
	try {
		return pngHeader(bytes) ?? jpegHeader(bytes) ?? webpHeader(bytes) ?? gifHeader(bytes);
	} catch (error) {
		if (error instanceof RangeError) return undefined; // read past the end
		throw error;
	}
};

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** PNG specification, 11.2.1: IHDR is the first chunk and has 13 bytes. */
const pngHeader = (bytes: Buffer): ImageHeader | undefined => {
	if (!bytes.subarray(0, 8).equals(PNG_SIGNATURE)) return undefined;
	if (bytes.readUInt32BE(8) !== 13 || bytes.toString('latin1', 12, 16) !== 'IHDR') return undefined;
	return { type: 'png', width: bytes.readUInt32BE(16), height: bytes.readUInt32BE(20) };
};

/** ITU-T T.81, B.1 and B.2: markers with a length each, until one that begins a frame. */
const jpegHeader = (bytes: Buffer): ImageHeader | undefined => {
	if (bytes.length < 4 || bytes.readUInt16BE(0) !== 0xffd8) return undefined;
	for (let at = 2; ;) {
		if (bytes.readUInt8(at) !== 0xff) return undefined;
		const marker = bytes.readUInt8(at + 1);
		if (marker === 0xff) {
			at++; // a fill byte
			continue;
		}
		const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
		if (isFrame) return { type: 'jpg', width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
		if (marker === 0xda || marker === 0xd9) return undefined; // the picture, or its end, before its size
		at += 2 + bytes.readUInt16BE(at + 2);
	}
};

/** RFC 9649, 2.5 to 2.7: the first chunk is lossy, lossless or extended, and each has its size elsewhere. */
const webpHeader = (bytes: Buffer): ImageHeader | undefined => {
	if (bytes.toString('latin1', 0, 4) !== 'RIFF' || bytes.toString('latin1', 8, 12) !== 'WEBP') return undefined;
	const size = (width: number, height: number): ImageHeader => ({ type: 'webp', width, height });
	switch (bytes.toString('latin1', 12, 16)) {
		case 'VP8 ':
			if (bytes.readUIntBE(23, 3) !== 0x9d012a) return undefined;
			return size(bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff);
		case 'VP8L': {
			if (bytes.readUInt8(20) !== 0x2f) return undefined;
			const bits = bytes.readUInt32LE(21);
			return size(1 + (bits & 0x3fff), 1 + ((bits >>> 14) & 0x3fff));
		}
		case 'VP8X':
			return size(1 + bytes.readUIntLE(24, 3), 1 + bytes.readUIntLE(27, 3));
		default:
			return undefined;
	}
};

/** GIF89a, 17 and 18: the size of the screen that the frames are drawn on. */
const gifHeader = (bytes: Buffer): ImageHeader | undefined =>
	/^GIF8[79]a$/.test(bytes.toString('latin1', 0, 6))
		? { type: 'gif', width: bytes.readUInt16LE(6), height: bytes.readUInt16LE(8) }
		: undefined;
