import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { enginePids } from './engines.ts';

/** A number of 0 to 1, from a seed: mulberry32. */
export type Random = () => number;
export const randomOf = (seed: number): Random => {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let t = Math.imul(state ^ (state >>> 15), 1 | state);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
	};
};
export const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)]!;

/** What faults are done to. */
export interface Victim {
	/** Of the sidecar. */
	pid: number;
	port: number;
	folder: string;
}

export interface Fault {
	name: string;
	/** Nothing but the slate is shown after it, until `mend`. */
	hides?: true;
	do: (victim: Victim, random: Random) => Promise<void>;
	mend?: (victim: Victim) => Promise<void>;
}

const engineOf = ({ pid }: Victim): number | undefined => enginePids(pid)[0];

const signal = (pid: number | undefined, name: NodeJS.Signals): void => {
	try {
		if (pid !== undefined) process.kill(pid, name);
	} catch {
		// It has gone by itself.
	}
};

export const command = async ({ port }: Victim, body: unknown): Promise<number> => {
	try {
		const answer = await fetch(`http://127.0.0.1:${port}/api/commands`, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json', connection: 'close' },
			body: JSON.stringify(body),
		});
		await answer.text();
		return answer.status;
	} catch {
		return 0; // hung up on
	}
};

const STYLES = [
	'oil-painting',
	'watercolor',
	'pencil-sketch',
	'anime',
	'render-3d',
	'van-gogh',
	'ukiyo-e',
	'comic-halftone',
];

/** What a process may write of rings: where they lie in its memory. */
const ringsOf = (pid: number): { start: number; size: number }[] => {
	try {
		return readFileSync(`/proc/${pid}/maps`, 'utf8')
			.split('\n')
			.filter((line) => line.includes(' rw-s ') && line.includes('/memfd:frame-ring'))
			.map((line) =>
				line
					.split(' ', 1)[0]!
					.split('-')
					.map((address) => parseInt(address, 16)),
			)
			.map(([start, end]) => ({ start: start!, size: end! - start! }));
	} catch {
		return []; // it has gone
	}
};

/** Bytes that nobody expects into the rings that a process writes: magic, lengths, sequence numbers, pixels. */
export const scribbleOn = (pid: number | undefined, random: Random): void => {
	const rings = pid === undefined ? [] : ringsOf(pid);
	for (let i = 0; i < 16 && rings.length > 0; i++) {
		const { start, size } = pick(random, rings);
		// Every other time where it hurts: what the header and the slots say of themselves comes first.
		const place = Math.floor(random() * (random() < 0.5 ? Math.min(size, 4096) : size - 64));
		try {
			const memory = openSync(`/proc/${pid}/mem`, 'r+');
			writeSync(
				memory,
				Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256))),
				0,
				64,
				start + place,
			);
			closeSync(memory);
		} catch {
			return; // it has gone
		}
	}
};

export const FAULTS: readonly Fault[] = [
	{ name: 'engine: SIGKILL', do: async (victim) => signal(engineOf(victim), 'SIGKILL') },
	{ name: 'engine: SIGSEGV', do: async (victim) => signal(engineOf(victim), 'SIGSEGV') },
	{ name: 'engine: SIGABRT', do: async (victim) => signal(engineOf(victim), 'SIGABRT') },
	{
		name: 'engine: SIGKILL again while it starts',
		do: async (victim, random) => {
			for (let i = 0; i < 3; i++) {
				signal(engineOf(victim), 'SIGKILL');
				await sleep(random() * 400);
			}
		},
	},
	{ name: 'engine: SIGSTOP for good', do: async (victim) => signal(engineOf(victim), 'SIGSTOP') },
	{
		name: 'engine: SIGSTOP for a while',
		do: async (victim, random) => {
			const pid = engineOf(victim);
			signal(pid, 'SIGSTOP');
			await sleep(200 + random() * 1500);
			signal(pid, 'SIGCONT');
		},
	},
	{
		name: 'sidecar: suspended for a while',
		do: async ({ pid }, random) => {
			signal(pid, 'SIGSTOP');
			await sleep(200 + random() * 2500);
			signal(pid, 'SIGCONT');
		},
	},
	{
		name: 'both suspended for a while',
		do: async (victim, random) => {
			const pids = [victim.pid, engineOf(victim)];
			for (const pid of pids) signal(pid, 'SIGSTOP');
			await sleep(200 + random() * 2500);
			for (const pid of pids) signal(pid, 'SIGCONT');
		},
	},
	{
		name: 'paintings scribbled on by the engine',
		do: async (victim, random) => {
			for (let i = 0; i < 5; i++) {
				scribbleOn(engineOf(victim), random);
				await sleep(50);
			}
		},
	},
	{
		name: 'frames scribbled on by the sidecar',
		do: async (victim, random) => {
			for (let i = 0; i < 5; i++) {
				scribbleOn(victim.pid, random);
				await sleep(50);
			}
		},
	},
	{
		name: 'all cores taken for a while',
		do: async (_, random) => {
			const hogs = [1, 2, 3, 4].map(() => spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
			await sleep(500 + random() * 1500);
			for (const hog of hogs) {
				const exited = once(hog, 'exit');
				hog.kill('SIGKILL');
				await exited;
			}
		},
	},
	{
		name: 'another style',
		do: async (victim, random) => void (await command(victim, { type: 'style', name: pick(random, STYLES) })),
	},
	{
		name: 'twenty styles at once',
		do: async (victim, random) => {
			await Promise.all(
				Array.from({ length: 20 }, () =>
					command(victim, { type: 'style', name: pick(random, STYLES), fadeS: random() }),
				),
			);
		},
	},
	{
		name: 'a prompt of anything',
		do: async (victim, random) => {
			const text = Array.from({ length: 1 + Math.floor(random() * 499) }, () =>
				String.fromCodePoint(1 + Math.floor(random() * 0xd7fe)),
			).join('');
			await command(victim, { type: 'prompt', text: text.slice(0, 500) });
		},
	},
	{ name: 'new strokes', do: async (victim) => void (await command(victim, { type: 'newStrokes' })) },
	{
		name: 'commands that are none',
		do: async (victim) => {
			for (const body of [
				{},
				[],
				'style',
				{ type: 'style' },
				{ type: 'style', name: 'no-such' },
				{ type: 'seed', value: -1 },
			])
				await command(victim, body);
		},
	},
	{
		name: 'the style passthrough',
		hides: true,
		do: async (victim) => void (await command(victim, { type: 'style', name: 'passthrough' })),
		mend: async (victim) => void (await command(victim, { type: 'style', name: 'oil-painting' })),
	},
	{
		name: 'panic',
		hides: true,
		do: async (victim) => void (await command(victim, { type: 'panic', on: true })),
		mend: async (victim) => void (await command(victim, { type: 'panic', on: false })),
	},
	{
		name: 'panic, and the engine dies',
		hides: true,
		do: async (victim) => {
			await command(victim, { type: 'panic', on: true });
			signal(engineOf(victim), 'SIGKILL');
		},
		mend: async (victim) => void (await command(victim, { type: 'panic', on: false })),
	},
	{
		name: 'a hundred websockets that are dropped',
		do: async ({ port }) => {
			for (let i = 0; i < 100; i++) {
				const socket = new WebSocket(`ws://127.0.0.1:${port}/api/${i % 2 ? 'preview' : 'events'}`);
				socket.on('error', () => {});
				if (i % 10 === 0) await sleep(10);
				socket.terminate();
			}
		},
	},
	{
		name: 'sockets that say nothing, or nonsense',
		do: async ({ port }, random) => {
			const sockets = Array.from({ length: 20 }, () => connect(port, '127.0.0.1').on('error', () => {}));
			for (const socket of sockets)
				if (random() < 0.7) socket.write(Buffer.from(Array.from({ length: 200 }, () => Math.floor(random() * 256))));
			await sleep(300);
			for (const socket of sockets) socket.destroy();
		},
	},
];
