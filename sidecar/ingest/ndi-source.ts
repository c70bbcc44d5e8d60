import type { FrameRing } from '../frame/ring.ts';
import { NdiReceiver, openNdi, type NdiFormat, type NdiFrame, type NdiInput } from '../ndi.ts';
import { log } from '../telemetry/logger.ts';
import { slotByteLength, type FrameSource, type SourceEnd, type SourceInfo } from './frame-source.ts';

/** A receiver, or the side of a relay that the painter sees. */
export interface NdiIntake {
	open(timeoutMs: number): Promise<NdiFormat | undefined>;
	next(target: Uint8Array): Promise<NdiFrame | undefined>;
}

interface NdiNetwork {
	runtimePath?: string;
	groups?: string;
	extraIps: readonly string[];
}

const LOOK_MS = 500;

/** Stands for a source that never came. */
const NONE: NdiFormat = {
	layout: { format: 'UYVY', width: 512, height: 288, matrix: 'bt601', range: 'limited' },
	frameRate: { num: 30, den: 1 },
	aspect: 16 / 9,
	isInterlaced: false,
	hasAlpha: false,
	hasAudio: false,
};

/** Where a source is to be found: an address ends in a port, a name in anything else. */
export const ndiInputOf = (source: string, { groups, extraIps }: NdiNetwork): NdiInput => ({
	...(/^[^\s()]+:\d{1,5}$/.test(source) ? { url: source } : { name: source }),
	...(groups !== undefined && { groups }),
	...(extraIps.length > 0 && { extraIps: extraIps.join(',') }),
});

/** A source of NDI by itself, received for as long as what this gives. Errors: ERR_NDI. */
export const openNdiSource = async (
	name: string,
	{ network, signal }: { network: NdiNetwork; signal: AbortSignal },
): Promise<FrameSource> => {
	openNdi(network);
	const receiver = new NdiReceiver(ndiInputOf(name, network));
	try {
		const source = await NdiSource.open(receiver, { name, signal });
		return {
			info: source.info,
			run: (ring, stopping) => source.run(ring, stopping),
			[Symbol.asyncDispose]: async () => receiver.close(),
		};
	} catch (error) {
		receiver.close();
		throw error;
	}
};

/**
 * Frames of an NDI source, waited for as long as it takes. Several runs may follow each other on one intake, which is
 * the caller's to close. Errors: ERR_NDI.
 */
export class NdiSource implements FrameSource {
	readonly info: SourceInfo;
	readonly #intake: NdiIntake;
	readonly #pixels: Uint8Array;
	/** What was asked of the intake and not yet given: outlives a run, as only its close would end it. */
	#next: Promise<NdiFrame | undefined> | undefined;

	static async open(intake: NdiIntake, { name, signal }: { name: string; signal: AbortSignal }): Promise<NdiSource> {
		log.info({ source: name }, 'waiting for the NDI source');
		let format: NdiFormat | undefined;
		while (!format && !signal.aborted) format = await intake.open(LOOK_MS);
		return new NdiSource(intake, name, format ?? NONE);
	}

	private constructor(intake: NdiIntake, name: string, { layout, frameRate, hasAlpha }: NdiFormat) {
		this.#intake = intake;
		this.info = {
			name: `ndi:${name}`,
			layout,
			frameRate,
			durationUs: 0,
			isLive: true,
			...(hasAlpha && { hasAlpha }),
		};
		this.#pixels = new Uint8Array(slotByteLength(this.info));
	}

	async run(ring: FrameRing, signal: AbortSignal): Promise<SourceEnd> {
		const { layout, frameRate } = this.info;
		const durationUs = Math.round((1e6 * frameRate.den) / frameRate.num);
		let framesRead = 0;
		let firstUs: number | undefined;
		while (!signal.aborted) {
			this.#next ??= this.#intake.next(this.#pixels);
			const frame = await orAborted(this.#next, signal);
			if (!frame) break;
			const slot = await ring.acquire(signal);
			if (slot === undefined) break;
			ring.bytes(slot).set(this.#pixels);
			this.#next = undefined;
			const { sequence, capturedUs } = frame;
			firstUs ??= capturedUs;
			ring.offer({ sequence, slot, capturedUs, timestampUs: capturedUs - firstUs, durationUs, layout });
			framesRead++;
		}
		return { framesRead, warnings: [] };
	}

	async [Symbol.asyncDispose](): Promise<void> {}
}

/**
 * What `work` gives, or undefined once the signal aborts. No race with a promise of the whole run: that keeps what it
 * raced against, 800 bytes a frame.
 */
const orAborted = <Value>(work: Promise<Value>, signal: AbortSignal): Promise<Value | undefined> =>
	new Promise((resolve, reject) => {
		const stop = () => resolve(undefined);
		signal.addEventListener('abort', stop, { once: true });
		void work.then(resolve, reject).then(() => signal.removeEventListener('abort', stop));
	});
