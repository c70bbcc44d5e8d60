import { SCENE_NAME_MAX, type SceneStyle } from '../config/schema/obs-scenes.ts';

/** Of one OBS; what is more is not offered. */
const KNOWN_MAX = 1000;

export interface SceneTableOptions {
	rows: readonly SceneStyle[];
	/** Paints a style at once: that of the scene which OBS shows, when its row was changed. */
	paint: (style: string) => void;
}

/** Styles by the scenes of OBS, as they are in force: read at each switch, edited while it runs. */
export class SceneTable {
	readonly #paint: (style: string) => void;
	#styles: ReadonlyMap<string, string>;
	#known: readonly string[] = [];
	#shown: string | undefined;
	#revision = 0;

	constructor({ rows, paint }: SceneTableOptions) {
		this.#styles = mapOf(rows);
		this.#paint = paint;
	}

	/** Rises with each change of the rows and of what is known. */
	get revision(): number {
		return this.#revision;
	}

	get rows(): SceneStyle[] {
		return [...this.#styles].map(([scene, style]) => ({ scene, style }));
	}

	/** Scenes that OBS told of, for who adds a row. */
	get known(): readonly string[] {
		return this.#known;
	}

	styleOf(scene: string): string | undefined {
		return this.#styles.get(scene);
	}

	/** All rows at once. */
	replace(rows: readonly SceneStyle[]): void {
		const before = this.#styles;
		this.#styles = mapOf(rows);
		this.#revision++;
		if (this.#shown === undefined) return;
		const style = this.#styles.get(this.#shown);
		if (style !== undefined && style !== before.get(this.#shown)) this.#paint(style);
	}

	/** OBS has these scenes, and no others. */
	know(scenes: readonly string[]): void {
		this.#setKnown(scenes);
	}

	/** OBS shows this scene, or is about to. */
	show(scene: string): void {
		this.#shown = scene;
		if (!this.#known.includes(scene)) this.#setKnown([...this.#known, scene]);
	}

	/** A scene has another name, and keeps its style. */
	rename(from: string, to: string): void {
		this.#styles = new Map([...this.#styles].map(([scene, style]) => [scene === from ? to : scene, style]));
		if (this.#shown === from) this.#shown = to;
		this.#setKnown(this.#known.map((scene) => (scene === from ? to : scene)));
		this.#revision++;
	}

	#setKnown(scenes: readonly string[]): void {
		const isNamed = (scene: string) => scene.length > 0 && scene.length <= SCENE_NAME_MAX;
		const known = [...new Set(scenes)].filter(isNamed).slice(0, KNOWN_MAX);
		if (known.length === this.#known.length && known.every((scene, index) => scene === this.#known[index])) return;
		this.#known = known;
		this.#revision++;
	}
}

const mapOf = (rows: readonly SceneStyle[]): ReadonlyMap<string, string> =>
	new Map(rows.map(({ scene, style }) => [scene, style]));
