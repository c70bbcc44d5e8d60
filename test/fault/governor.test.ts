// What happens to the picture when the machine has other things to do: the real line, the real model, real load.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { RunView } from '../../sidecar/control/http/served.ts';
import type { FrameSink } from '../../sidecar/egress/frame-sink.ts';
import type { StyledFrame } from '../../sidecar/frame/frame.ts';
import { enginePids, until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';

const dist = (file: string) => new URL(`../../dist/${file}`, import.meta.url).href;
const { runApp } = (await import(dist('app.js'))) as typeof import('../../sidecar/app.ts');
const schema = (await import(dist('config/schema.js'))) as typeof import('../../sidecar/config/schema.ts');
const { setLog } = (await import(dist('telemetry/logger.js'))) as typeof import('../../sidecar/telemetry/logger.ts');
setLog({ level: 'silent' });

const hogs: ChildProcess[] = [];
/** As many for each core as leave the painter a small part of it. */
const loadTheMachine = (perCore: number) => {
	for (let i = 0; i < perCore * availableParallelism(); i++)
		hogs.push(spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }));
};
const leaveTheMachine = async () => {
	for (const hog of hogs.splice(0)) {
		const exited = once(hog, 'exit');
		hog.kill('SIGKILL');
		await exited;
	}
};
afterEach(async () => {
	await leaveTheMachine();
	expect(enginePids()).toEqual([]);
});

it('with all cores taken, live: a smaller picture, painted without a gap, and the full one when they are free again', async () => {
	const http = await freePort();
	const shown: StyledFrame[] = [];
	const sink: FrameSink = {
		name: 'test',
		present: async (frame) => void shown.push({ ...frame, source: undefined! }),
		finish: async () => {},
		[Symbol.asyncDispose]: async () => {},
	};
	const stop = new AbortController();
	const configuration = { source: 'scene', fps: 20, http, provider: 'cpu', style: 'pencil-sketch', durationS: 240 };
	const run = runApp(schema.parse(schema.Configuration, configuration, 'test'), { signal: stop.signal, sinks: [sink] });
	run.catch(() => {});
	const view = async () => {
		const answer = await fetch(`http://127.0.0.1:${http}/api/state`, { headers: { connection: 'close' } });
		return ((await answer.json()) as { run: RunView }).run;
	};
	const isLevel = (holds: (level: number) => boolean) => async () => {
		await sleep(250); // who asks takes of the machine, too
		return holds((await view()).governor!.level);
	};
	try {
		await until(() => shown.some(({ kind }) => kind === 'painting'));
		const from = shown.findIndex(({ kind }) => kind === 'painting');
		expect((await view()).painted).toEqual({ width: 512, height: 288 });

		loadTheMachine(2);
		await until(
			isLevel((level) => level >= 2),
			60_000,
		);
		await until(() => shown.at(-1)!.picture.width < 512, 60_000);
		const { painted, governor } = await view();
		expect(painted.width * painted.height).toBeLessThan(0.75 * 512 * 288);
		expect(governor).toMatchObject({ levels: 4, relief: expect.stringMatching(/% of the pixels|second frame/) });

		await leaveTheMachine();
		await until(
			isLevel((level) => level < 2),
			120_000,
		);
		await until(() => shown.at(-1)!.picture.width === 512, 60_000);

		const since = shown.slice(from);
		expect(since.filter(({ kind }) => kind !== 'painting')).toEqual([]);
		const sequences = since.map(({ sequence }) => sequence);
		expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
	} finally {
		stop.abort();
		await run;
	}
	expect((await run).engineRestarts).toBe(0);
}, 300_000);
