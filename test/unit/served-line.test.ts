import { expect, test, vi } from 'vitest';
import type { FleetOpen } from '../../sidecar/config/schema.ts';
import { encodeMessage } from '../../sidecar/fleet/messages.ts';
import type { Bus, Received } from '../../sidecar/fleet/nats.ts';
import { ServedLine } from '../../sidecar/fleet/served-line.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { parametersOf } from '../support/frames.ts';

setLog({ level: 'silent' });

test('a line whose connection was lost is over at once, though the table of leases does not answer', async () => {
	let hear: (message: Received) => void = () => {};
	let lose = () => {};
	const told = vi.fn();
	const bus: Bus = {
		payloadMax: 1e6,
		isConnected: true,
		onLost: (callback) => ((lose = callback), () => {}),
		publish: told,
		subscribe: async (_, callback) => ((hear = callback), () => {}),
		request: async () => undefined,
		requestAll: async () => [],
	};
	const onOver = vi.fn();
	const stop = vi.fn(async () => {});
	const engine = { pid: 1, send: () => {}, end: () => {}, taken: () => {}, stop, kill: stop };
	const release = vi.fn(() => new Promise<void>(() => {}));
	const request = { stream: 's', line: 'l', painted: { width: 64, height: 64 }, parameters: parametersOf() };
	const manifest = { graphs: { te_text: { outputs: [] } }, textEncoder: {} };
	await ServedLine.open(request as unknown as FleetOpen, { manifest } as unknown as ModelFolder, {
		bus,
		leases: { ttlMs: 3000, create: async () => 1, update: async () => 1, delete: release, get: async () => undefined },
		engines: { start: () => engine },
		native: { convert: async () => {}, encodeJpeg: async () => new Uint8Array(), decodeJpeg: async () => {} },
		nowUs,
		worker: 'w',
		provider: 'cpu',
		paintedBeside: { width: 64, height: 64 },
		count: () => {},
		onOver,
	});
	hear({ data: encodeMessage({ type: 'lease' }), isNobody: false, respond: () => {} });
	await vi.waitFor(() => expect(told).toHaveBeenCalled());
	lose();
	await vi.waitFor(() => expect(onOver).toHaveBeenCalledTimes(1));
	expect(release).toHaveBeenCalledTimes(1);
	expect(stop).toHaveBeenCalledTimes(1);
});
