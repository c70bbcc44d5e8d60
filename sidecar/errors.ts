/**
 * Every expected failure, by code. Match on `code`: a class does not survive a worker.
 * The exit code of the command line follows from the code alone.
 */
const EXIT_CODES = {
	ERR_CONFIG: 2, // configuration or flag: unknown key, wrong type, out of range
	ERR_STYLE: 2, // unknown or invalid preset
	ERR_COMMAND: 2, // control was asked something it does not understand
	ERR_SOURCE: 2, // the source cannot be opened
	ERR_SINK: 2, // the sink cannot be opened
	ERR_MODEL: 3, // unknown model, manifest, checksum or shape
	ERR_PROVIDER: 3, // no execution provider could be started
	ERR_NATIVE: 4, // native addon missing or not loadable
	ERR_NDI: 4, // NDI's runtime is missing, not loadable or of the wrong version, or refused what was asked of it
	ERR_MIDI: 4, // MIDI's library or the system's sequencer is missing, or may not be used
	ERR_FLEET: 4, // the NATS server cannot be reached or lacks something, or no worker is there
	ERR_PAIR: 1, // two machines were not paired: nobody answers, the code is wrong, used up or too old
	ERR_RUNTIME: 4, // an external program or library (ffmpeg, onnxruntime) is missing
	ERR_SOURCE_READ: 1, // the source failed while running
	ERR_SINK_WRITE: 1, // the sink failed while running (a full disk, say)
	ERR_ENGINE: 1, // a stage failed while running
	ERR_MEMORY: 1, // the device or the machine has no room for a graph, or for what it calculates
	ERR_RING: 1, // a ring of shared memory cannot be made, reached or used as asked
	ERR_RING_GONE: 1, // the other side of the ring is not there, died or hung up
	ERR_RING_VERSION: 1, // the other side speaks another version of the ring
	ERR_RING_HEADER: 1, // the other side is no ring, or its memory is none that can be trusted
	ERR_CONTROL: 1, // no running sidecar answers
	ERR_INTERNAL: 1,
} as const;

export type ErrorCode = keyof typeof EXIT_CODES;

/**
 * An expected failure. The message says what was expected, what was seen, and what to do;
 * `cause` keeps where it came from.
 */
export class SidecarError extends Error {
	readonly code: ErrorCode;

	constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
		super(message, options);
		this.name = 'SidecarError';
		this.code = code;
	}
}

/** True for a `SidecarError` of this realm or of a worker. */
export const isSidecarError = (error: unknown): error is { code: ErrorCode; message: string } =>
	error instanceof Error && 'code' in error && typeof error.code === 'string' && error.code in EXIT_CODES;

/** 1 failed while running, 2 configuration, 3 model, 4 native addon or runtime missing. */
export const exitCodeOf = (error: unknown): number => (isSidecarError(error) ? EXIT_CODES[error.code] : 1);
