import { describe, expect, test } from 'vitest';
import { cellsOf, cleaned, closed, dilated, eroded, type Cells } from '../../sidecar/region/cells.ts';
import { ChangedCells } from '../../sidecar/region/changed.ts';
import { SoftLevels } from '../../sidecar/region/soft-levels.ts';
import { SubjectCells } from '../../sidecar/region/subject.ts';
import { rgbLayout, type Picture } from '../../sidecar/frame/frame.ts';

const drawn = (...rows: string[]): Cells =>
	cellsOf(
		{ width: rows[0]!.length, height: rows.length },
		Uint8Array.from(rows.join(''), (cell) => Number(cell === '#')),
	);
const text = ({ width, height, data }: Cells): string[] =>
	Array.from({ length: height }, (_, y) =>
		Array.from(data.subarray(y * width, (y + 1) * width), (on) => (on ? '#' : '.')).join(''),
	);

describe('cells', () => {
	test('grow by one, shrink by one, and close gaps', () => {
		expect(text(dilated(drawn('.....', '.....', '..#..', '.....')))).toEqual(['.....', '.###.', '.###.', '.###.']);
		expect(text(eroded(drawn('####.', '####.', '####.', '.....')))).toEqual(['###..', '###..', '.....', '.....']);
		expect(
			text(closed(drawn('..........', '..........', '..##.##...', '..##.##...', '..........', '..........'), 1)),
		).toEqual(['..........', '..........', '..#####...', '..#####...', '..........', '..........']);
		expect(text(closed(drawn('.....', '..#..', '.....', '.....', '.....'), 1)), 'to the edge, too').toEqual([
			'..#..',
			'..#..',
			'.....',
			'.....',
			'.....',
		]);
	});

	test('lose patches that are too small and holes that are small, but no bay at the edge', () => {
		const cells = drawn('#......##', '...####..', '...#..#..', '...####..', '.........', '####.####');
		expect(text(cleaned(cells, { leastPatch: 3, mostHole: 2 }))).toEqual([
			'.........',
			'...####..',
			'...####..',
			'...####..',
			'.........',
			'####.####',
		]);
	});
});

const [WIDTH, HEIGHT] = [80, 45];
const FRAME_US = 40_000;

interface Box {
	x: number;
	y: number;
	side: number;
	/** Above the ground, where it is not bright. */
	above?: number;
}

/** A room with a camera's noise and a bright box in it. */
const room = (frame: number, box: Box | undefined, light = 0): Picture => {
	const data = new Uint8Array(3 * WIDTH * HEIGHT);
	for (let y = 0, at = 0; y < HEIGHT; y++)
		for (let x = 0; x < WIDTH; x++)
			for (let channel = 0; channel < 3; channel++, at++) {
				const isBox = box && x >= box.x && x < box.x + box.side && y >= box.y && y < box.y + box.side;
				const ground = 90 + 30 * Math.sin(x / 7) + 20 * Math.cos(y / 5) + 10 * channel;
				const noise = (Math.imul(at + 7919 * frame, 0x9e3779b1) >>> 29) - 3.5; // -3.5 to 3.5
				const own = box?.above === undefined ? 210 - 20 * channel : ground + box.above;
				data[at] = (isBox ? own : ground) + noise + light;
			}
	return { ...rgbLayout({ width: WIDTH, height: HEIGHT }), data };
};

const count = ({ data }: Cells) => data.reduce((sum, on) => sum + Number(on !== 0), 0);
const isOn = ({ data }: Cells, x: number, y: number) => data[y * WIDTH + x] !== 0;

const finderOf = (finder: ChangedCells | SubjectCells) => {
	let frame = 0;
	return (box?: Box, light = 0) => {
		const cells = finder.next(room(frame, box, light), frame * FRAME_US, frame === 0 ? 0 : FRAME_US);
		frame++;
		return cells;
	};
};
const box = (x: number, y = 15, side = 12) => ({ x, y, side });

describe('what changed', () => {
	test('is nothing in a picture that stands still but for noise', () => {
		const next = finderOf(new ChangedCells());
		for (let i = 0; i < 100; i++) expect(count(next(box(30)))).toBe(0);
	});

	test('is what moves, wherever it is, and not what is far from it', () => {
		const next = finderOf(new ChangedCells());
		next(box(10));
		for (let x = 10; x < 60; x++) {
			const cells = next(box(x));
			if (x < 16) continue;
			expect(isOn(cells, x + 11, 20), `front edge at ${x}`).toBe(true);
			expect(isOn(cells, x + 6, 20), `middle at ${x}`).toBe(true);
			expect(isOn(cells, x + 18, 20)).toBe(false);
			expect(isOn(cells, x + 6, 40)).toBe(false);
			expect(isOn(cells, x + 6, 5)).toBe(false);
		}
	});

	test('is held for a while after the motion, without a gap, and then is nothing again', () => {
		const next = finderOf(new ChangedCells());
		for (let x = 10; x < 30; x++) next(box(x));
		const on = Array.from({ length: 100 }, () => isOn(next(box(30)), 41, 20));
		const ended = on.indexOf(false);
		expect(ended * FRAME_US).toBeGreaterThanOrEqual(1_400_000);
		expect(ended * FRAME_US).toBeLessThan(2_500_000);
		expect(on.slice(ended).some(Boolean)).toBe(false);
	});

	test('sees motion of a cell in half a second, which no two frames show', () => {
		const next = finderOf(new ChangedCells());
		let cells = next(box(10));
		for (let i = 0; i < 60; i++) cells = next(box(10 + Math.floor(i / 12)));
		expect(isOn(cells, 26, 20)).toBe(true);
	});

	test('begins anew with a picture of another size', () => {
		const finder = new ChangedCells();
		finder.next(room(0, box(10)), 0, 0);
		const other = { ...rgbLayout({ width: 4, height: 3 }), data: new Uint8Array(36).fill(255) };
		expect(finder.next(other, FRAME_US, FRAME_US)).toMatchObject({ width: 4, height: 3, data: new Uint8Array(12) });
	});
});

describe('the subject', () => {
	test('is what came into a picture whose background was seen, whether it moves or stands', () => {
		const next = finderOf(new SubjectCells());
		for (let i = 0; i < 25; i++) expect(count(next())).toBe(0);
		let cells = next(box(5));
		for (let x = 5; x < 40; x++) cells = next(box(x));
		// It stands for 6 s, with a hand that moves.
		for (let i = 0; i < 150; i++) {
			cells = next({ ...box(40), side: 12 + (i % 2) });
			expect(isOn(cells, 46, 21)).toBe(true);
		}
		const area = count(cells);
		expect(area).toBeGreaterThanOrEqual(140);
		expect(area).toBeLessThan(230);
		expect(isOn(cells, 15, 21)).toBe(false);
	});

	test('that was certain stays where it becomes faint, and what is faint from the beginning is none', () => {
		for (const [above, expected] of [
			[40, true],
			[17, false],
		] as const) {
			const next = finderOf(new SubjectCells());
			for (let i = 0; i < 25; i++) next();
			for (let i = 0; i < 5; i++) next({ ...box(30), above });
			for (let i = 0; i < 50; i++) expect(isOn(next({ ...box(30), above: 17 }), 36, 21)).toBe(expected);
		}
	});

	test('is gone soon after it left', () => {
		const next = finderOf(new SubjectCells());
		for (let i = 0; i < 25; i++) next();
		for (let x = 5; x < 80; x++) next(box(x));
		expect(count(next())).toBe(0);
	});

	test('is forgotten after ten seconds in which nothing of it moves, and not before', () => {
		const next = finderOf(new SubjectCells());
		for (let i = 0; i < 25; i++) next();
		const on = Array.from({ length: 300 }, () => count(next(box(30))) > 0);
		expect(on.indexOf(false) * FRAME_US).toBeGreaterThanOrEqual(10_000_000);
		expect(on.indexOf(false)).toBeLessThan(285);
		expect(on.at(-1)).toBe(false);
	});

	test('is not light that grows slowly, nor an exposure that jumps a little', () => {
		const next = finderOf(new SubjectCells());
		for (let i = 0; i < 25; i++) next();
		for (let i = 0; i < 100; i++) expect(count(next(undefined, i / 5)), `frame ${i}`).toBe(0);
		expect(count(next(undefined, 36))).toBe(0);
	});

	test('begins anew when the camera was moved: everything differs, and soon nothing does', () => {
		const next = finderOf(new SubjectCells());
		for (let i = 0; i < 25; i++) next();
		const other = Array.from({ length: 60 }, () => count(next(undefined, 90)));
		expect(other.at(-1)).toBe(0);
	});
});

describe('the levels of a mask', () => {
	const mask = (value: number) => ({ width: 1, height: 1, data: Uint8Array.of(value) });

	test('are there at once, then rise within 120 ms and fall within 400 ms, never by a jump', () => {
		const levels = new SoftLevels({ width: 1, height: 1 });
		expect(levels.towards(mask(255), 0).data[0]).toBe(255);
		const falling = Array.from({ length: 11 }, () => levels.towards(mask(0), FRAME_US).data[0]!);
		expect(falling[0]).toBe(229);
		expect(falling[9]).toBeLessThanOrEqual(1);
		expect(falling[10]).toBe(0);
		const rising = Array.from({ length: 3 }, () => levels.towards(mask(255), FRAME_US).data[0]!);
		expect(rising).toEqual([85, 170, 255]);
	});

	test('hardly show a mask that is there in every other frame', () => {
		const levels = new SoftLevels({ width: 1, height: 1 });
		levels.towards(mask(0), 0);
		let last = 0;
		for (let i = 0; i < 40; i++) {
			const level = levels.towards(mask(i % 2 ? 255 : 0), FRAME_US).data[0]!;
			expect(Math.abs(level - last)).toBeLessThan(90);
			last = level;
		}
	});
});
