import { fileURLToPath } from 'node:url';

const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch as string];
const library = fileURLToPath(
	new URL(`../../.cache/faketime/usr/lib/${machine}-linux-gnu/faketime/libfaketimeMT.so.1`, import.meta.url),
);

/** Has processes believe in another wall clock, which libfaketime does; the monotonic one stays as the kernel has it. */
export const FAKE_CLOCK = { LD_PRELOAD: library, FAKETIME_DONT_FAKE_MONOTONIC: '1' };
