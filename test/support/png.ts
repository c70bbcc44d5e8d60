import { inflateSync } from 'node:zlib';

/** Pixels as RGBA, tight, top row first. */
export interface RgbaPicture {
	width: number;
	height: number;
	data: Uint8Array;
}

const paeth = (left: number, up: number, upLeft: number): number => {
	const estimate = left + up - upLeft;
	const [byLeft, byUp, byUpLeft] = [left, up, upLeft].map((value) => Math.abs(estimate - value)) as [
		number,
		number,
		number,
	];
	if (byLeft <= byUp && byLeft <= byUpLeft) return left;
	return byUp <= byUpLeft ? up : upLeft;
};

/** Reads an 8-bit RGB or RGBA PNG that is not interlaced, as OBS writes them (PNG specification, 9.2 filters). */
export const decodePng = (png: Buffer): RgbaPicture => {
	const parts: Buffer[] = [];
	let [width, height, channels] = [0, 0, 0];
	for (let at = 8; at < png.length; at += 12 + png.readUInt32BE(at)) {
		const type = png.toString('latin1', at + 4, at + 8);
		const body = png.subarray(at + 8, at + 8 + png.readUInt32BE(at));
		if (type === 'IDAT') parts.push(body);
		if (type !== 'IHDR') continue;
		[width, height] = [body.readUInt32BE(0), body.readUInt32BE(4)];
		channels = body[9] === 6 ? 4 : 3;
		if (body[8] !== 8 || (body[9] !== 6 && body[9] !== 2) || body[12] !== 0)
			throw new Error('expected an 8-bit RGB or RGBA PNG');
	}
	const raw = inflateSync(Buffer.concat(parts));
	const rowBytes = width * channels;
	const rows = Buffer.alloc(rowBytes * height);
	const data = new Uint8Array(4 * width * height).fill(255);
	for (let y = 0; y < height; y++) {
		const filter = raw[y * (rowBytes + 1)]!;
		for (let x = 0; x < rowBytes; x++) {
			const left = x >= channels ? rows[y * rowBytes + x - channels]! : 0;
			const up = y > 0 ? rows[(y - 1) * rowBytes + x]! : 0;
			const upLeft = x >= channels && y > 0 ? rows[(y - 1) * rowBytes + x - channels]! : 0;
			const predicted = [0, left, up, (left + up) >> 1, paeth(left, up, upLeft)][filter]!;
			const value = (raw[y * (rowBytes + 1) + 1 + x]! + predicted) & 255;
			rows[y * rowBytes + x] = value;
			data[4 * (y * width + Math.floor(x / channels)) + (x % channels)] = value;
		}
	}
	return { width, height, data };
};

/** The pixel at a place given in parts of the picture: (0.5, 0.5) is its middle. */
export const pixelAt = ({ width, height, data }: RgbaPicture, x = 0.5, y = 0.5): [number, number, number, number] => {
	const at = 4 * (Math.min(Math.floor(y * height), height - 1) * width + Math.min(Math.floor(x * width), width - 1));
	return [data[at]!, data[at + 1]!, data[at + 2]!, data[at + 3]!];
};
