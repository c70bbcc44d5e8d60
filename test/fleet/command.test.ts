// The commands as a user gives them: a worker and a run of the built files, with models/lite and a real nats-server.
import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FLEET_PROTOCOL } from '../../sidecar/config/schema/fleet.ts';
import { encodeMessage } from '../../sidecar/fleet/messages.ts';
import { NatsBus } from '../../sidecar/fleet/nats.ts';
import { STATUS } from '../../sidecar/fleet/subjects.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { NatsServer } from '../support/nats.ts';

const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
const exec = promisify(execFile);

let nats: NatsServer;
let folder: string;
beforeAll(async () => {
	nats = await NatsServer.start();
	folder = await mkdtemp(join(tmpdir(), 'allaprima-fleet-'));
});
afterAll(async () => {
	await nats[Symbol.asyncDispose]();
	await rm(folder, { recursive: true, force: true });
});

const allaprima = (args: string[], environment: Record<string, string> = {}) =>
	exec(process.execPath, [CLI, ...args], { env: { ...process.env, ...environment } }).then(
		({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
		(error: { code: number; stdout: string; stderr: string }) => error,
	);

/** A process of ours that runs until it is told otherwise. */
class Running implements AsyncDisposable {
	readonly child: ChildProcess;
	said = '';

	constructor(args: string[], environment: Record<string, string> = {}) {
		this.child = spawn(process.execPath, [CLI, ...args], {
			env: { ...process.env, ...environment },
			stdio: ['ignore', 'ignore', 'pipe'],
		});
		this.child.stderr!.on('data', (text: Buffer) => (this.said += text.toString()));
	}

	async says(what: string | RegExp): Promise<void> {
		await until(() => {
			if (this.child.exitCode !== null) throw new Error(`it ended with ${this.child.exitCode}:\n${this.said}`);
			return typeof what === 'string' ? this.said.includes(what) : what.test(this.said);
		}, 120_000);
	}

	async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
		if (this.child.exitCode === null && this.child.signalCode === null) {
			const exited = once(this.child, 'exit');
			this.child.kill(signal);
			await exited;
		}
		return this.child.exitCode;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.end('SIGKILL');
	}
}

const startWorker = async (name: string, ...more: string[]): Promise<Running> => {
	const worker = new Running(['worker', '--nats', nats.url, '--name', name, '--provider', 'cpu', ...more]);
	await worker.says('worker offers itself');
	return worker;
};

const RUN = [
	'run',
	'--source',
	'scene',
	'--size',
	'256x160',
	'--fps',
	'12',
	'--style',
	'pencil-sketch',
	'--http',
	'off',
];

describe('allaprima worker list', () => {
	it('shows those that it understands beside one that it does not', async () => {
		const bus = await NatsBus.connect({ url: nats.url, server: nats.url.replace('nats://', '') });
		const status = {
			protocol: FLEET_PROTOCOL,
			version: '1.0.0',
			worker: 'newer',
			host: 'test',
			isDraining: false,
			capacity: 1,
			load: 0,
			linesMax: 1,
			lines: [],
			framesPainted: 0,
			framesDropped: 0,
			leasesLost: 0,
		};
		for (const words of [{ ...status, load: 'much' }, status])
			await bus.subscribe(STATUS, (message) => message.respond(encodeMessage(words)));
		const { code, stdout } = await allaprima(['worker', 'list', '--nats', nats.url, '--json']);
		await bus[Symbol.asyncDispose]();
		expect([code, JSON.parse(stdout || '[]')]).toMatchObject([0, [{ worker: 'newer' }]]);
	});
});

describe('allaprima run --engine', () => {
	it('says at once that nobody is there, and how to change that', async () => {
		const { code, stderr } = await allaprima([...RUN, '--engine', nats.url, '--frames', '5']);
		expect(code).toBe(4);
		expect(stderr).toContain(`allaprima worker --nats ${nats.url}`);
	});

	it.each([
		[['--engine', 'http://studio.lan'], 'or a NATS server such as'],
		[['--engine', 'nats://me:secret@studio.lan'], 'for the environment'],
		[['--engine', 'nats://127.0.0.1:1'], 'cannot be reached'],
		[['--engine', 'nats://127.0.0.1', '--provider', 'cpu'], "worker's to say"],
	])('refuses %j', async (flags, why) => {
		const { code, stderr } = await allaprima([...RUN, ...flags]);
		expect(code).toBeGreaterThan(0);
		expect(stderr).toContain(why);
		expect(stderr).not.toContain('secret@');
	});

	it('paints with workers, survives the death of one, and another that is drained; nothing says what was painted', async () => {
		const metrics = await freePort();
		await using one = await startWorker('one', '--metrics', `${metrics}`);
		const report = join(folder, 'report.json');
		const prompt = 'transfer this to a very secret style';
		await using run = new Running([...RUN, '--prompt', prompt, '--engine', nats.url, '--report', report]);
		await one.says('line opened');
		await run.says('painting');
		const listed = JSON.parse((await allaprima(['worker', 'list', '--nats', nats.url, '--json'])).stdout);
		expect(listed).toMatchObject([{ worker: 'one', lines: [{ painted: { width: 256, height: 160 } }] }]);
		const text = await (await fetch(`http://127.0.0.1:${metrics}/metrics`)).text();
		expect(text).toMatch(/allaprima_worker_lines\{worker="one"\} 1/);
		expect(text).toMatch(/allaprima_worker_frames_painted_total\{worker="one"\} [1-9]/);

		await using two = await startWorker('two');
		await one.end('SIGKILL');
		await two.says('line opened');
		await using three = await startWorker('three');
		const { code, stderr } = await allaprima(['worker', 'drain', 'two', '--nats', nats.url]);
		expect([code, stderr]).toEqual([0, 'two paints nothing any more.\n']);
		await three.says('line opened');
		await until(() => two.child.exitCode === 0);

		expect(await run.end()).toBe(0);
		const { framesOut, engineRestarts } = JSON.parse(await readFile(report, 'utf8')) as Report;
		expect(framesOut).toBeGreaterThan(10);
		expect(engineRestarts).toBe(1); // the drained one was left before it ended
		expect(await three.end()).toBe(0);
		for (const { said } of [one, two, three, run]) expect(said).not.toContain('secret');
	}, 240_000);

	it('paints every frame of a file, as if the engine were here', async () => {
		await using worker = await startWorker('one');
		void worker;
		const flags = [...RUN, '--pace', 'max', '--frames', '20', '--json'];
		const { code, stdout } = await allaprima([...flags, '--engine', nats.url]);
		expect(code).toBe(0);
		expect(JSON.parse(stdout)).toMatchObject({ framesIn: 20, framesOut: 20, framesDropped: 0, engineRestarts: 0 });
	});

	it('reaches a server by TLS, and trusts only the authority that it was told of', async () => {
		const at = (file: string) => join(folder, file);
		const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
		const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at('key.pem')];
		await exec('openssl', ['req', '-x509', '-days', '2', ...key, '-out', at('cert.pem'), ...subject]);
		const configuration = `tls { cert_file: "${at('cert.pem')}", key_file: "${at('key.pem')}" }
			authorization { token: "open-sesame" }`;
		await using locked = await NatsServer.start({ configuration });
		const url = `tls://localhost:${locked.port}`;
		const token = { ALLAPRIMA_NATS_TOKEN: 'open-sesame' };
		const list = (more: string[], environment: Record<string, string>) =>
			allaprima(['worker', 'list', '--nats', url, '--json', ...more], environment);
		expect((await list([], token)).stderr).toMatch(/TLS/);
		await writeFile(at('trusting.json'), JSON.stringify({ fleet: { caFile: 'cert.pem' } }));
		const trusting = ['--config', at('trusting.json')];
		expect(await list(trusting, token)).toMatchObject({ code: 0, stdout: '[]\n' });
		const refused = await list(trusting, { ALLAPRIMA_NATS_TOKEN: 'guess' });
		expect(refused.code).toBe(4);
		expect(refused.stderr).toContain('ALLAPRIMA_NATS_TOKEN');
		expect(refused.stderr).not.toContain('guess');
	});
});
