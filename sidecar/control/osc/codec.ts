import { fromBuffer, toBuffer, type OscArgOutputOrArray } from 'osc-min';

/** One value of a message with the letter of its type in OSC 1.0; `value` is absent where this has no use for the type. */
export interface OscArgument {
	readonly tag: string;
	readonly value?: number | string | boolean;
}

/** What a datagram holds: a message, or what is wrong with this part of it. */
export type OscPart = { address: string; args: OscArgument[] } | { problem: string };

const BUNDLE = Buffer.from('#bundle\0');
const TIME_TAG_BYTES = 8;
const SIZE_BYTES = 4;

/**
 * The messages of a datagram in their order, those of bundles too; what is no OSC is a part of its own and leaves the
 * others as they are. Time tags are not waited for. https://opensoundcontrol.stanford.edu/spec-1_0.html
 */
export const readDatagram = (datagram: Buffer): OscPart[] => {
	if (!datagram.subarray(0, BUNDLE.length).equals(BUNDLE)) return [readMessage(datagram)];
	const parts: OscPart[] = [];
	let offset = BUNDLE.length + TIME_TAG_BYTES;
	while (offset !== datagram.length) {
		const start = offset + SIZE_BYTES;
		const size = start <= datagram.length ? datagram.readInt32BE(offset) : 0;
		if (size <= 0 || start + size > datagram.length)
			return [...parts, { problem: 'This is no OSC: a bundle was cut off.' }];
		parts.push(...readDatagram(datagram.subarray(start, start + size)));
		offset = start + size;
	}
	return parts;
};

const readMessage = (bytes: Buffer): OscPart => {
	try {
		const message = fromBuffer(bytes);
		if (message.oscType === 'message') return { address: message.address, args: message.args.map(argumentOf) };
	} catch {
		// said below
	}
	return { problem: 'This is no OSC: expected an address that begins with /, and arguments.' };
};

const argumentOf = (argument: OscArgOutputOrArray): OscArgument => {
	switch (argument.type) {
		case 'integer':
			return { tag: 'i', value: argument.value };
		case 'float':
			// 0.1 has been widened to 0.10000000149: seven digits are what 32 bits hold.
			return { tag: 'f', value: Number(argument.value.toPrecision(7)) };
		case 'double':
			return { tag: 'd', value: argument.value };
		case 'bigint':
			return { tag: 'h', value: Number(argument.value) };
		case 'string':
		case 'symbol':
			return { tag: 's', value: argument.value };
		case 'true':
			return { tag: 'T', value: true };
		case 'false':
			return { tag: 'F', value: false };
		case 'bang':
			return { tag: 'I', value: true };
		default:
			return { tag: argument.type };
	}
};

/** A message of one value, of type i, f, h or s. */
export const writeMessage = (address: string, { tag, value }: OscArgument): Uint8Array => {
	const { buffer, byteOffset, byteLength } = toBuffer({ address, args: [written(tag, value)] });
	return new Uint8Array(buffer, byteOffset, byteLength);
};

const written = (tag: string, value: OscArgument['value']) => {
	if (tag === 'i') return { type: 'integer' as const, value: Number(value) };
	if (tag === 'f') return { type: 'float' as const, value: Number(value) };
	if (tag === 'h') return { type: 'bigint' as const, value: BigInt(Number(value)) };
	// A NUL would end the text there.
	return { type: 'string' as const, value: String(value).replaceAll('\0', ' ') };
};
