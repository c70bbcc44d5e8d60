import { dirname, join } from 'node:path';
import { parseExplained } from '../../config/explained.ts';
import { MidiFile, type MidiMapping } from '../../config/schema/midi.ts';
import { isSidecarError, SidecarError } from '../../errors.ts';
import { isTaken, makeFolder, writeGuarded } from '../file-guard.ts';
import { presetFolders, readJsonFile } from '../presets.ts';

const FILE_BYTES_MAX = 64 * 1024;

/** Beside the user's own presets: `~/.local/share/allaprima/midi.json`. */
export const learnedPath = (environment: Record<string, string | undefined> = process.env): string =>
	join(dirname(presetFolders(environment)[0]!), 'midi.json');

/**
 * What was learned; nothing where there is no file. Errors: ERR_CONFIG, a line for each thing that is wrong, with file, line
 * and column.
 */
export const readLearned = async (path: string): Promise<MidiMapping> => {
	if (!(await isTaken(path))) return {};
	try {
		return parseExplained(MidiFile, await readJsonFile(path, FILE_BYTES_MAX), [], 'ERR_CONFIG').mapping;
	} catch (error) {
		throw asConfig(error);
	}
};

/** Errors: ERR_CONFIG. */
export const writeLearned = async (path: string, mapping: MidiMapping): Promise<void> => {
	const file: MidiFile = { format: 'allaprima-midi', formatVersion: 1, mapping };
	try {
		await makeFolder(dirname(path));
		await writeGuarded([{ path, content: `${JSON.stringify(file, null, '\t')}\n` }], { replace: true });
	} catch (error) {
		throw asConfig(error);
	}
};

/** Files are guarded for presets, whose errors they give. */
const asConfig = (error: unknown): unknown =>
	isSidecarError(error) && error.code === 'ERR_STYLE'
		? new SidecarError('ERR_CONFIG', error.message, { cause: error })
		: error;
