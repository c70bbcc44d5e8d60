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

/** Waits until all show what is wanted, and looks at them; `held` is the last painting. */
const allShow = async (wanted: Record<Policy, StreamState['shown']>) => {
	for (const policy of POLICIES) {
		await obs.shows(stream(policy), wanted[policy]);
		expect(await seen(policy), policy).toBe(wanted[policy] === 'held' ? 'painting' : wanted[policy]);
	}
};

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
		await obs.addFilter(source(policy), { failure: policy });
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
		await allShow({ passthrough: 'source', hold: 'slate', slate: 'slate' });
		expect(await seen('passthrough')).toBe('source');
		expect(await seen('hold')).toBe('slate');
	});
});

describe('with a sidecar', () => {
	it('all show the painting, slate from the slate on', async () => {
		const kinds = await watchSlate(async () => {
			echo = await ObsEcho.start(obs.runtimeFolder);
			await allShow({ passthrough: 'painting', hold: 'painting', slate: 'painting' });
		});
		for (const policy of POLICIES) expect(await seen(policy)).toBe('painting');
		expect(kinds).not.toContain('source');
	});

	it('that hangs, each does what it is for, and the painting is back when it goes on', async () => {
		const kinds = await watchSlate(async () => {
			echo!.hang();
			await allShow({ passthrough: 'source', hold: 'held', slate: 'slate' });
			expect(await seen('passthrough')).toBe('source');
			expect(await seen('hold')).toBe('painting');
			echo!.resume();
			await allShow({ passthrough: 'painting', hold: 'painting', slate: 'painting' });
		});
		expect(kinds).toEqual(new Set(['painting', 'slate']));
	});

	it('that is alive and paints nothing more, each does what it is for', async () => {
		echo!.tell({ paints: false });
		await allShow({ passthrough: 'source', hold: 'held', slate: 'slate' });
		echo!.tell({ paints: true });
		await allShow({ passthrough: 'painting', hold: 'painting', slate: 'painting' });
	});

	it('that is killed, each does what it is for at once', async () => {
		const kinds = await watchSlate(async () => {
			await echo!.kill();
			await allShow({ passthrough: 'source', hold: 'held', slate: 'slate' });
		});
		expect(await seen('passthrough')).toBe('source');
		expect(await seen('hold')).toBe('painting');
		expect(await seen('slate')).toBe('slate');
		expect(kinds).not.toContain('source');
	});

	it('that is started again, all paint again', async () => {
		const kinds = await watchSlate(async () => {
			echo = await ObsEcho.start(obs.runtimeFolder);
			await allShow({ passthrough: 'painting', hold: 'painting', slate: 'painting' });
		});
		for (const policy of POLICIES) expect(await seen(policy)).toBe('painting');
		expect(kinds).not.toContain('source');
	});

	it('that stamps its paintings in the future, they grow old all the same', async () => {
		echo!.tell({ capturedAheadUs: 3_600_000_000 });
		await echo!.frame((await obs.stream(stream('slate'))).id);
		await echo!.frame((await obs.stream(stream('slate'))).id);
		echo!.hang();
		await allShow({ passthrough: 'source', hold: 'held', slate: 'slate' });
		echo!.resume();
		echo!.tell({ capturedAheadUs: 0 });
		await allShow({ passthrough: 'painting', hold: 'painting', slate: 'painting' });
	});
});

describe('panic', () => {
	it('shows the slate whatever the policy, and the sidecar is told', async () => {
		await obs.vendor('set_panic', { on: true });
		await allShow({ passthrough: 'slate', hold: 'slate', slate: 'slate' });
		for (const policy of POLICIES) expect(await seen(policy)).toBe('slate');
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
		await allShow({ passthrough: 'painting', hold: 'painting', slate: 'painting' });
	});

	it('needs no sidecar', async () => {
		await echo!.kill();
		await obs.vendor('set_panic', { on: true });
		await obs.shows(stream('passthrough'), 'slate');
		await obs.vendor('set_panic', { on: false });
		await obs.shows(stream('passthrough'), 'source');
	});
});

it('OBS ends without a leak', async () => {
	expect(await obs.stop()).toMatchObject({ leaks: 0 });
});
