import type { Logger } from '../telemetry/logger.ts';
import type { Progress } from '../telemetry/report.ts';

const REDRAW_EVERY_US = 100_000;
const LINE_EVERY_US = 5_000_000;
const BAR_CELLS = 24;

/** `[######------------------]  25 %  75/300 frames  25.3 frames/s  latency 82 ms`, cut to the terminal's width. */
export const progressText = (
	{ framesIn, framesOut, framesTotal, fps, latencyMsP50 }: Progress,
	columns = 80,
): string => {
	const parts: string[] = [];
	if (framesTotal) {
		const share = Math.min(framesOut / framesTotal, 1);
		const filled = Math.floor(share * BAR_CELLS);
		parts.push(
			`[${'#'.repeat(filled)}${'-'.repeat(BAR_CELLS - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %`,
		);
	}
	parts.push(framesTotal ? `${framesOut}/${framesTotal} frames` : `${framesOut} frames of ${framesIn}`);
	parts.push(`${fps.toFixed(1)} frames/s`, `latency ${Math.round(latencyMsP50)} ms`);
	return parts.join('  ').slice(0, Math.max(columns - 1, 20));
};

/** Shows a run as it goes: one redrawn line on a terminal, else a log line every five seconds. */
export class ProgressLine implements Disposable {
	#stream: { isTTY?: boolean; columns?: number; write(text: string): unknown };
	#log: Logger;
	#nowUs: () => number;
	#lastUs: number;
	#drawn = false;

	constructor(
		stream: { isTTY?: boolean; columns?: number; write(text: string): unknown },
		log: Logger,
		nowUs: () => number,
	) {
		this.#stream = stream;
		this.#log = log;
		this.#nowUs = nowUs;
		this.#lastUs = stream.isTTY ? -Infinity : nowUs();
	}

	show(progress: Progress): void {
		const now = this.#nowUs();
		if (now - this.#lastUs < (this.#stream.isTTY ? REDRAW_EVERY_US : LINE_EVERY_US)) return;
		this.#lastUs = now;
		if (this.#stream.isTTY) {
			this.#stream.write(`\r\x1b[K${progressText(progress, this.#stream.columns)}`);
			this.#drawn = true;
		} else {
			const { fps, latencyMsP50, ...counts } = progress;
			this.#log.info({ ...counts, fps: Number(fps.toFixed(1)), latencyMsP50: Math.round(latencyMsP50) }, 'progress');
		}
	}

	/** Wipes the line, for what is printed next. */
	[Symbol.dispose](): void {
		if (this.#drawn) this.#stream.write('\r\x1b[K');
		this.#drawn = false;
	}
}
