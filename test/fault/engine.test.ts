// What happens to the picture when the engine's process dies or hangs: the real line, the real model, real signals.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import type { Configuration } from '../../sidecar/config/schema/configuration.ts';
import { slateOf } from '../../sidecar/egress/failure-policy.ts';
import type { Picture } from '../../sidecar/frame/frame.ts';
import { enginePids, until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { openLiveRun, PAINTED } from '../support/live-run.ts';

const slate = Buffer.from(slateOf(PAINTED).data);

const is = (a: Picture, b: Picture) => Buffer.from(a.data).equals(b.data);
const isSlate = ({ data }: Picture) => slate.equals(data);
/** A pencil sketch is nearly grey, as the scene is not. */
const chroma = ({ data }: Picture): number => {
	let sum = 0;
	for (let i = 0; i < data.length; i += 3)
		sum += Math.max(data[i]!, data[i + 1]!, data[i + 2]!) - Math.min(data[i]!, data[i + 1]!, data[i + 2]!);
	return sum / (data.length / 3);
};

const open = (configuration: Partial<Configuration>) => {
	const run = openLiveRun(configuration);
	const kill = (signal: NodeJS.Signals) => {
		const [pid] = enginePids();
		process.kill(pid!, signal);
		return run.shown.length;
	};
	return { ...run, kill };
};

afterEach(() => {
	expect(enginePids()).toEqual([]);
});

describe('the engine is killed in a live run', () => {
	it('passthrough: the source goes on at its pace, then the same style again', async () => {
		const { shown, painted, paintings, kill, finish } = open({ failure: 'passthrough' });
		await painted(5);
		const at = kill('SIGKILL');
		await painted(paintings() + 5);
		const report = await finish();

		const unpainted = shown.slice(at).filter(({ kind }) => kind === 'unpainted');
		expect(unpainted.length).toBeGreaterThan(1);
		for (const { source, picture } of unpainted) expect(picture).toBe(source);
		expect(chroma(unpainted[0]!.picture)).toBeGreaterThan(20);
		expect(chroma(shown.at(-1)!.picture)).toBeLessThan(12);
		// Nothing goes back in time, and nothing is left out but what the ring dropped.
		const sequences = shown.map(({ sequence }) => sequence);
		expect(sequences).toEqual([...sequences].sort((a, b) => a - b));
		expect(report).toMatchObject({ engineRestarts: 1, provider: 'cpu' });
		expect(report.framesUnpainted).toBeGreaterThan(1);
	});

	it('hold: the last painting stays', async () => {
		const { shown, painted, paintings, kill, finish } = open({ failure: 'hold', holdS: 'forever' });
		await painted(5);
		const at = kill('SIGKILL');
		await painted(paintings() + 3);
		await finish();
		const held = shown.map((frame, i) => ({ frame, before: shown[i - 1]! })).slice(at);
		const unpainted = held.filter(({ frame }) => frame.kind === 'unpainted');
		expect(unpainted.length).toBeGreaterThan(1);
		for (const { frame, before } of unpainted) expect(is(frame.picture, before.picture)).toBe(true);
		for (const { frame } of unpainted) expect(isSlate(frame.picture)).toBe(false);
	});

	it('hold, for a while: the last painting, then the card, then a painting again', async () => {
		const { shown, painted, paintings, kill, finish } = open({ failure: 'hold', holdS: 2, staleAfterMs: 200 });
		await painted(5);
		const [hung] = enginePids();
		const at = kill('SIGSTOP');
		await until(() => shown.slice(at).some(({ picture }) => isSlate(picture)));
		process.kill(hung!, 'SIGCONT');
		await painted(paintings() + 3);
		expect((await finish()).engineRestarts).toBe(0);
		const after = shown.slice(at);
		const firstSlate = after.findIndex(({ picture }) => isSlate(picture));
		const held = after.slice(0, firstSlate).filter(({ kind }) => kind === 'unpainted');
		expect(held.length).toBeGreaterThan(1);
		const last = shown.slice(0, at + firstSlate).findLast(({ kind }) => kind === 'painting')!;
		for (const { source, picture } of held) expect([source, picture]).toEqual([last.source, last.picture]);
		const unpainted = after.slice(firstSlate).filter(({ kind }) => kind === 'unpainted');
		for (const { source, picture } of unpainted) expect([isSlate(source), isSlate(picture)]).toEqual([true, true]);
		expect(isSlate(after.at(-1)!.picture)).toBe(false);
	});

	it('slate: not one frame of the source leaves, through three deaths', async () => {
		const { shown, painted, paintings, kill, finish } = open({ failure: 'slate' });
		for (let death = 0; death < 3; death++) {
			await painted(paintings() + 3);
			kill('SIGKILL');
		}
		await painted(paintings() + 3);
		await finish();
		const unpainted = shown.filter(({ kind }) => kind === 'unpainted');
		expect(unpainted.length).toBeGreaterThan(5);
		for (const { source, picture } of unpainted) expect([isSlate(source), isSlate(picture)]).toEqual([true, true]);
		for (const { kind } of shown) expect(kind).not.toBe('source');
	});
});

it('slate also stands for the style passthrough', async () => {
	const { shown, finish } = open({ failure: 'slate', style: 'passthrough' });
	await until(() => shown.length > 5);
	await finish();
	for (const { picture } of shown) expect(isSlate(picture)).toBe(true);
});

it('a hung engine is passed by, ended and replaced', async () => {
	const { shown, painted, paintings, kill, finish } = open({ failure: 'passthrough', staleAfterMs: 200 });
	await painted(10);
	const [hung] = enginePids();
	kill('SIGSTOP');
	await until(() => shown.at(-1)!.kind === 'unpainted');
	await until(() => !enginePids().includes(hung!));
	await painted(paintings() + 5);
	expect((await finish()).engineRestarts).toBe(1);
});

it('a style chosen while there is no engine is what the next one paints, and the report tells the switch once', async () => {
	const http = await freePort();
	const { shown, painted, paintings, kill, finish } = open({ style: 'oil-painting', fadeS: 0, http });
	await painted(3);
	kill('SIGKILL');
	const answer = await fetch(`http://127.0.0.1:${http}/api/commands`, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ type: 'style', name: 'pencil-sketch' }),
	});
	expect(answer.status).toBe(200);
	await painted(paintings() + 5);
	const report = await finish();
	const last = shown.filter(({ kind }) => kind === 'painting').at(-1)!;
	expect(chroma(last.picture)).toBeLessThan(12);
	expect(last.epoch).toBe(1);
	expect(report.styleSwitches).toMatchObject([{ epoch: 1, style: 'pencil-sketch' }]);
});

it('panic lets nothing but the slate out from the frame after the command on, engine or none', async () => {
	const http = await freePort();
	const { shown, painted, kill, finish } = open({ http });
	await painted(3);
	const answer = await fetch(`http://127.0.0.1:${http}/api/commands`, {
		method: 'POST',
		headers: { 'Content-Type': 'application/json' },
		body: JSON.stringify({ type: 'panic', on: true }),
	});
	expect(answer.status).toBe(200);
	const from = shown.length;
	await until(() => shown.length > from + 3);
	kill('SIGKILL');
	await until(() => shown.length > from + 10);
	await finish();
	for (const { source, picture } of shown.slice(from))
		expect([isSlate(source), isSlate(picture)]).toEqual([true, true]);
});

describe('with --pace max', () => {
	it('every frame is painted once and in order, though the engine dies twice', async () => {
		const { shown, run, painted, kill } = open({ pace: 'max', frames: 40, tuning: { batchSize: 2 } });
		await painted(6);
		kill('SIGKILL');
		await painted(20);
		kill('SIGSEGV');
		const report = await run;
		expect(shown.map(({ sequence }) => sequence)).toEqual(Array.from({ length: 40 }, (_, i) => i));
		expect(shown.every(({ kind }) => kind === 'painting')).toBe(true);
		expect(report).toMatchObject({ framesIn: 40, framesOut: 40, framesDropped: 0, engineRestarts: 2 });
	});

	it('a run whose engines all die says so, and ends', async () => {
		const { run, painted } = open({ pace: 'max' });
		await painted(3);
		let isOver = false;
		void run.catch(() => {}).then(() => (isOver = true));
		while (!isOver) {
			for (const pid of enginePids()) process.kill(pid, 'SIGKILL');
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
		await expect(run).rejects.toMatchObject({
			code: 'ERR_ENGINE',
			message: expect.stringMatching(/ended \(SIGKILL\)/),
		});
	});
});

it('the engine ends with a sidecar that is killed', async () => {
	const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
	const sidecar = spawn(process.execPath, [cli, 'run', '--size', '256x160', '--http', 'off', '--provider', 'cpu'], {
		stdio: 'ignore',
	});
	const pid = sidecar.pid!;
	await until(() => enginePids(pid).length === 1);
	const [engine] = enginePids(pid);
	const isRunning = () => existsSync(`/proc/${engine}`);
	expect(isRunning()).toBe(true);
	sidecar.kill('SIGKILL');
	await until(() => !isRunning());
});
