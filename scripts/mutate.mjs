// Whether each guard is watched: takes it away in a copy of what is committed, and wants a test to fail.
// `scripts/mutate [WORD]`: those of test/mutations.json with this word in what they guard, their file or their test.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPlugin, configureNative, runNative } from './mutation/native.mjs';

/**
 * `find` is in `file` once; `name` is a part of the names of tests in `test`; `build` is what its test runs, where that
 * is not the sources: `dist`, the tests in C++ (`native`), the plugin of OBS.
 * @typedef {{ guard: string, file: string, find: string, replace: string, test: string, name?: string, build?: 'dist' | 'native' | 'plugin' }} Mutation
 * @typedef {{ failed: string[], isWaiting: boolean, unloaded: string[], passed: number }} Outcome
 */

/** Of one run of a file of tests. */
const TEST_MS = 120_000;
/** Without its guard a test may wait for a refusal that never comes; those of the sources take two seconds at most. */
const PATIENCE = ['--testTimeout=15000', '--hookTimeout=15000'];
/** What is built once and only read; the plugin is not where one of its guards is taken away. */
const BUILT = ['node_modules', 'native/build', '.cache', 'test/.ndi'];
const PLUGIN = 'obs-bridge/plugin/build';

const VITEST = 'node_modules/vitest/vitest.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const git = (/** @type {string[]} */ ...args) =>
	execFileSync('git', ['-c', 'safe.directory=*', '-C', root, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });

const [word = ''] = process.argv.slice(2);
/** @type {Mutation[]} */
const all = JSON.parse(await readFile(join(root, 'test/mutations.json'), 'utf8'));
const mutations = all.filter(({ guard, file, test }) =>
	[guard, file, test].some((text) => text.toLowerCase().includes(word.toLowerCase())),
);
if (mutations.length === 0) {
	console.error(`No guard of test/mutations.json has the word ${word}.`);
	process.exit(2);
}

const linked = mutations.some(({ build }) => build === 'plugin') ? BUILT : [...BUILT, PLUGIN];

const stopping = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => stopping.abort());

/** A program of the copy, with all that it starts. Gives its exit status, undefined where it took too long, and its words. */
const run = async (
	/** @type {string} */ copy,
	/** @type {string[]} */ [program = '', ...args],
	/** @type {number | undefined} */ limitMs = TEST_MS,
) => {
	stopping.signal.throwIfAborted();
	const child = spawn(program, args, {
		cwd: copy,
		detached: true,
		stdio: ['ignore', 'pipe', 'pipe'],
		// Where CI is set, onnxruntime tells nobody anything, guarded or not.
		env: { ...process.env, CI: undefined, NO_COLOR: '1' },
	});
	let words = '';
	for (const stream of [child.stdout, child.stderr])
		stream.on('data', (text) => (words = (words + text).slice(-20_000)));
	let isLate = false;
	const end = () => {
		try {
			if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
		} catch {} // it ended meanwhile
	};
	const patience = setTimeout(() => {
		isLate = true;
		end();
	}, limitMs);
	stopping.signal.addEventListener('abort', end);
	const status = await new Promise((resolve, reject) => {
		child.on('error', reject);
		child.on('close', resolve);
	});
	clearTimeout(patience);
	stopping.signal.removeEventListener('abort', end);
	stopping.signal.throwIfAborted();
	return { status: isLate ? undefined : status, words };
};

/** @returns {Promise<Outcome | undefined>} undefined where it took too long */
const runTests = async (
	/** @type {string} */ copy,
	/** @type {string[]} */ tests,
	/** @type {string[]} */ options = [],
) => {
	const report = join(copy, '.mutate.json');
	await rm(report, { force: true });
	const flags = ['--reporter=json', `--outputFile=${report}`, '--bail=1', ...options];
	const { status, words } = await run(
		copy,
		[process.execPath, VITEST, 'run', ...tests, ...flags],
		TEST_MS * tests.length,
	);
	if (status === undefined) return undefined;
	if (!existsSync(report)) throw new Error(`vitest gave no report:\n${words}`);
	const { testResults } = JSON.parse(await readFile(report, 'utf8'));
	const results = testResults.flatMap((/** @type {any} */ file) => file.assertionResults);
	const titles = (/** @type {string} */ wanted) =>
		results.filter(({ status: how }) => how === wanted).map(({ fullName }) => fullName);
	return {
		failed: titles('failed'),
		isWaiting: results.some(({ failureMessages = [] }) => /timed out in/.test(failureMessages.join())),
		unloaded: testResults
			.filter(({ status: how, assertionResults }) => how === 'failed' && !assertionResults.some(isFailed))
			.map(({ name: file, message }) => `${file.slice(copy.length + 1)}: ${message.split('\n')[0]}`),
		passed: titles('passed').length,
	};
};

const optionsOf = (/** @type {Mutation} */ { name, build: built }) => [
	...(built ? [] : PATIENCE),
	...(name ? ['-t', name] : []),
];

const isFailed = (/** @type {{ status: string }} */ { status }) => status === 'failed';

/** Names that are left over are no matter. */
const LAX = ['--noUnusedLocals', 'false', '--noUnusedParameters', 'false'];
const compile = async (/** @type {string} */ copy, /** @type {string[]} */ flags = []) =>
	await run(copy, [process.execPath, 'node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', ...LAX, ...flags]);

const build = async (/** @type {string} */ copy) => {
	const { status, words } = await compile(copy);
	if (status !== 0) throw new Error(`The copy cannot be built:\n${words}`);
};

/** Errors: where it is not to be found, or more than once. */
const mutated = (/** @type {string} */ text, /** @type {Mutation} */ { guard, file, find, replace }) => {
	const parts = text.split(find);
	if (parts.length !== 2) throw new Error(`${guard}: what is to be replaced is in ${file} ${parts.length - 1} times.`);
	return parts.join(replace);
};

/** Mutations that do not compile would fail a test for that alone. */
const compileAll = async (/** @type {string} */ copy) => {
	// Two of one place are compiled one after the other.
	for (let left = mutations.filter(({ file }) => file.endsWith('.ts')); left.length > 0;) {
		/** @type {Map<string, string>} */
		const before = new Map();
		/** @type {Mutation[]} */
		const later = [];
		for (const mutation of left) {
			const path = join(copy, mutation.file);
			const text = await readFile(path, 'utf8');
			if (before.has(path) && text.split(mutation.find).length !== 2) {
				later.push(mutation);
				continue;
			}
			await writeFile(path, mutated(text, mutation));
			before.set(path, before.get(path) ?? text);
		}
		const { status, words } = await compile(copy, ['--noEmit']);
		for (const [path, text] of before) await writeFile(path, text);
		if (status !== 0) throw new Error(`Some mutations do not compile:\n${words}`);
		left = later;
	}
};

/** Tests as they are: what fails then says nothing of a guard. */
const expectPass = async (/** @type {string} */ copy) => {
	const testsOf = (/** @type {(mutation: Mutation) => boolean} */ is) => [
		...new Set(mutations.filter(is).map(({ test }) => test)),
	];
	for (const test of testsOf(({ build: built }) => built === 'native')) {
		const outcome = await runNative((command, limitMs) => run(copy, command, limitMs), test);
		const wrong = outcome ? (outcome.broken ?? outcome.failed[0]) : 'it took too long';
		if (wrong) throw new Error(`Without a mutation, ${test} fails already: ${wrong}`);
	}
	const sources = testsOf(({ build: built }) => !built);
	const named = mutations
		.filter(({ build: built }) => built === 'dist' || built === 'plugin')
		.filter(({ test, name }, i, those) => those.findIndex((other) => other.test === test && other.name === name) === i)
		.map((mutation) => ({ tests: [mutation.test], options: optionsOf(mutation) }));
	for (const { tests, options } of [...(sources.length > 0 ? [{ tests: sources, options: [] }] : []), ...named]) {
		const outcome = await runTests(copy, tests, options);
		const wrong = outcome ? [...outcome.failed, ...outcome.unloaded] : ['it took too long'];
		if (wrong.length > 0) throw new Error(`Without a mutation, ${tests.join(' ')} fails already: ${wrong.join('; ')}`);
		if (outcome?.passed === 0) throw new Error(`There is no test in ${tests.join(' ')} ${options.join(' ')}`);
	}
};

/** Gives what became of it, and the first test that noticed. */
const tryOne = async (/** @type {string} */ copy, /** @type {Mutation} */ mutation) => {
	const path = join(copy, mutation.file);
	const text = await readFile(path, 'utf8');
	await writeFile(path, mutated(text, mutation));
	/** @type {import('./mutation/native.mjs').Run} */
	const runHere = (command, limitMs) => run(copy, command, limitMs);
	try {
		if (mutation.build === 'native') {
			const outcome = await runNative(runHere, mutation.test);
			if (!outcome) return { result: 'too long', by: mutation.test };
			if (outcome.broken) return { result: 'broken', by: outcome.broken };
			const [by] = outcome.failed;
			return by ? { result: 'seen', by } : { result: 'NOT SEEN', by: mutation.test };
		}
		if (mutation.build === 'plugin') {
			const broken = await buildPlugin(runHere);
			if (broken) return { result: 'broken', by: broken };
		}
		if (mutation.build === 'dist') await build(copy);
		const outcome = await runTests(copy, [mutation.test], optionsOf(mutation));
		if (!outcome) return { result: 'too long', by: mutation.test };
		if (outcome.unloaded.length > 0) return { result: 'broken', by: outcome.unloaded[0] };
		if (outcome.failed.length === 0) return { result: 'NOT SEEN', by: mutation.test };
		return { result: 'seen', by: `${outcome.failed[0]}${outcome.isWaiting ? ' (waits for what does not come)' : ''}` };
	} finally {
		await writeFile(path, text);
	}
};

const folder = await mkdtemp(join(tmpdir(), 'allaprima-mutate-'));
const copy = join(folder, 'copy');
let unwatched = 0;
try {
	git('worktree', 'add', '--quiet', '--detach', copy, 'HEAD');
	for (const path of linked) {
		if (!existsSync(join(root, path))) continue;
		await mkdir(dirname(join(copy, path)), { recursive: true });
		await symlink(join(root, path), join(copy, path));
	}
	await compileAll(copy);
	const builds = new Set(mutations.map(({ build: built }) => built));
	if (builds.has('dist') || builds.has('plugin')) await build(copy);
	if (builds.has('native')) await configureNative((command, limitMs) => run(copy, command, limitMs));
	const broken = builds.has('plugin') && (await buildPlugin((command, limitMs) => run(copy, command, limitMs)));
	if (broken) throw new Error(`The copy's plugin cannot be built: ${broken}`);
	console.log(`${mutations.length} of ${all.length} guards; the tests as they are ...`);
	await expectPass(copy);
	for (const mutation of mutations) {
		const { result, by } = await tryOne(copy, mutation);
		if (result !== 'seen') unwatched++;
		console.log(`${result.padEnd(8)}  ${mutation.guard}\n          ${by.slice(0, 140)}`);
	}
	console.log(`${mutations.length - unwatched} of ${mutations.length} guards are watched`);
	if (unwatched > 0) process.exitCode = 1;
} catch (error) {
	console.error(stopping.signal.aborted ? 'stopped' : `mutate: ${error.message}`);
	process.exitCode = 1;
} finally {
	// The links first: what they lead to stays.
	for (const path of linked) await rm(join(copy, path), { force: true });
	if (existsSync(copy)) git('worktree', 'remove', '--force', copy);
	await rm(folder, { recursive: true, force: true });
}
