import { randomInt } from 'node:crypto';
import { textOfRegion } from '../config/region-text.ts';
import type { Command, SettledCommand } from '../config/schema/commands.ts';
import type { OwnRegion } from '../config/schema/preset.ts';
import { SidecarError } from '../errors.ts';
import type { Parameters, ReadPreset, ReferencePicture } from '../parameters.ts';
import { log } from '../telemetry/logger.ts';
import {
	apply,
	arm,
	initialState,
	parametersAt,
	presetOf,
	progressAt,
	regionOf,
	release,
	setPresets,
	setTransition,
	show,
	type ControlOptions,
	type ControlState,
	type ShownPicture,
} from './control-state.ts';

/** A picture that shows the style: what is told of it, which is not its pixels. */
export interface ReferenceView {
	id: string;
	name: string;
	width: number;
	height: number;
	/** Whether the preset has it; else it was given since. */
	isOfPreset: boolean;
}

/** The target as control surfaces show it. */
export interface ControlView {
	style: string;
	title: string;
	prompt: string;
	strength: number;
	seed: number;
	/** The picture that shows the style, where one does. */
	reference?: ReferenceView;
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
	| { type: 'reference'; picture: ShownPicture | undefined; atUs: number; leadUs: number }
	| { type: 'presets'; presets: readonly ReadPreset[]; atUs: number }
	| { type: 'armed'; name: string | undefined }
	| { type: 'transition'; seconds: number }
	/** Nobody looked when a switch was due. */
	| { type: 'released'; atUs: number };

/** What is painted now, or the source of it, as a picture. Errors: ERR_STYLE where there is none to be had. */
export type TakeFrame = (from: 'painting' | 'source') => Promise<ReferencePicture>;

/** Those after which a picture that was asked for before is wanted no more. */
const CHOICES: ReadonlySet<Command['type']> = new Set(['style', 'next', 'previous', 'prompt', 'toggle', 'reference']);

/** Holds the state, and tells who wants to know when it changed. */
export class Controller {
	#state: ControlState;
	readonly #nowUs: () => number;
	readonly #randomSeed: () => number;
	readonly #leadUs: () => number;
	/** Whether the model may be shown a style by a picture. */
	readonly takesReferences: boolean;
	#takeFrame: TakeFrame | undefined;
	#choices = 0;
	#release: NodeJS.Timeout | undefined;
	readonly #listeners = new Set<() => void>();
	readonly #witnesses = new Set<(input: ControlInput) => void>();

	constructor({
		nowUs,
		randomSeed = () => randomInt(2 ** 32),
		leadUs = () => 0,
		takesReferences = false,
		...options
	}: ControlOptions & {
		nowUs: () => number;
		randomSeed?: () => number;
		leadUs?: () => number;
		takesReferences?: boolean;
	}) {
		this.takesReferences = takesReferences;
		this.#nowUs = nowUs;
		this.#leadUs = leadUs;
		this.#randomSeed = randomSeed;
		this.#state = initialState(options, nowUs());
	}

	get presets(): readonly ReadPreset[] {
		return this.#state.presets;
	}

	/** What is painted, or is going to be once the fade is over. */
	get target(): ReadPreset {
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

	/** Where frames are to be had, until what it gives is disposed of. */
	takeFramesFrom(take: TakeFrame): Disposable {
		this.#takeFrame = take;
		return {
			[Symbol.dispose]: () => {
				if (this.#takeFrame === take) this.#takeFrame = undefined;
			},
		};
	}

	/** As `carryOut`, without waiting: what is wrong with a picture that has to be taken first is logged. */
	apply(command: Command): void {
		if (command.type !== 'reference' || command.from === 'preset') return this.#applyNow(command);
		this.carryOut(command).catch((error: unknown) => log.warn({ error, from: command.from }, 'no reference'));
	}

	/** Errors: ERR_STYLE, ERR_MODEL where the model takes no picture; the state stays as it is. */
	async carryOut(command: Command): Promise<void> {
		if (command.type !== 'reference' || command.from === 'preset') return this.#applyNow(command);
		this.expectReferences();
		const isNewest = this.choose();
		if (!this.#takeFrame)
			throw new SidecarError('ERR_STYLE', 'There is no picture to paint like: nothing is painted yet.');
		const reference = await this.#takeFrame(command.from);
		if (isNewest()) this.show({ name: command.from, reference });
	}

	/** Something else is wanted from now on; says whether that is still so. */
	choose(): () => boolean {
		const choice = ++this.#choices;
		return () => choice === this.#choices;
	}

	/** Errors: ERR_MODEL where the model takes no picture. */
	expectReferences(): void {
		if (this.takesReferences) return;
		throw new SidecarError(
			'ERR_MODEL',
			'The model that paints takes no picture as a style, but words alone. Choose one of the family causal-dit with --model.',
		);
	}

	/** A picture to paint like; undefined: as the preset says again. Errors: ERR_MODEL where the model takes none. */
	show(picture: ShownPicture | undefined): void {
		this.choose();
		this.take({ type: 'reference', picture, atUs: this.#nowUs(), leadUs: this.#leadUs() });
	}

	#applyNow(command: Exclude<Command, { type: 'reference'; from: 'painting' }>): void {
		if (command.type === 'reference') return this.show(undefined);
		if (CHOICES.has(command.type)) this.choose();
		const settled: SettledCommand =
			command.type === 'newStrokes' ? { type: 'seed', value: this.#randomSeed() } : command;
		this.take({ type: 'command', command: settled, atUs: this.#nowUs(), leadUs: this.#leadUs() });
	}

	/** The presets as their files are now. */
	setPresets(presets: readonly ReadPreset[]): void {
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
		if (input.type === 'reference' && input.picture) this.expectReferences();
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
		const reference = referenceViewOf(this.#state);
		return {
			style: target.name,
			title: target.title,
			prompt: target.prompt ?? '',
			strength: target.strength,
			seed: target.seed,
			...(reference && { reference }),
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

const referenceViewOf = (state: ControlState): ReferenceView | undefined => {
	const { shown, reference } = state.target;
	if (!shown) return undefined;
	const { id, picture } = shown;
	const { width, height } = picture;
	return { id, name: reference ?? '', width, height, isOfPreset: presetOf(state, state.target)?.shown?.id === id };
};

const afterInput = (state: ControlState, input: ControlInput): ControlState => {
	switch (input.type) {
		case 'command':
			return apply(state, input.command, input.atUs, input.leadUs);
		case 'reference':
			return show(state, input.picture, input.atUs, input.leadUs);
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
