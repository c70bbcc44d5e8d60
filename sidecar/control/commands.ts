import { Command } from '../config/schema/commands.ts';
import { parse } from '../config/schema/parse.ts';

/**
 * Everything that can be asked of a running sidecar, by whatever way it comes: the page, the command line,
 * and later OBS, OSC and hotkeys. Each of them ends in one of these, and `Controller` carries it out.
 */
export type { Command };

/** What the sender has to have understood of the wire format: a command, and nothing else. Errors: ERR_COMMAND. */
export const readCommand = (value: unknown): Command => parse(Command, value, 'The command', 'ERR_COMMAND');

/** `next`, `previous`, or the name of a style. */
export const styleCommand = (word: string): Command =>
	word === 'next' || word === 'previous' ? { type: word } : { type: 'style', name: word };
