import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { until } from './engines.ts';
import type { Where } from './fleet.ts';
import type { Host } from './hosts.ts';

/** Where scripts/setup --tests unpacks Debian's package, else where that puts it. */
const unpacked = fileURLToPath(new URL('../../.cache/nats-server/usr/sbin/nats-server', import.meta.url));
export const NATS_PROGRAM = existsSync(unpacked) ? unpacked : '/usr/sbin/nats-server';
const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));

/** A machine is a home, on a host of its own or on this one. */
export class Machine {
	readonly home: string;
	readonly #where: Where;

	constructor(home: string, where: Where = {}) {
		this.home = home;
		this.#where = where;
	}

	at(path: string): string {
		return join(this.home, path);
	}

	start(...args: string[]): Running {
		const environment = {
			PATH: process.env['PATH']!,
			HOME: this.home,
			ALLAPRIMA_NATS_SERVER: NATS_PROGRAM,
			// What was optimised for this processor is the same for all.
			XDG_CACHE_HOME: process.env['XDG_CACHE_HOME'] ?? join(process.env['HOME']!, '.cache'),
			...this.#where.environment,
		};
		return new Running(args, environment, this.#where.host);
	}

	/** With a line on its standard input. */
	async piped(line: string, ...args: string[]): Promise<Running> {
		const running = this.start(...args);
		running.child.stdin!.end(line);
		await running.over;
		return running;
	}

	async allaprima(...args: string[]): Promise<Running> {
		const running = this.start(...args);
		await running.over;
		return running;
	}
}

/** The built command. */
export class Running {
	readonly child: ChildProcess;
	readonly over: Promise<unknown>;
	stdout = '';
	stderr = '';

	constructor(args: string[], env: Record<string, string>, host?: Host) {
		const command = [process.execPath, CLI, ...args] as const;
		const [program, ...words] = host?.command(...command) ?? command;
		this.child = spawn(program, words, { env, stdio: ['pipe', 'pipe', 'pipe'] });
		this.child.stdout!.on('data', (text: Buffer) => (this.stdout += text.toString()));
		this.child.stderr!.on('data', (text: Buffer) => (this.stderr += text.toString()));
		this.over = once(this.child, 'close');
	}

	get code(): number | null {
		return this.child.exitCode;
	}

	async says(what: RegExp): Promise<RegExpExecArray> {
		let found: RegExpExecArray | null = null;
		await until(() => {
			found = what.exec(this.stdout + this.stderr);
			if (!found && this.child.exitCode !== null)
				throw new Error(`it ended with ${this.child.exitCode}:\n${this.stderr}`);
			return found !== null;
		}, 60_000);
		return found!;
	}

	async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
		if (this.child.exitCode === null) this.child.kill(signal);
		await this.over;
	}
}
