import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { isSidecarError, type ErrorCode } from '../../sidecar/errors.ts';

/** A long run gives each property so many seconds. */
const seconds = Number(process.env['FUZZ_SECONDS'] ?? 0);
export const FUZZ_SEED = Number(process.env['FUZZ_SEED'] ?? 1);
const seed = FUZZ_SEED;

/** What `fc.assert` is told: `runs` inputs of a seed that is always the same, or of FUZZ_SEED for FUZZ_SECONDS. */
export const inputs = (runs: number): fc.Parameters<unknown> =>
	seconds > 0
		? { seed, numRuns: 2 ** 31 - 1, interruptAfterTimeLimit: 1000 * seconds, markInterruptAsFailure: false }
		: { seed, numRuns: runs };

/** As many as `runs`, or what a long run may do of them in its time, at 20 a second. */
export const count = (runs: number): number => (seconds > 0 ? Math.ceil(20 * seconds) : runs);

/** How long a test of so many properties may take, ms: nothing hangs for ever. */
export const patienceMs = (properties = 1): number => 120_000 + 2000 * seconds * properties;

/** Every file of a folder of test/fuzz/corpus, in the order of their names. */
export const corpusOf = (name: string): Buffer[] => {
	const folder = fileURLToPath(new URL(`../fuzz/corpus/${name}`, import.meta.url));
	return readdirSync(folder)
		.sort()
		.map((file) => readFileSync(join(folder, file)));
};

/** Places are counted modulo the length that there is. */
const place = fc.nat(2 ** 20);
const byte = fc.nat(255);

type Edit = (bytes: Buffer, corpus: readonly Buffer[]) => Buffer;

const spliced = (bytes: Buffer, at: number, removed: number, ...inserted: Buffer[]): Buffer =>
	Buffer.concat([bytes.subarray(0, at), ...inserted, bytes.subarray(at + removed)]);

const within = (at: number, bytes: Buffer): number => (bytes.length === 0 ? 0 : at % bytes.length);

const EDITS: fc.Arbitrary<Edit> = fc.oneof(
	fc.tuple(place, fc.nat(7)).map(([at, bit]): Edit => (bytes) => {
		const copy = Buffer.from(bytes);
		if (copy.length > 0) copy[within(at, copy)]! ^= 1 << bit;
		return copy;
	}),
	fc.tuple(place, fc.oneof(byte, fc.constantFrom(0, 0x0a, 0x22, 0x5c, 0x7b, 0x7f, 0x80, 0xff))).map(
		([at, value]): Edit =>
			(bytes) =>
				spliced(bytes, within(at, bytes), 1, Buffer.from([value])),
	),
	fc.tuple(place, fc.nat(64)).map(
		([at, length]): Edit =>
			(bytes) =>
				spliced(bytes, within(at, bytes), length),
	),
	fc.tuple(place, fc.uint8Array({ maxLength: 16 })).map(
		([at, more]): Edit =>
			(bytes) =>
				spliced(bytes, within(at, bytes), 0, Buffer.from(more)),
	),
	fc.tuple(place, fc.nat(32), fc.constantFrom(2, 16, 256, 4096)).map(([at, length, times]): Edit => (bytes) => {
		const from = within(at, bytes);
		const part = bytes.subarray(from, from + length);
		return spliced(bytes, from, 0, ...Array.from({ length: times }, () => part));
	}),
	fc.tuple(place, place, fc.nat(256), fc.nat()).map(([at, from, length, which]): Edit => (bytes, corpus) => {
		const other = corpus[which % corpus.length]!;
		const start = within(from, other);
		return spliced(bytes, within(at, bytes), 0, other.subarray(start, start + length));
	}),
	fc
		.tuple(
			place,
			fc.constantFrom(1, 2, 4, 8),
			fc.constantFrom(0n, 1n, 0x7fffffffn, 0x80000000n, 0xffffffffn, 2n ** 63n, 2n ** 64n - 1n),
			fc.boolean(),
		)
		.map(([at, length, value, isLittle]): Edit => (bytes) => {
			const number = Buffer.alloc(8);
			if (isLittle) number.writeBigUInt64LE(value);
			else number.writeBigUInt64BE(value);
			const part = isLittle ? number.subarray(0, length) : number.subarray(8 - length);
			return spliced(bytes, within(at, bytes), length, part);
		}),
	fc
		.tuple(
			place,
			fc.constantFrom('1e999', '-0', '9007199254740993', 'null', '[]', '{}', '"\\ud800"', '__proto__', '../', '\r\n'),
		)
		.map(
			([at, text]): Edit =>
				(bytes) =>
					spliced(bytes, within(at, bytes), 0, Buffer.from(text)),
		),
	place.map(
		(at): Edit =>
			(bytes) =>
				bytes.subarray(0, within(at, bytes)),
	),
);

/** For a message; seed and path, which stand beside it, make it again. */
const described = (bytes: Buffer): string =>
	`Buffer.from('${bytes.subarray(0, 1500).toString('base64')}', 'base64') of ${bytes.length} bytes`;

/** Inputs of a corpus, each changed in some places. */
export const mutated = (corpus: readonly Buffer[]): fc.Arbitrary<Buffer> =>
	fc
		.tuple(fc.nat(corpus.length - 1), fc.array(EDITS, { maxLength: 8 }))
		.map(([index, edits]) => edits.reduce((bytes, edit) => edit(bytes, corpus), corpus[index]!))
		.filter((bytes) => bytes.length <= 1 << 20)
		.map((bytes) => Object.assign(Buffer.from(bytes), { [fc.toStringMethod]: () => described(bytes) }));

/** Does the work, which may be refused with one of these codes and with nothing else. */
export const mayRefuse = async <T>(codes: readonly ErrorCode[], work: () => T | Promise<T>): Promise<T | undefined> => {
	try {
		return await work();
	} catch (error) {
		if (isSidecarError(error) && codes.includes(error.code)) return undefined;
		throw error;
	}
};
