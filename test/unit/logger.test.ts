import { describe, expect, test } from 'vitest';
import { ProgressLine, progressText } from '../../sidecar/commands/progress-line.ts';
import { createLogger, log, recentLines, repeated, setLog } from '../../sidecar/telemetry/logger.ts';

const openStream = (isTTY: boolean) => {
	const lines: string[] = [];
	return { isTTY, columns: 100, lines, write: (text: string) => lines.push(text) };
};

describe('a log line', () => {
	test('is JSON where no one watches', () => {
		const stream = openStream(false);
		createLogger({ stream, environment: {} }).warn({ sequence: 12 }, 'batch late');
		expect(JSON.parse(stream.lines[0]!)).toEqual({
			level: 'warn',
			time: expect.stringMatching(/^\d{4}-.*Z$/),
			sequence: 12,
			msg: 'batch late',
		});
	});

	test('is one plain line on a terminal, without colour under NO_COLOR', () => {
		const stream = openStream(true);
		createLogger({ stream, environment: { NO_COLOR: '1' } }).warn(
			{ sequence: 12, source: 'my clip', size: { width: 2 } },
			'batch late',
		);
		expect(stream.lines[0]).toMatch(
			/^\r\x1b\[K\d\d:\d\d:\d\d\.\d{3} warn {2}batch late {2}sequence=12 source="my clip" size=\{"width":2\}\n$/,
		);
		createLogger({ stream, environment: {} }).warn('batch late');
		expect(stream.lines[1]).toContain('\x1b[33mwarn');
		createLogger({ stream, environment: { NO_COLOR: '' } }).warn('batch late');
		expect(stream.lines[2]).toContain('\x1b[33mwarn');
		createLogger({ stream, json: true, environment: {} }).warn('batch late');
		expect(stream.lines[3]).toMatch(/^\{/);
	});

	test('cannot drive the terminal by what a file is called', () => {
		const stream = openStream(true);
		createLogger({ stream, environment: { NO_COLOR: '1' } }).warn(
			{ path: 'a\x1b]0;pwned\x07.mp4' },
			'odd\nname\x1b[2J\x9b31m',
		);
		expect(stream.lines[0]!.slice(4, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
	});

	test('is left out below the level, which the environment may set', () => {
		const stream = openStream(false);
		createLogger({ stream, environment: {} }).debug('detail');
		expect(stream.lines).toEqual([]);
		createLogger({ stream, environment: { ALLAPRIMA_LOG_LEVEL: 'debug' } }).debug('detail');
		expect(stream.lines).toHaveLength(1);
		createLogger({ stream, level: 'error', environment: { ALLAPRIMA_LOG_LEVEL: 'debug' } }).warn('x');
		expect(stream.lines).toHaveLength(1);
	});

	test('tells an error by code and message, without its trace', () => {
		const stream = openStream(false);
		const error = Object.assign(new Error('no such file'), { code: 'ERR_SOURCE' });
		createLogger({ stream, environment: {} }).warn({ error }, 'source failed');
		expect(JSON.parse(stream.lines[0]!)).toMatchObject({ error: { code: 'ERR_SOURCE', message: 'no such file' } });
		expect(stream.lines[0]).not.toContain('stack');
	});
});

test('a repeated warning comes at once, then once a second with its count', () => {
	let us = 0;
	const said: object[] = [];
	const late = repeated((facts, message) => said.push({ ...facts, message }), 'batch late', { nowUs: () => us });
	for (let i = 0; i < 75; i++) {
		us = i * 40_000;
		late({ sequence: i });
	}
	late.flush();
	late.flush();
	expect(said).toEqual([
		{ sequence: 0, count: 1, message: 'batch late' },
		{ sequence: 25, count: 25, message: 'batch late' },
		{ sequence: 50, count: 25, message: 'batch late' },
		{ sequence: 74, count: 24, message: 'batch late' },
	]);
});

describe('progress', () => {
	const progress = { framesIn: 80, framesOut: 75, framesTotal: 300, fps: 25.34, latencyMsP50: 81.6, latencyMsP95: 90 };

	test('is a bar where the length is known, and fits the terminal', () => {
		expect(progressText(progress)).toBe(
			'[######------------------]  25 %  75/300 frames  25.3 frames/s  latency 82 ms',
		);
		const { framesTotal: _, ...live } = progress;
		expect(progressText(live)).toBe('75 frames of 80  25.3 frames/s  latency 82 ms');
		expect(progressText(progress, 40)).toHaveLength(39);
	});

	test('is one redrawn line on a terminal, at most ten times a second, and leaves nothing behind', () => {
		const stream = openStream(true);
		let us = 0;
		const line = new ProgressLine(stream, createLogger({ stream, environment: {} }), () => us);
		for (; us < 1_000_000; us += 10_000) line.show(progress);
		expect(stream.lines).toHaveLength(10);
		expect(stream.lines.every((text) => text.startsWith('\r\x1b[K') && !text.includes('\n'))).toBe(true);
		line[Symbol.dispose]();
		expect(stream.lines.at(-1)).toBe('\r\x1b[K');
	});

	test('is a log line every five seconds elsewhere', () => {
		const stream = openStream(false);
		let us = 0;
		const line = new ProgressLine(stream, createLogger({ stream, environment: {} }), () => us);
		for (; us <= 12_000_000; us += 250_000) line.show(progress);
		line[Symbol.dispose]();
		expect(stream.lines.map((text) => JSON.parse(text))).toMatchObject([
			{ msg: 'progress', framesOut: 75, fps: 25.3 },
			{ msg: 'progress', framesOut: 75, latencyMsP50: 82 },
		]);
	});
});

test('the newest lines are kept, so many of such a length and no more', () => {
	const stream = openStream(false);
	setLog({ level: 'info', stream, environment: {} });
	for (let i = 0; i < 300; i++) log.info({ i, text: 'x'.repeat(5000) }, 'line');
	log.debug('not logged, and not kept');
	expect(stream.lines).toHaveLength(300);
	expect(recentLines()).toHaveLength(200);
	expect(recentLines()[0]).toMatch(/ info {2}line {2}i=100 text=x+$/);
	expect(recentLines().at(-1)).toMatch(/i=299 /);
	expect(Math.max(...recentLines().map(({ length }) => length))).toBe(1000);
});
