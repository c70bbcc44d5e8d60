import { describe, expect, test } from 'vitest';
import { prepareChannel } from '../../sidecar/app/relay-channel.ts';
import { loadConfiguration } from '../../sidecar/config/load-config.ts';
import { ndiInputOf } from '../../sidecar/ingest/ndi-source.ts';
import { runRelay } from '../../sidecar/relay.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';

setLog({ level: 'silent' });

const configure = (ndi: Record<string, unknown>) =>
	loadConfiguration({ flags: {}, environment: { HOME: '/nowhere' }, ndi });

const prepare = async (channel: Record<string, unknown>, ndi: Record<string, unknown> = {}) => {
	const configuration = await configure({ ...ndi, channels: [channel] });
	return prepareChannel(configuration, configuration.ndi.channels[0]!);
};

const run = async (ndi: Record<string, unknown>) => runRelay(await configure(ndi), { signal: AbortSignal.abort() });

describe('a channel', () => {
	test.each([
		[{ in: 'CAM 1' }, {}, 'CAM 1 (Painted)'],
		[{ in: 'RIG (CAM 1)' }, {}, 'CAM 1 (Painted)'],
		[{ in: 'CAM 1', out: 'Program' }, {}, 'Program'],
		[{ in: 'CAM 1' }, { outName: 'Oil of {source}' }, 'Oil of CAM 1'],
	])('%j under %j paints %s', async (channel, ndi, name) => {
		expect((await prepare(channel, ndi)).name).toBe(name);
	});

	test('has its own settings over those for all', async () => {
		const { preset, configuration } = await prepare({ in: 'CAM 1', style: 'anime', failure: 'hold', holdS: 3 });
		expect(preset.name).toBe('anime');
		expect(configuration).toMatchObject({ failure: 'hold', holdS: 3, afterHold: 'slate', staleAfterMs: 1000 });
	});

	test.each([
		[{ in: 'CAM 1', out: 'CAM 1' }, 'ERR_CONFIG', /cannot be called CAM 1/],
		[{ in: 'RIG (CAM 1)', out: 'CAM 1' }, 'ERR_CONFIG', /cannot be called CAM 1/],
		[{ in: 'CAM 1', style: 'cubism' }, 'ERR_STYLE', /cubism/],
	])('%j is refused', async (channel, code, message) => {
		await expect(prepare(channel)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
	});

	test.each([
		[{ in: '' }],
		[{ in: 'x'.repeat(300) }],
		[{ out: 'Program' }],
		[{ in: 'CAM 1', colour: 'red' }],
		[{ in: 'CAM 1', strength: 2 }],
		[{ in: 'CAM 1', holdS: 0 }],
	])('%j is no channel', async (channel) => {
		await expect(configure({ channels: [channel] })).rejects.toMatchObject({ code: 'ERR_CONFIG' });
	});
});

describe('a source', () => {
	const network = { extraIps: [] };
	test.each([
		['CAM 1', { name: 'CAM 1' }],
		['RIG (CAM 1)', { name: 'RIG (CAM 1)' }],
		['RIG (CAM:1)', { name: 'RIG (CAM:1)' }],
		['10.0.0.7:5961', { url: '10.0.0.7:5961' }],
		['rig.local:5961', { url: 'rig.local:5961' }],
	])('%s is looked for as %j', (source, input) => {
		expect(ndiInputOf(source, network)).toEqual(input);
	});

	test('is asked for where the configuration says', () => {
		expect(ndiInputOf('CAM 1', { groups: 'studio', extraIps: ['10.0.0.7', '10.0.0.8'] })).toEqual({
			name: 'CAM 1',
			groups: 'studio',
			extraIps: '10.0.0.7,10.0.0.8',
		});
	});
});

describe('a relay', () => {
	test('of nothing says how to name a source', async () => {
		await expect(run({})).rejects.toMatchObject({ code: 'ERR_CONFIG', message: expect.stringContaining('--in') });
	});

	test('does not give two streams one name', async () => {
		await expect(
			run({
				channels: [
					{ in: 'A', out: 'P' },
					{ in: 'B', out: 'P' },
				],
			}),
		).rejects.toMatchObject({
			code: 'ERR_CONFIG',
			message: 'Two channels are called P. Give each an out of its own.',
		});
	});
});
