import { randomInt } from 'node:crypto';
import type { Command, Preset } from '../config/schema.ts';
import type { Parameters } from '../parameters.ts';
import {
	apply,
	arm,
	initialState,
	parametersAt,
	progressAt,
	release,
	setPresets,
	type ControlOptions,
	type ControlState,
	type SettledCommand,
} from './control-state.ts';

/** The target as control surfaces show it. */
export interface ControlView {
	style: string;
	title: string;
	prompt: string;
	strength: number;
	seed: number;
	fadeS: number;
	panic: boolean;
	epoch: number;
	/** 0 when a fade begins, 1 when it is over or there is none. */
	progress: number;
	/** Rises with each change of the list of presets. */
	presetsRevision: number;
	/** Undefined until it was tapped or told. */
	tempo?: { bpm: number; beatsPerBar: number };
	quantise: 'off' | 'beat' | 'bar';
	/** The style that waits for a beat. */
	pending?: string;
}

/** Holds the state, and tells who wants to know when it changed. */
export class Controller {
	#state: ControlState;
	readonly #nowUs: () => number;
	readonly #randomSeed: () => number;
	readonly #leadUs: () => number;
	#release: NodeJS.Timeout | undefined;
	readonly #listeners = new Set<() => void>();

	constructor({
		nowUs,
		randomSeed = () => randomInt(2 ** 32),
		leadUs = () => 0,
		...options
	}: ControlOptions & { nowUs: () => number; randomSeed?: () => number; leadUs?: () => number }) {
		this.#nowUs = nowUs;
		this.#leadUs = leadUs;
		this.#randomSeed = randomSeed;
		this.#state = initialState(options, nowUs());
	}

	get presets(): readonly Preset[] {
		return this.#state.presets;
	}

	/** What is painted, or is going to be once the fade is over. */
	get target(): Preset {
		return this.#state.target;
	}

	get isPanic(): boolean {
		return this.#state.panic;
	}

	/** The epoch in force, since when, and what it goes to: for the time a switch takes. */
	get change(): { epoch: number; style: string; changedUs: number } {
		const { epoch, target, changedUs } = this.#state;
		return { epoch, style: target.name, changedUs };
	}

	/** Errors: ERR_STYLE; the state stays as it is. */
	apply(command: Command): void {
		const settled: SettledCommand =
			command.type === 'newStrokes' ? { type: 'seed', value: this.#randomSeed() } : command;
		this.#become(apply(this.#state, settled, this.#nowUs(), this.#leadUs()));
	}

	/** The presets as their files are now. */
	setPresets(presets: readonly Preset[]): void {
		this.#become(setPresets(this.#state, presets, this.#nowUs()));
	}

	#become(state: ControlState): void {
		if (state === this.#state) return;
		this.#state = state;
		clearTimeout(this.#release);
		// Whoever paints makes the switch by looking; this is for when nobody does.
		if (state.pending)
			this.#release = setTimeout(
				() => this.#become(release(this.#state, this.#nowUs())),
				(state.pending.atUs - this.#nowUs()) / 1000 + 1,
			).unref();
		for (const listener of this.#listeners) listener();
	}

	/** Not a change that anybody sees. */
	arm(name: string | undefined): void {
		this.#state = arm(this.#state, name);
	}

	parametersAt(nowUs: number): Parameters {
		this.#become(release(this.#state, nowUs));
		return parametersAt(this.#state, nowUs);
	}

	view(): ControlView {
		const { target, fadeS, panic, epoch, presetsRevision, tempo, quantise, pending } = this.#state;
		return {
			style: target.name,
			title: target.title,
			prompt: target.prompt,
			strength: target.strength,
			seed: target.seed,
			fadeS,
			panic,
			epoch,
			progress: progressAt(this.#state, this.#nowUs()),
			presetsRevision,
			...(tempo && { tempo: { bpm: tempo.bpm, beatsPerBar: tempo.beatsPerBar } }),
			quantise,
			...(pending && { pending: pending.target.name }),
		};
	}

	/** Calls `listener` after each change, until the function it gives is called. */
	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}
}
