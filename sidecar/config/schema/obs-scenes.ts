import { help } from './fields.ts';
import { z } from './zod.ts';

export const SCENE_NAME_MAX = 256;
const SCENES_MAX = 500;
const sceneName = z
	.string()
	.min(1)
	.max(SCENE_NAME_MAX)
	.refine((name) => name !== '__proto__', 'expected a scene by another name than __proto__');
const sceneStyle = z.string().min(1).max(64);
export const sceneStyles = z
	.record(sceneName, sceneStyle)
	.refine((scenes) => Object.keys(scenes).length <= SCENES_MAX, `expected at most ${SCENES_MAX} scenes`);

const SceneStyle = z.strictObject({
	scene: sceneName.meta(help('Name of the scene, as OBS has it')),
	style: sceneStyle.meta(help('Name of the style that it is painted in')),
});
export type SceneStyle = z.infer<typeof SceneStyle>;

/** The table as it is to be, in place of the one there is. */
export const SetScenes = z.strictObject({
	scenes: z
		.array(SceneStyle)
		.max(SCENES_MAX)
		.refine((rows) => new Set(rows.map(({ scene }) => scene)).size === rows.length, 'expected each scene once'),
	revision: z
		.int()
		.min(0)
		.exactOptional()
		.meta(help('Of the table that was changed: where there is a newer one, nothing is done')),
});
export type SetScenes = z.infer<typeof SetScenes>;

/** The table of who has no configuration file. */
export const SceneFile = z.strictObject({
	format: z.literal('allaprima-scenes'),
	formatVersion: z.literal(1),
	scenes: sceneStyles,
});
export type SceneFile = z.infer<typeof SceneFile>;
