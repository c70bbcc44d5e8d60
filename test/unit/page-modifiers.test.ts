import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

interface Modifiers {
	hasPhrase: (prompt: string, phrase: string) => boolean;
	withPhrase: (prompt: string, phrase: string) => string;
	withoutPhrase: (prompt: string, phrase: string) => string;
}

// The page's files have no types.
const file = new URL('../../sidecar/control/page/modifiers.js', import.meta.url);
const { hasPhrase, withPhrase, withoutPhrase } = (await import(file.href)) as Modifiers;

const OIL = 'transfer this to oil painting style';

describe('a modifier', () => {
	test('is put behind the prompt, and taken out again', () => {
		const muted = withPhrase(OIL, 'muted colors');
		expect(muted).toBe(`${OIL}, muted colors`);
		expect(withPhrase(`${OIL}, `, 'dark')).toBe(`${OIL}, dark`);
		expect(withoutPhrase(muted, 'muted colors')).toBe(OIL);
	});

	test.each([
		['dark and moody, oil painting', 'dark', true],
		['a DARK oil painting', 'dark', true],
		['muted  colors', 'muted colors', true],
		['a darkroom', 'dark', false],
		['ein unverdarkter Satz, dunkel', 'dark', false],
		['édark', 'dark', false],
		['in 3d (glossy)', '3d (glossy)', true],
		['', 'dark', false],
	])('%j has %j: %s', (prompt, phrase, isThere) => {
		expect(hasPhrase(prompt, phrase)).toBe(isThere);
	});

	test.each([
		['muted colors, oil painting', 'oil painting'],
		['oil painting, muted colors, dark', 'oil painting, dark'],
		['oil painting ,  Muted Colors , dark', 'oil painting, dark'],
		['muted muted colors colors', ''],
		['muted colors', ''],
	])('%j without it is %j', (prompt, rest) => {
		expect(withoutPhrase(prompt, 'muted colors')).toBe(rest);
	});

	test('is there after it was put in, and not after it was taken out, whatever the prompt', () => {
		const words = fc.array(fc.constantFrom('dark', 'Muted', 'colors', ',', '.', ' ', '$&', 'ö', 'x'), {
			maxLength: 20,
		});
		fc.assert(
			fc.property(
				words.map((parts) => parts.join(' ')),
				fc.constantFrom('dark', 'muted colors', 'x'),
				(prompt, phrase) => {
					expect(hasPhrase(withPhrase(prompt, phrase), phrase)).toBe(true);
					expect(hasPhrase(withoutPhrase(prompt, phrase), phrase)).toBe(false);
				},
			),
		);
	});
});
