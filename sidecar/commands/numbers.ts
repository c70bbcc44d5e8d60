import { SidecarError } from '../errors.ts';

/** What a flag says that takes a whole number. Errors: ERR_CONFIG. */
export const wholeNumber = (flag: string, text: string, least: number, most: number): number => {
	const value = /^\d{1,6}$/.test(text) ? Number(text) : NaN;
	if (value >= least && value <= most) return value;
	throw new SidecarError('ERR_CONFIG', `flag ${flag} takes a number from ${least} to ${most}; got ${text}.`);
};
