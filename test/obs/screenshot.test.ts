// A source of OBS painted without the plugin, by its screenshots: a real OBS, the real line.
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Configuration } from '../../sidecar/config/schema/configuration.ts';
import type { StyledFrame } from '../../sidecar/frame/frame.ts';
import { until } from '../support/engines.ts';
import { Obs, OBS_PASSWORD } from '../support/obs.ts';

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

const ORANGE = 0xff2080f0; // 0xAABBGGRR

let obs: Obs;
beforeAll(async () => {
	obs = await Obs.start({ plugin: false });
	await obs.socket.call('CreateScene', { sceneName: 'Show' });
	await obs.addColour('Show', 'Wall', ORANGE);
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Show' });
});
afterAll(async () => {
	await obs[Symbol.asyncDispose]();
});

const open = (configuration: Partial<Configuration>) => {
	const shown: StyledFrame[] = [];
	const stop = new AbortController();
	const base = { size: { width: 256, height: 160 }, http: 'off', provider: 'cpu', fps: 10 };
	const websocket = { url: obs.websocketUrl, password: OBS_PASSWORD };
	const run = runApp(parse(ConfigurationSchema, { ...base, obs: { websocket }, ...configuration }, 'test'), {
		signal: stop.signal,
		sinks: [
			{
				name: 'test',
				present: async (frame) => void shown.push(frame),
				finish: async () => {},
				[Symbol.asyncDispose]: async () => {},
			},
		],
	});
	run.catch(() => {});
	return { shown, run, finish: async () => (stop.abort(), await run) };
};

it('is painted, in its own colours', async () => {
	const { shown, finish } = open({ source: 'obs-screenshot:Show', style: 'passthrough' });
	await until(() => shown.filter(({ kind }) => kind === 'source').length > 5);
	const report = await finish();
	const { picture } = shown.at(-1)!;
	expect(picture).toMatchObject({ format: 'RGB', width: 640, height: 360 });
	expect([...picture.data.subarray(0, 3)]).toEqual([0xf0, 0x80, 0x20]);
	expect(report.framesOut).toBeGreaterThan(5);
});

it('that is not there is refused by name, and so is a run that cannot reach OBS', async () => {
	await expect(open({ source: 'obs-screenshot:Nothing' }).run).rejects.toMatchObject({
		code: 'ERR_SOURCE',
		message: expect.stringContaining('"Nothing"'),
	});
	await expect(open({ source: 'obs-screenshot:Show', obs: { scenes: {}, audioInputs: [] } }).run).rejects.toMatchObject(
		{ code: 'ERR_CONFIG', message: expect.stringContaining('ALLAPRIMA_OBS_PASSWORD') },
	);
});
