import { expect, it } from 'vitest';
import { nowUs, sleepUntil } from '../../sidecar/frame/clock.ts';

it('lets others have their turn where the time is past: a source that is always late does not stop the sidecar', async () => {
	let hadTurn = false;
	setImmediate(() => (hadTurn = true));
	await sleepUntil(nowUs() - 1000, new AbortController().signal);
	expect(hadTurn).toBe(true);
});
