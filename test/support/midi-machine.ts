import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { access, chmod, copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openTemporaryFolder } from './clips.ts';

const execute = promisify(execFile);

type Folder = Awaited<ReturnType<typeof openTemporaryFolder>>;

/** What scripts/setup --tests put there: Debian's kernel and modules of it. */
const kernel = fileURLToPath(new URL('../../.cache/linux', import.meta.url));
const agent = fileURLToPath(new URL('midi-machine.process.mjs', import.meta.url));

/** In the order in which they need each other; those of this machine's file system, then those of MIDI. */
const MODULES = [
	'virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci',
	'9pnet 9pnet_virtio netfs fscache 9p',
	'soundcore snd snd-timer snd-seq-device snd-rawmidi snd-seq snd-seq-midi-event snd-seq-midi',
	'snd-seq-virmidi snd-virmidi',
]
	.join(' ')
	.split(' ');

/** The first program: the files of this machine, not to be written; what is written is memory. */
const INIT = `#!/bin/busybox sh
busybox() { /bin/busybox "$@"; }
busybox mount -t proc proc /proc; busybox mount -t sysfs sys /sys; busybox mount -t devtmpfs dev /dev
for module in ${MODULES.join(' ')}; do [ -e /modules/$module.ko ] && busybox insmod /modules/$module.ko; done
busybox mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144,cache=loose,ro host /host
busybox mount -t proc proc /host/proc; busybox mount -t sysfs sys /host/sys; busybox mount --move /dev /host/dev
busybox mkdir /host/dev/shm; busybox mount -t tmpfs memory /host/dev/shm
busybox ifconfig lo 127.0.0.1 up
busybox stty -F /host/dev/ttyS1 raw -echo
HOME=/dev/shm TMPDIR=/dev/shm PATH=/usr/local/bin:/usr/bin:/bin busybox chroot /host \\
	${process.execPath} ${agent} < /host/dev/ttyS1 > /host/dev/ttyS1
busybox poweroff -f
`;

/** Ports of snd-virmidi, which the kernel's sequencer has; beside each a device that is the controller's end of it. */
export const PADS = { port: 'VirMIDI 0-0', path: '/dev/snd/midiC0D0' };
export const FADERS = { port: 'VirMIDI 0-1', path: '/dev/snd/midiC0D1' };

/** The driver of those ports, by which all of them are pulled out and put back. */
const DRIVER = '/sys/bus/platform/drivers/snd_virmidi';
export const UNPLUGGED = { unbind: `${DRIVER}/unbind`, bind: `${DRIVER}/bind`, device: 'snd_virmidi.0' };

/** Whether the machine can be emulated here. */
export const canEmulate = async (): Promise<boolean> =>
	await access(kernel).then(
		() => true,
		() => false,
	);

/**
 * A machine with a Linux of its own, whose sequencer of MIDI is real where the one of this machine is missing: emulated by
 * QEMU on the files of this machine. It needs neither KVM nor root, and takes the time of several.
 */
export class MidiMachine implements AsyncDisposable {
	readonly #child: ChildProcess;
	readonly #folder: Folder;
	readonly #waiting = new Map<number, { resolve: (value: never) => void; reject: (error: Error) => void }>();
	readonly #ready: Promise<void>;
	#count = 0;
	#ended: Error | undefined;

	private constructor(child: ChildProcess, folder: Folder) {
		this.#child = child;
		this.#folder = folder;
		this.#ready = new Promise((resolve, reject) => {
			createInterface(child.stdout!).on('line', (line) => this.#hear(line, resolve));
			child.on('exit', () => void this.#end().then(reject));
			child.stdin!.on('error', () => {}); // it ended, which is said below
		});
	}

	static async boot(): Promise<MidiMachine> {
		const folder = await openTemporaryFolder();
		await writeImage(folder);
		const child = spawn(
			'qemu-system-x86_64',
			[
				'-accel tcg,thread=multi -cpu max -m 3G -smp 2 -display none -no-reboot -nic none -monitor none',
				`-serial file:${folder.at('console')} -serial stdio`,
				`-kernel ${kernel}/vmlinuz -initrd ${folder.at('image')}`,
				'-fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap',
				'-device virtio-9p-pci,fsdev=host,mount_tag=host',
				'-append',
			]
				.join(' ')
				.split(' ')
				.concat('console=ttyS0 panic=-1'),
			{ stdio: ['pipe', 'pipe', 'inherit'] },
		);
		const machine = new MidiMachine(child, folder);
		await machine.#ready;
		return machine;
	}

	async start(...args: string[]): Promise<void> {
		await this.#tell('start', { args });
	}

	async log(): Promise<string> {
		return await this.#tell('log');
	}

	/** Interrupts the run, and waits for its end. */
	async stop(): Promise<{ code: number | null; signal: string | null }> {
		return await this.#tell('stop');
	}

	/** Takes the controller's end of a port. */
	async plugIn(path: string): Promise<void> {
		await this.#tell('plugIn', { path });
	}

	async unplug(path: string): Promise<void> {
		await this.#tell('unplug', { path });
	}

	async send(path: string, ...bytes: number[]): Promise<void> {
		await this.#tell('send', { path, bytes });
	}

	/** Everything that the controller was sent, as bytes. */
	async heard(path: string): Promise<number[]> {
		return await this.#tell('heard', { path });
	}

	async fetch(url: string, body?: object): Promise<{ status: number; body: string }> {
		return await this.#tell('fetch', { url, ...(body && { body }) });
	}

	async cli(...args: string[]): Promise<{ code: number; output: string }> {
		return await this.#tell('cli', { args });
	}

	async write(path: string, text: string): Promise<void> {
		await this.#tell('write', { path, text });
	}

	async read(path: string): Promise<string> {
		return await this.#tell('read', { path });
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#child.kill('SIGKILL');
		await this.#ready.catch(() => {});
		await this.#folder[Symbol.asyncDispose]();
	}

	async #tell<T>(what: string, told: object = {}): Promise<T> {
		if (this.#ended) throw this.#ended;
		const id = this.#count++;
		const answered = new Promise<T>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
		this.#child.stdin!.write(`${JSON.stringify({ id, what, ...told })}\n`);
		return await answered;
	}

	#hear(line: string, ready: () => void): void {
		if (!line.startsWith('{')) return;
		const { id, value, error } = JSON.parse(line) as { id?: number; value: never; error?: string };
		if (id === undefined) return ready();
		const waiting = this.#waiting.get(id);
		this.#waiting.delete(id);
		if (error === undefined) waiting?.resolve(value);
		else waiting?.reject(new Error(error));
	}

	async #end(): Promise<Error> {
		const text = await readFile(this.#folder.at('console'), 'utf8').catch(() => 'nothing');
		this.#ended = new Error(`The emulated machine ended. Its console says:\n${text.slice(-2000)}`);
		for (const { reject } of this.#waiting.values()) reject(this.#ended);
		return this.#ended;
	}
}

/** The file system in memory that the kernel begins with. */
const writeImage = async (folder: Folder): Promise<void> => {
	for (const name of ['bin', 'modules', 'proc', 'sys', 'dev', 'host'])
		await mkdir(folder.at(`image.d/${name}`), { recursive: true });
	await copyFile('/bin/busybox', folder.at('image.d/bin/busybox'));
	await writeFile(folder.at('image.d/init'), INIT);
	await chmod(folder.at('image.d/init'), 0o755);
	for (const name of MODULES)
		await copyFile(`${kernel}/${name}.ko`, folder.at(`image.d/modules/${name}.ko`)).catch(() => {}); // built in, or of another version
	await execute('/bin/busybox', [
		'sh',
		'-c',
		'cd "$0" && find . | busybox cpio -o -H newc > ../image',
		folder.at('image.d'),
	]);
};
