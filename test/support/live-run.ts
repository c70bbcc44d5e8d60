import type { Configuration } from '../../sidecar/config/schema/configuration.ts';
import type { FrameSink } from '../../sidecar/egress/frame-sink.ts';
import type { StyledFrame } from '../../sidecar/frame/frame.ts';
import { until } from './engines.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { runApp } = (await import(dist('app.js'))) as typeof import('../../sidecar/app.ts');
const { Configuration: ConfigurationSchema } = (await import(
	dist('config/schema/configuration.js')
)) as typeof import('../../sidecar/config/schema/configuration.ts');
const { parse } = (await import(
	dist('config/schema/parse.js')
)) as typeof import('../../sidecar/config/schema/parse.ts');
const { setLog } = (await import(dist('telemetry/logger.js'))) as typeof import('../../sidecar/telemetry/logger.ts');
setLog({ level: 'silent' });

/** The size of a painting, unless the test says otherwise. */
export const PAINTED = { width: 256, height: 160 };

/** The built files, with the built-in scene, and every frame that leaves. */
export const openLiveRun = (configuration: Partial<Configuration>) => {
	const shown: StyledFrame[] = [];
	const sink: FrameSink = {
		name: 'test',
		present: async (frame) => void shown.push(frame),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const stop = new AbortController();
	const base = { source: 'scene', fps: 12, size: PAINTED, http: 'off', provider: 'cpu', style: 'pencil-sketch' };
	const run = runApp(parse(ConfigurationSchema, { ...base, ...configuration }, 'test'), {
		signal: stop.signal,
		sinks: [sink],
	});
	run.catch(() => {});
	const paintings = () => shown.filter(({ kind }) => kind === 'painting').length;
	return {
		shown,
		run,
		paintings,
		painted: (count: number) => until(() => paintings() >= count),
		finish: async () => (stop.abort(), await run),
	};
};
