import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { promisify } from 'node:util';

/**
 * Machines on a switch, each a network namespace with an address and a clock of its own: what is cut or narrow between
 * them is so for the kernel's TCP. Nothing of it is seen outside, and nothing is left when the test's process ends,
 * however it does: the namespaces live as long as the processes that hold them, which end with their standard input.
 */

type Holder = ReturnType<typeof hold>;
type Direction = 'in' | 'out';

/** Nobody has it. */
const NOWHERE = '02:00:00:00:00:ff';

const exec = promisify(execFile);

const hold = (command: string, args: string[]) =>
	spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] }) as ChildProcess & {
		readonly stdin: NonNullable<ChildProcess['stdin']>;
		readonly stdout: NonNullable<ChildProcess['stdout']>;
	};

const inside = ({ pid }: Holder, ...command: string[]): string[] => [
	'nsenter',
	'-t',
	String(pid),
	'-U',
	'-n',
	'--preserve-credentials',
	'--',
	...command,
];

const said = async ({ stdout }: Holder): Promise<void> => void (await once(stdout, 'data'));

export class Host {
	readonly address: string;
	readonly #holder: Holder;
	readonly #port: string;
	readonly #network: Hosts;

	constructor(network: Hosts, holder: Holder, { address, port }: { address: string; port: string }) {
		this.#network = network;
		this.#holder = holder;
		this.address = address;
		this.#port = port;
	}

	/** What runs a command there. */
	command(...command: string[]): [program: string, ...args: string[]] {
		return inside(this.#holder, ...command) as [string, ...string[]];
	}

	async sh(script: string): Promise<void> {
		const [program, ...args] = this.command('sh', '-ec', script);
		await exec(program, args);
	}

	/** Both ways as by pulling its plug; one way, what it sends or is sent arrives nowhere. Nobody is told. */
	async cut(...directions: Direction[]): Promise<void> {
		if (directions.length === 2) return await this.#network.sh(`ip link set ${this.#port} down`);
		const others = this.#network.hosts.filter((host) => host !== this);
		const lose = (to: Host) => `ip neigh replace ${to.address} lladdr ${NOWHERE} dev eth0 nud permanent`;
		if (directions[0] === 'out') await this.sh(others.map(lose).join('; '));
		else await Promise.all(others.map((host) => host.sh(lose(this))));
	}

	async heal(): Promise<void> {
		await this.#network.sh(`ip link set ${this.#port} up`);
		await Promise.all(this.#network.hosts.map((host) => host.sh('ip neigh flush nud permanent dev eth0')));
	}

	/** So many kilobits a second, each way; undefined for as many as there are. */
	async limit(kbits: number | undefined): Promise<void> {
		const limit = (device: string) =>
			kbits === undefined
				? `tc qdisc del dev ${device} root`
				: `tc qdisc replace dev ${device} root tbf rate ${kbits}kbit burst 4kb latency 100ms`;
		await Promise.all([this.sh(limit('eth0')), this.#network.sh(limit(this.#port))]);
	}
}

export class Hosts implements AsyncDisposable {
	readonly #holders: Holder[] = [];
	readonly hosts: Host[] = [];

	static async open(count: number): Promise<Hosts> {
		const network = new Hosts();
		const link = 'ip link add br0 type bridge && ip link set br0 up && echo up && exec cat';
		const middle = hold('unshare', ['-rn', 'sh', '-ec', link]);
		network.#holders.push(middle);
		await said(middle);
		await Promise.all(Array.from({ length: count }, (_, i) => network.#add(middle, i + 1)));
		return network;
	}

	async #add(middle: Holder, number: number): Promise<void> {
		const address = `10.90.0.${number}`;
		const port = `port${number}`;
		const up = [
			'echo up; read linked; ip link set lo up',
			`ip address add ${address}/24 brd + dev eth0; ip link set eth0 up; ip route add default dev eth0`,
			'echo up; exec cat',
		];
		const [program, ...args] = inside(middle, 'unshare', '-n', 'sh', '-ec', up.join('; '));
		const holder = hold(program!, args);
		this.#holders.push(holder);
		await said(holder);
		await this.sh(
			`ip link add ${port} type veth peer name eth0 netns ${holder.pid}; ip link set ${port} master br0 up`,
		);
		holder.stdin.write('linked\n');
		await said(holder);
		this.hosts[number - 1] = new Host(this, holder, { address, port });
	}

	/** At the switch. */
	async sh(script: string): Promise<void> {
		const [program, ...args] = inside(this.#holders[0]!, 'sh', '-ec', script);
		await exec(program!, args);
	}

	async [Symbol.asyncDispose](): Promise<void> {
		for (const holder of this.#holders.reverse()) {
			const exited = once(holder, 'exit');
			holder.stdin.end();
			await exited;
		}
	}
}
