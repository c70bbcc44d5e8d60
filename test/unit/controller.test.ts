import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Command, SettledCommand } from '../../sidecar/config/schema/commands.ts';
import type { Preset } from '../../sidecar/config/schema/preset.ts';
import { readCommand, styleCommand } from '../../sidecar/control/commands.ts';
import {
	arm,
	apply,
	initialState,
	parametersAt,
	regionOf,
	setPresets,
	show,
	type ControlState,
} from '../../sidecar/control/control-state.ts';
import { Controller } from '../../sidecar/control/controller.ts';
import { lookKey, REFERENCE_PROMPT, type ReadPreset } from '../../sidecar/parameters.ts';
import { presetOf, referenceOfGrey, tuningOf } from '../support/frames.ts';

const OIL = presetOf('oil-painting');
const PENCIL = presetOf('pencil-sketch');
const WATER = presetOf('watercolor', { strength: 0.5, seed: 7 });
const PASS = presetOf('passthrough');
const PRESETS = [OIL, PASS, PENCIL, WATER];

const start = (preset: Preset = OIL, fadeS = 0.5): ControlState =>
	initialState({ presets: PRESETS, preset, tuning: tuningOf(), fadeS }, 0);

const style = (name: string): SettledCommand => ({ type: 'style', name });

/** Weights by the name of the style whose prompt it is, or by the prompt. */
const mixture = (state: ControlState, nowUs: number): Record<string, number> =>
	Object.fromEntries(
		parametersAt(state, nowUs).conditioning.map(({ prompt, weight }) => [
			PRESETS.find((preset) => preset.prompt === prompt)?.name ?? prompt,
			Number(weight.toFixed(6)),
		]),
	);

describe('a change of style', () => {
	test('fades evenly over its time, under one new epoch', () => {
		const state = apply(start(), style('pencil-sketch'), 1_000_000);
		expect(mixture(state, 1_000_000)).toEqual({ 'oil-painting': 1, 'pencil-sketch': 0 });
		expect(mixture(state, 1_125_000)).toEqual({ 'oil-painting': 0.75, 'pencil-sketch': 0.25 });
		expect(mixture(state, 1_250_000)).toEqual({ 'oil-painting': 0.5, 'pencil-sketch': 0.5 });
		expect(mixture(state, 1_500_000)).toEqual({ 'pencil-sketch': 1 });
		for (const nowUs of [1_000_000, 1_250_000, 9_000_000])
			expect(parametersAt(state, nowUs)).toMatchObject({ epoch: 1, style: 'pencil-sketch', seed: 42 });
	});

	test('brings strength and seed of its preset', () => {
		const state = apply(start(), style('watercolor'), 0);
		expect(mixture(state, 250_000)).toEqual({ 'oil-painting': 0.5, watercolor: 0.25 });
		expect(parametersAt(state, 500_000)).toMatchObject({ seed: 7 });
		expect(mixture(state, 500_000)).toEqual({ watercolor: 0.5 });
	});

	test('in the middle of a fade goes on from what is on the canvas', () => {
		const first = apply(start(), style('pencil-sketch'), 0);
		const second = apply(first, style('watercolor'), 125_000);
		expect(mixture(second, 125_000)).toEqual({ 'oil-painting': 0.75, 'pencil-sketch': 0.25, watercolor: 0 });
		expect(mixture(second, 375_000)).toEqual({ 'oil-painting': 0.375, 'pencil-sketch': 0.125, watercolor: 0.25 });
		expect(second.epoch).toBe(2);
		const back = apply(first, style('oil-painting'), 250_000);
		expect(mixture(back, 500_000)).toEqual({ 'oil-painting': 0.75, 'pencil-sketch': 0.25 });
	});

	test('cuts where the fade has no length', () => {
		const state = apply(start(OIL, 0), style('pencil-sketch'), 5);
		expect(mixture(state, 5)).toEqual({ 'pencil-sketch': 1 });
	});

	test('to or from passthrough cuts at once, also out of a fade', () => {
		const fading = apply(start(), style('pencil-sketch'), 0);
		const through = apply(fading, style('passthrough'), 100_000);
		expect(parametersAt(through, 100_000)).toMatchObject({ style: 'passthrough', epoch: 2 });
		expect(mixture(through, 100_000)).toEqual({ passthrough: 1 });
		expect(mixture(apply(through, style('oil-painting'), 110_000), 110_000)).toEqual({ 'oil-painting': 1 });
	});

	test('toggle goes to passthrough and back to what was painted, with its prompt', () => {
		const asked = apply(start(), { type: 'prompt', text: 'fog' }, 0);
		const through = apply(asked, { type: 'toggle' }, 1);
		expect(parametersAt(through, 1)).toMatchObject({ style: 'passthrough', epoch: 2 });
		const back = apply(through, { type: 'toggle' }, 2);
		expect(parametersAt(back, 2)).toMatchObject({ style: 'oil-painting', epoch: 3 });
		expect(mixture(back, 2)).toEqual({ fog: 1 });
	});

	test('panic changes nothing of what is painted, and is there until it is ended', () => {
		const panic = apply(start(), { type: 'panic', on: true }, 1);
		expect(panic.panic).toBe(true);
		expect(parametersAt(panic, 1)).toBe(panic.settled);
		expect(panic.settled.epoch).toBe(0);
		expect(apply(panic, style('pencil-sketch'), 2).panic).toBe(true);
		expect(apply(panic, { type: 'panic', on: true }, 2)).toBe(panic);
		expect(apply(panic, { type: 'panic', on: false }, 2).panic).toBe(false);
	});

	test('an armed style is encoded without being seen, and is there for the switch', () => {
		const armed = arm(start(), 'watercolor');
		expect(mixture(armed, 0)).toEqual({ 'oil-painting': 1, watercolor: 0 });
		expect(armed.epoch).toBe(0);
		expect(arm(armed, 'watercolor')).toBe(armed);
		const switched = apply(armed, { type: 'style', name: 'watercolor', fadeS: 0 }, 1);
		expect(mixture(switched, 1)).toEqual({ watercolor: 0.5 });
		expect(mixture(arm(armed, undefined), 0)).toEqual({ 'oil-painting': 1 });
		expect(mixture(arm(start(), 'no-such-style'), 0)).toEqual({ 'oil-painting': 1 });
	});

	test('to what is there already does nothing', () => {
		const state = start();
		expect(apply(state, style('oil-painting'), 1)).toBe(state);
		expect(apply(state, { type: 'prompt', text: OIL.prompt! }, 1)).toBe(state);
		expect(apply(state, { type: 'fade', seconds: 0.5 }, 1)).toBe(state);
	});

	test('to an unknown style is refused with the known ones, and nothing changes', () => {
		const controller = new Controller({ presets: PRESETS, preset: OIL, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 });
		const before = controller.parametersAt(0);
		expect(() => controller.apply({ type: 'style', name: 'oil-paintin' })).toThrow(
			expect.objectContaining({
				code: 'ERR_STYLE',
				message:
					'Style oil-paintin is not known. Did you mean oil-painting? There are: oil-painting, pencil-sketch, watercolor, passthrough.',
			}),
		);
		expect(controller.parametersAt(0)).toBe(before);
	});
});

describe('next and previous', () => {
	const names = (commands: ('next' | 'previous')[], from = OIL) => {
		let state = start(from);
		return commands.map((type) => (state = apply(state, { type }, 0)).target.name);
	};

	test('go round the styles that paint', () => {
		expect(names(['next', 'next', 'next'])).toEqual(['pencil-sketch', 'watercolor', 'oil-painting']);
		expect(names(['previous', 'previous'])).toEqual(['watercolor', 'pencil-sketch']);
	});

	test('leave passthrough for the neighbour of what was painted before', () => {
		const through = apply(apply(start(), style('pencil-sketch'), 0), style('passthrough'), 0);
		expect(apply(through, { type: 'next' }, 0).target.name).toBe('watercolor');
		expect(apply(start(PASS), { type: 'next' }, 0).target.name).toBe('oil-painting');
	});

	test('begin with the first where the style is a file of its own', () => {
		expect(names(['next', 'previous'], presetOf('mine'))).toEqual(['oil-painting', 'mine']);
	});

	test('stay where there is nothing else', () => {
		const alone = initialState({ presets: [PASS], preset: PASS, tuning: tuningOf(), fadeS: 0 }, 0);
		expect(apply(alone, { type: 'next' }, 0)).toBe(alone);
	});
});

describe('prompt, strength and seed', () => {
	test('a prompt fades as a style does and keeps strength and seed', () => {
		const state = apply(apply(start(), style('watercolor'), 0), { type: 'prompt', text: 'by candle light' }, 1_000_000);
		expect(mixture(state, 1_250_000)).toEqual({ watercolor: 0.25, 'by candle light': 0.25 });
		expect(parametersAt(state, 1_250_000)).toMatchObject({ style: 'watercolor', seed: 7, epoch: 2 });
	});

	test('a prompt under passthrough is painted, in the style that was painted before', () => {
		const through = apply(apply(start(), style('watercolor'), 0), style('passthrough'), 0);
		const state = apply(through, { type: 'prompt', text: 'by candle light' }, 0);
		expect(parametersAt(state, 0)).toMatchObject({
			style: 'watercolor',
			conditioning: [{ prompt: 'by candle light', weight: 0.5 }],
		});
		const alone = initialState({ presets: [PASS], preset: PASS, tuning: tuningOf(), fadeS: 0 }, 0);
		expect(apply(alone, { type: 'prompt', text: 'fog' }, 0).target.name).toBe('custom');
	});

	test('strength acts at once, within the epoch, also in the middle of a fade', () => {
		const state = apply(start(), { type: 'strength', value: 0.25 }, 0);
		expect(parametersAt(state, 0)).toMatchObject({ epoch: 0, conditioning: [{ weight: 0.25 }] });
		const fading = apply(apply(start(), style('pencil-sketch'), 0), { type: 'strength', value: 0.5 }, 100_000);
		expect(fading.epoch).toBe(1);
		expect(mixture(fading, 250_000)).toEqual({ 'oil-painting': 0.5, 'pencil-sketch': 0.25 });
	});

	test('a seed is another epoch and leaves a fade as it is', () => {
		const fading = apply(start(), style('pencil-sketch'), 0);
		const state = apply(fading, { type: 'seed', value: 9 }, 250_000);
		expect(parametersAt(state, 250_000)).toMatchObject({ epoch: 2, seed: 9 });
		expect(mixture(state, 375_000)).toEqual(mixture(fading, 375_000));
	});

	test('the preset asked for again undoes all of it', () => {
		let state = apply(start(), { type: 'prompt', text: 'x' }, 0);
		state = apply(state, { type: 'strength', value: 0 }, 0);
		state = apply(state, style('oil-painting'), 1_000_000);
		expect(parametersAt(state, 2_000_000)).toMatchObject({
			seed: 42,
			conditioning: [{ prompt: OIL.prompt, weight: 1 }],
		});
	});
});

describe('presets that change while they are used', () => {
	const edited = (name: string, changes: Partial<Preset>) =>
		PRESETS.map((preset) => (preset.name === name ? { ...preset, ...changes } : preset));
	const without = (name: string) => PRESETS.filter((preset) => preset.name !== name);

	test('the style in force follows its file, by a cross-fade under one new epoch', () => {
		const state = setPresets(start(), edited('oil-painting', { prompt: 'thick oil', title: 'Thick' }), 0);
		expect(mixture(state, 0)).toEqual({ 'oil-painting': 1, 'thick oil': 0 });
		expect(mixture(state, 250_000)).toEqual({ 'oil-painting': 0.5, 'thick oil': 0.5 });
		expect(mixture(state, 500_000)).toEqual({ 'thick oil': 1 });
		expect(state).toMatchObject({ presetsRevision: 1, target: { title: 'Thick' } });
		expect(parametersAt(state, 0).epoch).toBe(1);
	});

	test('a strength that was saved fades too, and a seed is new strokes', () => {
		const fainter = setPresets(start(), edited('oil-painting', { strength: 0.5 }), 0);
		expect(mixture(fainter, 0)).toEqual({ 'oil-painting': 1 });
		expect(mixture(fainter, 250_000)).toEqual({ 'oil-painting': 0.75 });
		expect(mixture(fainter, 500_000)).toEqual({ 'oil-painting': 0.5 });
		const other = setPresets(start(), edited('oil-painting', { seed: 9 }), 0);
		expect(parametersAt(other, 0)).toMatchObject({ epoch: 1, seed: 9 });
	});

	test.each<SettledCommand>([
		{ type: 'prompt', text: 'fog' },
		{ type: 'strength', value: 0.25 },
		{ type: 'seed', value: 9 },
	])('not where something else was asked of it since: %j', (command) => {
		const asked = apply(start(), command, 0);
		const state = setPresets(asked, edited('oil-painting', { prompt: 'thick oil' }), 0);
		expect(state.target).toBe(asked.target);
		expect(parametersAt(state, 9_000_000)).toBe(parametersAt(asked, 9_000_000));
		const chosen = apply(state, style('oil-painting'), 1_000_000);
		expect(mixture(chosen, 9_000_000)).toEqual({ 'thick oil': 1 });
		const again = setPresets(chosen, PRESETS, 2_000_000);
		expect(mixture(again, 9_000_000)).toEqual({ 'oil-painting': 1 });
	});

	test('another style changes nothing of what is seen, and is there when it is chosen', () => {
		const state = setPresets(start(), edited('watercolor', { prompt: 'wet' }), 0);
		expect(parametersAt(state, 0)).toMatchObject({ epoch: 0, conditioning: [{ prompt: OIL.prompt, weight: 1 }] });
		expect(mixture(apply(state, style('watercolor'), 0), 9_000_000)).toEqual({ wet: 0.5 });
	});

	test('one that is new can be chosen, and takes its place in the order', () => {
		const state = setPresets(start(), [...PRESETS, presetOf('aquatint')], 0);
		expect(state.presets.map(({ name }) => name)).toEqual([
			'oil-painting',
			'pencil-sketch',
			'watercolor',
			'aquatint',
			'passthrough',
		]);
		expect(apply(state, style('aquatint'), 0).target.name).toBe('aquatint');
	});

	test('one that is removed stays until another is chosen, and follows its file when that is back', () => {
		const state = setPresets(start(), without('oil-painting'), 0);
		expect(state.target).toBe(OIL);
		expect(parametersAt(state, 0).epoch).toBe(0);
		expect(state.presets.map(({ name }) => name)).not.toContain('oil-painting');
		expect(() => apply(state, style('oil-painting'), 0)).toThrow(/is not known/);
		const back = setPresets(state, edited('oil-painting', { prompt: 'thick oil' }), 0);
		expect(mixture(back, 9_000_000)).toEqual({ 'thick oil': 1 });
		expect(back.removed).toEqual([]);
		const left = apply(state, { type: 'next' }, 0);
		expect(left.target.name).toBe('pencil-sketch');
		expect(setPresets(left, without('watercolor'), 0).removed).toEqual([]);
	});

	test('what passthrough goes back to follows its file as well', () => {
		const through = apply(start(), style('passthrough'), 0);
		const state = setPresets(through, edited('oil-painting', { prompt: 'thick oil' }), 0);
		expect(state.target).toBe(PASS);
		expect(parametersAt(state, 0).epoch).toBe(1);
		expect(mixture(apply(state, { type: 'toggle' }, 0), 0)).toEqual({ 'thick oil': 1 });
	});

	test('a style that was begun with as a file of its own stays in the list', () => {
		const state = setPresets(start(presetOf('mine')), without('watercolor'), 0);
		expect(state.presets.map(({ name }) => name)).toEqual(['oil-painting', 'pencil-sketch', 'mine', 'passthrough']);
		expect(state.target.name).toBe('mine');
	});

	test('the same presets, read anew, are no change', () => {
		const state = start();
		expect(setPresets(state, structuredClone(PRESETS), 0)).toBe(state);
	});

	test('the controller tells who listens, with the revision of the list', () => {
		const controller = new Controller({ presets: PRESETS, preset: OIL, tuning: tuningOf(), fadeS: 0, nowUs: () => 0 });
		const revisions: number[] = [];
		controller.subscribe(() => revisions.push(controller.view().presetsRevision));
		controller.setPresets(without('watercolor'));
		controller.setPresets(without('watercolor'));
		controller.setPresets(PRESETS);
		expect(revisions).toEqual([1, 2]);
	});
});

test('the parameters are one frozen object as long as nothing changes', () => {
	const state = apply(start(), style('pencil-sketch'), 0);
	expect(parametersAt(state, 600_000)).toBe(parametersAt(state, 700_000));
	const fading = parametersAt(state, 100_000);
	for (const frozen of [fading, fading.conditioning, fading.conditioning[0], fading.tuning, state])
		expect(Object.isFrozen(frozen)).toBe(true);
});

const commands = fc.oneof(
	fc.constantFrom('oil-painting', 'pencil-sketch', 'watercolor', 'passthrough').map(style),
	fc.constantFrom<SettledCommand>({ type: 'next' }, { type: 'previous' }, { type: 'toggle' }),
	fc.boolean().map((on): SettledCommand => ({ type: 'panic', on })),
	fc.string({ minLength: 1 }).map((text): SettledCommand => ({ type: 'prompt', text })),
	fc.double({ min: 0, max: 1, noNaN: true }).map((value): SettledCommand => ({ type: 'strength', value })),
	fc.nat().map((value): SettledCommand => ({ type: 'seed', value })),
	fc.double({ min: 0, max: 60, noNaN: true }).map((seconds): SettledCommand => ({ type: 'fade', seconds })),
);

test('whatever is asked, 50 times a second: four prompts at most, weights within 0..1, epochs that never fall', () => {
	fc.assert(
		fc.property(fc.array(commands, { maxLength: 200 }), (asked) => {
			let state = start();
			asked.forEach((command, index) => {
				const before = state;
				state = apply(state, command, index * 20_000);
				const { epoch, conditioning } = parametersAt(state, index * 20_000 + 10_000);
				expect(epoch - before.epoch).toBeGreaterThanOrEqual(0);
				expect(epoch - before.epoch).toBeLessThanOrEqual(1);
				expect(conditioning.length).toBeLessThanOrEqual(4);
				const sum = conditioning.reduce((total, { weight }) => total + weight, 0);
				expect(sum).toBeLessThanOrEqual(1 + 1e-9);
				for (const { weight } of conditioning) expect(weight).toBeGreaterThanOrEqual(0);
			});
			expect(JSON.stringify(state).length).toBeLessThan(10_000);
		}),
	);
});

test('whatever is saved between what is asked: the same bounds, and what is painted is the target', () => {
	const files = fc
		.subarray(PRESETS, { minLength: 1 })
		.chain((kept) =>
			fc
				.array(fc.constantFrom('a', 'b', 'c'), { minLength: 4, maxLength: 4 })
				.map((marks) => kept.map((preset, index) => ({ ...preset, prompt: `${preset.name} ${marks[index]}` }))),
		);
	fc.assert(
		fc.property(fc.array(fc.oneof(commands, files), { maxLength: 200 }), (asked) => {
			let state = start();
			asked.forEach((step, index) => {
				const before = state;
				try {
					state = Array.isArray(step) ? setPresets(state, step, index * 20_000) : apply(state, step, index * 20_000);
				} catch (error) {
					expect(error).toMatchObject({ code: 'ERR_STYLE' }); // of a style whose file is gone
				}
				expect(state.epoch - before.epoch).toBeGreaterThanOrEqual(0);
				expect(state.epoch - before.epoch).toBeLessThanOrEqual(1);
				expect(parametersAt(state, index * 20_000 + 10_000).conditioning.length).toBeLessThanOrEqual(4);
				expect(state.removed.length).toBeLessThanOrEqual(2);
				expect(state.settled.conditioning[0]).toEqual({ prompt: state.target.prompt, weight: state.target.strength });
			});
		}),
	);
});

test('an hour of 50 changes a second leaves no more behind than one', () => {
	let state = start(OIL, 60);
	const names = ['pencil-sketch', 'watercolor', 'oil-painting'];
	for (let change = 0; change < 180_000; change++) state = apply(state, style(names[change % 3]!), change * 20_000);
	expect(state.epoch).toBe(180_000);
	expect(JSON.stringify(state).length).toBeLessThan(JSON.stringify(start()).length + 2000);
});

describe('the controller', () => {
	test('paints new strokes with a seed of its own, and tells who listens', () => {
		const controller = new Controller({
			presets: PRESETS,
			preset: OIL,
			tuning: tuningOf(),
			fadeS: 0.5,
			nowUs: () => 250_000,
			randomSeed: () => 4_294_967_295,
		});
		let heard = 0;
		const stop = controller.subscribe(() => heard++);
		controller.apply({ type: 'newStrokes' });
		expect(controller.view()).toMatchObject({ seed: 4_294_967_295, epoch: 1, progress: 1 });
		controller.apply({ type: 'strength', value: 1 });
		expect(heard).toBe(1);
		stop();
		controller.apply({ type: 'next' });
		expect(heard).toBe(1);
		expect(controller.change).toEqual({ epoch: 2, style: 'pencil-sketch', changedUs: 250_000 });
		expect(controller.view()).toMatchObject({ title: 'pencil-sketch', progress: 0, fadeS: 0.5 });
	});
});

test('what a witness heard gives another controller the same pictures at the same times', () => {
	const options = { presets: PRESETS, preset: OIL, tuning: tuningOf(), fadeS: 0.5 };
	const steps = fc.oneof(
		commands,
		fc.constant<Command>({ type: 'newStrokes' }),
		fc.constant<Command>({ type: 'tempo', bpm: 240 }),
		fc.constantFrom<Command>({ type: 'quantise', to: 'beat' }, { type: 'quantise', to: 'off' }),
		fc.subarray(PRESETS, { minLength: 2 }),
		fc.constantFrom('watercolor', undefined).map((armed) => ({ armed })),
		fc.nat({ max: 400_000 }).map((laterUs) => ({ laterUs })),
	);
	fc.assert(
		fc.property(fc.array(steps, { maxLength: 60 }), (asked) => {
			let us = 0;
			const controller = new Controller({ ...options, nowUs: () => us, leadUs: () => 30_000 });
			const second = new Controller({ ...options, nowUs: () => us });
			controller.witness((input) => second.take(structuredClone(input)));
			for (const step of asked) {
				try {
					if (Array.isArray(step)) controller.setPresets(step);
					else if ('armed' in step) controller.arm(step.armed);
					else if ('laterUs' in step) us += step.laterUs;
					else controller.apply(step);
				} catch (error) {
					expect(error).toMatchObject({ code: 'ERR_STYLE' });
				}
				us += 10_000;
				expect(second.parametersAt(us)).toEqual(controller.parametersAt(us));
			}
			expect(second.view()).toEqual(controller.view());
		}),
	);
});

describe('the region', () => {
	const masked = presetOf('masked', { region: { mask: 'face.png', feather: 2 } });
	const region = (of: Extract<SettledCommand, { type: 'region' }>['region']): SettledCommand => ({
		type: 'region',
		region: of,
	});
	const begin = (own?: 'subject') =>
		initialState(
			{ presets: [...PRESETS, masked], preset: OIL, tuning: tuningOf(), fadeS: 0.5, ...(own && { region: own }) },
			0,
		);

	test('is as the style says, all where it says nothing, and what was asked for in every style', () => {
		const state = apply(begin(), style('masked'), 0);
		expect(regionOf(begin())).toBe('all');
		expect(regionOf(state)).toEqual({ mask: 'face.png', feather: 2 });
		const own = apply(state, region('changed'), 0);
		expect(regionOf(own)).toBe('changed');
		expect(regionOf(apply(own, style('oil-painting'), 0))).toBe('changed');
		expect(regionOf(apply(own, region('preset'), 0))).toEqual({ mask: 'face.png', feather: 2 });
		expect(regionOf(apply(begin('subject'), style('masked'), 0))).toBe('subject');
	});

	test('is no other painting: neither epoch nor parameters change', () => {
		const own = apply(begin(), region('changed'), 0);
		expect(own.epoch).toBe(0);
		expect(parametersAt(own, 0)).toBe(parametersAt(own, 0));
		expect(own.settled).toBe(apply(own, region('subject'), 0).settled);
	});

	test('has another revision where the same is asked for again', () => {
		const first = apply(begin(), region('subject'), 0);
		expect(first.regionRevision).toBe(0);
		expect(apply(first, region('background'), 0).regionRevision).toBe(0);
		expect(apply(first, region('subject'), 0).regionRevision).toBe(1);
	});

	test('follows the file of the style in force', () => {
		const state = setPresets(begin(), [{ ...OIL, region: 'background' }, PASS, PENCIL, WATER], 0);
		expect(regionOf(state)).toBe('background');
	});
});

describe('commands from outside', () => {
	test.each([
		[{ type: 'style', name: 'oil-painting' }],
		[{ type: 'next' }],
		[{ type: 'prompt', text: 'fog' }],
		[{ type: 'strength', value: 0.5 }],
		[{ type: 'seed', value: 4_294_967_295 }],
		[{ type: 'newStrokes' }],
		[{ type: 'fade', seconds: 0 }],
		[{ type: 'toggle' }],
		[{ type: 'panic', on: true }],
		[{ type: 'region', region: 'subject' }],
		[{ type: 'region', region: { mask: 'face.png', invert: true, feather: 4 } }],
	])('%j is understood', (command) => {
		expect(readCommand(command)).toEqual(command);
	});

	test.each<[unknown, RegExp]>([
		[null, /expected an object/],
		['next', /expected an object/],
		[
			{},
			/expected one of style, next, previous, prompt, strength, seed, fade, toggle, panic, tap, tempo, quantise, region, newStrokes/,
		],
		[{ type: 'region' }, /expected all, changed, subject, background/],
		[
			{ type: 'region', region: { mask: '../face.png' } },
			/expected a plain file name, without a folder\n.*region\.mask/,
		],
		[{ type: 'explode' }, /expected one of style/],
		[{ type: '__proto__' }, /expected one of style/],
		[{ type: 'next', by: 2 }, /Unrecognized key: "by"/],
		[{ type: 'style' }, /name/],
		[{ type: 'panic' }, /on/],
		[{ type: 'style', name: 'x'.repeat(65) }, /name/],
		[{ type: 'prompt', text: '   ' }, /text/],
		[{ type: 'prompt', text: 'x'.repeat(501) }, /text/],
		[{ type: 'strength', value: 1.1 }, /value/],
		[{ type: 'strength', value: NaN }, /value/],
		[{ type: 'strength', value: '1' }, /value/],
		[{ type: 'seed', value: 0.5 }, /value/],
		[{ type: 'seed', value: 4_294_967_296 }, /value/],
		[{ type: 'fade', seconds: -1 }, /seconds/],
		[{ type: 'fade', seconds: Infinity }, /seconds/],
		[[], /expected/],
	])('%j is refused', (command, message) => {
		expect(() => readCommand(command)).toThrow(expect.objectContaining({ code: 'ERR_COMMAND' }));
		expect(() => readCommand(command)).toThrow(message);
	});

	test('a word of the command line', () => {
		expect(styleCommand('next')).toEqual({ type: 'next' });
		expect(styleCommand('watercolor')).toEqual({ type: 'style', name: 'watercolor' });
	});
});

describe('a picture as a style', () => {
	const [starry, wave] = [referenceOfGrey(40), referenceOfGrey(200)];
	const like = (state: ControlState, reference = starry, nowUs = 0) =>
		show(state, { name: 'starry.png', reference }, nowUs);
	const { prompt: _, ...SHOWN } = presetOf('shown', { reference: 'wave.png' });
	const shown: ReadPreset = { ...SHOWN, shown: wave };
	const names = new Map([
		[starry.id, 'starry'],
		[wave.id, 'wave'],
	]);
	/** Weights by the picture and what is told beside it. */
	const looks = (state: ControlState, nowUs: number) =>
		parametersAt(state, nowUs).conditioning.map(({ prompt, reference, weight }) => [
			names.get(reference?.id ?? '') ?? PRESETS.find((preset) => preset.prompt === prompt)?.name ?? prompt,
			...(reference && prompt !== REFERENCE_PROMPT ? [prompt] : []),
			Number(weight.toFixed(6)),
		]);
	const controllerOf = (options: { takesReferences?: boolean; presets?: readonly ReadPreset[] } = {}) =>
		new Controller({
			presets: PRESETS,
			preset: OIL,
			tuning: tuningOf(),
			fadeS: 0,
			nowUs: () => 0,
			takesReferences: true,
			...options,
		});

	test('is faded to from words, and from it to words and to another', () => {
		const first = like(start());
		expect(looks(first, 125_000)).toEqual([
			['oil-painting', 0.75],
			['starry', 0.25],
		]);
		expect(looks(first, 500_000)).toEqual([['starry', 1]]);
		const second = like(first, wave, 1_000_000);
		expect(looks(second, 1_250_000)).toEqual([
			['starry', 0.5],
			['wave', 0.5],
		]);
		const back = apply(second, style('pencil-sketch'), 2_000_000);
		expect(looks(back, 2_250_000)).toEqual([
			['wave', 0.5],
			['pencil-sketch', 0.5],
		]);
		expect([first.epoch, second.epoch, back.epoch]).toEqual([1, 2, 3]);
		expect(parametersAt(first, 500_000).conditioning[0]).toMatchObject({ prompt: REFERENCE_PROMPT, reference: starry });
	});

	test('goes with the next style, and with words that are asked for', () => {
		expect(looks(apply(like(start(OIL, 0)), style('oil-painting'), 1), 1)).toEqual([['oil-painting', 1]]);
		const words = apply(like(start(OIL, 0)), { type: 'prompt', text: 'in thick strokes' }, 1);
		expect(looks(words, 1)).toEqual([['in thick strokes', 1]]);
		expect(words.target).not.toHaveProperty('shown');
	});

	test('goes back to what the preset says, with strength and seed as they are', () => {
		const strong = apply(
			apply(like(start(OIL, 0)), { type: 'strength', value: 0.25 }, 1),
			{ type: 'seed', value: 9 },
			1,
		);
		const back = show(strong, undefined, 2);
		expect(looks(back, 2)).toEqual([['oil-painting', 0.25]]);
		expect(back.target).toEqual({ ...OIL, strength: 0.25, seed: 9 });
		expect(show(back, undefined, 3)).toBe(back);
		const own = initialState({ presets: [...PRESETS, shown], preset: shown, tuning: tuningOf(), fadeS: 0 }, 0);
		expect(looks(show(like(own), undefined, 1), 1)).toEqual([['wave', 1]]);
	});

	test('the same again does nothing; the same words with another picture are another style', () => {
		const state = like(start(OIL, 0));
		expect(like(state, starry, 5)).toBe(state);
		expect(like(state, wave, 5).epoch).toBe(state.epoch + 1);
		expect(lookKey({ prompt: 'a', reference: starry })).not.toBe(lookKey({ prompt: 'a', reference: wave }));
	});

	test('asked for under passthrough is painted; taken back there, passthrough stays', () => {
		const through = apply(start(OIL, 0), style('passthrough'), 0);
		expect(parametersAt(like(through), 1)).toMatchObject({
			style: 'oil-painting',
			conditioning: [{ reference: starry }],
		});
		const hidden = apply(like(start(OIL, 0)), { type: 'toggle' }, 1);
		const back = show(hidden, undefined, 2);
		expect(parametersAt(back, 2).style).toBe('passthrough');
		expect(looks(apply(back, { type: 'toggle' }, 3), 3)).toEqual([['oil-painting', 1]]);
	});

	test('of a preset is armed with no weight, and waits for the beat like any style', () => {
		const presets = [...PRESETS, shown];
		const state = initialState({ presets, preset: OIL, tuning: tuningOf(), fadeS: 0 }, 0);
		expect(looks(arm(state, 'shown'), 0)).toEqual([
			['oil-painting', 1],
			['wave', 0],
		]);
		const counted = apply(apply(state, { type: 'tempo', bpm: 60 }, 0), { type: 'quantise', to: 'beat' }, 0);
		const waiting = like(counted, starry, 100_000);
		expect(looks(waiting, 200_000)).toEqual([
			['oil-painting', 1],
			['starry', 0],
		]);
		expect(looks(apply(waiting, { type: 'fade', seconds: 0 }, 1_000_001), 1_000_001)).toEqual([['starry', 1]]);
	});

	test('of a preset follows its file, unless another was asked for', () => {
		const presets = [...PRESETS, shown];
		const state = initialState({ presets, preset: shown, tuning: tuningOf(), fadeS: 0 }, 0);
		const painted = [...PRESETS, { ...shown, shown: starry }];
		expect(looks(setPresets(state, painted, 1), 1)).toEqual([['starry', 1]]);
		const dropped = like(state, referenceOfGrey(7));
		expect(parametersAt(setPresets(dropped, painted, 1), 1).conditioning[0]!.reference!.id).toBe(referenceOfGrey(7).id);
	});

	test('changed a hundred times within a fade keeps as many as words do, and ends with the last', () => {
		let state = start();
		for (let change = 0; change < 100; change++) state = like(state, referenceOfGrey(change), change * 20_000);
		expect(parametersAt(state, 2_000_000).conditioning.length).toBeLessThanOrEqual(4);
		const { conditioning } = parametersAt(state, 9_000_000);
		expect(conditioning.map(({ reference }) => reference?.id)).toEqual([referenceOfGrey(99).id]);
	});

	test('is told of without its pixels', () => {
		const controller = controllerOf();
		expect(controller.view()).not.toHaveProperty('reference');
		controller.show({ name: 'starry.png', reference: starry });
		expect(controller.view()).toMatchObject({
			style: 'oil-painting',
			prompt: '',
			reference: { id: starry.id, name: 'starry.png', width: 32, height: 24, isOfPreset: false },
		});
		expect(JSON.stringify(controller.view()).length).toBeLessThan(1000);
		const own = controllerOf({ presets: [shown, ...PRESETS] });
		own.apply(style('shown'));
		expect(own.view().reference).toMatchObject({ name: 'wave.png', isOfPreset: true });
	});

	test('is refused where the model takes words alone, and nothing changes', async () => {
		const controller = controllerOf({ takesReferences: false });
		const before = controller.view();
		expect(() => controller.show({ name: 'x', reference: starry })).toThrow(
			/takes no picture as a style, but words alone/,
		);
		using _frames = controller.takeFramesFrom(async () => starry);
		await expect(controller.carryOut({ type: 'reference', from: 'painting' })).rejects.toMatchObject({
			code: 'ERR_MODEL',
		});
		expect(controller.view()).toEqual(before);
	});

	test('is taken from what is painted now, unless something else was chosen meanwhile', async () => {
		const controller = controllerOf();
		await expect(controller.carryOut({ type: 'reference', from: 'source' })).rejects.toMatchObject({
			code: 'ERR_STYLE',
		});
		let give: (reference: typeof starry) => void = () => {};
		const asked: string[] = [];
		using _frames = controller.takeFramesFrom((from) => {
			asked.push(from);
			return new Promise((resolve) => (give = resolve));
		});
		const first = controller.carryOut({ type: 'reference', from: 'source' });
		controller.apply({ type: 'strength', value: 0.5 }); // chooses nothing else
		give(starry);
		await first;
		expect(controller.view()).toMatchObject({ strength: 0.5, reference: { id: starry.id, name: 'source' } });
		const late = controller.carryOut({ type: 'reference', from: 'painting' });
		controller.apply(style('pencil-sketch'));
		give(wave);
		await late;
		expect(controller.view()).toMatchObject({ style: 'pencil-sketch' });
		expect(controller.view()).not.toHaveProperty('reference');
		expect(asked).toEqual(['source', 'painting']);
	});
});
