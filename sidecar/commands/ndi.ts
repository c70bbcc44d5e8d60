import { loadConfiguration } from '../config/load-config.ts';
import { findNdiSources, openNdi } from '../ndi.ts';
import { printTable, printValue } from './print.ts';

const WAIT_MS = 2000;

/** `allaprima ndi list`: the sources that can be seen from here. Errors: ERR_NDI, ERR_CONFIG. */
export const listNdiSources = async ({
	extraIps,
	groups,
	runtime,
	environment,
	json,
}: {
	extraIps?: string[];
	groups?: string;
	runtime?: string;
	environment: Record<string, string | undefined>;
	json: boolean;
}): Promise<void> => {
	const ndi = {
		...(extraIps && { extraIps }),
		...(groups !== undefined && { groups }),
		...(runtime !== undefined && { runtimePath: runtime }),
	};
	const { ndi: network } = await loadConfiguration({ flags: {}, environment, ndi });
	openNdi(network);
	const sources = await findNdiSources({
		...(network.groups !== undefined && { groups: network.groups }),
		extraIps: network.extraIps.join(','),
		waitMs: WAIT_MS,
	});
	if (json) printValue(sources);
	else if (sources.length > 0) printTable(sources.map(({ name, url }) => [name, url]));
	else
		process.stderr.write(
			'No NDI source was seen. Without avahi-daemon, or across subnets, name the machine with --extra-ip ADDRESS.\n',
		);
};
