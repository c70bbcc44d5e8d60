import { parse } from '../config/schema/parse.ts';
import { maskFileOf, Region, type Preset, type SavePreset } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import { PASSTHROUGH } from '../parameters.ts';
import type { Controller } from './controller.ts';
import type { PreviewFeed } from './http/served.ts';
import { encodePng, shrink, type RgbPicture } from './png.ts';
import { readMaskFile } from './mask-file.ts';
import { pictureOf, unpictured, type PicturedPreset, type PresetPicture } from './preset-bundle.ts';
import { presetFolders } from './presets.ts';

/** In px: a style's button on the page is smaller. */
const THUMBNAIL_SIDE = 256;
/** A run that stands still has no new picture to give. */
const PATIENCE_MS = 2000;

/**
 * What is painted now, as a preset: the style with what was asked of it since, and a small picture of it where one can be
 * had. Errors: ERR_STYLE, where nothing is painted.
 */
export const presetOfNow = async (
	{ controller, preview }: { controller: Controller; preview: PreviewFeed | undefined },
	{ name, title = titleOf(name) }: SavePreset,
): Promise<PicturedPreset> => {
	const { target, isPanic } = controller;
	if (target.name === PASSTHROUGH)
		throw new SidecarError('ERR_STYLE', 'Nothing is painted now, but passed through. Choose a style first.');
	const { region, mask } = await regionOfNow(controller, name);
	const { region: _, ...own } = unpictured(target);
	const preset: Preset = { ...own, name, title, ...(region && { region }) };
	const pictures: PicturedPreset['pictures'] = { ...(mask && { mask }) };
	if (target.shown) pictures.reference = pictureOf(await encodePng(target.shown.picture), 'reference', 'The reference');
	const picture = preview && !isPanic ? await nextPainting(preview) : undefined;
	if (picture) {
		const png = await encodePng(shrink(picture, THUMBNAIL_SIDE));
		pictures.thumbnail = pictureOf(png, 'thumbnail', 'The thumbnail');
	}
	return { preset, pictures };
};

/** With the mask, wherever its file lies. */
const regionOfNow = async (
	controller: Controller,
	name: string,
): Promise<{ region?: Region; mask?: PresetPicture }> => {
	const { region } = controller.region;
	if (region === 'all') return {};
	if (typeof region === 'string') return { region };
	const { mask: _, ...rest } = region;
	const file = maskFileOf(region);
	if (file === undefined) return { region: parse(Region, region, 'The region', 'ERR_STYLE') };
	const { bytes, path, type } = await readMaskFile(file, presetFolders());
	return { region: { ...rest, mask: `${name}.mask.${type}` }, mask: pictureOf(bytes, 'mask', `${path}:`) };
};

/** "my-oil" is "My oil" to people. */
const titleOf = (name: string): string => name[0]!.toUpperCase() + name.slice(1).replaceAll('-', ' ');

const nextPainting = async (preview: PreviewFeed): Promise<RgbPicture | undefined> => {
	let settle: (message: Uint8Array | undefined) => void = () => {};
	const message = new Promise<Uint8Array | undefined>((resolve) => (settle = resolve));
	using watcher = preview.watch(settle);
	const impatience = setTimeout(() => settle(undefined), PATIENCE_MS);
	watcher.ready();
	const bytes = await message;
	clearTimeout(impatience);
	return bytes && paintingOf(bytes);
};

/** The painting in a message of the preview; the form of it: egress/preview-sink.ts. */
const paintingOf = (message: Uint8Array): RgbPicture | undefined => {
	const header = Buffer.from(message.buffer, message.byteOffset, message.byteLength);
	if (header.length < 28 || header.toString('latin1', 0, 4) !== 'APPV' || header.readUInt16LE(4) !== 1)
		return undefined;
	const [headerBytes, width, height] = [header.readUInt16LE(6), header.readUInt16LE(8), header.readUInt16LE(10)];
	const byteLength = 3 * width * height;
	// One picture for both is no painting, but what the failure policy shows: the source itself, perhaps.
	const isSame = (header.readUInt32LE(24) & 1) !== 0;
	if (isSame || header.length !== headerBytes + 2 * byteLength || byteLength === 0) return undefined;
	return { width, height, data: header.subarray(header.length - byteLength) };
};
