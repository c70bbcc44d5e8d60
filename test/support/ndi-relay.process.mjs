// A relay for the tests of NDI: node ndi-relay.process.mjs OPTIONS, with the options of NdiRelay but for its slate, and
// `paintMs`, how long the painter of one grey takes (absent: it paints nothing). Takes {"call", "args"} and {"blockMs"} as
// lines, and answers each with a line.
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { NdiRelay, openNdi } from '../../dist/ndi.js';

const { paintMs, ...options } = JSON.parse(process.argv[2] ?? '{}');
const { painted } = options;
const grey = (/** @type {number} */ level) => ({
	format: /** @type {const} */ ('RGB'),
	...painted,
	matrix: /** @type {const} */ ('bt709'),
	range: /** @type {const} */ ('full'),
	data: new Uint8Array(3 * painted.width * painted.height).fill(level),
});
const say = (/** @type {unknown} */ value) => process.stdout.write(`${JSON.stringify(value ?? null)}\n`);

openNdi();
const relay = new NdiRelay({ ...options, slate: grey(10) });

const paint = async () => {
	const format = await relay.open(60_000);
	if (!format || paintMs === undefined) return;
	const target = new Uint8Array(2 * format.layout.width * format.layout.height);
	const painting = grey(100);
	for (;;) {
		const frame = await relay.next(target);
		if (!frame) return;
		await setTimeout(paintMs);
		relay.painted(frame.sequence, painting);
	}
};
void paint();
say('ready');

for await (const line of createInterface({ input: process.stdin })) {
	const { call, args = [], blockMs } = JSON.parse(line);
	if (blockMs) for (const end = Date.now() + blockMs; Date.now() < end;);
	say(call ? /** @type {any} */ (relay)[call](...args) : null);
}
relay.close();
