import { isIPv4 } from 'node:net';
import { hostname, networkInterfaces, type NetworkInterfaceInfo } from 'node:os';

const ADDRESSES_MAX = 8;
/** Networks inside this machine, of containers and virtual machines: no other machine is in them. */
const VIRTUAL = /^(docker|br-|veth|virbr|vmnet|vboxnet|lxc|lxd|cni|flannel|podman|vEthernet)/;
const WIRELESS = /^(wl|Wi-?Fi)/i;

/**
 * The addresses by which others may reach this machine, those first that most likely do: IPv4 before IPv6, by wire before
 * by air. Addresses of a single link are left out, for they mean nothing without its name.
 */
export const ownAddresses = (
	interfaces: NodeJS.Dict<Pick<NetworkInterfaceInfo, 'address' | 'internal'>[]> = networkInterfaces(),
): string[] =>
	Object.entries(interfaces)
		.filter(([name]) => !VIRTUAL.test(name))
		.flatMap(([name, addresses = []]) =>
			addresses
				.filter(({ address, internal }) => !internal && !/^(fe[89ab]|169\.254\.)/i.test(address))
				.map(({ address }) => ({ address, rank: (isIPv4(address) ? 0 : 2) + (WIRELESS.test(name) ? 1 : 0) })),
		)
		.sort((a, b) => a.rank - b.rank)
		.map(({ address }) => address)
		.slice(0, ADDRESSES_MAX);

/** What this machine calls itself, as a name that can stand in a subject or a file: `gaming-pc`. */
export const ownName = (name: string = hostname()): string =>
	name
		.split('.')[0]!
		.replaceAll(/[^A-Za-z0-9_-]/g, '-')
		.slice(0, 50) || 'machine';

/** Names by which others may find this machine when its addresses have changed: of the router's DNS, and of mDNS. */
export const ownNames = (name: string = hostname()): string[] => {
	const [own = ''] = name.split('.');
	return /^[A-Za-z0-9-]{1,63}$/.test(own) && own.toLowerCase() !== 'localhost' ? [`${own}.local`, own] : [];
};
