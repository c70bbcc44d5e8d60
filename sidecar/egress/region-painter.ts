import type { StyledFrame } from '../frame/frame.ts';
import type { Fit, NativeAddon } from '../native.ts';

interface RegionPainterSettings {
	native: Pick<NativeAddon, 'paintRegion'>;
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
		const { native, fit } = this.#settings;
		if (!region || frame.kind !== 'painting') return frame;
		const { mask, original } = region;
		const { source, picture: painting } = frame;
		const picture = original ?? { ...source, data: source.data.slice() };
		await native.paintRegion(painting, mask, original ? fit : 'stretch', picture);
		return { ...frame, picture, part: { painting, mask } };
	}
}
