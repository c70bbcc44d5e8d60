import { readdirSync, readFileSync } from 'node:fs';

const statusOf = (pid: number, key: string): number =>
	Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** All that a process has in memory, MiB. */
export const rssMiB = (pid: number): number => statusOf(pid, 'VmRSS') / 1024;

/** What it has taken for itself, MiB: without files and shared memory. */
export const ownMiB = (pid: number): number => statusOf(pid, 'RssAnon') / 1024;

export const threadsOf = (pid: number): number => statusOf(pid, 'Threads');

export const descriptorsOf = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length;

/** How often it has a frame ring in its memory, with or without a descriptor of it. */
export const ringsMappedBy = (pid: number): number =>
	readFileSync(`/proc/${pid}/maps`, 'utf8').match(/memfd:frame-ring/g)?.length ?? 0;
