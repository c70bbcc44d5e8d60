// `allaprima run` as a process of its own, with a sink that looks at every frame that leaves: is the source's marker in
// it? Tells its parent of each frame. Arguments: the configuration as JSON, and `counts` where nobody is to look.
import { Configuration } from '../../dist/config/schema/configuration.js';
import { parse } from '../../dist/config/schema/parse.js';
import { runApp } from '../../dist/app.js';
import { nowUs } from '../../dist/frame/clock.js';
import { setLog } from '../../dist/telemetry/logger.js';
import { markOf } from './source-mark.mjs';

setLog({ level: process.env.FAULT_LOG ?? 'silent' });

const looks = process.argv[3] !== 'counts';

const look = (picture, source) => {
	let light = 0;
	for (let i = 0; i < picture.data.length; i += 97) light += picture.data[i];
	return { mark: Math.max(markOf(picture), markOf(source)), light: light / (picture.data.length / 97) };
};

const tell = (message) => process.send?.(message, () => {});
const sink = {
	name: 'marker',
	async present({ sequence, kind, epoch, capturedUs, source, picture }) {
		const atUs = nowUs();
		tell({ sequence, kind, epoch, atUs, ageUs: atUs - capturedUs, ...(looks && look(picture, source)) });
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
