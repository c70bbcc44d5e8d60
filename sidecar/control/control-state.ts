import { isDeepStrictEqual } from 'node:util';
import type { OwnRegion, Preset, SettledCommand, Tuning } from '../config/schema.ts';
import { PASSTHROUGH, resolveParameters, type Parameters } from '../parameters.ts';
import { unknownStyle } from './presets.ts';
import { nextBoundary, NO_TAPS, tappedTempo, tempoOf, withTap, type Taps, type Tempo } from './tempo.ts';

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
	/** Nobody said how long; OBS's transition may. */
	readonly isFadeOfTransition: boolean;
	/** Nothing but the slate is to be shown, whatever is painted. */
	readonly panic: boolean;
	readonly fade: Fade | undefined;
	readonly tempo: Tempo | undefined;
	readonly taps: Taps;
	/** What a switch waits for, where there is a tempo. */
	readonly quantise: 'off' | 'beat' | 'bar';
	/** A switch that waits: it is carried out by the first look at or after this time. */
	readonly pending: { readonly target: Preset; readonly atUs: number } | undefined;
	/** What is painted whatever the style; undefined: what the style says. */
	readonly region: OwnRegion | undefined;
	/** Rises when the region in force is asked for once more. */
	readonly regionRevision: number;
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
	/** Undefined: as long as OBS's transition, and half a second where there is none. */
	fadeS: number | undefined;
	/** For all styles; undefined: as each says. */
	region?: OwnRegion | undefined;
}

const FADE_S = 0.5;

export const initialState = (
	{ presets, preset, tuning, fadeS, region }: ControlOptions,
	nowUs: number,
): ControlState => {
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
		fadeS: fadeS ?? FADE_S,
		isFadeOfTransition: fadeS === undefined,
		panic: false,
		fade: undefined,
		tempo: undefined,
		taps: NO_TAPS,
		quantise: 'off',
		pending: undefined,
		region,
		regionRevision: 0,
		armed: undefined,
		settled: resolveParameters(preset, tuning, 0),
	});
};

/**
 * The state after a command; the same object where there is nothing to do. `leadUs` is how long a change takes to be
 * seen: a switch that waits for a beat is made so much earlier. Errors: ERR_STYLE, naming those there are.
 */
export const apply = (before: ControlState, command: SettledCommand, nowUs: number, leadUs = 0): ControlState => {
	const state = release(before, nowUs);
	const { target } = state;
	const change = (next: Preset) => inTime(state, next, nowUs, leadUs);
	switch (command.type) {
		case 'style': {
			const preset = presetNamed(state, command.name);
			return command.fadeS === undefined ? change(preset) : aim(withoutPending(state), preset, nowUs, command);
		}
		case 'next':
			return change(neighbour(state, 1));
		case 'previous':
			return change(neighbour(state, -1));
		case 'prompt':
			return change({ ...canvasFor(state), prompt: command.text });
		case 'strength':
			return aim(state, { ...target, strength: command.value }, nowUs);
		case 'seed':
			return aim(state, { ...target, seed: command.value }, nowUs);
		case 'fade':
			return withFade(state, command.seconds, false);
		case 'toggle':
			return change(paints(headingFor(state)) ? presetNamed(state, PASSTHROUGH) : canvasFor(state));
		case 'panic':
			return command.on === state.panic ? state : Object.freeze({ ...state, panic: command.on });
		case 'tap': {
			const taps = withTap(state.taps, nowUs);
			return Object.freeze({ ...state, taps, tempo: tappedTempo(taps, state.tempo?.beatsPerBar) ?? state.tempo });
		}
		case 'tempo':
			return Object.freeze({ ...state, tempo: tempoOf(command, state.tempo, nowUs) });
		case 'region': {
			const region = command.region === 'preset' ? undefined : command.region;
			const isAgain = region !== undefined && isDeepStrictEqual(region, regionOf(state));
			return Object.freeze({ ...state, region, regionRevision: state.regionRevision + Number(isAgain) });
		}
		case 'quantise': {
			if (command.to === state.quantise) return state;
			const other = Object.freeze({ ...state, quantise: command.to });
			return other.pending ? inTime(other, other.pending.target, nowUs, leadUs) : other;
		}
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
	const pending = state.pending && Object.freeze({ ...state.pending, target: follow(state.pending.target) });
	const inUse = [target.name, painted?.name];
	return Object.freeze({
		...aim(state, target, nowUs, { fadesStrength: true }),
		presets,
		presetsRevision: state.presetsRevision + 1,
		removed: before.filter(({ name }) => inUse.includes(name) && !named(presets, name)),
		target,
		painted,
		pending,
	});
};

/** What is painted of the picture now. */
export const regionOf = ({ region, target }: ControlState): OwnRegion => region ?? target.region ?? 'all';

const asksTheSame = (a: Preset, b: Preset): boolean =>
	a.prompt === b.prompt && a.strength === b.strength && a.seed === b.seed;

/** OBS has another transition, or another length of it. */
export const setTransition = (state: ControlState, seconds: number): ControlState =>
	state.isFadeOfTransition ? withFade(state, seconds, true) : state;

const withFade = (state: ControlState, fadeS: number, isFadeOfTransition: boolean): ControlState =>
	fadeS === state.fadeS && isFadeOfTransition === state.isFadeOfTransition
		? state
		: Object.freeze({ ...state, fadeS, isFadeOfTransition });

/** The state once a switch whose time has come is made; the same object where none is. */
export const release = (state: ControlState, nowUs: number): ControlState =>
	state.pending && nowUs >= state.pending.atUs ? aim(withoutPending(state), state.pending.target, nowUs) : state;

const withoutPending = (state: ControlState): ControlState =>
	state.pending ? rearmed({ ...state, pending: undefined }) : state;

/** Where the picture is going, or will be when a beat has come. */
const headingFor = ({ pending, target }: ControlState): Preset => pending?.target ?? target;

/** At once, or at the next beat or bar that it can still be on. */
const inTime = (state: ControlState, target: Preset, nowUs: number, leadUs: number): ControlState => {
	const { tempo, quantise } = state;
	const isThere = target.name === state.target.name && target.prompt === state.target.prompt;
	if (!tempo || quantise === 'off' || isThere) return aim(withoutPending(state), target, nowUs);
	const atUs = nextBoundary(tempo, nowUs + leadUs, quantise) - leadUs;
	return rearmed({ ...state, pending: Object.freeze({ target, atUs }) });
};

/** What the batcher reads. The same object as long as nothing changes. */
export const parametersAt = (state: ControlState, nowUs: number): Parameters =>
	progressAt(state, nowUs) >= 1
		? state.settled
		: Object.freeze({ ...state.settled, conditioning: conditioningAt(state, nowUs) });

/** Gets the style ready that may be next, so that a switch to it need not wait for its prompt; undefined: none. */
export const arm = (state: ControlState, name: string | undefined): ControlState => {
	const armed = state.presets.find((preset) => preset.name === name && paints(preset))?.prompt;
	return armed === state.armed ? state : rearmed({ ...state, armed });
};

/** What waits for a beat is next for sure; what was armed may be. */
const rearmed = (state: ControlState): ControlState => {
	const { settled, target, armed, pending } = state;
	const conditioning = [{ prompt: target.prompt, weight: target.strength }];
	const prompts = new Set([pending && paints(pending.target) ? pending.target.prompt : undefined, armed]);
	for (const prompt of prompts)
		if (prompt !== undefined && prompt !== target.prompt) conditioning.push({ prompt, weight: 0 });
	return Object.freeze({ ...state, settled: Object.freeze({ ...settled, conditioning: Object.freeze(conditioning) }) });
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
const neighbour = (state: ControlState, step: 1 | -1): Preset => {
	const { presets, painted } = state;
	const target = headingFor(state);
	const styles = presets.filter(paints);
	const index = styles.findIndex(({ name }) => name === (paints(target) ? target : painted)?.name);
	if (index < 0) return styles.at(step > 0 ? 0 : -1) ?? target;
	return styles.at((index + step) % styles.length)!;
};

/** Who asks for a prompt wants to see it painted. */
const canvasFor = (state: ControlState): Preset => {
	const target = headingFor(state);
	if (paints(target)) return target;
	return state.painted ?? state.presets.find(paints) ?? { ...target, name: 'custom', title: 'Custom' };
};

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
	return rearmed({
		...state,
		target,
		painted: paints(target) ? target : state.painted,
		epoch,
		changedUs: isOtherEpoch ? nowUs : state.changedUs,
		fade: isOtherPicture ? fadeTo(state, target, nowUs, fadeS) : state.fade,
		settled: resolveParameters(target, state.tuning, epoch),
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
