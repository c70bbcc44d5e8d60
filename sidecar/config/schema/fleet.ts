import { GraphRoleName, StageName } from './commands.ts';
import { kebabName, seedField, sha256 } from './fields.ts';
import { pictureSide } from './recording.ts';
import { Tuning } from './tuning.ts';
import { z } from './zod.ts';

/** Raised with every change after which a worker and a sidecar do not understand each other any more. */
export const FLEET_PROTOCOL = 4;

/** How a picture crosses the network. */
export const WireEncoding = z.enum(['nv12', 'jpeg']);
export type WireEncoding = z.infer<typeof WireEncoding>;

export const fleetId = z.string().regex(/^[A-Za-z0-9_-]{1,64}$/, 'expected 1 to 64 letters, digits, _ or -');
const monotonicUs = z.number().min(0).max(Number.MAX_SAFE_INTEGER);
const fleetSize = z.strictObject({ width: pictureSide, height: pictureSide });
const fleetModel = z.strictObject({ name: kebabName, sha256 });
/** Long enough for a model's folder and a graph's shapes. */
const fleetText = z.string().max(4000);
const leaseNumber = z.int().min(1);

const referenceId = z.string().regex(/^[A-Za-z0-9_.:-]{1,128}$/, 'expected 1 to 128 letters, digits, _ . : or -');

/** Of parameters.ts, from another machine. The pixels of a reference come before, in a message of their own. */
const FleetParameters = z.strictObject({
	epoch: z.int().min(0),
	style: z.string().min(1).max(256),
	conditioning: z
		.array(
			z.strictObject({
				prompt: z.string().max(500),
				weight: z.number().min(0).max(2),
				reference: referenceId.exactOptional(),
			}),
		)
		.max(32),
	seed: seedField,
	tuning: Tuning,
});

const frameTimes = {
	sequence: z.int().min(0),
	capturedUs: z.number(),
	timestampUs: z.number(),
	durationUs: z.number(),
};

/** Who can paint this? To all workers. */
export const FleetOffer = z.strictObject({ protocol: z.int(), model: fleetModel, painted: fleetSize });
export type FleetOffer = z.infer<typeof FleetOffer>;

const Refusal = z.enum(['full', 'draining', 'model', 'protocol', 'request']);

/** What a worker says of itself. Loose: a newer one may say more. */
export const FleetBid = z.object({
	protocol: z.int(),
	worker: fleetId,
	host: z.string().max(253),
	/** Absent: it can. */
	refuses: Refusal.exactOptional(),
	/** Painted pixels a second: what it has measured that it can do, and what it does. */
	capacity: z.number().min(0),
	load: z.number().min(0),
	lines: z.int().min(0),
	linesMax: z.int().min(0),
});
export type FleetBid = z.infer<typeof FleetBid>;

/** A line at one worker. */
export const FleetOpen = z.strictObject({
	protocol: z.int(),
	stream: fleetId,
	line: fleetId,
	model: fleetModel,
	painted: fleetSize,
	/** Null: every frame is painted, and the batcher waits for whole batches. */
	batchDeadlineMs: z.number().min(0).max(60_000).nullable(),
	/** As many slots as a ring may have, but for the one that is being written. */
	inFlightMax: z.int().min(1).max(63),
	parameters: FleetParameters,
});
export type FleetOpen = z.infer<typeof FleetOpen>;

export const FleetOpened = z.union([
	z.object({ isOpen: z.literal(true), worker: fleetId }),
	z.object({ isOpen: z.literal(false), refuses: Refusal, message: fleetText }),
]);
export type FleetOpened = z.infer<typeof FleetOpened>;

const fleetTimes = z.object({ p50: z.number().min(0), p95: z.number().min(0) });

/** What a worker is doing. Loose: a newer one may say more. */
export const FleetStatus = z.object({
	protocol: z.int(),
	version: z.string().max(64),
	worker: fleetId,
	host: z.string().max(253),
	isDraining: z.boolean(),
	capacity: z.number().min(0),
	load: z.number().min(0),
	linesMax: z.int().min(0),
	lines: z
		.array(
			z.object({
				stream: fleetId,
				line: fleetId,
				painted: fleetSize,
				isLeased: z.boolean(),
				/** Painted in the last seconds. */
				fps: z.number().min(0),
			}),
		)
		.max(256),
	/** Since it began. */
	framesPainted: z.int().min(0),
	framesDropped: z.int().min(0),
	leasesLost: z.int().min(0),
	/** How long its last frames were there, and how long of that they waited for others, in ms; absent before there were any. */
	frameMs: fleetTimes.exactOptional(),
	queueMs: fleetTimes.exactOptional(),
});
export type FleetStatus = z.infer<typeof FleetStatus>;

const embeddedPrompt = z.strictObject({
	/** Null is the model's neutral one. */
	prompt: z.string().max(500).nullable(),
	shape: z.array(z.int().min(1).max(65_536)).length(3),
	maskShape: z.array(z.int().min(1).max(65_536)).length(2),
});
const embeddedPrompts = z.array(embeddedPrompt).max(33);

/** What a sidecar says to the worker that has its line; what follows the words: fleet/messages.ts. */
export const ToWorker = z.discriminatedUnion('type', [
	z.strictObject({ type: z.literal('lease') }),
	z.strictObject({
		type: z.literal('frame'),
		lease: leaseNumber,
		...frameTimes,
		/** Of its picture, and of the painting that is wanted of it. */
		encoding: WireEncoding,
		/** By the worker's monotonic clock; absent where every frame is painted. */
		untilUs: z.number().exactOptional(),
		/** Where they are others than before. */
		parameters: FleetParameters.exactOptional(),
	}),
	z.strictObject({
		type: z.literal('last'),
		of: z.enum(['source', 'painting']),
		epoch: z.int().min(0),
		encoding: WireEncoding,
	}),
	z.strictObject({ type: z.literal('prompts'), prompts: embeddedPrompts }),
	/** A painting that shows a style: RGB at the painted size. */
	z.strictObject({ type: z.literal('reference'), id: referenceId }),
	z.strictObject({ type: z.literal('taken') }),
	z.strictObject({ type: z.literal('end') }),
	z.strictObject({ type: z.literal('beat'), atUs: monotonicUs }),
	z.strictObject({ type: z.literal('close') }),
	/** As `close`, because it has had frames for long and gives none. */
	z.strictObject({ type: z.literal('stuck') }),
]);
export type ToWorker = z.infer<typeof ToWorker>;

const milliseconds = z.number().min(0).max(Number.MAX_SAFE_INTEGER);

/** What a worker says to the sidecar whose line it has. */
export const FromWorker = z.discriminatedUnion('type', [
	z.strictObject({
		type: z.literal('ready'),
		provider: z.enum(['cuda', 'dml', 'coreml', 'webgpu', 'cpu']),
		int8Graphs: z.array(GraphRoleName).max(6),
	}),
	z.strictObject({ type: z.literal('pull') }),
	z.strictObject({ type: z.literal('leased'), lease: leaseNumber }),
	/** Another has it. */
	z.strictObject({ type: z.literal('leaseRefused') }),
	z.strictObject({
		type: z.literal('answer'),
		lease: leaseNumber,
		...frameTimes,
		epoch: z.int().min(0),
		kind: z.enum(['painting', 'source']),
		/** The painting before: then it is not sent again. */
		isReused: z.boolean(),
		/** Of the painting, where one is sent. */
		encoding: WireEncoding,
		/** When its frame came and when this was sent, by the worker's monotonic clock. */
		heardUs: monotonicUs,
		sentUs: monotonicUs,
		stages: z.array(z.tuple([StageName, milliseconds])).max(256),
		batches: z.array(z.strictObject({ sideMs: milliseconds, mainMs: milliseconds })).max(64),
	}),
	/** It came too late to be painted. */
	z.strictObject({ type: z.literal('dropped'), sequence: z.int().min(0), heardUs: monotonicUs }),
	z.strictObject({ type: z.literal('prompts'), prompts: embeddedPrompts }),
	z.strictObject({ type: z.literal('beat'), atUs: monotonicUs, workerUs: monotonicUs }),
	/** The worker is to be emptied: the stream should go elsewhere. */
	z.strictObject({ type: z.literal('leaving') }),
	z.strictObject({ type: z.literal('failed'), code: z.string().max(32), message: fleetText }),
]);
export type FromWorker = z.infer<typeof FromWorker>;

/** Who holds a stream, in the table of leases. */
export const FleetLease = z.object({ worker: fleetId, line: fleetId });
export type FleetLease = z.infer<typeof FleetLease>;
