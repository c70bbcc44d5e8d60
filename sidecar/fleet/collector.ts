import { setFlagsFromString } from 'node:v8';

/**
 * V8 counts the pictures that came and went since the last one towards the next collection of its whole heap, which is small
 * here: 32 MB of them, a dozen frames of 512x288, were enough for one that takes 2 to 15 ms. What is old is let grow to four times its size
 * before that; the young, pictures among them, are collected as often as before, in less than a millisecond.
 */
export const collectWholeHeapSeldom = (): void => setFlagsFromString('--heap-growing-percent=300');
