import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { PAIRED, readPairs } from '../config/pairs.ts';
import { openMidiPorts } from '../control/midi/ports.ts';
import { listPresets } from '../control/presets.ts';
import { exitCodeOf, isSidecarError, SidecarError, type ErrorCode } from '../errors.ts';
import { FfmpegChild } from '../ffmpeg.ts';
import { pairAccessOf } from '../fleet/fleet-bus.ts';
import { loadNative } from '../native.ts';
import { openNdi } from '../ndi.ts';
import { describeVideoDevices, listVideoDevices } from '../video-device.ts';
import { printTable, printValue } from './print.ts';

interface Finding {
	what: string;
	ok: boolean;
	/** What was found, or what is wrong. */
	detail: string;
	remedy?: string;
}

interface Check {
	what: string;
	/** Says what was found; throws where it is missing. */
	look: () => Promise<string>;
	remedy: string;
	/** Gives the exit code. */
	code: ErrorCode;
}

const SETUP = 'run ./scripts/setup';
/** On Linux the runtime finds sources through it. */
const AVAHI_SOCKET = '/run/avahi-daemon/socket';

const checks: Check[] = [
	{
		what: 'node',
		look: async () => {
			const root = fileURLToPath(new URL('../../package.json', import.meta.url));
			const { engines } = JSON.parse(await readFile(root, 'utf8')) as { engines: { node: string } };
			const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
			const [needMajor = 0, needMinor = 0] = engines.node.replace('>=', '').split('.').map(Number);
			if (major < needMajor || (major === needMajor && minor < needMinor))
				throw new Error(`${process.versions.node}, expected ${engines.node}`);
			return process.versions.node;
		},
		remedy: 'install Node 20 or newer from nodejs.org',
		code: 'ERR_RUNTIME',
	},
	{
		what: 'native addon',
		look: async () => `OpenCV ${loadNative().opencvVersion}`,
		remedy: SETUP,
		code: 'ERR_NATIVE',
	},
	{
		what: 'ffmpeg',
		look: async () => {
			const versions: string[] = [];
			for (const program of ['ffmpeg', 'ffprobe'] as const) {
				await using child = await FfmpegChild.start(program, ['-version']);
				const [output] = await Promise.all([text(child.stdout), child.exited]);
				versions.push(`${program} ${/version (\S+)/.exec(output)?.[1] ?? 'of unknown version'}`);
			}
			return versions.join(', ');
		},
		remedy: 'install ffmpeg, on Debian with: apt-get install ffmpeg',
		code: 'ERR_RUNTIME',
	},
	{
		// None is no fault: most runs need none.
		what: 'video devices',
		look: async () => describeVideoDevices(await listVideoDevices()) || 'none',
		remedy: 'check the permissions of /sys/class/video4linux',
		code: 'ERR_RUNTIME',
	},
	{
		// None is no fault: the relay alone needs it.
		what: 'NDI runtime',
		look: async () => {
			try {
				const { path, version } = openNdi();
				const hasAvahi = existsSync(AVAHI_SOCKET);
				return `${version} (${path}), avahi-daemon ${hasAvahi ? 'runs' : 'does not run: sources are found by --extra-ip or HOST:PORT alone'}`;
			} catch (error) {
				if (isSidecarError(error) && error.code === 'ERR_NDI')
					return `none; allaprima relay needs it. ${error.message}`;
				throw error;
			}
		},
		remedy: SETUP,
		code: 'ERR_NATIVE',
	},
	{
		// None is no fault: --midi alone needs it.
		what: 'MIDI',
		look: async () => {
			try {
				using ports = await openMidiPorts();
				return `${ports.inputs().length} ports to listen to`;
			} catch (error) {
				if (isSidecarError(error) && error.code === 'ERR_MIDI') return `none; --midi needs it. ${error.message}`;
				throw error;
			}
		},
		remedy: SETUP,
		code: 'ERR_MIDI',
	},
	{
		// None is no fault, and one that is off is none either.
		what: 'paired machine',
		look: async () => {
			const [pair] = await readPairs(process.env);
			if (!pair) return 'none';
			const { name, isHost } = pair;
			const whose = isHost ? `this one, as ${name}` : name;
			return await pairAccessOf(PAIRED, pair).then(
				({ server }) => `${whose}, reached at ${server}`,
				(error: Error) => `${whose}, not reached: ${error.message.split('\n').slice(isHost ? 0 : 1)[0]}`,
			);
		},
		remedy: 'see docs/two-pc.md',
		code: 'ERR_CONFIG',
	},
	{
		what: 'onnxruntime',
		look: async () => {
			const { supportedProviders } = await import('../inference/session.ts');
			return `providers of this build: ${supportedProviders().join(', ')}`;
		},
		remedy: SETUP,
		code: 'ERR_RUNTIME',
	},
	{
		// None is no fault: the CPU paints.
		what: 'GPU',
		look: async () => {
			const { describeDevice, nvidiaDevices, vulkanDevices } = await import('../inference/devices.ts');
			const [nvidia, vulkan] = await Promise.all([
				nvidiaDevices().catch((error: Error) => error.message),
				vulkanDevices(),
			]);
			const named = vulkan.map((device) => {
				const driver = device.driver && `, ${device.driver}`;
				return `${describeDevice(device)}${driver}${device.isSoftware ? ', the CPU that plays a GPU' : ''}`;
			});
			const byVulkan = named.length ? `by Vulkan: ${named.join('; ')}` : 'none that Vulkan names';
			if (typeof nvidia === 'string') return `${byVulkan}. NVIDIA's driver does not work: ${nvidia}`;
			const byCuda = nvidia.map((device) => `${describeDevice(device)}, ${device.driver}`);
			return byCuda.length ? `${byVulkan}. By CUDA: ${byCuda.join('; ')}` : byVulkan;
		},
		remedy: SETUP,
		code: 'ERR_NATIVE',
	},
	{
		what: 'models',
		look: async () => {
			const { listModelFolders, openModelFolder } = await import('../inference/manifest.ts');
			const folders = await listModelFolders();
			if (!folders.length) throw new Error('none found');
			const models = await Promise.all(folders.map((folder) => openModelFolder(folder)));
			return models.map(({ manifest: { name, version } }) => `${name} ${version}`).join(', ');
		},
		remedy: 'get the folder models/lite of this version anew; see also: allaprima models verify',
		code: 'ERR_MODEL',
	},
	{
		what: 'presets',
		look: async () => {
			const files = await listPresets();
			const broken = files.find((file) => 'error' in file);
			if (broken && 'error' in broken) throw broken.error;
			if (!files.length) throw new Error('none found');
			return files.map(({ path }) => basename(path, '.style.json')).join(', ');
		},
		remedy: 'correct or remove the file; see also: allaprima presets check',
		code: 'ERR_STYLE',
	},
];

const lookAt = async ({ what, look, remedy }: Check): Promise<Finding> => {
	try {
		return { what, ok: true, detail: await look() };
	} catch (error) {
		return { what, ok: false, detail: (error as Error).message.split('\n')[0]!, remedy };
	}
};

/** `allaprima doctor`: what a run needs, and what to do about what is missing. Gives the exit code. */
export const examine = async ({ json }: { json: boolean }): Promise<number> => {
	const findings = await Promise.all(checks.map(lookAt));
	if (json) printValue(findings);
	else {
		printTable(findings.map(({ what, ok, detail }) => [ok ? 'ok' : 'missing', what, detail]));
		for (const { what, remedy } of findings) if (remedy) process.stdout.write(`${what}: ${remedy}\n`);
	}
	const codes = checks.map(({ code }, index) => (findings[index]!.ok ? 0 : exitCodeOf(new SidecarError(code, ''))));
	return Math.max(...codes);
};
