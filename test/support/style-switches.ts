import { setTimeout as sleep } from 'node:timers/promises';
import { CANVAS, type Obs } from './obs.ts';
import { readBlocks, record } from './obs-recording.ts';

/**
 * Changes of style, read from the program: one camera in two scenes, painted in colour in the first and as a grey drawing
 * in the second. A scene's own mark, in a corner of the program, shows in which frame a transition began; another mark,
 * switched in one batch with a hotkey, shows when that was pressed.
 */

export const SCENES = { Colour: 'oil-painting', Grey: 'pencil-sketch' };
export type Scene = keyof typeof SCENES;

export const STREAM = 'Camera / Alla Prima';
const GRID = { columns: 10, rows: 10 };
const MARK_SIZE = { width: CANVAS.width / GRID.columns, height: CANVAS.height / GRID.rows };
/** Not black and white, which would be cut off where the encoder lets the colour of the picture beside them in. */
const DARK = 0xff404040;
const LIGHT = 0xffc0c0c0;
const MARK_STEP = 0xc0 - 0x40;
/** The ground of the card is darker (sidecar/egress/failure-policy.ts), and most of the clip is lighter. */
const CARD_LIGHT = 40;
/** Between two changes, so that one is over, and a style armed, before the next: a time, and paintings, for a busy machine. */
const SETTLE = { ms: 800, paintings: 20 };

/** The scenes, with the filter and the marks in them; studio mode with the first in the program. */
export const addScenes = async (obs: Obs): Promise<void> => {
	await obs.addClip('Colour', 'Camera');
	// Where the machine is so busy that the painter is late, its source would be taken for a style.
	await obs.addFilter('Camera', { style: SCENES.Colour, failure: 'hold' });
	await obs.socket.call('CreateScene', { sceneName: 'Grey' });
	await obs.socket.call('CreateSceneItem', { sceneName: 'Grey', sourceName: 'Camera' });
	await obs.addColour('Colour', 'Colour mark', DARK, MARK_SIZE);
	await obs.addColour('Grey', 'Grey mark', LIGHT, MARK_SIZE);
	await obs.addColour('Colour', 'Key mark', DARK, MARK_SIZE);
	await obs.socket.call('CreateSceneItem', { sceneName: 'Grey', sourceName: 'Key mark' });
	for (const sceneName of Object.keys(SCENES)) {
		const { sceneItemId } = await obs.socket.call('GetSceneItemId', { sceneName, sourceName: 'Key mark' });
		await obs.socket.call('SetSceneItemTransform', {
			sceneName,
			sceneItemId,
			sceneItemTransform: { positionX: CANVAS.width - MARK_SIZE.width },
		});
	}
	await obs.socket.call('SetCurrentProgramScene', { sceneName: 'Colour' });
	await obs.socket.call('SetStudioModeEnabled', { studioModeEnabled: true });
};

const settle = async (obs: Obs): Promise<void> => {
	const { framesShown } = await obs.stream(STREAM);
	await sleep(SETTLE.ms);
	const isOver = async () => (await obs.stream(STREAM)).framesShown >= framesShown + SETTLE.paintings;
	await obs.until(isOver, `${SETTLE.paintings} paintings`);
};

/** By a transition in studio mode, with what comes next in the preview beforehand. */
export const switchScenes = async (obs: Obs, count: number, transition: 'Cut' | 'Fade'): Promise<Change[]> => {
	await obs.socket.call('SetCurrentSceneTransition', { transitionName: transition });
	if (transition === 'Fade') await obs.socket.call('SetCurrentSceneTransitionDuration', { transitionDuration: 300 });
	const frames = await programOf(obs, async () => {
		for (let i = 0; i < count; i++) {
			const { currentProgramSceneName } = await obs.socket.call('GetCurrentProgramScene');
			const next = currentProgramSceneName === 'Grey' ? 'Colour' : 'Grey';
			await obs.socket.call('SetCurrentPreviewScene', { sceneName: next });
			await settle(obs);
			await obs.socket.call('TriggerStudioModeTransition');
			await obs.until(
				async () => (await obs.socket.call('GetCurrentProgramScene')).currentProgramSceneName === next,
				next,
			);
		}
		await settle(obs);
	});
	return changesOf(frames, ({ sceneMark }) => sceneMark);
};

/** Presses a hotkey and switches the mark with it. */
const pressMarked = (obs: Obs, hotkeyName: string, color: number) =>
	obs.socket.callBatch([
		{ requestType: 'SetInputSettings', requestData: { inputName: 'Key mark', inputSettings: { color } } },
		{ requestType: 'TriggerHotkeyByName', requestData: { hotkeyName } },
	]);

/**
 * By the hotkey of panic: for each press the frames from the first that shows the mark to the first that shows the card.
 * The mark is switched in the next tick at the latest, and the card may be a frame before it.
 */
export const pressPanic = async (obs: Obs, count: number): Promise<number[]> => {
	await obs.socket.call('SetInputSettings', { inputName: 'Key mark', inputSettings: { color: DARK } });
	const frames = await programOf(obs, async () => {
		for (let i = 0; i < count; i++) {
			await settle(obs);
			await pressMarked(obs, 'allaprima.panic', LIGHT);
			await sleep(SETTLE.ms);
			await pressMarked(obs, 'allaprima.panic', DARK);
		}
		await settle(obs);
	});
	const presses = startsOf(frames.map(({ keyMark }) => keyMark)).filter((_, i) => i % 2 === 0);
	return presses.map((start) => frames.findIndex(({ light }, at) => at >= start - 2 && light < CARD_LIGHT) - start);
};

/** By hotkeys of the styles. */
export const pressKeys = async (obs: Obs, count: number): Promise<Change[]> => {
	let { style } = await obs.stream(STREAM);
	let colour = DARK;
	const frames = await programOf(obs, async () => {
		for (let i = 0; i < count; i++) {
			await settle(obs);
			style = style === SCENES.Grey ? SCENES.Colour : SCENES.Grey;
			colour = colour === DARK ? LIGHT : DARK;
			await pressMarked(obs, `allaprima.style.${style}`, colour);
		}
		await settle(obs);
	});
	return changesOf(frames, ({ keyMark }) => keyMark);
};

interface ProgramFrame {
	sceneMark: number;
	keyMark: number;
	/** How far from grey the picture is, 0 to 255. */
	colour: number;
	/** The median of how light its parts are. */
	light: number;
}

const programOf = async (obs: Obs, during: () => Promise<void>): Promise<ProgramFrame[]> => {
	const { columns, rows } = GRID;
	const frames = await readBlocks(await record(obs, during), columns, rows);
	return frames.map((blocks) => {
		const lumaAt = (block: number) => {
			const [red = 0, green = 0, blue = 0] = blocks.subarray(3 * block);
			return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
		};
		let colour = 0;
		for (let block = columns; block < columns * rows; block++) {
			const [red = 0, green = 0, blue = 0] = blocks.subarray(3 * block);
			colour += Math.max(red, green, blue) - Math.min(red, green, blue);
		}
		const lights = Array.from({ length: columns * (rows - 1) }, (_, i) => lumaAt(columns + i)).sort((a, b) => a - b);
		const light = lights[lights.length >> 1]!;
		return { light, sceneMark: lumaAt(0), keyMark: lumaAt(columns - 1), colour: colour / (columns * (rows - 1)) };
	});
};

/** One change that was asked for. Times are in frames of the program since the first one that shows the asking. */
export interface Change {
	/** The first frame that is nearer to the new style than to the old one. */
	isNew: number;
	/** The first frame that is a tenth of the way. */
	begins: number;
	/** Frames of the old style after one of the new, each for three quarters at least: a fade is between them, unevenly. */
	oldAfterNew: number;
}

/** The encoder changes a mark by less. */
const NOISE = 12;

/** Frames in which a mark begins to go from one level to the other, at once or by a fade. */
const startsOf = (levels: readonly number[]): number[] => {
	const starts: number[] = [];
	let rest = levels[0]!;
	let start: number | undefined;
	for (const [i, level] of levels.entries()) {
		if (Math.abs(level - rest) <= NOISE) start = undefined;
		else start ??= i;
		if (start === undefined || Math.abs(level - rest) < MARK_STEP - NOISE) continue;
		starts.push(start);
		rest += Math.sign(level - rest) * MARK_STEP;
	}
	return starts;
};

const changesOf = (frames: readonly ProgramFrame[], mark: (frame: ProgramFrame) => number): Change[] => {
	const asked = startsOf(frames.map(mark));
	return asked.map((start, i) => {
		const end = asked[i + 1] ?? frames.length;
		// The camera's own colour changes while it plays: levels are of this change alone.
		const level = (part: readonly ProgramFrame[]) => part.reduce((sum, { colour }) => sum + colour, 0) / part.length;
		const oldLevel = level(frames.slice(Math.max(start - 10, 0), start));
		const newLevel = level(frames.slice(end - 10, end));
		const way = frames.slice(start, end).map(({ colour }) => (colour - oldLevel) / (newLevel - oldLevel));
		return {
			isNew: way.findIndex((share) => share > 0.5),
			begins: way.findIndex((share) => share > 0.1),
			oldAfterNew: way.slice(way.findIndex((share) => share >= 0.75)).filter((share) => share <= 0.25).length,
		};
	});
};
