import { describe, expect, it } from 'vitest';
import { externalTensors } from '../../sidecar/inference/external-data.ts';

const varint = (value: number): number[] => (value < 128 ? [value] : [(value & 127) | 128, ...varint(value >> 7)]);
/** A field of bytes, of text or of a message. */
const field = (number: number, content: string | readonly number[]): number[] => {
	const bytes = typeof content === 'string' ? [...Buffer.from(content)] : content;
	return [...varint(number * 8 + 2), ...varint(bytes.length), ...bytes];
};
const number = (field: number, value: number): number[] => [...varint(field * 8), ...varint(value)];

const entry = (key: string, value: string): number[] => field(13, [...field(1, key), ...field(2, value)]);
const tensor = (name: string, places: Record<string, string>): number[] => [
	...number(2, 1),
	...field(8, name),
	...Object.entries(places).flatMap(([key, value]) => entry(key, value)),
	...number(14, 1),
];
const model = (...graph: number[]): Uint8Array => Uint8Array.from([...number(1, 8), ...field(7, graph)]);

describe('the files that an ONNX graph has its weights in', () => {
	it('are found among the initialisers, with their places', () => {
		const weights = tensor('w', { location: 'unet.onnx.data', offset: '4096', length: '64' });
		const inline = [...field(8, 'small'), ...field(9, [1, 2, 3, 4])];
		expect(externalTensors(model(...field(5, inline), ...field(5, weights)))).toEqual([
			{ name: 'w', location: 'unet.onnx.data', offset: 4096, length: 64 },
		]);
	});

	it('are found wherever a graph may hide a tensor', () => {
		const hidden = (name: string) => tensor(name, { location: `${name}.bin` });
		const node = (...attribute: number[]) => field(1, field(5, attribute));
		const branch = field(6, [...field(5, hidden('branch')), ...node(...field(5, hidden('deeper')))]);
		const found = externalTensors(
			Uint8Array.from([
				...model(
					...node(...field(5, hidden('attribute'))),
					...node(...field(10, hidden('list'))),
					...node(...branch),
					...field(15, field(1, hidden('sparse'))),
				),
				...field(25, field(7, field(5, field(5, hidden('function'))))),
				...field(20, field(1, field(5, hidden('training')))),
			]),
		);
		expect(found.map(({ location }) => location).toSorted()).toEqual(
			['attribute', 'branch', 'deeper', 'function', 'list', 'sparse', 'training'].map((name) => `${name}.bin`),
		);
	});

	it('count as such even where the tensor says that it is not external', () => {
		const half = [...field(8, 'w'), ...entry('location', '../../etc/passwd')];
		expect(externalTensors(model(...field(5, half)))).toMatchObject([{ location: '../../etc/passwd' }]);
	});

	it.each([
		['a length beyond the end', [58, 5, 1]],
		['a number without an end', [8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255]],
		['a number that is cut off', [8, 128]],
		['a kind of field that there is not', [15]],
		['a place that is no number', [...model(...field(5, tensor('w', { location: 'a', offset: '-1' })))]],
	])('are not looked for in bytes with %s', (_, bytes) => {
		expect(() => externalTensors(Uint8Array.from(bytes))).toThrow(RangeError);
	});

	it('are not looked for in graphs without a bottom', () => {
		let graph = field(5, tensor('w', { location: 'a' }));
		for (let depth = 0; depth < 40; depth++) graph = field(1, field(5, field(6, graph)));
		expect(() => externalTensors(model(...graph))).toThrow(/deep/);
	});
});
