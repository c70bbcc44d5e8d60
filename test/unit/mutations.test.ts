import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';

/** As scripts/mutate.mjs reads it. */
interface Mutation {
	guard: string;
	file: string;
	find: string;
	replace: string;
	test: string;
	name?: string;
	build?: 'dist' | 'native' | 'plugin';
}

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');
const mutations = JSON.parse(read('test/mutations.json')) as Mutation[];

test('each guard is listed once, and docs/operations.md says how many there are', () => {
	expect(read('docs/operations.md')).toContain(`lists ${mutations.length} guards`);
	expect(new Set(mutations.map(({ guard }) => guard)).size).toBe(mutations.length);
});

test.each(mutations)(
	'can be taken away by scripts/mutate: $guard',
	({ file, find, replace, test: watching, name, build }) => {
		expect(read(file).split(find).length - 1, `how often test/mutations.json's find is in ${file}`).toBe(1);
		expect(replace).not.toBe(find);
		expect(existsSync(new URL(`../../${watching}`, import.meta.url)), watching).toBe(true);
		expect(build === 'native', 'a test in C++ is built').toBe(watching.endsWith('.cpp'));
		// What a table of tests fills in follows the name of the test.
		if (name !== undefined) expect(read(watching)).toContain(name.split(':')[0]);
	},
);
