import { execFile } from 'node:child_process';
import { rmSync } from 'node:fs';
import { chmod, mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openTemporaryFolder } from './clips.ts';

const execute = promisify(execFile);

/** Any character device that is there; the driver stands in for it, and it is never opened. */
export const SIMULATED_DEVICE = '/dev/null';

/** The driver as a library, compiled once for the tests of a process. */
let library: Promise<string> | undefined;
const compile = async (): Promise<string> => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-v4l2-'));
	process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
	const source = fileURLToPath(new URL('fake-v4l2.c', import.meta.url));
	const path = join(folder, 'fake-v4l2.so');
	await execute('cc', [
		'-std=gnu17',
		'-Wall',
		'-Wextra',
		'-Werror',
		'-O1',
		'-shared',
		'-fPIC',
		'-o',
		path,
		source,
		'-ldl',
	]);
	return path;
};

const wrapper = (driver: string) => `#!/usr/bin/env bash
here=$(dirname "$0")
export LD_PRELOAD=${driver} V4L2_DEVICE=${SIMULATED_DEVICE} V4L2_JPEG=$here/camera.jpg
if [[ "\${*: -3:2}" == '-f v4l2' ]]; then export V4L2_OUTPUT=$here/output.yuv; fi
source "$here/environment"
printf '%s\\n' "$*" > "$here/arguments"
echo $$ > "$here/pid"
exec ffmpeg "$@"
`;

export type SimulatedV4l2 = Awaited<ReturnType<typeof simulateV4l2>>;

/**
 * From here to its disposal every ffmpeg of this process has one simulated device: a camera to who reads, a virtual
 * camera to who writes. ffmpeg and its v4l2 code are real, the driver is not (fake-v4l2.c).
 */
export const simulateV4l2 = async () => {
	const driver = await (library ??= compile());
	const folder = await openTemporaryFolder();
	const program = folder.at('ffmpeg');
	await writeFile(program, wrapper(driver));
	await chmod(program, 0o755);
	await writeFile(folder.at('environment'), '');
	const kept = process.env['ALLAPRIMA_FFMPEG'];
	process.env['ALLAPRIMA_FFMPEG'] = program;
	return {
		at: (name: string) => folder.at(name),
		/** What the driver is told, as lines of a shell: `export V4L2_FRAMES=30`. */
		tell: (lines: string) => writeFile(folder.at('environment'), `${lines}\n`),
		/** A signal to the ffmpeg that has the device. */
		signal: async (name: NodeJS.Signals) => process.kill(Number(await readFile(folder.at('pid'), 'utf8')), name),
		[Symbol.asyncDispose]: async () => {
			if (kept === undefined) delete process.env['ALLAPRIMA_FFMPEG'];
			else process.env['ALLAPRIMA_FFMPEG'] = kept;
			await folder[Symbol.asyncDispose]();
		},
	};
};
