import type { Configuration } from '../config/schema/configuration.ts';
import { resolveTuning, takesReferences } from '../config/schema/manifest.ts';
import type { Tuning } from '../config/schema/tuning.ts';
import type { PictureLayout, Size } from '../frame/frame.ts';
import { findModelFolder, openModelFolder, type ModelFolder } from '../inference/manifest.ts';
import { autoPaintedSize, checkPaintedSize } from '../inference/painted-size.ts';
import { REFERENCE_PROMPT, type Condition, type Parameters } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';

const EMBEDDED = 'lite';

/** What is painted in place of a picture that has no words of its own: never the source as it is. */
const WORDS_INSTEAD = 'transfer this to oil painting style, vibrant colors';

/** The model that comes with us, for when the chosen one dies again and again; undefined where it is the chosen one. */
export const openFallback = async (chosen: ModelFolder): Promise<ModelFolder | undefined> => {
	if (chosen.manifest.name === EMBEDDED) return undefined;
	try {
		return await openModelFolder(await findModelFolder(EMBEDDED));
	} catch (error) {
		log.warn({ error }, 'there is no model to fall back to');
		return undefined;
	}
};

/** What differs where the fallback paints in place of the chosen model. */
export class Fallback {
	readonly folder: ModelFolder;
	readonly painted: Size;
	/** A device that was asked for may be what the chosen model died of. */
	readonly provider: Configuration['provider'];
	readonly #tuning: Tuning;
	#taken: { given: Parameters; own: Parameters } | undefined;

	constructor(
		folder: ModelFolder,
		{ tuning, provider }: Pick<Configuration, 'tuning' | 'provider'>,
		{ painted, layout }: { painted: Size; layout: PictureLayout },
	) {
		const { manifest } = folder;
		this.folder = folder;
		this.provider = provider === 'cpu' ? 'cpu' : 'auto';
		this.painted = canPaint(folder, painted) ? painted : autoPaintedSize(manifest, layout);
		const wanted = resolveTuning(manifest, tuning);
		const steps = manifest.steps.supported.includes(wanted.steps) ? wanted.steps : manifest.steps.default;
		// Who lowered the precision did it for another model; frames are batched as the channel was made for it.
		this.#tuning = Object.freeze({ ...wanted, steps, precision: manifest.tuning.precision });
	}

	/** The same object for the same parameters. */
	parametersOf(given: Parameters): Parameters {
		if (this.#taken?.given !== given) {
			const tuning = Object.freeze({ ...this.#tuning, batchSize: given.tuning.batchSize });
			const conditioning = takesReferences(this.folder.manifest) ? given.conditioning : given.conditioning.map(inWords);
			this.#taken = { given, own: Object.freeze({ ...given, conditioning, tuning }) };
		}
		return this.#taken.own;
	}
}

const inWords = ({ prompt, weight }: Condition): Condition => ({
	prompt: prompt === REFERENCE_PROMPT ? WORDS_INSTEAD : prompt,
	weight,
});

const canPaint = ({ manifest }: ModelFolder, size: Size): boolean => {
	try {
		checkPaintedSize(manifest, size);
		return true;
	} catch {
		return false;
	}
};
