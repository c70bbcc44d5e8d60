import { parse, type Schema } from '../config/schema/parse.ts';
import { SidecarError } from '../errors.ts';

/**
 * What crosses the network: the length of the words (u32, little endian), the words as JSON, then bytes that they speak
 * of. Words come from outside and are checked here, whoever sent them.
 */

export interface Message<Head> {
	head: Head;
	/** A view of what came; empty where there is nothing but words. */
	payload: Uint8Array;
}

/** 32 prompts of 500 characters, escaped, and what else there may be. */
export const HEAD_BYTES_MAX = 64 * 1024;

/** Before pixels, for the length and the words that usually go with them. */
export const ROOM_BYTES = 4096;

const LENGTH_BYTES = 4;
const NOTHING = new Uint8Array();

export const encodeMessage = (head: object, payload: Uint8Array = NOTHING): Uint8Array => {
	const words = Buffer.from(JSON.stringify(head));
	const bytes = Buffer.allocUnsafe(LENGTH_BYTES + words.length + payload.length);
	bytes.writeUInt32LE(words.length);
	bytes.set(words, LENGTH_BYTES);
	bytes.set(payload, LENGTH_BYTES + words.length);
	return bytes;
};

/**
 * The same of what lies in `memory` behind ROOM_BYTES, which the words are put before: a view of that memory, which is to be left
 * alone until the message has come to where it goes.
 */
export const encodeInRoom = (head: object, memory: Uint8Array): Uint8Array => {
	const words = Buffer.from(JSON.stringify(head));
	const start = ROOM_BYTES - words.length - LENGTH_BYTES;
	if (start < 0) return encodeMessage(head, memory.subarray(ROOM_BYTES));
	memory.set(words, start + LENGTH_BYTES);
	new DataView(memory.buffer, memory.byteOffset).setUint32(start, words.length, true);
	return memory.subarray(start);
};

/** Errors: ERR_FLEET, saying what is wrong and never what was said. */
export const decodeMessage = <Head>(schema: Schema<Head>, bytes: Uint8Array, what: string): Message<Head> => {
	const whole = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const length = whole.length < LENGTH_BYTES ? Infinity : whole.readUInt32LE();
	const end = LENGTH_BYTES + length;
	if (length > HEAD_BYTES_MAX || end > whole.length)
		throw new SidecarError('ERR_FLEET', `${what} is cut off: its ${whole.length} bytes are less than it says.`);
	let words: unknown;
	try {
		words = JSON.parse(whole.toString('utf8', LENGTH_BYTES, end));
	} catch {
		throw new SidecarError('ERR_FLEET', `${what} is not JSON.`);
	}
	// No Buffer, whose slice is no copy.
	const payload = new Uint8Array(bytes.buffer, bytes.byteOffset + end, bytes.byteLength - end);
	return { head: parse(schema, words, what, 'ERR_FLEET'), payload };
};
