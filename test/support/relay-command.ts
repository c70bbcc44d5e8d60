import type { openNdiNetwork } from './ndi.ts';

type Network = Awaited<ReturnType<typeof openNdiNetwork>>;

/** `allaprima relay` in that network, with a page at its usual port. */
export const startRelay = (network: Network, ...flags: string[]) =>
	network.run(process.execPath, 'dist/cli.js', 'relay', '--log-level', 'error', ...flags);

const HANG_MS = 2000;
const ON_SIGNAL = `data:text/javascript,process.on('SIGUSR2',()=>{for(const end=Date.now()+${HANG_MS};Date.now()<end;);})`;

/** The same, but its event loop stands still for 2 s when it gets SIGUSR2. */
export const startRelayThatCanHang = (network: Network, ...flags: string[]) =>
	network.run(process.execPath, '--import', ON_SIGNAL, 'dist/cli.js', 'relay', '--log-level', 'error', ...flags);

/** Asks the relay's page from inside of that network, which nobody else can reach. Status 0 where nobody answers. */
export const askRelay = async (
	network: Network,
	path: string,
	token?: string,
): Promise<{ status: number; text: string }> => {
	const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
	const script = `fetch('http://127.0.0.1:7717${path}', ${JSON.stringify({ headers })})
		.then(async (r) => console.log(JSON.stringify({ status: r.status, text: await r.text() })))
		.catch(() => console.log('{"status":0,"text":""}'))`;
	await using asked = network.run(process.execPath, '-e', script);
	return JSON.parse(await asked.untilLine('{')) as { status: number; text: string };
};

/** Sums of Prometheus' numbers by name, such as `ndi_frames_sent_total{shown="painting"}` without the channel. */
export const numbersOf = (text: string): Map<string, number> => {
	const numbers = new Map<string, number>();
	for (const line of text.split('\n')) {
		const match = /^allaprima_([a-z_]+)\{(.*)\} (\S+)$/.exec(line);
		if (!match) continue;
		const labels = match[2]!.split(/,(?=[a-z]+=)/).filter((label) => !label.startsWith('channel='));
		const name = labels.length > 0 ? `${match[1]}{${labels.join(',')}}` : match[1]!;
		numbers.set(name, (numbers.get(name) ?? 0) + Number(match[3]));
	}
	return numbers;
};
