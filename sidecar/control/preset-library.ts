import type { ReadPreset } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import type { Controller } from './controller.ts';
import { watchFolders } from './folder-watch.ts';
import { inWords, PresetReferences } from './preset-reference.ts';
import { listPresets, presetFolders, type PresetFile } from './presets.ts';

/** What is known of one preset: how its file was when it was last good, and what is wrong with it now. */
interface Shelved {
	preset: ReadPreset | undefined;
	complaint: Error | undefined;
}

type Shelf = ReadonlyMap<string, Shelved>;

/** A file that turned bad keeps its last good preset; one that is gone is gone. */
export const shelve = (before: Shelf, files: readonly PresetFile[]): Shelf =>
	new Map(
		files.map((file) => [
			file.name,
			'preset' in file
				? { preset: file.preset, complaint: undefined }
				: { preset: before.get(file.name)?.preset, complaint: file.error },
		]),
	);

/** The presets that can be used, as their files are now. */
export class PresetLibrary implements Disposable {
	readonly #folders: readonly string[];
	readonly #listeners = new Set<() => void>();
	/** Whose picture is of no use, as was said. */
	readonly #told = new Set<string>();
	#shelf: Shelf = new Map();
	/** Undefined where nobody paints like them. */
	#references: PresetReferences | undefined;
	#watching: Disposable | undefined;
	#isReading = false;
	#isStale = false;

	constructor(folders: readonly string[]) {
		this.#folders = folders;
	}

	/**
	 * Reads all presets, with the pictures that show them where a model takes `references`, and, where they are to be watched,
	 * reads them again whenever a file changes.
	 */
	static async open({
		folders = presetFolders(),
		watch,
		references = false,
	}: {
		folders?: readonly string[];
		watch: boolean;
		references?: boolean;
	}): Promise<PresetLibrary> {
		const library = new PresetLibrary(folders);
		if (references) library.#references = new PresetReferences();
		// Before they are read, so that no change falls between.
		if (watch) library.#watching = watchFolders(folders, () => void library.#refresh());
		await library.#refresh();
		return library;
	}

	get presets(): readonly ReadPreset[] {
		return [...this.#shelf.values()].flatMap(({ preset }) => preset ?? []);
	}

	/** As a model can paint them. */
	presetsFor({ takesReferences }: { takesReferences: boolean }): readonly ReadPreset[] {
		return takesReferences ? this.presets : inWords(this.presets, this.#told);
	}

	/** Calls `listener` after each time that files were read again, until the function it gives is called. */
	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	/** Keeps the controller's presets as the files are, and as its model can paint them. */
	lead(controller: Controller): Disposable {
		const hand = () => controller.setPresets(this.presetsFor(controller));
		if (controller.takesReferences && !this.#references) {
			this.#references = new PresetReferences();
			void this.#refresh();
		}
		hand();
		const stop = this.subscribe(hand);
		return { [Symbol.dispose]: stop };
	}

	[Symbol.dispose](): void {
		this.#watching?.[Symbol.dispose]();
		this.#listeners.clear();
	}

	/** One reading at a time, and another after it where something changed meanwhile. */
	async #refresh(): Promise<void> {
		this.#isStale = true;
		if (this.#isReading) return;
		this.#isReading = true;
		while (this.#isStale) {
			this.#isStale = false;
			await this.#read();
		}
		this.#isReading = false;
		for (const listener of this.#listeners) listener();
	}

	async #read(): Promise<void> {
		const found = await listPresets([...this.#folders]);
		const files = (await this.#references?.of(found)) ?? found;
		const before = this.#shelf;
		this.#shelf = shelve(before, files);
		for (const { path, name } of files) {
			const [was, is] = [before.get(name), this.#shelf.get(name)!];
			if (is.complaint?.message === was?.complaint?.message) continue;
			if (!is.complaint) log.info({ path }, 'preset can be used again');
			else log.warn({ path, error: is.complaint }, is.preset ? 'preset stays as it was' : 'preset left out');
		}
	}
}
