// Opens damaged copies of a graph, one after the other, and says what became of each: DIST GRAPH ROLE SEED COUNT.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const [, , dist, folder, role, seed, count] = process.argv;
const { GraphSession } = await import(`${dist}inference/session.js`);
const { graphs } = JSON.parse(await readFile(join(folder, 'model.json'), 'utf8'));
const graph = await readFile(join(folder, graphs[role].file));

/** Numbers from 0 to 1 that are the same in each run: mulberry32. */
const randomNumbers = (from) => () => {
	from = (from + 0x6d2b79f5) | 0;
	let mixed = Math.imul(from ^ (from >>> 15), 1 | from);
	mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
	return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
};

/** Cut off, or with bytes changed, moved or put in; mostly in the first part, which describes the rest. */
const damaged = (next) => {
	const below = (limit) => Math.floor(next() * limit);
	let bytes = Buffer.from(graph);
	const place = () => Math.min(below(next() < 0.7 ? 4096 : graph.length), bytes.length);
	for (let changes = 1 + below(6); changes > 0; changes--) {
		const at = place();
		const end = (length) => Math.min(at + below(length), bytes.length);
		const kind = below(6);
		if (kind === 0) bytes[at] ^= 1 << below(8);
		else if (kind === 1) bytes[at] = below(256);
		else if (kind === 2) bytes.fill(next() < 0.5 ? 0xff : 0, at, end(16));
		else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(end(64))]);
		else if (kind === 4) bytes.copy(bytes, place(), at, end(4096));
		else if (next() < 0.3) bytes = Buffer.from(bytes.subarray(0, at));
	}
	return bytes;
};

const own = await mkdtemp(join(tmpdir(), 'allaprima-damaged-'));
const path = join(own, 'graph.onnx');
for (let index = 0; index < Number(count); index++) {
	process.stdout.write(`${index} `);
	await writeFile(path, damaged(randomNumbers(Number(seed) * 100_003 + index)));
	try {
		const session = await GraphSession.open(path, graphs[role], 'cpu', `damaged graph ${role}`);
		try {
			await session.warmUp({ batch: 1, height: 64, width: 64 });
			console.log('opened');
		} finally {
			await session[Symbol.asyncDispose]();
		}
	} catch (error) {
		console.log(error.code ?? `${error.name}: ${error.message}`);
	}
}
await rm(own, { recursive: true });
