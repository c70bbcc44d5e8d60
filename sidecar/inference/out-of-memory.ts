/**
 * What onnxruntime and the drivers below it say when memory runs out: there is no code for it (microsoft/onnxruntime #16307),
 * the words alone tell it from other failures.
 */
const ANYWHERE = [
	// onnxruntime's arena, of the CPU or of a device: bfc_arena.cc.
	/Failed to allocate memory for requested buffer of size/,
	/Available memory of \d+ is smaller than requested bytes/,
	// C++'s own: libstdc++'s words, then Microsoft's.
	/\bstd::bad_alloc\b|\bbad allocation\b/,
];

const BY_PROVIDER: Readonly<Record<string, readonly RegExp[]>> = {
	cuda: [
		/\bCUDA failure 2: /, // cudaErrorMemoryAllocation
		/\bCUDA(?: error)?\b.*\bout of memory\b/i,
		/\bCU(?:BLAS|DNN|FFT|SPARSE)_STATUS_ALLOC_FAILED\b/,
		/\bCUDNN_STATUS_INTERNAL_ERROR_(?:HOST|DEVICE)_ALLOCATION_FAILED\b/, // cuDNN 9
	],
	dml: [
		/\b8007000E\b|\bE_OUTOFMEMORY\b/i, // with the system's words in its own language behind it
		/Not enough memory resources are available/i,
	],
	webgpu: [
		/\bout of memory\b/i,
		/\bVK_ERROR_OUT_OF_(?:DEVICE|HOST)_MEMORY\b/,
		/exceeds the max buffer size limit/i, // a smaller batch has smaller buffers
		/Too many storage buffers in shader/, // a tensor that is larger than a binding takes one for each piece
		/\[Invalid Buffer\b/, // one that Dawn could not make, and said so elsewhere
	],
	coreml: [/\bMemory allocation error\b/, /\bout of memory\b/i],
};

/** Whether a provider failed because there was no room, so that less of the same may go well. */
export const isOutOfMemory = (provider: string, message: string): boolean =>
	[...ANYWHERE, ...(BY_PROVIDER[provider] ?? [])].some((words) => words.test(message));
