import { randomInt } from 'node:crypto';
import { textOfRegion } from '../config/region-text.ts';
import type { Command, OwnRegion, Preset, SettledCommand } from '../config/schema.ts';
import type { Parameters } from '../parameters.ts';
import {
	apply,
	arm,
	initialState,
	parametersAt,
	progressAt,
	regionOf,
	release,
	setPresets,
	setTransition,
	type ControlOptions,
	type ControlState,
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
	/** What is painted of the picture. */
	region: string;
	/** Whether the style says so. */
	isRegionOfPreset: boolean;
}

/**
 * What changes the state, with the clock as it was: the same inputs, in order and with the same looks between them, give the
 * same states.
 */
export type ControlInput =
	| { type: 'command'; command: SettledCommand; atUs: number; leadUs: number }
	| { type: 'presets'; presets: readonly Preset[]; atUs: number }
	| { type: 'armed'; name: string | undefined }
	| { type: 'transition'; seconds: number }
	/** Nobody looked when a switch was due. */
	| { type: 'released'; atUs: number };

/** Holds the state, and tells who wants to know when it changed. */
export class Controller {
	#state: ControlState;
	readonly #nowUs: () => number;
	readonly #randomSeed: () => number;
	readonly #leadUs: () => number;
	#release: NodeJS.Timeout | undefined;
	readonly #listeners = new Set<() => void>();
	readonly #witnesses = new Set<(input: ControlInput) => void>();

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

	/** What is painted of the picture; another revision asks for the same once more. */
	get region(): { region: OwnRegion; revision: number } {
		return { region: regionOf(this.#state), revision: this.#state.regionRevision };
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
		this.take({ type: 'command', command: settled, atUs: this.#nowUs(), leadUs: this.#leadUs() });
	}

	/** The presets as their files are now. */
	setPresets(presets: readonly Preset[]): void {
		this.take({ type: 'presets', presets, atUs: this.#nowUs() });
	}

	/** Not a change that anybody sees. */
	arm(name: string | undefined): void {
		this.take({ type: 'armed', name });
	}

	/** How long OBS's transition takes: so long fades last, where nobody said how long. */
	followTransition(seconds: number): void {
		this.take({ type: 'transition', seconds });
	}

	/** Errors: ERR_STYLE; the state stays as it is. */
	take(input: ControlInput): void {
		const after = afterInput(this.#state, input);
		for (const witness of this.#witnesses) witness(input);
		if (input.type === 'armed') this.#state = after;
		else this.#become(after);
	}

	#become(state: ControlState): void {
		if (state === this.#state) return;
		this.#state = state;
		clearTimeout(this.#release);
		// Whoever paints makes the switch by looking; this is for when nobody does.
		if (state.pending)
			this.#release = setTimeout(
				() => this.take({ type: 'released', atUs: this.#nowUs() }),
				(state.pending.atUs - this.#nowUs()) / 1000 + 1,
			).unref();
		for (const listener of this.#listeners) listener();
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
			region: textOfRegion(regionOf(this.#state)),
			isRegionOfPreset: this.#state.region === undefined,
		};
	}

	/** Calls `listener` after each change, until the function it gives is called. */
	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	/** Calls `witness` with each input that was taken, until the function it gives is called. */
	witness(witness: (input: ControlInput) => void): () => void {
		this.#witnesses.add(witness);
		return () => void this.#witnesses.delete(witness);
	}
}

const afterInput = (state: ControlState, input: ControlInput): ControlState => {
	switch (input.type) {
		case 'command':
			return apply(state, input.command, input.atUs, input.leadUs);
		case 'presets':
			return setPresets(state, input.presets, input.atUs);
		case 'armed':
			return arm(state, input.name);
		case 'transition':
			return setTransition(state, input.seconds);
		case 'released':
			return release(state, input.atUs);
	}
};
