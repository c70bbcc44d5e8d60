// Styles that follow scenes and hotkeys, read from the program frame by frame: the real sidecar, a real recording. How long
// a change takes is a row of the benchmark.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { Obs } from '../support/obs.ts';
import { ObsSidecar } from '../support/obs-sidecar.ts';
import { addScenes, type Change, pressKeys, SCENES, STREAM, switchScenes } from '../support/style-switches.ts';

const CHANGES = 4;

let obs: Obs;
let sidecar: ObsSidecar;
beforeAll(async () => {
	obs = await Obs.start();
	await addScenes(obs);
	sidecar = ObsSidecar.start(obs, { size: { width: 256, height: 160 }, fadeS: 0, obs: { scenes: SCENES } });
	await sidecar.paints(STREAM);
}, 90_000);
afterAll(async () => {
	await sidecar[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

const orderOf = (changes: Change[]) => changes.map(({ isNew, oldAfterNew }) => ({ comes: isNew >= 0, oldAfterNew }));
const inOrder = Array.from({ length: CHANGES }, () => ({ comes: true, oldAfterNew: 0 }));

it.each(['Cut', 'Fade'] as const)(
	'by a %s each scene gets its style, and no frame of the old one comes after the new',
	async (transition) => {
		expect(orderOf(await switchScenes(obs, CHANGES, transition))).toEqual(inOrder);
	},
);

it('a hotkey gives its style, and no frame of the old one comes after the new', async () => {
	expect(orderOf(await pressKeys(obs, CHANGES))).toEqual(inOrder);
});
