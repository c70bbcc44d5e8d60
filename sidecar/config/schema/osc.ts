import { isIP, isIPv4, isIPv6 } from 'node:net';
import { help } from './fields.ts';
import { z } from './zod.ts';

/** Where OSC listens, unless the configuration says otherwise. */
export const OSC_PORT = 7718;

export const oscPort = z.int().min(0).max(65_535);
const isLocalName = (text: string): boolean => text === 'localhost';
const oscHost = z
	.string()
	.refine((text) => isIP(text) !== 0 || isLocalName(text), 'expected an address of this machine, such as 0.0.0.0');
const oscSender = z.string().refine((text) => isIP(text) !== 0, 'expected an address, such as 192.168.1.20');
const oscTarget = z.string().refine((text) => {
	const [, address = '', port] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
	const isAddress =
		isLocalName(address) || isIPv4(address) || (/^\[.*\]$/.test(address) && isIPv6(address.slice(1, -1)));
	return isAddress && Number(port) >= 1 && Number(port) <= 65_535;
}, 'expected ADDRESS:PORT, such as 192.168.1.20:9000');

export const OscListen = z.strictObject({
	port: oscPort.exactOptional().meta(help(`UDP port; else ${OSC_PORT}`)),
	host: oscHost.exactOptional().meta(help('Address to listen at; any but this machine alone needs allow')),
	allow: z
		.array(oscSender)
		.max(64)
		.exactOptional()
		.meta(help('Addresses that may send; where absent, all of this machine')),
	feedback: z
		.array(oscTarget)
		.max(16)
		.exactOptional()
		.meta(help('Who is told changes without asking, as ADDRESS:PORT')),
});
