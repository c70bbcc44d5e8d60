import { execFile, type ExecFileException } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { VulkanDevice } from '../native.ts';
import type { Provider } from './session.ts';

/** What a provider runs on, as its driver says. */
export interface Device {
	name: string;
	/** With its version. */
	driver: string;
	/** Of its own; of the machine where it has none. */
	memoryBytes: number;
	/** A processor that plays a GPU: the CPU's provider is faster. */
	isSoftware: boolean;
}

const LOOK_TIMEOUT_MS = 10_000;

/** Dawn's order where it is asked for what is fast, as onnxruntime asks. */
const PREFERRED = ['discrete', 'integrated', 'virtual', 'other', 'software'] as const;

/** The first that a driver names; undefined where none does. Its drivers are loaded in a process of their own, which may not survive them. */
export const deviceOf = async (provider: Provider): Promise<Device | undefined> => {
	if (provider === 'webgpu') return (await vulkanDevices())[0];
	if (provider === 'cuda') return (await nvidiaDevices().catch(() => []))[0];
	return undefined;
};

/** In Dawn's order. */
export const vulkanDevices = async (): Promise<Device[]> => {
	const program = fileURLToPath(new URL('./devices.process.js', import.meta.url));
	const look = promisify(execFile)(process.execPath, [program], { timeout: LOOK_TIMEOUT_MS });
	return await look.then(
		({ stdout }) => devicesOf(JSON.parse(stdout) as VulkanDevice[]),
		() => [],
	);
};

/** What Vulkan lists, in Dawn's order. */
export const devicesOf = (listed: readonly VulkanDevice[]): Device[] =>
	PREFERRED.flatMap((wanted) => listed.filter(({ kind }) => kind === wanted)).map(
		({ name, kind, driver, memoryBytes }) => ({ name, driver, memoryBytes, isSoftware: kind === 'software' }),
	);

/** As NVIDIA's driver tells; throws what is wrong with it, in a line, where it is there. Empty where it is not. */
export const nvidiaDevices = async (): Promise<Device[]> => {
	const query = ['--query-gpu=name,driver_version,memory.total', '--format=csv,noheader,nounits'];
	try {
		const { stdout } = await promisify(execFile)('nvidia-smi', query, { timeout: LOOK_TIMEOUT_MS });
		return stdout
			.trim()
			.split('\n')
			.map((line) => line.split(', '))
			.filter((fields) => fields.length === 3)
			.map(([name = '', version = '', mebibytes]) => ({
				name,
				driver: `NVIDIA ${version}`,
				memoryBytes: (Number(mebibytes) || 0) * 2 ** 20,
				isSoftware: false,
			}));
	} catch (error) {
		const { code, stdout, message } = error as ExecFileException & { stdout?: string };
		if (code === 'ENOENT') return [];
		throw new Error((stdout?.trim() || message).split('\n')[0], { cause: error });
	}
};

/** "llvmpipe (LLVM 15.0.6, 256 bits), 16.0 GiB". */
export const describeDevice = ({ name, memoryBytes }: Device): string =>
	memoryBytes > 0 ? `${name}, ${(memoryBytes / 2 ** 30).toFixed(1)} GiB` : name;
