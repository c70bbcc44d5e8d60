// A command of somebody else's: when each of its frames was done, and what CPU time it took.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

/** @typedef {{ file: string, args: string[] }} Command */
/** @typedef {{ text: string, atS: number }} Line A line of its output and when it came */

/** As many threads as the line has, for those who read this from the environment. */
const THREADS = { OMP_NUM_THREADS: '2', MAGICK_THREAD_LIMIT: '2' };
const TIMEOUT_MS = 300_000;

/** CPU time of the processes that this one started, and they, once all have ended. */
const endedCpuMs = () => {
	// After the name in brackets; in hundredths of a second.
	const times = readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ').slice(13, 15).map(Number);
	return 10 * times.reduce((sum, ticks) => sum + ticks, 0);
};

/**
 * Runs a command to its end, while nothing else is run. Errors where it is not there or fails.
 * @returns {Promise<{ lines: Line[], cpuMs: number }>} `cpuMs` is that of all its processes, their start included.
 */
export const watch = (/** @type {Command} */ { file, args }) =>
	new Promise((resolve, reject) => {
		const beforeMs = endedCpuMs();
		const env = { ...process.env, ...THREADS, LC_ALL: 'C' };
		const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env });
		// That of spawn would keep this process waiting for a program that is not there.
		const timer = setTimeout(() => child.kill('SIGKILL'), TIMEOUT_MS);
		/** @type {Line[]} */
		const lines = [];
		for (const input of [child.stdout, child.stderr])
			createInterface({ input }).on('line', (text) => lines.push({ text, atS: performance.now() / 1000 }));
		child.on('error', (error) => {
			clearTimeout(timer);
			reject(error);
		});
		child.on('close', (code, signal) => {
			clearTimeout(timer);
			if (code === 0) return resolve({ lines, cpuMs: endedCpuMs() - beforeMs });
			const last = lines.slice(-5).map(({ text }) => text);
			reject(new Error(`${file} ended with ${code ?? signal}: ${last.join('\n')}`));
		});
	});

/** @typedef {{ fps: number, msP50: number, msP95: number }} Pace */

const percentile = (/** @type {number[]} */ values, /** @type {number} */ share) =>
	values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(share * values.length) - 1)];

/** @returns {Pace} of frames that were done at these times; the first one's own time is not in it. */
export const paceOf = (/** @type {number[]} */ timesS) => {
	const ms = timesS.slice(1).map((atS, i) => 1000 * (atS - timesS[i]));
	const fps = (timesS.length - 1) / (timesS[timesS.length - 1] - timesS[0]);
	return { fps, msP50: percentile(ms, 0.5), msP95: percentile(ms, 0.95) };
};

/** @returns {Pace} where a program prints its own clock, in seconds, at the end of a line (OpenCV, G'MIC). */
export const byOwnClock = (/** @type {Line[]} */ lines) =>
	paceOf(lines.flatMap(({ text }) => /^(?:\[gmic\]\S* )?(\d[\d.]*)$/.exec(text)?.[1] ?? []).map(Number));

/** @returns {Pace} where it only says `done`. */
export const byArrival = (/** @type {Line[]} */ lines) =>
	paceOf(lines.filter(({ text }) => text === 'done').map(({ atS }) => atS));

/** @returns {Pace} by ffmpeg: all of its work with `-benchmark`, that of a filter between two `bench`. */
export const byFfmpeg = (/** @type {Line[]} */ lines) => {
	const text = lines.map((line) => line.text).join('\n');
	const filterMs = [...text.matchAll(/\bt:([\d.]+) avg:/g)].map(([, s]) => 1000 * Number(s));
	const allS = Number(/^bench: .*\brtime=([\d.]+)s/m.exec(text)?.[1]);
	return { fps: filterMs.length / allS, msP50: percentile(filterMs, 0.5), msP95: percentile(filterMs, 0.95) };
};
