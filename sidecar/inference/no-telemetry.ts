import { isMainThread } from 'node:worker_threads';

/**
 * To be imported before onnxruntime, and before a worker is started that loads it: since 1.29 its builds for Linux tell
 * Microsoft which models are run, unless the environment of the process says otherwise. A worker's `process.env` is a copy
 * that the library does not see.
 */
if (isMainThread) process.env['ORT_DISABLE_TELEMETRY'] = '1';
