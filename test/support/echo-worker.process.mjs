// A worker of the fleet whose engine is an echo.
import { FleetWorker } from '../../dist/fleet/fleet-worker.js';
import { NatsBus } from '../../dist/fleet/nats.js';
import { nowUs } from '../../dist/frame/clock.js';
import { loadNative } from '../../dist/native.js';
import { setLog } from '../../dist/telemetry/logger.js';
import { EchoEngines } from './echo-engine.mjs';

const settings = JSON.parse(process.argv[2]);
const { url, access = {}, name, mark, paintMs, model = 'lite', linesMax = 32, capacity = 1e9 } = settings;
/** What is looked at of a model: the shapes of the embeddings that are told. */
const manifest = {
	graphs: { te_text: { outputs: [{ name: 'prompt_embeds', shape: ['batch', 1, 2] }] } },
	textEncoder: { maxLength: 1, dropTokens: 0 },
};
setLog({ level: process.env.FLEET_LOG ?? 'silent' });

const engines = new EchoEngines({ mark, paintMs, tell: (message) => process.send(message) });
const bus = await NatsBus.connect({ url, server: url.replace('nats://', ''), ...access });
const worker = await FleetWorker.open({
	bus,
	leases: await bus.leases(),
	engines,
	native: loadNative(),
	nowUs,
	provider: 'cpu',
	paintedBeside: { width: 64, height: 64 },
	name,
	host: 'test',
	version: 'test',
	capacity,
	linesMax,
	findModel: async (asked) => (asked.name === model ? { manifest } : undefined),
});
process.on('message', (message) => {
	if (message.type === 'hang') engines.isHung = true;
	else if (message.type === 'status') process.send({ type: 'status', status: worker.status });
	else if (message.type === 'die')
		for (const handle of engines.handles) handle.die(Object.assign(new Error('it died'), { code: 'ERR_ENGINE' }));
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.send({ type: 'open' });
await worker.drained(new AbortController().signal);
process.send({ type: 'drained' });
