import { expect, test, vi } from 'vitest';
import type { FleetOpen } from '../../sidecar/config/schema/fleet.ts';
import type { ModelManifest } from '../../sidecar/config/schema/manifest.ts';
import type { EngineHandle, EngineListener, EngineSettings } from '../../sidecar/engine/engine-process.ts';
import { FleetLine } from '../../sidecar/fleet/fleet-line.ts';
import { LinkMeter } from '../../sidecar/fleet/link-meter.ts';
import { decodeMessage, encodeMessage } from '../../sidecar/fleet/messages.ts';
import type { Bus, Received } from '../../sidecar/fleet/nats.ts';
import { ServedLine } from '../../sidecar/fleet/served-line.ts';
import { lineSubjects } from '../../sidecar/fleet/subjects.ts';
import { nowUs } from '../../sidecar/frame/clock.ts';
import { pictureByteLength, rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import { loadNative } from '../../sidecar/native.ts';
import type { Condition, Parameters } from '../../sidecar/parameters.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { frameOf, parametersOf } from '../support/frames.ts';
import { ToWorker } from '../../sidecar/config/schema/fleet.ts';

// Paintings that show a style, on their way to a worker: both ends, with what they say in between.

setLog({ level: 'silent' });

const PAINTED = { width: 64, height: 32 };
const LAYOUT = rgbLayout(PAINTED);
const folderOf = (family: ModelManifest['family']) =>
	({
		manifest: { name: 'x', family, graphs: { te_text: { outputs: [] } }, textEncoder: {} },
	}) as unknown as ModelFolder;

/** Bytes that lie at the painted size already, so that they are known again. */
const shows = (id: string, value: number): Condition => ({
	prompt: id,
	weight: 1,
	reference: { id, picture: { ...LAYOUT, data: new Uint8Array(pictureByteLength(LAYOUT)).fill(value) } },
});
const styled = (...conditioning: Condition[]): Parameters => ({ ...parametersOf(), conditioning });

/** What passes between the two ends, heard at once. */
const openBus = () => {
	const heard = new Map<string, (message: Received) => void>();
	const said: { subject: string; data: Uint8Array }[] = [];
	const bus: Bus = {
		payloadMax: 1e6,
		isConnected: true,
		onLost: () => () => {},
		publish: (subject, data) => {
			said.push({ subject, data });
			heard.get(subject)?.({ data, isNobody: false, respond: () => {} });
		},
		subscribe: async (subject, hear) => {
			heard.set(subject, hear);
			return () => void heard.delete(subject);
		},
		request: async () => undefined,
		requestAll: async () => [],
	};
	const types = () => said.flatMap(({ subject, data }) => (subject === TO_WORKER ? [headOf(data).type] : []));
	return { bus, said, types };
};
const TO_WORKER = lineSubjects('line').in;
const headOf = (data: Uint8Array) => decodeMessage(ToWorker, data, 'It').head;

const LEASES = {
	ttlMs: 3000,
	create: async () => 1,
	update: async () => 1,
	delete: async () => {},
	get: async () => undefined,
};

/** A line whose frames are painted with what the worker's engine is given. */
const open = async (first: Parameters, family: ModelManifest['family'] = 'causal-dit') => {
	const { bus, types } = openBus();
	const given: Parameters[] = [];
	let begun: EngineSettings | undefined;
	const engine: EngineHandle = {
		pid: 1,
		send: (_frame, _data, parameters) => void given.push(parameters),
		end: () => {},
		taken: () => {},
		stop: async () => {},
		kill: async () => {},
	};
	const engines = {
		start: (settings: EngineSettings, listener: EngineListener) => {
			begun = settings;
			for (let i = 0; i < 12; i++) listener.pull();
			return engine;
		},
	};
	const native = loadNative();
	const gone: Error[] = [];
	let served: ServedLine | undefined;
	const line = new FleetLine(
		{
			bus,
			leases: LEASES,
			native,
			url: 'nats://test',
			deadlineMs: 300,
			nowUs,
			newName: () => 'line',
			place: async (request, listen) => {
				const asked = JSON.parse(JSON.stringify({ ...request, line: await listen() })) as FleetOpen;
				served = await ServedLine.open(asked, folderOf(family), {
					bus,
					leases: LEASES,
					engines,
					native,
					nowUs,
					worker: 'w',
					provider: 'cpu',
					paintedBeside: PAINTED,
					count: () => {},
					onOver: () => {},
				});
				return 'w';
			},
		},
		{
			name: 'stream',
			link: new LinkMeter(),
			numbers: {
				worker: undefined,
				roundTripMs: undefined,
				framesLate: 0,
				placements: 0,
				encoding: 'nv12',
				linkBitsPerSecond: undefined,
			},
		},
		{
			folder: folderOf(family),
			painted: PAINTED,
			fit: 'cover',
			batchDeadlineMs: Infinity,
			inFlightMax: 8,
			parameters: first,
		} as unknown as EngineSettings,
		{ ready: () => {}, pull: () => {}, answer: () => {}, gone: (error) => void gone.push(error) },
	);
	await vi.waitFor(() => expect(served).toBeDefined());
	const source: Picture = { ...LAYOUT, data: new Uint8Array(pictureByteLength(LAYOUT)) };
	let sequence = 0;
	return {
		bus,
		types,
		gone,
		begun: () => begun!,
		async paint(parameters: Parameters): Promise<Parameters> {
			const { data, ...layout } = source;
			const count = given.length;
			line.send({ ...frameOf(sequence++), layout }, data, parameters);
			await vi.waitFor(() => expect(given.length + gone.length).toBeGreaterThan(count));
			return given.at(-1)!;
		},
		async [Symbol.asyncDispose]() {
			await line.stop();
			await served?.close();
		},
	};
};

test('they come with their pixels, once for as long as they are in use', async () => {
	const a = styled(shows('a', 10));
	await using line = await open(a);
	// Nothing is painted before the first frame, which brings them.
	expect(line.begun().parameters.conditioning).toEqual([{ prompt: 'a', weight: 1 }]);
	expect(await line.paint(a)).toEqual(a);
	expect(await line.paint(a)).toEqual(a);
	const both = styled({ ...shows('a', 10), weight: 0.5 }, { ...shows('b', 20), weight: 0.5 });
	expect(await line.paint(both)).toEqual(both);
	expect(await line.paint(styled(shows('b', 20)))).toEqual(styled(shows('b', 20)));
	expect(line.types().filter((type) => type === 'reference')).toHaveLength(2);
	expect(await line.paint(a)).toEqual(a);
	expect(line.types().filter((type) => type === 'reference')).toHaveLength(3);
	expect(line.gone).toEqual([]);
});

test('none goes to a model that is told by words alone', async () => {
	const shown = styled(shows('a', 10));
	await using line = await open(shown, 'edit-unet');
	const given = await line.paint(styled(shows('a', 10), shows('b', 20)));
	expect(given.conditioning).toEqual([
		{ prompt: 'a', weight: 1 },
		{ prompt: 'b', weight: 1 },
	]);
	expect(line.types()).not.toContain('reference');
});

test.each([
	['of another size', [encodeMessage({ type: 'reference', id: 'a' }, new Uint8Array(5))], 'has 5 bytes, expected 6144'],
	[
		'that did not come',
		[frameMessage([{ prompt: 'a', weight: 1, reference: 'a' }])],
		'A reference is named that did not come.',
	],
	[
		'without end',
		Array.from({ length: 33 }, (_, i) =>
			encodeMessage({ type: 'reference', id: `r${i}` }, new Uint8Array(pictureByteLength(LAYOUT))),
		),
		'More than 32 references came',
	],
	['with a name that is none', [encodeMessage({ type: 'reference', id: '../a' })], 'expected 1 to 128 letters'],
] as const)('the worker gives up a line that sends one %s', async (_, messages, reason) => {
	await using line = await open(styled({ prompt: 'a', weight: 1 }));
	await line.paint(styled({ prompt: 'a', weight: 1 }));
	for (const message of messages) line.bus.publish(TO_WORKER, message);
	await vi.waitFor(() => expect(line.gone).toHaveLength(1));
	expect(line.gone[0]).toMatchObject({ code: 'ERR_FLEET', message: expect.stringContaining(reason) });
});

function frameMessage(conditioning: FleetOpen['parameters']['conditioning']): Uint8Array {
	const frame = { sequence: 9, capturedUs: 0, timestampUs: 0, durationUs: 0, encoding: 'nv12' };
	const data = new Uint8Array((PAINTED.width * PAINTED.height * 3) / 2);
	return encodeMessage({ type: 'frame', lease: 1, ...frame, parameters: { ...parametersOf(), conditioning } }, data);
}
