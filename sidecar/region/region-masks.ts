import { pictureByteLength, rgbLayout, type Mask, type Picture, type Region, type Size } from '../frame/frame.ts';
import type { Fit, MaskExtent, NativeAddon } from '../native.ts';
import { log } from '../telemetry/logger.ts';
import { AlphaMasks } from './alpha.ts';
import type { Cells } from './cells.ts';
import { ChangedCells } from './changed.ts';
import { centred } from './mask.ts';
import { SoftLevels } from './soft-levels.ts';
import { SubjectCells } from './subject.ts';

/** Of the longer side. A cell is 10 px of 1280. */
const CELLS = 128;
/** Masks of files that are kept ready. */
const KEPT = 8;

interface RegionMasksSettings {
	native: Pick<NativeAddon, 'convert' | 'takeAlpha' | 'shapeMask'>;
	source: Size;
	painted: Size;
	/** How the source meets the painted size. */
	fit: Fit;
	/** A mask in a file, stretched over the source. Errors: ERR_STYLE. */
	load: (file: string, size: Size) => Promise<Mask>;
}

/** Finds the cells of one kind, from picture to picture. */
interface Finder {
	next(picture: Picture, nowUs: number, elapsedUs: number): Cells;
}

/** The source's own picture, and when it is shown in its time. */
interface Look {
	picture: Picture;
	timestampUs: number;
	/** Behind the picture, where its alpha is not in its pixels; absent: it has none. */
	alphaPlane?: Uint8Array;
}

interface Shaped {
	mask: Mask;
	extent: MaskExtent;
}

/** Which part of each painting is shown. Pictures are to come in order. */
export class RegionMasks {
	readonly #settings: RegionMasksSettings;
	/** What a painting shows, in px of the source: a part of the source, or the source with bars. */
	readonly #canvas: Size;
	readonly #files = new Map<string, Promise<Mask | undefined>>();
	readonly #finders = new Map<'changed' | 'subject', { finder: Finder; revision: number; lastUs: number }>();
	#soft: { of: string; levels: SoftLevels } | undefined;
	readonly #alphas: AlphaMasks;
	/** What the newest alpha came to. */
	#ofLastAlpha: { alpha: Mask; wish: string; mask: Promise<Mask | undefined> } | undefined;
	#isOpaqueTold = false;

	constructor(settings: RegionMasksSettings) {
		this.#settings = settings;
		this.#alphas = new AlphaMasks(settings.native);
		this.#canvas = canvasOf(settings);
	}

	/** Undefined: all of it is. */
	async maskOf(look: Look, region: Region): Promise<Mask | undefined> {
		if (typeof region.of === 'object') return await this.#ofFile(region.of.file, region);
		if (region.of === 'alpha') return await this.#ofAlpha(look, region);
		const { picture: source, timestampUs: nowUs } = look;
		const picture = await this.#thumbnail(source);
		let known = this.#finders.get(region.of);
		if (known?.revision !== region.revision) {
			const finder = region.of === 'changed' ? new ChangedCells() : new SubjectCells();
			known = { finder, revision: region.revision, lastUs: nowUs };
			this.#finders.set(region.of, known);
		}
		const elapsedUs = Math.max(nowUs - known.lastUs, 0);
		known.lastUs = nowUs;
		const cells = known.finder.next(picture, nowUs, elapsedUs);
		const shape = { ...cells, data: cells.data.map((on) => (on ? 255 : 0)) };
		const featherCells = (region.featherPx * picture.width) / this.#canvas.width;
		const { mask: aim } = await this.#shaped(shape, region.isInverted, featherCells);
		if (this.#soft?.of !== region.of) this.#soft = { of: region.of, levels: new SoftLevels(aim) };
		return this.#soft.levels.towards(aim, elapsedUs);
	}

	/** Errors: ERR_STYLE, where the region is of a file that is no mask. */
	async check({ of }: Region): Promise<void> {
		if (typeof of === 'object') await this.#settings.load(of.file, this.#settings.source);
	}

	/** A pixel for each cell. */
	async #thumbnail(source: Picture): Promise<Picture> {
		const { width, height } = this.#canvas;
		const side = (length: number) => Math.max(1, Math.round((CELLS * length) / Math.max(width, height)));
		const layout = rgbLayout({ width: side(width), height: side(height) });
		const picture = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
		await this.#settings.native.convert(source, picture, this.#settings.fit);
		return picture;
	}

	/** Undefined where all is painted, also for want of alpha, as where a file is no mask. */
	async #ofAlpha({ picture, alphaPlane }: Look, { isInverted, featherPx }: Region): Promise<Mask | undefined> {
		if (!alphaPlane) {
			if (!this.#isOpaqueTold) log.warn('the source has no alpha to be a mask, all is painted');
			this.#isOpaqueTold = true;
			return undefined;
		}
		const alpha = await this.#alphas.next(picture, alphaPlane);
		const wish = JSON.stringify([isInverted, featherPx]);
		const last = this.#ofLastAlpha;
		if (last?.alpha !== alpha || last.wish !== wish)
			this.#ofLastAlpha = { alpha, wish, mask: this.#ofSource(alpha, isInverted, featherPx).then(({ mask }) => mask) };
		return await this.#ofLastAlpha!.mask;
	}

	#ofFile(file: string, { isInverted, featherPx }: Region): Promise<Mask | undefined> {
		const key = JSON.stringify([file, isInverted, featherPx]);
		const known = this.#files.get(key);
		if (known) return known;
		if (this.#files.size >= KEPT) this.#files.delete(this.#files.keys().next().value!);
		const loaded = this.#load(file, isInverted, featherPx);
		this.#files.set(key, loaded);
		return loaded;
	}

	/** Undefined where all is painted: also where the file is none, for what was to be hidden must not come to light. */
	async #load(file: string, isInverted: boolean, featherPx: number): Promise<Mask | undefined> {
		const { source, load } = this.#settings;
		try {
			const { mask, extent } = await this.#ofSource(await load(file, source), isInverted, featherPx);
			if (extent === 'nothing') log.warn({ file }, 'the mask shows nothing of the painting');
			return mask;
		} catch (error) {
			log.warn({ file, error }, 'no mask, all is painted');
			return undefined;
		}
	}

	/** A mask of the source, cropped or with bars as the source is to be painted; none where it shows all of the painting. */
	async #ofSource(ofSource: Mask, isInverted: boolean, featherPx: number): Promise<Partial<Shaped>> {
		const { mask, extent } = await this.#shaped(centred(ofSource, this.#canvas), isInverted, featherPx);
		return extent === 'all' ? { extent } : { mask, extent };
	}

	async #shaped(shape: Mask, isInverted: boolean, featherPx: number): Promise<Shaped> {
		const mask = { ...shape, data: new Uint8Array(shape.data.length) };
		return { mask, extent: await this.#settings.native.shapeMask(shape, isInverted, featherPx, mask) };
	}
}

const canvasOf = ({ source, painted, fit }: Pick<RegionMasksSettings, 'source' | 'painted' | 'fit'>): Size => {
	const { width, height } = source;
	if (fit === 'stretch') return { width, height };
	const aspect = painted.width / painted.height;
	const either = fit === 'cover' ? Math.min : Math.max;
	return {
		width: Math.max(1, Math.round(either(width, height * aspect))),
		height: Math.max(1, Math.round(either(height, width / aspect))),
	};
};
