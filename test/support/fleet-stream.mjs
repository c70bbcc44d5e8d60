// The sidecar's end of the built fleet: frames of one grey each at a steady rate, painted by a supervised engine.
import { randomBytes } from 'node:crypto';
import { SupervisedEngine } from '../../dist/engine/supervised-engine.js';
import { FleetEngines } from '../../dist/fleet/fleet-engines.js';
import { NatsBus } from '../../dist/fleet/nats.js';
import { nowUs } from '../../dist/frame/clock.js';
import { pictureByteLength, rgbLayout } from '../../dist/frame/frame.js';
import { FrameRing } from '../../dist/frame/ring.js';
import { loadNative } from '../../dist/native.js';
import { setLog } from '../../dist/telemetry/logger.js';

setLog({ level: process.env.FLEET_LOG ?? 'silent' });

export { NatsBus, nowUs };

export const PAINTED = { width: 64, height: 64 };
/** Of a fleet that has no model to look into. */
const FOLDER = { path: '', manifest: { name: 'lite', graphs: {}, textEncoder: { tokenizerSha256: 'a'.repeat(64) } } };

export const openFleet = async (url, { deadlineMs = 300, access = {} } = {}) => {
	const bus = await NatsBus.connect({ url, server: url.replace('nats://', ''), ...access });
	const leases = await bus.leases();
	const engines = new FleetEngines({ bus, leases, native: loadNative(), url, deadlineMs, nowUs, random: Math.random });
	return { bus, leases, engines, [Symbol.asyncDispose]: () => bus[Symbol.asyncDispose]() };
};

export const levelOf = (sequence) => 20 + (sequence % 200);

export const openStreamWith = (
	fleet,
	first,
	show,
	{
		fps = 40,
		painted = PAINTED,
		keepsAll = false,
		frames = Infinity,
		folder = FOLDER,
		stuckAfterUs = 5_000_000,
		isGrainy = false,
	} = {},
) => {
	const layout = rgbLayout(painted);
	const ring = new FrameRing({
		slotCount: 8,
		slotBytes: pictureByteLength(layout),
		mode: keepsAll ? 'wait' : 'newest-wins',
		waitingMax: 1,
	});
	const grain = randomBytes(isGrainy ? Math.floor(pictureByteLength(layout) / 3) : 0);
	let parameters = first;
	const timers = new Set();
	const timer = (made) => (timers.add(made), () => (clearTimeout(made), void timers.delete(made)));
	const engine = new SupervisedEngine({
		start: (listener, how) =>
			fleet.engines.start(
				{
					folder,
					provider: 'cpu',
					precision: 'fp32',
					painted,
					fit: 'stretch',
					batchDeadlineMs: keepsAll ? Infinity : 100,
					parameters: how.parameters,
					logLevel: 'silent',
					frameBytes: pictureByteLength(layout),
					inFlightMax: 4,
					stream: ring,
				},
				listener,
			),
		hasFallback: false,
		ring,
		parametersNow: () => parameters,
		batchSize: 1,
		keepsAll,
		limits: { staleAfterUs: 1_000_000, stuckAfterUs },
		observer: { stage: () => {}, batch: () => {} },
		nowUs,
		every: (us, work) => timer(setInterval(() => work(), us / 1000)),
		after: (us, work) => timer(setTimeout(() => work(), us / 1000)),
	});
	const stop = new AbortController();
	const offering = (async () => {
		for (let sequence = 0; sequence < frames && !stop.signal.aborted; sequence++) {
			const slot = await ring.acquire(stop.signal);
			if (slot === undefined) return;
			ring.bytes(slot).fill(levelOf(sequence));
			ring.bytes(slot).set(grain, grain.length);
			const timestampUs = Math.round((1e6 * sequence) / fps);
			ring.offer({ sequence, slot, capturedUs: nowUs(), timestampUs, durationUs: 0, layout });
			if (!keepsAll) await new Promise((resolve) => setTimeout(resolve, 1000 / fps));
		}
		ring.close();
	})();
	const painting = (async () => {
		for await (const { sequence, kind, epoch, source, picture, capturedUs } of engine.paint(ring.frames(stop.signal))) {
			const atUs = nowUs();
			const [level, mark] = [picture.data[0], picture.data.at(-1)];
			show({ sequence, kind, epoch, source: source.data[0], level, mark, atUs, ageUs: atUs - capturedUs });
		}
	})();
	return {
		engine,
		painting,
		remote: () => fleet.engines.remote?.(ring),
		change: (to) => (parameters = to),
		[Symbol.asyncDispose]: async () => {
			stop.abort();
			ring.close();
			await engine[Symbol.asyncDispose]();
			for (const made of timers) clearTimeout(made);
			await offering; // frames that were in the engine are never answered
		},
	};
};
