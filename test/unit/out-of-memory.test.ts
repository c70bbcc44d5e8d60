import { describe, expect, it } from 'vitest';
import { BatchLimit } from '../../sidecar/engine/batch-limit.ts';
import { isOutOfMemory } from '../../sidecar/inference/out-of-memory.ts';
import { parametersOf } from '../support/frames.ts';

// As they stand in reports of users, paths shortened.
const SAID = [
	[
		'cpu',
		"Non-zero status code returned while running Conv node. Name:'347_nchwc' Status Message: bfc_arena.cc:330 onnxruntime::BFCArena::AllocateRawInternal Failed to allocate memory for requested buffer of size 285081600",
	],
	[
		'cuda',
		"Non-zero status code returned while running FusedMatMul node. Name:'MatMul_92' Status Message: bfc_arena.cc:331 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for requested buffer of size 8388608000",
	],
	['cuda', 'bfc_arena.cc: Available memory of 1048576 is smaller than requested bytes of 285081600'],
	[
		'cuda',
		'cuda_call.cc:114 onnxruntime::CudaCall CUDA failure 2: out of memory ; GPU=0 ; hostname=STUDIO ; file=cuda_stream_handle.cc ; line=175 ; expr=cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);',
	],
	['cuda', 'CudaCall CUBLAS failure 3: CUBLAS_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cublasCreate(&cublas_handle_);'],
	['cuda', 'CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED ; GPU=0 ; expr=cudnnCreate(&cudnn_handle_);'],
	['cuda', 'CUDNN failure 4003: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED ; GPU=0'],
	[
		'dml',
		'Exception during initialization: BucketizedBufferAllocator.cpp(122): (caller: 00007FFA8336D326) Exception(1) tid(4790) 8007000E Not enough memory resources are available to complete this operation.',
	],
	[
		'dml',
		'MLOperatorAuthorImpl.cpp(1978): Exception(3) tid(4304) 8007000E Für diesen Vorgang ist nicht genügend Speicher verfügbar.',
	],
	['webgpu', 'WebGPU device error(2): Out of memory'],
	['webgpu', 'vkAllocateMemory failed with VK_ERROR_OUT_OF_DEVICE_MEMORY at CheckVkOOMThenSuccessImpl'],
	['webgpu', 'Buffer size (3185049600) exceeds the max buffer size limit (1073741824).'],
	[
		'webgpu',
		"Non-zero status code returned while running Expand node. Name:'' Status Message: shader_helper.cc:306 numbers_storage_buffers_ <= limits_.maxStorageBuffersPerShaderStage was false. Too many storage buffers in shader. Current: 22, Max is 16",
	],
	['webgpu', '[Invalid Buffer (unlabeled)] is invalid. - While validating entries[0] as a Buffer.'],
	['coreml', 'Espresso exception: "Memory error": Memory allocation error 12: 1448370000 bytes status=-4'],
	['cpu', 'Non-zero status code returned while running Expand node. Status Message: std::bad_alloc'],
	['dml', "Non-zero status code returned while running FusedMatMul node. Name:'MatMul' Status Message: bad allocation"],
] as const;

const OTHERS = [
	[
		'cpu',
		"Non-zero status code returned while running Reshape node. Name:'' Status Message: Input shape:{2,4,8,8}, requested shape:{7,11,13}",
	],
	['cuda', 'Failed to load shared library libonnxruntime_providers_cuda.so'],
	['cuda', 'CUDA failure 700: an illegal memory access was encountered ; GPU=0 ; expr=cudaStreamSynchronize(stream)'],
	['cuda', 'CUDA failure 35: CUDA driver version is insufficient for CUDA runtime version ; GPU=-1'],
	['cuda', 'onnx runtime error 2: not enough space: expected 318080, got 314240'],
	['dml', '887A0005 The GPU device instance has been suspended.'],
	['webgpu', 'Failed to get a WebGPU adapter: No supported adapters.'],
	['webgpu', 'WebGPU device lost (1): Device was destroyed.'],
	['coreml', 'Error executing model: Unable to compute the prediction using a neural network model.'],
	// Another provider's words mean nothing.
	['cpu', 'the file 8007000E.onnx is no model'],
] as const;

describe('a provider that has no room', () => {
	it.each(SAID)('%s: %s', (provider, message) => {
		expect(isOutOfMemory(provider, message)).toBe(true);
	});

	it.each(OTHERS)('is not one that fails otherwise: %s: %s', (provider, message) => {
		expect(isOutOfMemory(provider, message)).toBe(false);
	});
});

describe('what memory leaves of a batch', () => {
	it('is half as many frames each time, one at least', () => {
		const limit = new BatchLimit();
		const asked = parametersOf({ batchSize: 13 });
		const sizes = [];
		do sizes.push(limit.of(asked).tuning.batchSize);
		while (limit.lessen(asked));
		expect(sizes).toEqual([13, 6, 3, 1]);
		expect(limit).toMatchObject({ most: 1, relief: 'memory for batches of 1' });
		expect(asked.tuning.batchSize).toBe(13);
	});

	it('is the stream batch that goes first, where there is one', () => {
		const limit = new BatchLimit();
		const asked = parametersOf({ batchSize: 2, steps: 4, streamBatch: true });
		expect(limit.lessen(asked)).toBe(true);
		expect(limit.of(asked).tuning).toMatchObject({ batchSize: 2, steps: 4, streamBatch: false });
		expect(limit.relief).toBe('no memory for frames at several steps in one run');
		expect(limit.lessen(asked)).toBe(true);
		expect(limit.of(asked).tuning).toMatchObject({ batchSize: 1, streamBatch: false });
		expect(limit.lessen(asked)).toBe(false);
		const buffered = new BatchLimit();
		const moving = parametersOf({ batchSize: 1, steps: 2, movingBuffer: true });
		expect(buffered.lessen(moving)).toBe(true);
		expect(buffered.of(moving).tuning).toMatchObject({ steps: 2, movingBuffer: false });
		expect(buffered.lessen(moving)).toBe(false);
		// With one step there is none to give up.
		const one = new BatchLimit();
		expect(one.lessen(parametersOf({ batchSize: 1, steps: 1, streamBatch: true }))).toBe(false);
	});

	it('is the same object for the same parameters, and the given one where there is room', () => {
		const limit = new BatchLimit();
		const [asked, small] = [parametersOf({ batchSize: 8 }), parametersOf({ batchSize: 2 })];
		expect(limit.of(asked)).toBe(asked);
		expect(limit.relief).toBeUndefined();
		limit.lessen(asked);
		expect(limit.of(asked)).toBe(limit.of(asked));
		expect(limit.of(small)).toBe(small);
		limit.lift();
		expect(limit.of(asked)).toBe(asked);
		expect(limit).toMatchObject({ most: Infinity, relief: undefined });
	});
});
