import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

/**
 * The tree is the architecture: who may import whom, and what does not belong in it. A place is a
 * folder of sidecar/, or a file that lies directly in it.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Besides errors and telemetry/logger, which all may import. `types` are for `import type` alone. */
const MAY_IMPORT: Record<string, { values: string[]; types?: string[] }> = {
	errors: { values: [] },
	config: { values: [] },
	parameters: { values: [], types: ['config', 'frame'] },
	native: { values: [], types: ['frame'] },
	ndi: { values: ['native'], types: ['egress', 'frame'] },
	ffmpeg: { values: ['frame'] },
	srt: { values: ['ffmpeg'] },
	'video-device': { values: [] },
	frame: { values: ['native'] },
	ingest: { values: ['frame', 'native', 'ndi', 'ffmpeg', 'srt', 'video-device'] },
	region: { values: ['ffmpeg', 'frame', 'native'] },
	egress: { values: ['frame', 'native', 'ndi', 'ffmpeg', 'srt', 'video-device'] },
	inference: { values: ['frame', 'native', 'config'] },
	engine: { values: ['frame', 'inference', 'native', 'parameters'], types: ['config'] },
	// Pictures that show styles are decoded where they come in.
	control: { values: ['config', 'ffmpeg', 'frame', 'parameters'] },
	// Both ends of it; what it paints with is given to it.
	fleet: { values: ['config', 'frame', 'parameters'], types: ['engine', 'inference', 'native'] },
	// What was painted, and by whom it was asked: both ends of it.
	recording: { values: ['config', 'control', 'ffmpeg', 'frame', 'ingest'], types: ['engine', 'parameters'] },
	telemetry: { values: ['frame', 'native'], types: ['config'] },
	app: {
		values: [
			'config',
			'control',
			'egress',
			'engine',
			'fleet',
			'frame',
			'inference',
			'ingest',
			'native',
			'ndi',
			'parameters',
			'recording',
			'region',
			'telemetry',
		],
	},
	// As `app`, of several channels.
	relay: { values: ['app', 'config', 'control', 'ndi', 'telemetry'] },
	// The other end of it: an engine, and no source or sink.
	worker: {
		values: ['app', 'config', 'control', 'engine', 'fleet', 'frame', 'inference', 'native', 'parameters', 'telemetry'],
	},
	commands: {
		values: [
			'app',
			'config',
			'control',
			'ffmpeg',
			'fleet',
			'frame',
			'inference',
			'ingest',
			'native',
			'ndi',
			'relay',
			'telemetry',
			'video-device',
			'worker',
		],
	},
	cli: { values: ['commands', 'config', 'telemetry'] },
};
const FOR_ALL = ['sidecar/errors.ts', 'sidecar/telemetry/logger.ts'];

type Files = ReadonlyMap<string, string>;

interface Import {
	file: string;
	specifier: string;
	typeOnly: boolean;
}

/** Files that git knows or would add: what is checked out, and what is about to be committed. */
const projectFiles = (): string[] =>
	execFileSync(
		'git',
		['-c', 'safe.directory=*', '-C', root, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
		{
			encoding: 'utf8',
			maxBuffer: 1 << 26,
		},
	)
		.split('\0')
		.filter((path) => path && existsSync(join(root, path)));

const readFiles = (paths: string[]): Files =>
	new Map(paths.map((path) => [path, readFileSync(join(root, path), 'utf8')]));

const withoutComments = (source: string): string =>
	source.replace(/\/\*[\s\S]*?\*\/|(^|[^:'"`])\/\/.*$/gm, (_, before: string | undefined) => before ?? '');

/** Static, side-effect and dynamic imports, re-exports, and programs started by their own file. */
const importsOf = (file: string, source: string): Import[] => {
	const text = withoutComments(source);
	const found: Import[] = [];
	const add = (specifier: string, typeOnly = false) => found.push({ file, specifier, typeOnly });
	for (const match of text.matchAll(/^\s*(import|export)\s+(type\s+)?(?:[\w*\s,{}$]+?\s+from\s*)(['"])(.+?)\3/gm))
		add(match[4]!, match[2] !== undefined);
	for (const match of text.matchAll(/^\s*import\s*(['"])(.+?)\1/gm)) add(match[2]!);
	for (const match of text.matchAll(/\b(?:import|require|createRequire\([^)]*\))\s*\(\s*(['"])(.+?)\1/g))
		add(match[2]!);
	for (const match of text.matchAll(/new URL\(\s*(['"])(\.[^'"]+\.[jt]s)\1\s*,\s*import\.meta\.url/g))
		add(match[2]!.replace(/\.js$/, '.ts'));
	return found;
};

const allImports = (files: Files): Import[] => [...files].flatMap(([file, source]) => importsOf(file, source));

const placeOf = (file: string): string => /^sidecar\/([^/.]+)/.exec(file)?.[1] ?? file;

/** Lines such as `frame/ring.ts imports engine/line.ts: frame may not import engine`. */
const wrongDirections = (files: Files): string[] =>
	allImports(files).flatMap(({ file, specifier, typeOnly }) => {
		if (!specifier.startsWith('.')) return [];
		const target = posix.join(dirname(file), specifier);
		const [from, to] = [placeOf(file), placeOf(target)];
		if (from === to || FOR_ALL.includes(target)) return [];
		const rule = MAY_IMPORT[from];
		if (!rule) return [`${file}: the place ${from} has no rule here; see the design's folders`];
		if (rule.values.includes(to) || (typeOnly && rule.types?.includes(to))) return [];
		return [
			`${file} imports ${target}: ${from} may not import ${to}${rule.types?.includes(to) ? ' but for types' : ''}`,
		];
	});

const sharedPackages = (files: Files): string[] => {
	const importers = new Map<string, Set<string>>();
	for (const { file, specifier } of allImports(files)) {
		if (/^[./]/.test(specifier) || specifier.startsWith('node:')) continue;
		const name = specifier
			.split('/')
			.slice(0, specifier.startsWith('@') ? 2 : 1)
			.join('/');
		importers.set(name, (importers.get(name) ?? new Set()).add(file));
	}
	return [...importers]
		.filter(([, by]) => by.size > 1)
		.map(([name, by]) => `${name} is imported by ${[...by].join(', ')}`);
};

const all = projectFiles();
const sidecar = readFiles(all.filter((path) => /^sidecar\/.*\.ts$/.test(path)));

const plant = (file: string, source: string): Files => new Map([...sidecar, [file, source]]);

test('folders import only what the design lets them', () => {
	expect(wrongDirections(sidecar)).toEqual([]);
});

test('every file of the sidecar was read, and every import in it was seen', () => {
	const places = new Set([...sidecar.keys()].map(placeOf));
	expect([...places].sort()).toEqual(Object.keys(MAY_IMPORT).sort());
	for (const [file, source] of sidecar) {
		const plain = withoutComments(source);
		const statements =
			plain.match(/^\s*import\b(?!\.meta)|^\s*export\b[^;='"]*\bfrom\s*['"]|[^.\w]import\(/gm)?.length ?? 0;
		const seen = importsOf(file, source).filter(
			({ specifier }) => !plain.includes(`new URL('${specifier.replace(/ts$/, 'js')}'`),
		);
		expect(seen.length, file).toBeGreaterThanOrEqual(statements);
	}
	const count = [...sidecar.values()].reduce(
		(sum, source) => sum + withoutComments(source).split(/\bfrom '/).length - 1,
		0,
	);
	expect(allImports(sidecar).length).toBeGreaterThanOrEqual(count);
});

test.each([
	['a value', "import { paintLine } from '../engine/line.ts';"],
	['a type', "import type { Stages } from '../engine/line.ts';"],
	['several lines', "import {\n\tpaintLine,\n\ttype Stages,\n} from '../engine/line.ts';"],
	['a re-export', "export * from '../engine/line.ts';"],
	['a side effect', "import '../engine/line.ts';"],
	['a dynamic import', "const { paintLine } = await import('../engine/line.ts');"],
	['a worker', "new Worker(new URL('../engine/line.js', import.meta.url));"],
])('a wrong direction is seen: %s', (_, source) => {
	expect(wrongDirections(plant('sidecar/frame/planted.ts', source))).toEqual([
		'sidecar/frame/planted.ts imports sidecar/engine/line.ts: frame may not import engine',
	]);
});

test('a value where only types may be imported is seen, and a comment is not', () => {
	expect(
		wrongDirections(plant('sidecar/telemetry/planted.ts', "import { Tuning } from '../config/schema/tuning.ts';")),
	).toHaveLength(1);
	expect(
		wrongDirections(plant('sidecar/telemetry/planted.ts', "import type { Tuning } from '../config/schema/tuning.ts';")),
	).toEqual([]);
	expect(wrongDirections(plant('sidecar/frame/planted.ts', "// import { x } from '../engine/line.ts';"))).toEqual([]);
	expect(wrongDirections(plant('sidecar/utilities/planted.ts', "import { x } from '../frame/ring.ts';"))).toHaveLength(
		1,
	);
});

test('a third-party package has one importing file', () => {
	expect(sharedPackages(sidecar)).toEqual([]);
	expect(sharedPackages(plant('sidecar/frame/planted.ts', "import { z } from 'zod/v4';"))).toEqual([
		'zod is imported by sidecar/config/schema/zod.ts, sidecar/frame/planted.ts',
	]);
});

test('Node is imported by its own name', () => {
	const bare = allImports(sidecar).filter(({ specifier }) => builtinModules.includes(specifier));
	expect(bare).toEqual([]);
});

test('every dependency is imported or said to be used otherwise', () => {
	const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
		dependencies: Record<string, string>;
	};
	const builds = ['cmake-js', 'node-addon-api', 'typescript', '@types/node', '@types/ws'];
	const imported = new Set(allImports(sidecar).map(({ specifier }) => specifier));
	expect(Object.keys(dependencies).filter((name) => !imported.has(name) && !builds.includes(name))).toEqual([]);
});

// What does not belong in the tree. The patterns are written so that they do not match themselves.
const SOURCES = /\.(ts|mjs|py|c|h|cpp|hpp|sh|json|md|yml|cmake|txt)$|^(scripts|\.ci)\/[^.]+$|^test\/native\/run$/;
const BANNED: [what: string, pattern: RegExp, where?: RegExp][] = [
	['an unfinished thought', /\b(TO[D]O|FIX[M]E|X[X]X)\b/],
	["a path of one person's machine", /(^|[\s'"`(=:])\/(work|home|root|Users)\/[\w.-]|\b[A-Z]:\\Users\\/m],
	['a test that shuts out the others', /\b(test|it|describe)(\.\w+)*\.on[l]y\(/, /^test\//],
	['a conflict marker', /^(<{7}|>{7}) /m],
];
const BANNED_PATHS: [what: string, pattern: RegExp][] = [
	['a folder without a noun', /(^|\/)(utils?|helpers?|common|misc|shared|lib)\//],
	['a barrel', /(^|\/)index\.[jt]s$/],
	['a name that is not in kebab-case', /^(sidecar|scripts|presets)\/.*[A-Z_]/],
];

const findings = (files: Files): string[] =>
	[...files].flatMap(([path, text]) => [
		...BANNED_PATHS.filter(([, pattern]) => pattern.test(path)).map(([what]) => `${path} is ${what}`),
		...BANNED.filter(([, pattern, where]) => (!where || where.test(path)) && pattern.test(text)).map(
			([what]) => `${path} has ${what}`,
		),
	]);

test('nothing lies around that does not belong', () => {
	const files = readFiles(all.filter((path) => SOURCES.test(path) && path !== 'package-lock.json'));
	expect(files.size).toBeGreaterThan(50);
	expect(findings(files)).toEqual([]);
});

test.each([
	['sidecar/utils/x.ts', ''],
	['sidecar/frame/index.ts', ''],
	['sidecar/frame/frameRing.ts', ''],
	['sidecar/x.ts', `// ${'TO'}DO later`],
	['docs/x.md', `see ${'/ho'}me/me/x`],
	['test/unit/x.test.ts', `test.${'on'}ly('x', () => {});`],
])('what does not belong is seen: %s', (path, text) => {
	expect(findings(new Map([[path, text]]))).toHaveLength(1);
});
