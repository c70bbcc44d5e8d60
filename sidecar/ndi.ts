import type { FailurePolicy, FailureRule } from './egress/failure-policy.ts';
import { SidecarError } from './errors.ts';
import type { FrameRate, Mask, Picture, PictureLayout } from './frame/frame.ts';
import { type Fit, loadNative } from './native.ts';

/**
 * Video over NDI®, by the runtime that the user has installed (https://ndi.video); it is neither shipped nor linked.
 * Frames are captured, delayed, converted and sent by native threads, which the event loop cannot hold up.
 *
 * Lifetimes: what is made here holds the runtime; close everything that was made. A frame is released the moment it
 * has left; garbage collection has no part in it. NDI® is a registered trademark of Vizrt NDI AB.
 */

export interface NdiRuntime {
	/** The library that was loaded. */
	path: string;
	/** As the runtime writes it, such as "NDI SDK LINUX ... 6.3.2.0". */
	version: string;
	/** Whether viewers can be handed to the source when the relay dies. */
	hasFailover: boolean;
}

export interface NdiSource {
	/** "MACHINE (NAME)". */
	name: string;
	/** "10.0.0.7:5961". */
	url: string;
}

/** Where frames come from: by `url`, or by `name`, which is looked for as long as it takes. */
export interface NdiInput {
	/** "MACHINE (NAME)", or NAME alone where one machine has it. */
	name?: string;
	url?: string;
	/** Comma-separated; "public" where none is said. */
	groups?: string;
	/**
	 * Addresses that are asked besides mDNS, comma-separated. One answers for one process of that machine: where
	 * several have sources and there is no mDNS, `url` is the way.
	 */
	extraIps?: string;
	/** What the source's side shows as the name of this receiver. */
	receiverName?: string;
	/** Interlaced sources: both fields woven into one frame (true, the default), or deinterlaced by the runtime. */
	fields?: boolean;
}

/** What the first frame says. All frames are given in its layout: a source that changes its size is scaled. */
export interface NdiFormat {
	/** Always UYVY of limited range; alpha lies behind it. */
	layout: PictureLayout;
	frameRate: FrameRate;
	/** Width to height of the shown picture. */
	aspect: number;
	isInterlaced: boolean;
	hasAlpha: boolean;
	/** Whether sound has come before the first frame. */
	hasAudio: boolean;
}

/** A frame whose pixels were copied to the caller's target. */
export interface NdiFrame {
	/** Counts the frames that came in, from 0, over reconnections too. */
	sequence: number;
	/** Frames since the one that `next` gave before, and never given by it. */
	missed: number;
	/** When it came in, on the clock of frame/clock.ts. */
	capturedUs: number;
	/** The source's own, in 100 ns. */
	timecode: bigint;
	layout: PictureLayout;
}

/** `waiting`: never had a frame. `stale`: none for 8 s, though the receiver was made anew. */
export type NdiInputState = 'waiting' | 'receiving' | 'stale';

export interface NdiReceiverState {
	inputState: NdiInputState;
	/** Whole frames that came in; two fields are one. */
	framesIn: number;
	/** Frames that came in and were no good: of nonsense sizes, unknown pixels, or more than there is memory for. */
	framesDropped: number;
	/** Why the last of them was dropped. */
	dropReason: string | undefined;
	/** Since the last frame came in; undefined before there is one. */
	frameAgeMs: number | undefined;
	audioFrames: number;
	metadataIn: number;
	/** The ladder that is climbed while no frame comes: connected again after 1 s, */
	reconnects: number;
	/** made anew after 3 s. */
	receiverRestarts: number;
	/** Frames of memory in use. */
	poolUsed: number;
	/** The address that frames are asked from; undefined while no source has the name. */
	url: string | undefined;
}

export interface NdiTally {
	onProgram: boolean;
	onPreview: boolean;
}

export interface NdiSenderState {
	connections: number;
	tally: NdiTally;
	framesSent: number;
	/** Frames that the runtime was too slow for. */
	framesDropped: number;
	/** Metadata that came from viewers. */
	metadataIn: number;
	/** "MACHINE (NAME)", as it is found. */
	sourceName: string;
}

export interface NdiRelayOutput {
	name: string;
	groups?: string;
	/** Under `passthrough`, and only then: viewers go to the source by themselves when the relay dies. */
	failover: boolean;
}

export interface NdiRelayOptions {
	input: NdiInput;
	output: NdiRelayOutput;
	/** How a frame is fitted into the painted size; a painting goes back where it came from. */
	fit: Fit;
	/** RGB, for panic and failures. Shown over the whole picture. */
	slate: Picture;
	failure: FailurePolicy;
	/** How long `hold` keeps a painting from when it first left; at most a day. */
	holdMs: number | 'forever';
	/** What is shown then, until there is a painting. */
	afterHold: FailureRule['afterHold'];
	/** How long after the last painting the failure policy sets in. */
	staleAfterMs: number;
	/** From a frame's arrival to its leaving: fixed, or measured from the painter ('auto', at most 1 s). */
	delayMs: number | 'auto';
	/** No frame is given to the painter while nobody watches. */
	onlyWhenWatched: boolean;
	/** Whether the source's alpha rides on the painting; else it is left out. */
	alpha: boolean;
}

/** Of the last frame that left. */
export type NdiShown = 'nothing' | 'painting' | 'source' | 'hold' | 'slate' | 'direct';

export interface NdiRelayState extends NdiReceiverState {
	connections: number;
	tally: NdiTally;
	/** What each frame that left was: one of these four. Direct frames count as passed. */
	framesPainted: number;
	framesPassed: number;
	framesHeld: number;
	framesSlate: number;
	/** Of the painted ones: those that showed a painting again. */
	framesRepeated: number;
	/** Sent while the source gave none, so that viewers stay; not among the above. */
	framesFilled: number;
	/** Left more than a frame's duration after they were due. */
	framesLate: number;
	/** Since the last frame left; a watchdog is to be fed only while this is small. Undefined before there is one. */
	sentAgeMs: number | undefined;
	/** Since the painter handed the last painting over; undefined before there is one. */
	paintedAgeMs: number | undefined;
	delayMs: number;
	metadataOut: number;
	shown: NdiShown;
	/** From capture to hand-over; in direct mode, from capture until the frame was with the runtime. */
	latencyMs: { p50: number; p95: number; p99: number } | undefined;
	sourceName: string;
	/** Whether viewers go to the source by themselves should this process die. */
	isFailoverSet: boolean;
}

/** What the addon has for NDI; its errors have codes that start with NDI_. */
interface NdiAddon {
	ndiOpen(runtimePath: string): NdiRuntime;
	ndiFindSources(groups: string, extraIps: string, waitMs: number): Promise<NdiSource[]>;
	NdiReceiver: new (input: NdiInput) => NativeReceiver;
	NdiSender: new (options: NdiSenderOptions) => NativeSender;
	NdiRelay: new (options: NdiRelayOptions) => NativeRelay;
	notifySystemd(state: string): boolean;
}

interface NativeIntake {
	open(timeoutMs: number): Promise<NdiFormat | undefined>;
	next(target: Uint8Array): Promise<NdiFrame | undefined>;
	close(): void;
}

interface NativeReceiver extends NativeIntake {
	state(): NdiReceiverState;
}

interface NativeSender {
	send(picture: Picture, timecode: bigint | undefined): void;
	state(): NdiSenderState;
	close(): void;
}

interface NativeRelay extends NativeIntake {
	painted(sequence: number, picture: Picture, mask: Mask | undefined): void;
	setDirect(on: boolean): void;
	setPanic(on: boolean): void;
	setFailure(policy: FailurePolicy): void;
	setStaleAfterMs(ms: number): void;
	state(): NdiRelayState;
}

/** A wrong argument stays the TypeError that it is. */
const asSidecarError = (error: unknown): unknown => {
	if (!(error instanceof Error && 'code' in error && String(error.code).startsWith('NDI_'))) return error;
	return new SidecarError('ERR_NDI', error.message, { cause: error });
};

const rethrowing = <Result>(work: () => Result): Result => {
	try {
		return work();
	} catch (error) {
		throw asSidecarError(error);
	}
};

const addon = (): NdiAddon => loadNative() as unknown as NdiAddon;

/**
 * Loads the runtime once a process: from `runtimePath` (the library, or a folder that has it), NDI_RUNTIME_DIR_V6,
 * NDI_RUNTIME_DIR_V5, the places where installers put it, and wherever the system's loader looks; the later calls of a
 * process give what the first one loaded. Versions 5 and 6 are welcome. Errors: ERR_NDI, with what to do.
 */
export const openNdi = ({ runtimePath }: { runtimePath?: string } = {}): NdiRuntime =>
	rethrowing(() => addon().ndiOpen(runtimePath ?? ''));

/** Sources that were seen within `waitMs`. mDNS needs a running avahi-daemon; `extraIps` do not. Errors: ERR_NDI. */
export const findNdiSources = async ({
	groups = '',
	extraIps = '',
	waitMs,
}: {
	groups?: string;
	extraIps?: string;
	waitMs: number;
}): Promise<NdiSource[]> => {
	try {
		return await addon().ndiFindSources(groups, extraIps, waitMs);
	} catch (error) {
		throw asSidecarError(error);
	}
};

/** Receives one source. Frames that nobody asked for are left out: newest wins. */
class Intake<Native extends NativeIntake> {
	protected readonly native: Native;

	constructor(native: Native) {
		this.native = native;
	}

	/** Waits for the first frame; undefined when none came in time or this was closed. Errors: ERR_NDI. */
	async open(timeoutMs: number): Promise<NdiFormat | undefined> {
		try {
			return await this.native.open(timeoutMs);
		} catch (error) {
			throw asSidecarError(error);
		}
	}

	/**
	 * Waits for a frame newer than the last one and copies it to `target`, in the layout that `open` gave, and its alpha
	 * behind that where the target has room for a byte a pixel (255 where it has none); on a native thread, so `target` is
	 * to be left alone until then. Undefined when this was closed. One call at a time, after
	 * `open` has given a format. Errors: ERR_NDI, TypeError.
	 */
	async next(target: Uint8Array): Promise<NdiFrame | undefined> {
		try {
			return await this.native.next(target);
		} catch (error) {
			throw asSidecarError(error);
		}
	}

	/** Ends the threads; a call under way gives undefined. */
	close(): void {
		this.native.close();
	}

	[Symbol.dispose](): void {
		this.close();
	}
}

export class NdiReceiver extends Intake<NativeReceiver> {
	/** Connects at once, or as soon as a source has the name. Call `openNdi` before. Errors: ERR_NDI, TypeError. */
	constructor(input: NdiInput) {
		super(rethrowing(() => new (addon().NdiReceiver)(input)));
	}

	state(): NdiReceiverState {
		return this.native.state();
	}
}

export interface NdiSenderOptions {
	name: string;
	groups?: string;
	/** UYVY and BGRA (with alpha) are sent as they are, other formats are converted to UYVY. */
	layout: PictureLayout;
	frameRate: FrameRate;
}

/** A source of NDI. */
export class NdiSender {
	readonly #native: NativeSender;

	/** Is to be found at once. Call `openNdi` before. Errors: ERR_NDI (the name is taken), TypeError. */
	constructor(options: NdiSenderOptions) {
		this.#native = rethrowing(() => new (addon().NdiSender)(options));
	}

	/**
	 * Copies the picture, of the layout of this sender, and returns; a native thread sends it. It is sent when it comes:
	 * the caller keeps the pace. Where the runtime is too slow, the newest wins. `timecode` in 100 ns; undefined: now.
	 * Errors: TypeError.
	 */
	send(picture: Picture, { timecode }: { timecode?: bigint } = {}): void {
		rethrowing(() => this.#native.send(picture, timecode));
	}

	state(): NdiSenderState {
		return this.#native.state();
	}

	close(): void {
		this.#native.close();
	}

	[Symbol.dispose](): void {
		this.close();
	}
}

/**
 * A source, painted, as a source of its own. Each frame that comes in leaves once, `delayMs` later, with its timecode,
 * rate, aspect, field order and metadata: as the newest painting of it or of a frame before it, or as the failure policy
 * says. Sound and metadata are delayed alike; tally and the viewers' metadata go up to the source. None of it needs the
 * event loop.
 *
 * While the source gives no frames, the last thing shown is sent on at its rate: under `hold` until `holdMs` are over, 5 s
 * under `passthrough`, and then the slate, which `slate` shows at once.
 */
export class NdiRelay extends Intake<NativeRelay> {
	/** Connects as `NdiReceiver` does, and is to be found at once. Call `openNdi` before. Errors: ERR_NDI, TypeError. */
	constructor(options: NdiRelayOptions) {
		super(rethrowing(() => new (addon().NdiRelay)(options)));
	}

	/**
	 * Hands over the painting (RGB, of any size) of the frame `sequence`, or of those up to it. Copied; scaled to
	 * the source's size and converted by a native thread. With a mask it is shown in that part of the picture alone, and around
	 * it is the frame that leaves, byte for byte; under the policy `slate` it is shown whole. Errors: TypeError.
	 */
	painted(sequence: number, picture: Picture, mask?: Mask): void {
		rethrowing(() => this.native.painted(sequence, picture, mask));
	}

	/** The style `passthrough`: frames leave as they come, at once; under the policy `slate` as the slate. */
	setDirect(on: boolean): void {
		this.native.setDirect(on);
	}

	/** The slate, from the next frame on, whatever is painted. */
	setPanic(on: boolean): void {
		this.native.setPanic(on);
	}

	setFailure(policy: FailurePolicy): void {
		this.native.setFailure(policy);
	}

	setStaleAfterMs(ms: number): void {
		this.native.setStaleAfterMs(ms);
	}

	state(): NdiRelayState {
		return this.native.state();
	}
}

/** Tells systemd, by one datagram to $NOTIFY_SOCKET, such as "READY=1"; false where there is none or it did not listen. */
export const notifySystemd = (state: string): boolean => addon().notifySystemd(state);
