import { SetScenes } from '../../config/schema/obs-scenes.ts';
import { parse } from '../../config/schema/parse.ts';
import { isSidecarError } from '../../errors.ts';
import { log } from '../../telemetry/logger.ts';
import { unknownStyle } from '../presets.ts';
import { json, Refusal, type Answer } from './answer.ts';
import { readJson } from './request.ts';
import type { Call } from './routes.ts';
import type { ScenesAnswer } from './schemas.ts';
import type { ServedScenes } from './served.ts';

/** As many rows as there may be, with the longest names. */
const BODY_BYTES = 768 * 1024;

/** The table of scenes, and the scenes that OBS told of. */
export const readScenes = ({ served }: Call): Answer => json(answerOf(scenesOf(served.scenes)));

/** All rows at once; in force whether they can be kept or not. Errors: ERR_COMMAND, ERR_STYLE, ERR_SCENES. */
export const writeScenes = async ({ request, served }: Call): Promise<Answer> => {
	const { table, store } = scenesOf(served.scenes);
	const { scenes, revision } = parse(SetScenes, await readJson(request, BODY_BYTES), 'The table', 'ERR_COMMAND');
	if (revision !== undefined && revision !== table.revision)
		throw new Refusal(409, 'ERR_SCENES', 'The table was changed meanwhile. Read it again, and then change it.');
	const names = served.channels()[0]?.controller.presets.map(({ name }) => name) ?? [];
	// A style whose file is gone may stay where it is: the file may come back.
	for (const { scene, style } of scenes)
		if (!names.includes(style) && table.styleOf(scene) !== style) throw unknownStyle(style, names);
	table.replace(scenes);
	try {
		return json({ ...answerOf({ table }), keptIn: await store.keep(scenes) } satisfies ScenesAnswer);
	} catch (error) {
		if (!isSidecarError(error)) throw error;
		log.warn({ reason: error.message }, 'table of scenes not kept');
		const problem = `In force, and gone after this run, for it could not be kept: ${error.message}`;
		return json({ ...answerOf({ table }), problem } satisfies ScenesAnswer);
	}
};

const scenesOf = (scenes: ServedScenes | undefined): ServedScenes => {
	if (scenes) return scenes;
	throw new Refusal(404, 'ERR_SCENES', 'OBS is not in use here. Paint --source obs, or set obs.websocket.');
};

const answerOf = ({ table: { rows, known, revision } }: Pick<ServedScenes, 'table'>): ScenesAnswer => ({
	revision,
	scenes: rows,
	known,
});
