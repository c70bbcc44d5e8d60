// `allaprima run` as a process of its own, with a sink that looks at every frame that leaves: is the source's marker in
// it? Tells its parent of each frame. Arguments: the configuration as JSON.
import { parse, Configuration } from '../../dist/config/schema.js';
import { runApp } from '../../dist/app.js';
import { nowUs } from '../../dist/frame/clock.js';
import { setLog } from '../../dist/telemetry/logger.js';

setLog({ level: process.env.FAULT_LOG ?? 'silent' });

/** How much of a checkerboard of single pixels a picture has: 1 for the marker itself, about 0 for a painting of it. */
const markOf = ({ data, width, height, format }) => {
	const step = { RGB: 3, I420: 1, NV12: 1 }[format] ?? 4;
	let [marked, all] = [0, 0];
	for (let y = 1; y < height; y++)
		for (let x = 1; x < width; x++) {
			const at = (dx, dy) => data[((y - dy) * width + x - dx) * step];
			const corner = at(0, 0) - at(1, 0) - at(0, 1) + at(1, 1);
			marked += (x + y) % 2 ? -corner : corner;
			all += Math.abs(corner);
		}
	const isFlat = all < 8 * (width - 1) * (height - 1);
	return isFlat ? 0 : Math.abs(marked / all);
};

const tell = (message) => process.send?.(message, () => {});
const sink = {
	name: 'marker',
	async present({ sequence, kind, epoch, capturedUs, source, picture }) {
		const atUs = nowUs();
		const mark = Math.max(markOf(picture), markOf(source));
		let light = 0;
		for (let i = 0; i < picture.data.length; i += 97) light += picture.data[i];
		tell({ sequence, kind, epoch, atUs, ageUs: atUs - capturedUs, mark, light: light / (picture.data.length / 97) });
	},
	async finish() {},
	async [Symbol.asyncDispose]() {},
};

const ending = new AbortController();
process.on('SIGTERM', () => ending.abort());
const orphaned = () => process.exit(1);
process.on('disconnect', orphaned);
const report = await runApp(parse(Configuration, JSON.parse(process.argv[2]), 'test'), {
	signal: ending.signal,
	sinks: [sink],
});
tell({ report });
process.off('disconnect', orphaned);
process.disconnect();
