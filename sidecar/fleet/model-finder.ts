import { modelHashOf } from '../config/model-hash.ts';
import type { FleetOffer } from '../config/schema/fleet.ts';
import type { ModelFolder } from '../inference/manifest.ts';
import { log } from '../telemetry/logger.ts';

/** Models besides the worker's own that are looked up. */
const OTHERS_MAX = 7;
/** A folder that was refused is not read again before that. */
const REFUSED_MS = 60_000;

export interface ModelFinderSettings {
	/** The folder of a model; rejects where there is none. */
	find: (name: string) => Promise<string>;
	/** Reads and checks all of it, which takes its time. */
	open: (path: string) => Promise<ModelFolder>;
}

/** The folder of a model that a sidecar asks for, where it is the same as the sidecar's. Each is read once, whoever asks. */
export const modelFinder = (own: ModelFolder, { find, open }: ModelFinderSettings) => {
	const others = new Map<string, Promise<ModelFolder | undefined>>();
	const look = async (name: string): Promise<ModelFolder | undefined> => {
		const path = await find(name).catch(() => undefined);
		if (path === undefined) {
			others.delete(name); // it may come at any time, and that is quickly seen
			return undefined;
		}
		try {
			return await open(path);
		} catch (error) {
			log.warn({ model: name, reason: (error as Error).message }, 'model refused');
			setTimeout(() => others.delete(name), REFUSED_MS).unref();
			return undefined;
		}
	};
	return async ({ name, sha256 }: FleetOffer['model']): Promise<ModelFolder | undefined> => {
		const isOwn = name === own.manifest.name;
		if (!isOwn && !others.has(name) && others.size < OTHERS_MAX) others.set(name, look(name));
		const folder = isOwn ? own : await others.get(name);
		return folder && modelHashOf(folder.manifest) === sha256 ? folder : undefined;
	};
};
