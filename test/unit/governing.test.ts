import { expect, test } from 'vitest';
import { Governing } from '../../sidecar/app/governing.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import { tuningOf } from '../support/frames.ts';

setLog({ level: 'silent' });

const LOOK_US = 500_000;

/** A source of 30 frames a second, and an engine of so many. */
const open = () => {
	let nowUs = 0;
	let look = () => {};
	let arrived = 0;
	let isPainting = true;
	const governing = new Governing({
		tuning: tuningOf(),
		sizeOf: () => ({ width: 256, height: 160 }),
		arrivedCount: () => arrived,
		isPainting: () => isPainting,
		resize: () => {},
		nowUs: () => nowUs,
		every: (_, work) => {
			look = work;
			return () => {};
		},
	});
	const run = (seconds: number, { painted }: { painted: number | 'dead' }) => {
		isPainting = painted !== 'dead';
		for (let done = 0; done < seconds * 1e6; done += LOOK_US) {
			nowUs += LOOK_US;
			arrived += 15;
			for (let i = 0; painted !== 'dead' && i < painted / 2; i++) governing.framePainted();
			governing.batch({ mainMs: painted === 'dead' ? 0 : 450 });
			look();
		}
		return governing.view.level;
	};
	return { run };
};

test('a machine that does not keep up has something given up', () => {
	const { run } = open();
	expect(run(10, { painted: 30 })).toBe(0);
	expect(run(10, { painted: 10 })).toBeGreaterThan(0);
});

test('an engine that is dead, however long and often, has nothing given up', () => {
	const { run } = open();
	expect(run(10, { painted: 30 })).toBe(0);
	for (let death = 0; death < 5; death++) {
		expect(run(20, { painted: 'dead' })).toBe(0);
		expect(run(3, { painted: 30 })).toBe(0);
	}
});

test('what was missed before a death does not count after it', () => {
	const { run } = open();
	run(5, { painted: 30 });
	for (let death = 0; death < 5; death++) {
		expect(run(3, { painted: 10 })).toBe(0);
		expect(run(1, { painted: 'dead' })).toBe(0);
	}
});
