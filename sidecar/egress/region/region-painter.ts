import type { StyledFrame } from '../../frame/frame.ts';
import type { Fit, NativeAddon } from '../../native.ts';
import type { RegionMasks } from './region-masks.ts';

interface RegionPainterSettings {
	native: Pick<NativeAddon, 'paintRegion'>;
	masks: Pick<RegionMasks, 'maskOf'>;
	/** How a painting goes back where it came from. */
	fit: Fit;
}

/** Shows paintings in a part of the picture alone: outside it is the source of the same frame, byte for byte. */
export class RegionPainter {
	readonly #settings: RegionPainterSettings;

	constructor(settings: RegionPainterSettings) {
		this.#settings = settings;
	}

	/**
	 * The frame as sinks are to have it: of the source's size and format, or where the source's own picture is not at hand, of
	 * the painting's. The memory of `region.original` is used for it.
	 */
	async shown({ region, ...frame }: StyledFrame): Promise<StyledFrame> {
		const { native, masks, fit } = this.#settings;
		const mask = region && frame.kind === 'painting' ? await masks.maskOf(frame, region.of) : undefined;
		if (!mask) return frame;
		const { source, picture: painting } = frame;
		const picture = region?.original ?? { ...source, data: source.data.slice() };
		await native.paintRegion(painting, mask, region?.original ? fit : 'stretch', picture);
		return { ...frame, picture, part: { painting, mask } };
	}
}
