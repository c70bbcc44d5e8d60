// What is seen while there is no sidecar, or none that paints: the policies, from the first frame on.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Obs, type StreamState } from '../support/obs.ts';
import { ObsEcho } from '../support/obs-echo.ts';
import { pixelAt, type RgbaPicture } from '../support/png.ts';

const POLICIES = ['passthrough', 'hold', 'slate'] as const;
type Policy = (typeof POLICIES)[number];

const SOURCE = [0x20, 0x40, 0x60, 255];
const PAINTING = [0xdf, 0xbf, 0x9f, 255];
/** The middle dab of the slate, and its ground (sidecar/egress/failure-policy.ts). */
const SLATE = [222, 176, 80, 255];
const GROUND = [30, 31, 36, 255];

const isNear = (pixel: number[], to: number[]) => pixel.every((value, channel) => Math.abs(value - to[channel]!) <= 1);

const whatIs = (picture: RgbaPicture): 'source' | 'painting' | 'slate' => {
	const [middle, corner] = [pixelAt(picture), pixelAt(picture, 0, 0)];
	if (isNear(middle, SLATE) && isNear(corner, GROUND)) return 'slate';
	if (isNear(middle, PAINTING) && isNear(corner, PAINTING)) return 'painting';
	if (isNear(middle, SOURCE)) return 'source';
	throw new Error(`neither source, painting nor slate: ${middle.join(' ')}, corner ${corner.join(' ')}`);
};

const source = (policy: Policy) => `${policy} colour`;
const stream = (policy: Policy) => `${policy} colour / Alla Prima`;

let obs: Obs;
let echo: ObsEcho | undefined;

const seen = async (policy: Policy) => whatIs(await obs.screenshot(source(policy)));

/** Waits until all say that they show this, and gives what is seen of them. */
const seenOnce = async (wanted: Record<Policy, StreamState['shown']>) => {
	for (const policy of POLICIES) await obs.shows(stream(policy), wanted[policy]);
	return { passthrough: await seen('passthrough'), hold: await seen('hold'), slate: await seen('slate') };
};

const PAINTED = { passthrough: 'painting', hold: 'painting', slate: 'painting' } as const;
/** With a painting that is no longer fresh, and with none at all. */
const UNPAINTED = { passthrough: 'source', hold: 'held', slate: 'slate' } as const;
const SEEN_UNPAINTED = { passthrough: 'source', hold: 'painting', slate: 'slate' } as const;
const NEVER_PAINTED = { passthrough: 'source', hold: 'slate', slate: 'slate' } as const;
const PANIC = { passthrough: 'slate', hold: 'slate', slate: 'slate' } as const;

/** Looks at the sources under `slate` as fast as OBS answers while something happens. */
const watchSlate = async (happens: () => Promise<unknown>): Promise<Set<string>> => {
	const kinds = new Set<string>();
	let isOver = false;
	const watch = (async () => {
		while (!isOver) kinds.add(await seen('slate'));
	})();
	await happens();
	isOver = true;
	await watch;
	return kinds;
};

beforeAll(async () => {
	obs = await Obs.start();
	await obs.socket.call('CreateScene', { sceneName: 'policies' });
	for (const policy of POLICIES) {
		await obs.addColour('policies', source(policy), 0xff604020);
		await obs.addFilter(source(policy), { failure: policy, hold_s: 0 });
	}
});
afterAll(async () => {
	await echo?.[Symbol.asyncDispose]();
	await obs[Symbol.asyncDispose]();
});

describe('before there ever was a sidecar', () => {
	it('slate shows the slate from the first frame on, and never the source', async () => {
		const kinds = await watchSlate(async () => {
			await obs.socket.call('SetCurrentProgramScene', { sceneName: 'policies' });
			await obs.shows(stream('slate'), 'slate');
		});
		expect([...kinds]).toEqual(['slate']);
	});

	it('passthrough shows the source, and hold, with nothing to hold, the slate', async () => {
		expect(await seenOnce(NEVER_PAINTED)).toEqual(NEVER_PAINTED);
	});
});

describe('with a sidecar', () => {
	it('all show the painting, slate from the slate on', async () => {
		const kinds = await watchSlate(async () => {
			echo = await ObsEcho.start(obs.runtimeFolder);
			expect(await seenOnce(PAINTED)).toEqual(PAINTED);
		});
		expect(kinds).not.toContain('source');
	});

	it('that hangs, each does what it is for, and the painting is back when it goes on', async () => {
		const kinds = await watchSlate(async () => {
			echo!.hang();
			expect(await seenOnce(UNPAINTED)).toEqual(SEEN_UNPAINTED);
			echo!.resume();
			expect(await seenOnce(PAINTED)).toEqual(PAINTED);
		});
		expect(kinds).toEqual(new Set(['painting', 'slate']));
	});

	it('that is alive and paints nothing more, each does what it is for', async () => {
		echo!.tell({ paints: false });
		expect(await seenOnce(UNPAINTED)).toEqual(SEEN_UNPAINTED);
		echo!.tell({ paints: true });
		expect(await seenOnce(PAINTED)).toEqual(PAINTED);
	});

	it('that is killed, each does what it is for at once', async () => {
		const kinds = await watchSlate(async () => {
			await echo!.kill();
			expect(await seenOnce(UNPAINTED)).toEqual(SEEN_UNPAINTED);
		});
		expect(kinds).not.toContain('source');
	});

	it('that is started again, all paint again', async () => {
		const kinds = await watchSlate(async () => {
			echo = await ObsEcho.start(obs.runtimeFolder);
			expect(await seenOnce(PAINTED)).toEqual(PAINTED);
		});
		expect(kinds).not.toContain('source');
	});

	it('that stamps its paintings in the future, they grow old all the same', async () => {
		echo!.tell({ capturedAheadUs: 3_600_000_000 });
		await echo!.frame((await obs.stream(stream('slate'))).id);
		await echo!.frame((await obs.stream(stream('slate'))).id);
		echo!.hang();
		expect(await seenOnce(UNPAINTED)).toEqual(SEEN_UNPAINTED);
		echo!.resume();
		echo!.tell({ capturedAheadUs: 0 });
		expect(await seenOnce(PAINTED)).toEqual(PAINTED);
	});
});

describe('hold', () => {
	const holds = async (settings: Record<string, unknown>, shown: StreamState['shown'], seenThen: string) => {
		await obs.setFilter(source('hold'), settings);
		await obs.shows(stream('hold'), shown);
		expect(await seen('hold')).toBe(seenThen);
	};

	it('without more said, as in scenes of before, is for ten seconds and then the slate', async () => {
		await obs.addColour('policies', 'older', 0xff604020);
		await obs.addFilter('older', { failure: 'hold' });
		const older = () => obs.stream('older / Alla Prima');
		await obs.until(async () => (await older()).failure === 'hold', 'the filter');
		expect(await older()).toMatchObject({ holdS: 10, afterHold: 'slate' });
		await obs.socket.call('RemoveInput', { inputName: 'older' });
	});

	it('ends when its time is over, with the slate or the source, and with 0 it does not', async () => {
		echo!.tell({ paints: false });
		await holds({ hold_s: 1 }, 'held', 'painting');
		await holds({ hold_s: 1 }, 'slate', 'slate');
		await holds({ after_hold: 'passthrough' }, 'source', 'source');
		await holds({ hold_s: 0 }, 'held', 'painting');
		expect(await obs.stream(stream('hold'))).not.toHaveProperty('holdS');
		await holds({ hold_s: 1, after_hold: 'slate' }, 'slate', 'slate');
	});

	it('is over for a killed sidecar, too, and begins anew with the next painting', async () => {
		echo!.tell({ paints: true });
		await obs.shows(stream('hold'), 'painting');
		await echo!.kill();
		await holds({}, 'held', 'painting');
		await holds({}, 'slate', 'slate');
		echo = await ObsEcho.start(obs.runtimeFolder);
		await obs.shows(stream('hold'), 'painting');
		expect(await seen('hold')).toBe('painting');
	});

	it('of more or less than can be is cut to what can', async () => {
		for (const [asked, got] of [
			[100_000, 3600],
			[-1, undefined],
		]) {
			await obs.setFilter(source('hold'), { hold_s: asked, after_hold: 'anything' });
			await obs.until(async () => (await obs.stream(stream('hold'))).holdS === got, `${asked} as ${got}`);
			expect((await obs.stream(stream('hold'))).afterHold).toBe('slate');
		}
	});
});

describe('panic', () => {
	it('shows the slate whatever the policy, and the sidecar is told', async () => {
		await obs.vendor('set_panic', { on: true });
		expect(await seenOnce(PANIC)).toEqual(PANIC);
		expect(await echo!.hears('command')).toMatchObject({ command: { type: 'panic', on: true } });
	});

	it('is told to a sidecar that comes later', async () => {
		await echo!.kill();
		echo = await ObsEcho.start(obs.runtimeFolder);
		expect(await echo.hears('command')).toMatchObject({ command: { type: 'panic', on: true } });
		for (const policy of POLICIES) expect(await seen(policy)).toBe('slate');
	});

	it('ends as it began', async () => {
		await obs.vendor('set_panic', { on: false });
		expect(await seenOnce(PAINTED)).toEqual(PAINTED);
	});

	it('needs no sidecar', async () => {
		await echo!.kill();
		await obs.vendor('set_panic', { on: true });
		await obs.shows(stream('passthrough'), 'slate');
		expect(await seen('passthrough')).toBe('slate');
		await obs.vendor('set_panic', { on: false });
		await obs.shows(stream('passthrough'), 'source');
	});
});

it('OBS ends without a leak', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
