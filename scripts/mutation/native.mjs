// Guards in C and C++: what is built for them in a copy, and whether a test of doctest's fails.
import { join } from 'node:path';

/** @typedef {(command: string[], limitMs?: number) => Promise<{ status: number | null | undefined, words: string }>} Run In the copy */

const BUILD = 'native/build-mutated';
const BUILD_MS = 600_000;

/** As test/native/CMakeLists.txt divides its files. */
const programOf = (/** @type {string} */ test) => {
	const [, name = ''] = /test-([\w-]+)\.cpp$/.exec(test) ?? [];
	return name.startsWith('frame-ring') ? 'ring-tests' : name.startsWith('ndi') ? 'ndi-tests' : 'stages-tests';
};

/** With the sanitizers of scripts/test, which see what reads or writes where nothing is. */
export const configureNative = async (/** @type {Run} */ run) => {
	const { status, words } = await run(['cmake', '-S', 'test/native', '-B', BUILD, '-DSANITIZERS=address,undefined']);
	if (status !== 0) throw new Error(`The copy's native tests cannot be built:\n${words}`);
};

/**
 * Builds what a file of tests is in, and runs it. Gives the tests that failed, `broken` where it cannot be built.
 * @returns {Promise<{ failed: string[], broken?: string } | undefined>} undefined where it took too long
 */
export const runNative = async (/** @type {Run} */ run, /** @type {string} */ test) => {
	const program = programOf(test);
	const built = await run(['cmake', '--build', BUILD, '--parallel', '2', '--target', program], BUILD_MS);
	if (built.status !== 0)
		return { failed: [], broken: built.words.split('\n').find((line) => /error/.test(line)) ?? test };
	const { status, words } = await run([
		join(BUILD, program),
		`--source-file=*${test.split('/').at(-1)}`,
		'--abort-after=1',
	]);
	if (status === undefined) return undefined;
	if (status === 0) return { failed: [] };
	const [, name = `it ended with ${status}`] = /TEST CASE:\s+(.+)/.exec(words) ?? [];
	return { failed: [name] };
};

/** The plugin, where the tests with OBS look for it. Gives what is wrong with it. */
export const buildPlugin = async (/** @type {Run} */ run) => {
	const build = 'obs-bridge/plugin/build';
	for (const command of [
		['cmake', '-S', 'obs-bridge/plugin', '-B', build],
		['cmake', '--build', build, '--parallel', '2'],
	]) {
		const { status, words } = await run(command, BUILD_MS);
		if (status !== 0) return words.split('\n').find((line) => /error/.test(line)) ?? `${command.join(' ')} failed`;
	}
	return undefined;
};
