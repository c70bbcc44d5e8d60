import { accessSync, constants } from 'node:fs';
import type { Input, Output } from '@julusian/midi';
import { SidecarError } from '../../errors.ts';

/** Where the kernel's sequencer is, through which the library reaches every port. */
const SEQUENCER = '/dev/snd/seq';

/** The ports of this machine. The library's own threads read them; what it calls back comes in this one. */
export interface MidiPorts extends Disposable {
	inputs: () => string[];
	outputs: () => string[];
	/**
	 * Bytes as they come, until it is disposed of, each time with the microseconds since the last time by the clock of the system,
	 * which does not wait for this thread. Errors: ERR_MIDI, where the port went away or is taken.
	 */
	openInput: (name: string, listener: (bytes: Uint8Array, sinceUs: number) => void) => Disposable;
	/** Errors: ERR_MIDI. */
	openOutput: (name: string) => Disposable & { send: (bytes: Uint8Array) => void };
}

type Library = typeof import('@julusian/midi');

/**
 * Loads the library (RtMidi: ALSA, CoreMIDI, Windows MM), which nothing else does. Errors: ERR_MIDI, where it or the
 * system's sequencer is missing or may not be used.
 */
export const openMidiPorts = async (platform: NodeJS.Platform = process.platform): Promise<MidiPorts> => {
	if (platform === 'linux') expectSequencer();
	const { Input, Output } = await load();
	const [input, output] = opened('the list of ports', () => [new Input(), new Output()] as const);
	return {
		inputs: () => namesOf(input),
		outputs: () => namesOf(output),
		openInput: (name, listener) => {
			const port = opened(name, () => openNamed(new Input(), name));
			// Not system exclusive, which nothing here reads, and not active sensing; the clock is wanted.
			port.ignoreTypes(true, false, true);
			port.on('messageBuffer', (sinceS, bytes) => listener(bytes, sinceS * 1e6));
			return {
				[Symbol.dispose]: () => {
					port.removeAllListeners();
					port.destroy();
				},
			};
		},
		openOutput: (name) => {
			const port = opened(name, () => openNamed(new Output(), name));
			return { send: (bytes) => port.sendMessage(Buffer.from(bytes)), [Symbol.dispose]: () => port.destroy() };
		},
		[Symbol.dispose]: () => {
			input.destroy();
			output.destroy();
		},
	};
};

const expectSequencer = (): void => {
	try {
		accessSync(SEQUENCER, constants.R_OK | constants.W_OK);
	} catch (cause) {
		const { code = 'unknown error' } = cause as NodeJS.ErrnoException;
		const remedies: Record<string, string> = {
			ENOENT: 'Load the module of the kernel with: modprobe snd-seq',
			EACCES: 'Join the group that may: usermod -aG audio USER, and log in again',
		};
		throw new SidecarError(
			'ERR_MIDI',
			`ALSA's sequencer ${SEQUENCER} cannot be used (${code}). ${remedies[code] ?? 'MIDI needs it'}.`,
			{ cause },
		);
	}
};

const load = async (): Promise<Library> => {
	try {
		// It is of CommonJS, whose names Node may not all see.
		const module = (await import('@julusian/midi')) as Library & { default?: Library };
		return module.default ?? module;
	} catch (cause) {
		const [first] = (cause as Error).message.split('\n');
		throw new SidecarError(
			'ERR_MIDI',
			`The library of MIDI cannot be loaded (${first}). On Debian it needs: apt-get install libasound2`,
			{ cause },
		);
	}
};

/** What the library throws says nothing; ALSA writes why on stderr. */
const opened = <T>(what: string, open: () => T): T => {
	try {
		return open();
	} catch (cause) {
		throw new SidecarError('ERR_MIDI', `MIDI: ${what} cannot be opened (${(cause as Error).message}).`, { cause });
	}
};

const namesOf = (list: Input | Output): string[] =>
	Array.from({ length: list.getPortCount() }, (_, index) => list.getPortName(index)).filter((name) => name !== '');

/** Errors: the library's own, and one where no port has the name any more. */
const openNamed = <Port extends Input | Output>(port: Port, name: string): Port => {
	try {
		port.openPortByName(name);
		if (!port.isPortOpen()) throw new Error('it is not there any more');
		return port;
	} catch (error) {
		port.destroy();
		throw error;
	}
};
