import { dirname, resolve } from 'node:path';
import type { Configuration } from '../config/schema/configuration.ts';
import { isRegionWord, type OwnRegion } from '../config/schema/preset.ts';
import type { Controller } from '../control/controller.ts';
import { readMaskFile } from '../control/mask-file.ts';
import { presetFolders } from '../control/presets.ts';
import { RegionPainter } from '../egress/region-painter.ts';
import { SidecarError } from '../errors.ts';
import {
	alphaPlaneByteLength,
	pictureByteLength,
	type Frame,
	type Mask,
	type Region,
	type Size,
	type StyledFrame,
} from '../frame/frame.ts';
import type { FrameRing } from '../frame/ring.ts';
import { loadNative } from '../native.ts';
import { decodeMask } from '../region/mask-image.ts';
import { RegionMasks } from '../region/region-masks.ts';
import { seenCells } from '../region/seen-cells.ts';
import type { Canvas } from './channel.ts';
import { OPPOSITE_FIT } from './streams.ts';

export interface Regions {
	/** The frames with the parts of them that are painted, before they are. */
	masked(frames: AsyncIterable<Frame>, settings: MaskedSettings): AsyncGenerator<Frame, void, undefined>;
	/** With the source around the part that is painted. */
	shown(frame: StyledFrame): Promise<StyledFrame>;
}

interface MaskedSettings {
	/** Where the frames' pixels are. */
	ring: Pick<FrameRing, 'bytes'>;
	/** Called for each frame, before it is looked at which part is asked for. */
	upTo: (frame: Frame) => void;
	/** Whether what lies outside is seen by somebody, as a painting. */
	showsWhole: () => boolean;
}

/** What a channel paints of its pictures. Errors: ERR_STYLE, where it begins with a mask that is none. */
export const openRegions = async ({
	controller,
	configuration: { style },
	canvas: { painted, fit, source },
	isReplay,
}: {
	controller: Pick<Controller, 'region'>;
	configuration: Pick<Configuration, 'style'>;
	canvas: Canvas;
	isReplay: boolean;
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
	const painter = new RegionPainter({ native, fit: OPPOSITE_FIT[fit] });
	let known: { asked: Controller['region']; region: Region | undefined } | undefined;
	const now = () => {
		const asked = controller.region;
		if (known?.asked.region !== asked.region || known.asked.revision !== asked.revision)
			known = { asked, region: regionOf(asked) };
		return known.region;
	};
	const first = now();
	if (first) await masks.check(first);
	// Others may still have some: a live source later, and a recording had it, which keeps none.
	if (first?.of === 'alpha' && !source.hasAlpha && !source.isLive && !isReplay)
		throw new SidecarError(
			'ERR_STYLE',
			`The region is alpha, and ${source.name} has none. Expected a source with alpha, such as a ProRes 4444 file; or choose another region.`,
		);
	async function* masked(frames: AsyncIterable<Frame>, { ring, upTo, showsWhole }: MaskedSettings) {
		for await (const frame of frames) {
			upTo(frame);
			const region = now();
			const mask = region && (await masks.maskOf({ ...frame, ...lookOf(frame, ring, source) }, region));
			yield mask ? { ...frame, mask, ...(!showsWhole() && { seen: seenCells(mask) }) } : frame;
		}
	}
	return { masked, shown: (frame) => painter.shown(frame) };
};

/** Views of the ring. */
const lookOf = ({ slot, layout }: Frame, ring: Pick<FrameRing, 'bytes'>, { hasAlpha }: Canvas['source']) => {
	const bytes = ring.bytes(slot);
	const length = pictureByteLength(layout);
	return {
		picture: { ...layout, data: bytes.subarray(0, length) },
		...(hasAlpha && { alphaPlane: bytes.subarray(length, length + alphaPlaneByteLength(layout)) }),
	};
};

const loadMask = async (file: string, folders: readonly string[], size: Size): Promise<Mask> => {
	const image = await readMaskFile(file, folders);
	return await decodeMask(image, size, `The mask ${image.path}`);
};

/** Words in a preset or a command, in full; undefined is all. */
export const regionOf = ({ region, revision }: { region: OwnRegion; revision: number }): Region | undefined => {
	if (region === 'all') return undefined;
	const { mask, invert = false, feather = 0 } = typeof region === 'string' ? { mask: region } : region;
	const of = isRegionWord(mask) ? mask : { file: mask };
	return {
		of: of === 'background' ? 'subject' : of,
		isInverted: invert !== (mask === 'background'),
		featherPx: feather,
		revision,
	};
};
