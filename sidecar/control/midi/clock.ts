import { BEATS_PER_BAR, BPM_LEAST, BPM_MOST } from '../tempo.ts';
import type { ClockMessage } from './messages.ts';

/** MIDI 1.0: clocks in a quarter note. */
const CLOCKS_PER_BEAT = 24;
/** Of so many the tempo is told: at 120 beats a minute two seconds, in which a late one weighs little. */
const KEPT = 4 * CLOCKS_PER_BEAT;
/** Longer than any clock of a music that goes on. */
const PAUSE_US = 60e6 / BPM_LEAST / CLOCKS_PER_BEAT + 1_000_000;

/** A bar that begins now, and how fast the music goes. */
export interface ClockBar {
	readonly bpm: number;
	readonly downbeat: true;
}

/** The beat of a MIDI clock: start is the beginning of a bar, and without one the first clock that is heard. */
export class MidiClock {
	#timesUs: number[] = [];
	/** Clocks since the beginning; -1 before the first. */
	#count = -1;
	#isStopped = false;

	/** What there is to tell of a message that came at `atUs`: at the beginning of each bar, once the tempo is known. */
	hear(kind: ClockMessage['kind'], atUs: number, beatsPerBar = BEATS_PER_BAR): ClockBar | undefined {
		if (kind === 'stop') this.#isStopped = true;
		else if (kind === 'continue') this.#isStopped = false;
		else if (kind === 'start') {
			this.#isStopped = false;
			this.#count = -1;
		} else return this.#tick(atUs, beatsPerBar);
		return undefined;
	}

	#tick(atUs: number, beatsPerBar: number): ClockBar | undefined {
		const last = this.#timesUs.at(-1);
		if (last !== undefined && (atUs < last || atUs - last > PAUSE_US)) {
			this.#timesUs = [];
			this.#count = -1;
		}
		this.#timesUs.push(atUs);
		if (this.#timesUs.length > KEPT) this.#timesUs.shift();
		// Some clocks go on while the music stands.
		if (this.#isStopped) return undefined;
		this.#count++;
		if (this.#count % (CLOCKS_PER_BEAT * beatsPerBar) !== 0) return undefined;
		const bpm = this.#bpm();
		return bpm === undefined ? undefined : { bpm, downbeat: true };
	}

	/** By the line through the times, so that one that came late moves it little; to a tenth of a beat. */
	#bpm(): number | undefined {
		const count = this.#timesUs.length;
		if (count < CLOCKS_PER_BEAT) return undefined;
		const middle = (count - 1) / 2;
		const meanUs = this.#timesUs.reduce((sum, us) => sum + us, 0) / count;
		const slope = this.#timesUs.reduce((sum, us, i) => sum + (i - middle) * (us - meanUs), 0);
		const stepUs = (slope * 12) / (count * (count ** 2 - 1));
		const bpm = Math.round(600e6 / (stepUs * CLOCKS_PER_BEAT)) / 10;
		return bpm >= BPM_LEAST && bpm <= BPM_MOST ? bpm : undefined;
	}
}
