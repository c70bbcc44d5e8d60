/** A control that was touched. Channels are counted from 1, as controllers show them; numbers and values are 0 to 127. */
export interface ControlMessage {
	readonly kind: 'note' | 'cc' | 'program';
	readonly channel: number;
	readonly number: number;
	/** The velocity of a note, 0 where it is let go; the value of a control change; 127 of a program change. */
	readonly value: number;
}

/** Of a clock, 24 of them a quarter note, and how it goes. */
export interface ClockMessage {
	readonly kind: 'clock' | 'start' | 'continue' | 'stop';
}

export type MidiMessage = ControlMessage | ClockMessage;

const VALUE_MOST = 127;
const SYSEX = 0xf0;
const REAL_TIME = 0xf8;
const CLOCKS: Readonly<Record<number, ClockMessage['kind']>> = {
	0xf8: 'clock',
	0xfa: 'start',
	0xfb: 'continue',
	0xfc: 'stop',
};

/** Bytes of data after a status; of what comes under 0xf0 nothing is kept until the next status. */
const dataLengthOf = (status: number): number => ([0xc0, 0xd0].includes(status & 0xf0) ? 1 : 2);

/**
 * The messages in the bytes of one port, wherever those are cut. Knows running status, and real-time messages between the
 * bytes of others; keeps nothing of system exclusive messages. MIDI 1.0 Detailed Specification 4.2, tables 1 to 5.
 */
export class MidiReader {
	/** Of a channel; 0 while data means nothing here. */
	#status = 0;
	#data: number[] = [];

	read(bytes: Iterable<number>): MidiMessage[] {
		const messages: MidiMessage[] = [];
		for (const byte of bytes) {
			const message = byte < 0x80 ? this.#take(byte) : this.#begin(byte);
			if (message) messages.push(message);
		}
		return messages;
	}

	#begin(status: number): MidiMessage | undefined {
		if (status >= REAL_TIME) {
			const kind = CLOCKS[status];
			return kind && { kind };
		}
		this.#status = status < SYSEX ? status : 0;
		this.#data = [];
		return undefined;
	}

	#take(byte: number): MidiMessage | undefined {
		if (this.#status === 0) return undefined;
		this.#data.push(byte);
		if (this.#data.length < dataLengthOf(this.#status)) return undefined;
		const [number = 0, value = 0] = this.#data;
		this.#data = [];
		const channel = (this.#status & 0x0f) + 1;
		switch (this.#status & 0xf0) {
			case 0x80:
				return { kind: 'note', channel, number, value: 0 };
			case 0x90:
				return { kind: 'note', channel, number, value };
			case 0xb0:
				return { kind: 'cc', channel, number, value };
			case 0xc0:
				return { kind: 'program', channel, number, value: VALUE_MOST };
			default:
				return undefined; // pressure and pitch bend: nothing here follows them
		}
	}
}

/** What a note or control change is as bytes. */
export const writeMessage = ({ kind, channel, number, value }: ControlMessage): Uint8Array =>
	Uint8Array.of((kind === 'note' ? 0x90 : 0xb0) | (channel - 1), number, value);
