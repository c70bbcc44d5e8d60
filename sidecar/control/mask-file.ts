import { isAbsolute, join } from 'node:path';
import { SidecarError } from '../errors.ts';
import type { Size } from '../frame/frame.ts';
import { isTaken, readGuarded } from './file-guard.ts';
import { imageHeaderOf, type ImageType } from './image-header.ts';

export const MASK_BYTES_MAX = 16 * 1024 * 1024;
const SIDE_PX_MAX = 8192;

/**
 * The bytes of a mask that is a picture file: at an absolute path, or by its plain name beside presets, in the first of
 * the folders that has it. Nothing is decoded. Errors: ERR_STYLE.
 */
export const readMaskFile = async (
	file: string,
	folders: readonly string[],
): Promise<Size & { type: ImageType; bytes: Buffer; path: string }> => {
	const path = isAbsolute(file) ? file : await besidePresets(file, folders);
	const bytes = await readGuarded(path, { byteLengthMax: MASK_BYTES_MAX, follow: isAbsolute(file) });
	const header = imageHeaderOf(bytes);
	const refuse = (reason: string): never => {
		throw new SidecarError('ERR_STYLE', `The mask ${path} ${reason}.`);
	};
	if (!header || header.type === 'gif')
		return refuse('is no picture that is understood, expected a PNG, JPEG or WebP file');
	const { type, width, height } = header;
	if (Math.min(width, height) < 1 || Math.max(width, height) > SIDE_PX_MAX)
		refuse(`has ${width}x${height} px, expected sides of 1 to ${SIDE_PX_MAX} px`);
	return { type, width, height, bytes, path };
};

const besidePresets = async (name: string, folders: readonly string[]): Promise<string> => {
	for (const folder of folders) if (await isTaken(join(folder, name))) return join(folder, name);
	throw new SidecarError('ERR_STYLE', `There is no mask ${name} beside the presets (${folders.join(', ')}).`);
};
