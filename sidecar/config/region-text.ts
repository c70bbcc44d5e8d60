import { basename } from 'node:path';
import { REGIONS, type OwnRegion } from './schema/preset.ts';

const WORDS: readonly string[] = ['', 'all', 'preset', ...REGIONS];

/** What somebody types: `subject`, `subject,invert` or `face.png,feather=8`. Nothing is checked but the form. */
export const regionOfText = (text: string, fileOf: (name: string) => string): unknown => {
	const [, what = text, options = ''] = /^(.*?)((?:,(?:invert|feather=[\d.]+))*)$/s.exec(text) ?? [];
	const isWord = WORDS.includes(what);
	if (isWord && !options) return what;
	const feather = /,feather=([\d.]+)/.exec(options)?.[1];
	return {
		mask: isWord ? what : fileOf(what),
		...(options.includes(',invert') && { invert: true }),
		...(feather !== undefined && { feather: Number(feather) }),
	};
};

/** The same the other way round. Where a file lies is for nobody to know but who wrote it. */
export const textOfRegion = (region: OwnRegion): string => {
	if (typeof region === 'string') return region;
	const { mask, invert, feather } = region;
	return [basename(mask), ...(invert ? ['invert'] : []), ...(feather ? [`feather=${feather}`] : [])].join(',');
};
