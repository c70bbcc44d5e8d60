import { isDeepStrictEqual } from 'node:util';
import type { SettledCommand } from '../config/schema/commands.ts';
import type { OwnRegion } from '../config/schema/preset.ts';
import type { Tuning } from '../config/schema/tuning.ts';
import {
	lookKey,
	lookOf,
	PASSTHROUGH,
	resolveParameters,
	type Condition,
	type Look,
	type Parameters,
	type ReadPreset,
	type ReferencePicture,
} from '../parameters.ts';
import { unknownStyle } from './presets.ts';
import { nextBoundary, NO_TAPS, tappedTempo, tempoOf, withTap, type Taps, type Tempo } from './tempo.ts';

type Conditioning = Parameters['conditioning'];

/** A fade has at most this many looks in it, the new one among them: each costs the encoder a run of its own. */
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
	readonly presets: readonly ReadPreset[];
	/** Rises with each change of `presets`. */
	readonly presetsRevision: number;
	/** What the run began with, where that is a file of its own. */
	readonly extra: ReadPreset | undefined;
	/** What `target` and `painted` were chosen from, where `presets` no longer has it. */
	readonly removed: readonly ReadPreset[];
	readonly tuning: Tuning;
	/** Where the picture is going: a preset, with what was asked of it since. */
	readonly target: ReadPreset;
	/** The target before `passthrough`, to which a prompt comes back. */
	readonly painted: ReadPreset | undefined;
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
	readonly pending: { readonly target: ReadPreset; readonly atUs: number } | undefined;
	/** What is painted whatever the style; undefined: what the style says. */
	readonly region: OwnRegion | undefined;
	/** Rises when the region in force is asked for once more. */
	readonly regionRevision: number;
	/** What may be next: with no weight it is encoded and not seen. */
	readonly armed: Look | undefined;
	/** What the target gives once no fade is on its way. */
	readonly settled: Parameters;
}

export interface ControlOptions {
	presets: readonly ReadPreset[];
	/** To begin with; need not be among the others. */
	preset: ReadPreset;
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
	const change = (next: ReadPreset) => inTime(state, next, nowUs, leadUs);
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
			return change({ ...wordless(canvasFor(state)), prompt: command.text });
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

/** Without what says its style, in words or by a picture. */
const wordless = ({ prompt: _prompt, reference: _reference, shown: _shown, ...rest }: ReadPreset) => rest;

/** A picture to paint like, from wherever it came. */
export interface ShownPicture {
	/** For people. */
	name: string;
	reference: ReferencePicture;
}

/**
 * The state after a picture was given to paint like, which needs no words beside it; undefined: as the preset says again.
 * It is a change of style like any other.
 */
export const show = (
	before: ControlState,
	picture: ShownPicture | undefined,
	nowUs: number,
	leadUs = 0,
): ControlState => {
	const state = release(before, nowUs);
	const canvas = canvasFor(state);
	const rest = wordless(canvas);
	if (picture) {
		const { name, reference } = picture;
		return inTime(state, Object.freeze({ ...rest, reference: name, shown: reference }), nowUs, leadUs);
	}
	const own = presetOf(state, canvas);
	if (!own || own.shown?.id === canvas.shown?.id) return state;
	const { prompt, reference, shown } = own;
	const target = Object.freeze({
		...rest,
		...(prompt !== undefined && { prompt }),
		...(reference !== undefined && { reference }),
		...(shown && { shown }),
	});
	return paints(headingFor(state))
		? inTime(state, target, nowUs, leadUs)
		: Object.freeze({ ...state, painted: target });
};

/** What the target was chosen from; undefined of one that is in no file. */
export const presetOf = ({ presets, removed }: ControlState, { name }: ReadPreset): ReadPreset | undefined =>
	named(presets, name) ?? named(removed, name);

/**
 * The state with other presets, as their files are now. What is painted follows its file by a cross-fade, unless something
 * else was asked of it since it was chosen; where the file is gone, it stays. The same object where nothing changed.
 */
export const setPresets = (state: ControlState, files: readonly ReadPreset[], nowUs: number): ControlState => {
	const presets = inOrder(files, state.extra);
	if (isDeepStrictEqual(presets, state.presets)) return state;
	const before = [...state.presets, ...state.removed];
	const follow = (own: ReadPreset): ReadPreset => {
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

const asksTheSame = (a: ReadPreset, b: ReadPreset): boolean =>
	looksTheSame(a, b) && a.strength === b.strength && a.seed === b.seed;

const looksTheSame = (a: ReadPreset, b: ReadPreset): boolean => lookKey(lookOf(a)) === lookKey(lookOf(b));

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
const headingFor = ({ pending, target }: ControlState): ReadPreset => pending?.target ?? target;

/** At once, or at the next beat or bar that it can still be on. */
const inTime = (state: ControlState, target: ReadPreset, nowUs: number, leadUs: number): ControlState => {
	const { tempo, quantise } = state;
	const isThere = target.name === state.target.name && looksTheSame(target, state.target);
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
	const preset = state.presets.find((known) => known.name === name && paints(known));
	const armed = preset && lookOf(preset);
	const isArmed = (armed && lookKey(armed)) === (state.armed && lookKey(state.armed));
	return isArmed ? state : rearmed({ ...state, armed });
};

/** What waits for a beat is next for sure; what was armed may be. */
const rearmed = (state: ControlState): ControlState => {
	const { settled, target, armed, pending } = state;
	const conditioning: Condition[] = [{ ...lookOf(target), weight: target.strength }];
	for (const look of [pending && paints(pending.target) ? lookOf(pending.target) : undefined, armed])
		if (look && !conditioning.some((other) => lookKey(other) === lookKey(look)))
			conditioning.push({ ...look, weight: 0 });
	return Object.freeze({ ...state, settled: Object.freeze({ ...settled, conditioning: Object.freeze(conditioning) }) });
};

/** 0 when a fade begins, 1 when it is over or there is none. */
export const progressAt = ({ fade }: ControlState, nowUs: number): number =>
	fade ? Math.min(Math.max((nowUs - fade.startUs) / (fade.endUs - fade.startUs), 0), 1) : 1;

const paints = ({ name }: ReadPreset): boolean => name !== PASSTHROUGH;

const named = (presets: readonly ReadPreset[], name: string): ReadPreset | undefined =>
	presets.find((preset) => preset.name === name);

/** `passthrough` is no style to pass by on the way to the next. */
const inOrder = (presets: readonly ReadPreset[], extra: ReadPreset | undefined): readonly ReadPreset[] => {
	const all = extra && !named(presets, extra.name) ? [...presets, extra] : [...presets];
	return Object.freeze(all.sort((a, b) => Number(!paints(a)) - Number(!paints(b))));
};

const presetNamed = ({ presets }: ControlState, name: string): ReadPreset => {
	const preset = named(presets, name);
	if (preset) return preset;
	throw unknownStyle(
		name,
		presets.map((known) => known.name),
	);
};

/** Around the styles that paint. `passthrough` is no style to pass by on the way to the next. */
const neighbour = (state: ControlState, step: 1 | -1): ReadPreset => {
	const { presets, painted } = state;
	const target = headingFor(state);
	const styles = presets.filter(paints);
	const index = styles.findIndex(({ name }) => name === (paints(target) ? target : painted)?.name);
	if (index < 0) return styles.at(step > 0 ? 0 : -1) ?? target;
	return styles.at((index + step) % styles.length)!;
};

/** Who asks for a prompt wants to see it painted. */
const canvasFor = (state: ControlState): ReadPreset => {
	const target = headingFor(state);
	if (paints(target)) return target;
	return state.painted ?? state.presets.find(paints) ?? { ...target, name: 'custom', title: 'Custom' };
};

/** A hand on the control of the strength is to see what it does at once; a file that was saved may take its time. */
const aim = (
	state: ControlState,
	target: ReadPreset,
	nowUs: number,
	{ fadeS = state.fadeS, fadesStrength = false }: { fadeS?: number; fadesStrength?: boolean } = {},
): ControlState => {
	const before = state.target;
	const isOtherStrength = target.strength !== before.strength;
	const isOtherPicture =
		target.name !== before.name || !looksTheSame(target, before) || (fadesStrength && isOtherStrength);
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
const fadeTo = (state: ControlState, target: ReadPreset, nowUs: number, fadeS: number): Fade | undefined => {
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
	const mixed = new Map<string, Condition>();
	const add = (conditioning: Conditioning, share: number) => {
		for (const { weight, ...look } of conditioning) {
			const key = lookKey(look);
			mixed.set(key, { ...look, weight: (mixed.get(key)?.weight ?? 0) + weight * share });
		}
	};
	add(state.fade.from, 1 - progress);
	add(to, progress);
	return Object.freeze([...mixed.values()].map((condition) => Object.freeze(condition)));
};

/** Those that matter, which take over the weight of the others. */
const strongest = (conditioning: Conditioning, count: number): Conditioning => {
	const kept = conditioning
		.filter(({ weight }) => weight >= LEAST_WEIGHT)
		.sort((a, b) => b.weight - a.weight)
		.slice(0, count);
	const scale = sumOf(conditioning) / sumOf(kept);
	return Object.freeze(kept.map(({ weight, ...look }) => Object.freeze({ ...look, weight: weight * scale })));
};

const sumOf = (conditioning: Conditioning): number => conditioning.reduce((sum, { weight }) => sum + weight, 0);
