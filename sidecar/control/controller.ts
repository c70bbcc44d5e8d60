import { randomInt } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Command, Preset, Tuning } from '../config/schema.ts';
import { PASSTHROUGH, resolveParameters, type Parameters } from '../parameters.ts';
import { unknownStyle } from './presets.ts';

type Conditioning = Parameters['conditioning'];

/** A fade has at most this many prompts in it, the new one among them: each costs the encoder a run of its own. */
const PROMPTS_MIXED = 4;
/** What is less than this cannot be seen, and need not be carried into the next fade. */
const LEAST_WEIGHT = 0.01;

/** A change on its way: from what was mixed when it was asked for, to the target. */
interface Fade {
	readonly startUs: number;
	readonly endUs: number;
	readonly from: Conditioning;
}

/** Everything control knows. Never changed, only replaced; its size does not depend on what was asked before. */
export interface ControlState {
	/** Those that paint, then `passthrough`. */
	readonly presets: readonly Preset[];
	/** Rises with each change of `presets`. */
	readonly presetsRevision: number;
	/** What the run began with, where that is a file of its own. */
	readonly extra: Preset | undefined;
	/** What `target` and `painted` were chosen from, where `presets` no longer has it. */
	readonly removed: readonly Preset[];
	readonly tuning: Tuning;
	/** Where the picture is going: a preset, with what was asked of it since. */
	readonly target: Preset;
	/** The target before `passthrough`, to which a prompt comes back. */
	readonly painted: Preset | undefined;
	readonly epoch: number;
	/** When the epoch last rose. */
	readonly changedUs: number;
	readonly fadeS: number;
	/** Nothing but the slate is to be shown, whatever is painted. */
	readonly panic: boolean;
	readonly fade: Fade | undefined;
	/** A prompt that may be next: with no weight it is encoded and not seen. */
	readonly armed: string | undefined;
	/** What the target gives once no fade is on its way. */
	readonly settled: Parameters;
}

export interface ControlOptions {
	presets: readonly Preset[];
	/** To begin with; need not be among the others. */
	preset: Preset;
	tuning: Tuning;
	fadeS: number;
}

export const initialState = ({ presets, preset, tuning, fadeS }: ControlOptions, nowUs: number): ControlState => {
	const extra = named(presets, preset.name) ? undefined : preset;
	return Object.freeze({
		presets: inOrder(presets, extra),
		presetsRevision: 0,
		extra,
		removed: [],
		tuning,
		target: preset,
		painted: paints(preset) ? preset : undefined,
		epoch: 0,
		changedUs: nowUs,
		fadeS,
		panic: false,
		fade: undefined,
		armed: undefined,
		settled: resolveParameters(preset, tuning, 0),
	});
};

/** A random seed is the caller's to choose, so that the same commands always give the same states. */
export type SettledCommand = Exclude<Command, { type: 'newStrokes' }>;

/** The state after a command; the same object where there is nothing to do. Errors: ERR_STYLE, naming those there are. */
export const apply = (state: ControlState, command: SettledCommand, nowUs: number): ControlState => {
	const { target } = state;
	switch (command.type) {
		case 'style':
			return aim(state, presetNamed(state, command.name), nowUs, command);
		case 'next':
			return aim(state, neighbour(state, 1), nowUs);
		case 'previous':
			return aim(state, neighbour(state, -1), nowUs);
		case 'prompt':
			return aim(state, { ...canvasFor(state), prompt: command.text }, nowUs);
		case 'strength':
			return aim(state, { ...target, strength: command.value }, nowUs);
		case 'seed':
			return aim(state, { ...target, seed: command.value }, nowUs);
		case 'fade':
			return command.seconds === state.fadeS ? state : Object.freeze({ ...state, fadeS: command.seconds });
		case 'toggle':
			return aim(state, paints(target) ? presetNamed(state, PASSTHROUGH) : canvasFor(state), nowUs);
		case 'panic':
			return command.on === state.panic ? state : Object.freeze({ ...state, panic: command.on });
	}
};

/**
 * The state with other presets, as their files are now. What is painted follows its file by a cross-fade, unless something
 * else was asked of it since it was chosen; where the file is gone, it stays. The same object where nothing changed.
 */
export const setPresets = (state: ControlState, files: readonly Preset[], nowUs: number): ControlState => {
	const presets = inOrder(files, state.extra);
	if (isDeepStrictEqual(presets, state.presets)) return state;
	const before = [...state.presets, ...state.removed];
	const follow = (own: Preset): Preset => {
		const [chosen, now] = [named(before, own.name), named(presets, own.name)];
		return chosen && now && asksTheSame(own, chosen) ? now : own;
	};
	const target = follow(state.target);
	const painted = state.painted && follow(state.painted);
	const inUse = [target.name, painted?.name];
	return Object.freeze({
		...aim(state, target, nowUs, { fadesStrength: true }),
		presets,
		presetsRevision: state.presetsRevision + 1,
		removed: before.filter(({ name }) => inUse.includes(name) && !named(presets, name)),
		target,
		painted,
	});
};

const asksTheSame = (a: Preset, b: Preset): boolean =>
	a.prompt === b.prompt && a.strength === b.strength && a.seed === b.seed;

/** What the batcher reads. The same object as long as nothing changes. */
export const parametersAt = (state: ControlState, nowUs: number): Parameters =>
	progressAt(state, nowUs) >= 1
		? state.settled
		: Object.freeze({ ...state.settled, conditioning: conditioningAt(state, nowUs) });

/** Gets the style ready that may be next, so that a switch to it need not wait for its prompt; undefined: none. */
export const arm = (state: ControlState, name: string | undefined): ControlState => {
	const armed = state.presets.find((preset) => preset.name === name && paints(preset))?.prompt;
	if (armed === state.armed) return state;
	return Object.freeze({ ...state, armed, settled: withArmed(state.settled, state.target, armed) });
};

const withArmed = (settled: Parameters, target: Preset, armed: string | undefined): Parameters => {
	const conditioning = [{ prompt: target.prompt, weight: target.strength }];
	if (armed !== undefined && armed !== target.prompt) conditioning.push({ prompt: armed, weight: 0 });
	return Object.freeze({ ...settled, conditioning: Object.freeze(conditioning) });
};

/** 0 when a fade begins, 1 when it is over or there is none. */
export const progressAt = ({ fade }: ControlState, nowUs: number): number =>
	fade ? Math.min(Math.max((nowUs - fade.startUs) / (fade.endUs - fade.startUs), 0), 1) : 1;

const paints = ({ name }: Preset): boolean => name !== PASSTHROUGH;

const named = (presets: readonly Preset[], name: string): Preset | undefined =>
	presets.find((preset) => preset.name === name);

/** `passthrough` is no style to pass by on the way to the next. */
const inOrder = (presets: readonly Preset[], extra: Preset | undefined): readonly Preset[] => {
	const all = extra && !named(presets, extra.name) ? [...presets, extra] : [...presets];
	return Object.freeze(all.sort((a, b) => Number(!paints(a)) - Number(!paints(b))));
};

const presetNamed = ({ presets }: ControlState, name: string): Preset => {
	const preset = named(presets, name);
	if (preset) return preset;
	throw unknownStyle(
		name,
		presets.map((known) => known.name),
	);
};

/** Around the styles that paint. `passthrough` is no style to pass by on the way to the next. */
const neighbour = ({ presets, target, painted }: ControlState, step: 1 | -1): Preset => {
	const styles = presets.filter(paints);
	const index = styles.findIndex(({ name }) => name === (paints(target) ? target : painted)?.name);
	if (index < 0) return styles.at(step > 0 ? 0 : -1) ?? target;
	return styles.at((index + step) % styles.length)!;
};

/** Who asks for a prompt wants to see it painted. */
const canvasFor = ({ presets, target, painted }: ControlState): Preset =>
	paints(target) ? target : (painted ?? presets.find(paints) ?? { ...target, name: 'custom', title: 'Custom' });

/** A hand on the control of the strength is to see what it does at once; a file that was saved may take its time. */
const aim = (
	state: ControlState,
	target: Preset,
	nowUs: number,
	{ fadeS = state.fadeS, fadesStrength = false }: { fadeS?: number; fadesStrength?: boolean } = {},
): ControlState => {
	const before = state.target;
	const isOtherStrength = target.strength !== before.strength;
	const isOtherPicture =
		target.name !== before.name || target.prompt !== before.prompt || (fadesStrength && isOtherStrength);
	const isOtherEpoch = isOtherPicture || target.seed !== before.seed;
	if (!isOtherEpoch && !isOtherStrength) return state;
	const epoch = isOtherEpoch ? state.epoch + 1 : state.epoch;
	return Object.freeze({
		...state,
		target,
		painted: paints(target) ? target : state.painted,
		epoch,
		changedUs: isOtherEpoch ? nowUs : state.changedUs,
		fade: isOtherPicture ? fadeTo(state, target, nowUs, fadeS) : state.fade,
		settled: withArmed(resolveParameters(target, state.tuning, epoch), target, state.armed),
	});
};

/** There is nothing between a painting and no painting: to and from `passthrough` is a cut. */
const fadeTo = (state: ControlState, target: Preset, nowUs: number, fadeS: number): Fade | undefined => {
	if (fadeS === 0 || !paints(target) || !paints(state.target)) return undefined;
	return Object.freeze({
		startUs: nowUs,
		endUs: nowUs + Math.round(fadeS * 1e6),
		from: strongest(conditioningAt(state, nowUs), PROMPTS_MIXED - 1),
	});
};

const conditioningAt = (state: ControlState, nowUs: number): Conditioning => {
	const to = state.settled.conditioning;
	const progress = progressAt(state, nowUs);
	if (!state.fade || progress >= 1) return to;
	const weights = new Map<string, number>();
	const add = (conditioning: Conditioning, share: number) => {
		for (const { prompt, weight } of conditioning) weights.set(prompt, (weights.get(prompt) ?? 0) + weight * share);
	};
	add(state.fade.from, 1 - progress);
	add(to, progress);
	return Object.freeze([...weights].map(([prompt, weight]) => Object.freeze({ prompt, weight })));
};

/** Those that matter, which take over the weight of the others. */
const strongest = (conditioning: Conditioning, count: number): Conditioning => {
	const kept = conditioning
		.filter(({ weight }) => weight >= LEAST_WEIGHT)
		.sort((a, b) => b.weight - a.weight)
		.slice(0, count);
	const scale = sumOf(conditioning) / sumOf(kept);
	return Object.freeze(kept.map(({ prompt, weight }) => Object.freeze({ prompt, weight: weight * scale })));
};

const sumOf = (conditioning: Conditioning): number => conditioning.reduce((sum, { weight }) => sum + weight, 0);

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
}

/** Holds the state, and tells who wants to know when it changed. */
export class Controller {
	#state: ControlState;
	readonly #nowUs: () => number;
	readonly #randomSeed: () => number;
	readonly #listeners = new Set<() => void>();

	constructor({
		nowUs,
		randomSeed = () => randomInt(2 ** 32),
		...options
	}: ControlOptions & { nowUs: () => number; randomSeed?: () => number }) {
		this.#nowUs = nowUs;
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
		this.#replace(apply(this.#state, settled, this.#nowUs()));
	}

	/** The presets as their files are now. */
	setPresets(presets: readonly Preset[]): void {
		this.#replace(setPresets(this.#state, presets, this.#nowUs()));
	}

	/** Not a change that anybody sees. */
	arm(name: string | undefined): void {
		this.#state = arm(this.#state, name);
	}

	parametersAt(nowUs: number): Parameters {
		return parametersAt(this.#state, nowUs);
	}

	view(): ControlView {
		const { target, fadeS, panic, epoch, presetsRevision } = this.#state;
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
		};
	}

	/** Calls `listener` after each change, until the function it gives is called. */
	subscribe(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => void this.#listeners.delete(listener);
	}

	#replace(state: ControlState): void {
		if (state === this.#state) return;
		this.#state = state;
		for (const listener of this.#listeners) listener();
	}
}
