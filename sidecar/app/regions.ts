import { dirname, resolve } from 'node:path';
import type { Configuration, OwnRegion } from '../config/schema.ts';
import type { Controller } from '../control/controller.ts';
import { readMaskFile } from '../control/mask-file.ts';
import { presetFolders } from '../control/presets.ts';
import { decodeMask } from '../egress/region/mask-image.ts';
import { RegionMasks } from '../egress/region/region-masks.ts';
import { RegionPainter } from '../egress/region/region-painter.ts';
import type { Mask, Region, Size, StyledFrame } from '../frame/frame.ts';
import { loadNative } from '../native.ts';
import type { Canvas } from './channel.ts';
import { OPPOSITE_FIT } from './streams.ts';

export interface Regions {
	/** Undefined: all of the picture is painted. The same object as long as nothing else is asked for. */
	now(): Region | undefined;
	shown(frame: StyledFrame): Promise<StyledFrame>;
}

/** What a channel paints of its pictures. Errors: ERR_STYLE, where it begins with a file that is no mask. */
export const openRegions = async ({
	controller,
	configuration: { style },
	canvas: { painted, fit, source },
}: {
	controller: Pick<Controller, 'region'>;
	configuration: Pick<Configuration, 'style'>;
	canvas: Canvas;
}): Promise<Regions> => {
	const native = loadNative();
	const own = /[/\\]|\.json$/.test(style) ? [dirname(resolve(style))] : [];
	const folders = [...own, ...presetFolders()];
	const masks = new RegionMasks({
		native,
		source: source.layout,
		painted,
		fit,
		load: (file, size) => loadMask(file, folders, size),
	});
	const painter = new RegionPainter({ native, masks, fit: OPPOSITE_FIT[fit] });
	let known: { asked: Controller['region']; region: Region | undefined } | undefined;
	const now = () => {
		const asked = controller.region;
		if (known?.asked.region !== asked.region || known.asked.revision !== asked.revision)
			known = { asked, region: regionOf(asked) };
		return known.region;
	};
	const first = now();
	if (first) await masks.check(first);
	return { now, shown: (frame) => painter.shown(frame) };
};

const loadMask = async (file: string, folders: readonly string[], size: Size): Promise<Mask> => {
	const image = await readMaskFile(file, folders);
	return await decodeMask(image, size, `The mask ${image.path}`);
};

/** Words in a preset or a command, in full; undefined is all. */
export const regionOf = ({ region, revision }: { region: OwnRegion; revision: number }): Region | undefined => {
	if (region === 'all') return undefined;
	const { mask, invert = false, feather = 0 } = typeof region === 'string' ? { mask: region } : region;
	return {
		of: mask === 'background' ? 'subject' : mask === 'changed' || mask === 'subject' ? mask : { file: mask },
		isInverted: invert !== (mask === 'background'),
		featherPx: feather,
		revision,
	};
};
