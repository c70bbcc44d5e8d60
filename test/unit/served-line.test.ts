import { expect, test, vi } from 'vitest';
import type { FleetOpen } from '../../sidecar/config/schema/fleet.ts';
import type { EngineListener } from '../../sidecar/engine/engine-process.ts';
import { encodeMessage } from '../../sidecar/fleet/messages.ts';
import type { Bus, Received } from '../../sidecar/fleet/nats.ts';
import { wireBytes } from '../../sidecar/fleet/pictures.ts';
import { ServedLine, type ServedLineSettings } from '../../sidecar/fleet/served-line.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { pictureByteLength, rgbLayout } from '../../sidecar/frame/frame.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { loadNative } from '../../sidecar/native.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { parametersOf } from '../support/frames.ts';

setLog({ level: 'silent' });

const PAINTED = { width: 64, height: 64 };

/** A line whose sidecar, and whose engine, is the test. */
const openLine = async (more: Partial<ServedLineSettings>) => {
	let hear: (message: Received) => void = () => {};
	let lose = () => {};
	const told = vi.fn<Bus['publish']>();
	const bus: Bus = {
		payloadMax: 1e6,
		isConnected: true,
		onLost: (callback) => ((lose = callback), () => {}),
		publish: told,
		subscribe: async (_, callback) => ((hear = callback), () => {}),
		request: async () => undefined,
		requestAll: async () => [],
	};
	const stop = vi.fn(async () => {});
	const engine = { pid: 1, send: () => {}, end: () => {}, taken: vi.fn(), stop, kill: stop };
	let listener: EngineListener | undefined;
	const request = { stream: 's', line: 'l', painted: PAINTED, parameters: parametersOf() };
	const manifest = { graphs: { te_text: { outputs: [] } }, textEncoder: {} };
	const line = await ServedLine.open(request as unknown as FleetOpen, { manifest } as unknown as ModelFolder, {
		bus,
		leases: {
			ttlMs: 3000,
			create: async () => 1,
			update: async () => 1,
			delete: async () => {},
			get: async () => undefined,
		},
		engines: { start: (_, hears) => ((listener = hears), engine) },
		native: loadNative(),
		nowUs,
		worker: 'w',
		provider: 'cpu',
		paintedBeside: PAINTED,
		count: () => {},
		onOver: () => {},
		...more,
	});
	const say = (head: object) => hear({ data: encodeMessage(head), isNobody: false, respond: () => {} });
	say({ type: 'lease' });
	await vi.waitFor(() => expect(told).toHaveBeenCalled());
	return { line, told, lose: () => lose(), say, engine, listener: listener!, stop };
};

test('a line whose connection was lost is over at once, though the table of leases does not answer', async () => {
	const onOver = vi.fn();
	const release = vi.fn(() => new Promise<void>(() => {}));
	const leases = { ttlMs: 3000, create: async () => 1, update: async () => 1, get: async () => undefined };
	const { lose, stop } = await openLine({ leases: { ...leases, delete: release }, onOver });
	lose();
	await vi.waitFor(() => expect(onOver).toHaveBeenCalledTimes(1));
	expect(release).toHaveBeenCalledTimes(1);
	expect(stop).toHaveBeenCalledTimes(1);
});

test('a painting stays as it is until the sidecar took it', async () => {
	const { line, told, say, engine, listener } = await openLine({});
	const levelOf = (sequence: number) => 20 + 10 * sequence;
	const answers = () => told.mock.calls.map(([, message]) => message).slice(1);
	const paint = async (sequence: number) => {
		const layout = rgbLayout(PAINTED);
		const picture = { ...layout, data: new Uint8Array(pictureByteLength(layout)).fill(levelOf(sequence)) };
		const times = { sequence, capturedUs: 0, timestampUs: 0, durationUs: 0 };
		const answer = { ...times, epoch: 0, kind: 'painting', isReused: false } as const;
		listener.answer(answer, { source: picture, picture }, { stages: [], batches: [] });
		await vi.waitFor(() => expect(answers()).toHaveLength(sequence + 1));
	};
	for (const sequence of [0, 1, 2]) await paint(sequence);
	say({ type: 'taken' });
	await vi.waitFor(() => expect(engine.taken).toHaveBeenCalled());
	await paint(3);
	await paint(4);
	const levels = answers().map((message) => message.at(-wireBytes(PAINTED)));
	expect(levels).toEqual([3, 1, 2, 3, 4].map(levelOf));
	await line.close();
});
