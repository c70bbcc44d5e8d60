import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Debian's Advanced Scene Switcher, unpacked by scripts/setup for the OBS of one test: installed it would be in all. */
const UNPACKED = fileURLToPath(new URL('../../.cache/scene-switcher/usr', import.meta.url));
const LIBRARIES = ['libadvanced-scene-switcher.so', 'advanced-scene-switcher-lib.so.1'];

/** Puts it into the OBS of a folder. */
export const installSceneSwitcher = (folder: string): void => {
	if (!existsSync(UNPACKED)) throw new Error(`${UNPACKED} is missing: run scripts/setup --tests`);
	const target = join(folder, 'config/obs-studio/plugins/libadvanced-scene-switcher');
	mkdirSync(join(target, 'bin/64bit'), { recursive: true });
	for (const library of LIBRARIES)
		cpSync(join(UNPACKED, 'lib/x86_64-linux-gnu/obs-plugins', library), join(target, 'bin/64bit', library));
	cpSync(join(UNPACKED, 'share/obs/obs-plugins/advanced-scene-switcher'), join(target, 'data'), { recursive: true });
};

/** A macro as version 1.20 saves it: when a scene comes into the program, at the start of the transition, `action`. */
export const macroOn = (scene: string, action: object): object => ({
	name: `on ${scene}`,
	onChange: true,
	conditions: [
		{ id: 'scene', logic: 0, type: 0, sceneSelection: { type: 0, name: scene }, useTransitionTargetScene: true },
	],
	actions: [action],
});

/** "Filter": "Set settings" of a filter on a source. */
export const setFilter = (source: string, filter: string, settings: object): object => ({
	id: 'filter',
	action: 2,
	source: { type: 0, name: source },
	filter,
	settings: JSON.stringify(settings),
});

/** "Hotkey", sent only to OBS. The keys are numbered: none, A to Z, 0 to 9, F1 and so on. */
export const pressF = (number: number): object => ({ id: 'hotkey', key: 36 + number, onlyOBS: true, duration: 300 });

/** Gives an OBS that is not running these macros. */
export const writeMacros = (folder: string, macros: object[]): void => {
	const path = join(folder, 'config/obs-studio/basic/scenes/Test.json');
	const collection = JSON.parse(readFileSync(path, 'utf8')) as { modules: Record<string, object> };
	Object.assign(collection.modules['advanced-scene-switcher']!, { macros, active: true, interval: 100 });
	writeFileSync(path, JSON.stringify(collection));
};
