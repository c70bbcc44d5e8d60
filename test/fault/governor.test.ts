// What happens to the picture when the machine has other things to do: the real line, the real model, an engine that is slowed.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import type { RunView } from '../../sidecar/control/http/served.ts';
import { enginePids, until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { openLiveRun } from '../support/live-run.ts';

let slowing: NodeJS.Timeout | undefined;
/** The engine gets three tenths of its time, as beside other work; the source goes on at its rate. */
const slowTheEngine = () => {
	const signal = (name: NodeJS.Signals) => {
		try {
			for (const pid of enginePids()) process.kill(pid, name);
		} catch {
			// It ended meanwhile.
		}
	};
	slowing = setInterval(() => {
		signal('SIGSTOP');
		setTimeout(signal, 70, 'SIGCONT');
	}, 100);
};
const leaveTheEngine = () => clearInterval(slowing);
afterEach(() => {
	leaveTheEngine();
	expect(enginePids()).toEqual([]);
});

/** Such a share of what this machine paints that it has room for more, and with three tenths of its time too little. */
const SHARE = 0.42;

const rateOfMachine = async (): Promise<number> => {
	const { run } = openLiveRun({ pace: 'max', frames: 60, size: { width: 512, height: 288 } });
	return (await run).fps;
};

it('an engine that gets too little time, live: a smaller picture, painted without a gap, and the full one when it has time again', async () => {
	const http = await freePort();
	const fps = Math.round(SHARE * (await rateOfMachine()));
	const { shown, finish } = openLiveRun({ fps, size: 'auto', http, durationS: 240 });
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

		slowTheEngine();
		await until(
			isLevel((level) => level >= 2),
			60_000,
		);
		await until(() => shown.at(-1)!.picture.width < 512, 60_000);
		const { painted, governor } = await view();
		expect(painted.width * painted.height).toBeLessThan(0.75 * 512 * 288);
		expect(governor).toMatchObject({ levels: 4, relief: expect.stringMatching(/% of the pixels|second frame/) });

		leaveTheEngine();
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
		await finish();
	}
	expect((await finish()).engineRestarts).toBe(0);
}, 300_000);
