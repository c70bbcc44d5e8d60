// A worker of the fleet whose engine paints a negative, for where painting is not the question: it speaks what engines
// speak, one frame at a time. The last rows of a painting say which worker it is of.
import { fromWire } from '../../dist/fleet/pictures.js';
import { FleetWorker } from '../../dist/fleet/fleet-worker.js';
import { NatsBus } from '../../dist/fleet/nats.js';
import { nowUs } from '../../dist/frame/clock.js';
import { loadNative } from '../../dist/native.js';
import { setLog } from '../../dist/telemetry/logger.js';

const { url, access = {}, name, mark, model = 'lite', linesMax = 32, capacity = 1e9 } = JSON.parse(process.argv[2]);
/** What is looked at of a model: the shapes of the embeddings that are told below. */
const manifest = {
	graphs: { te_text: { outputs: [{ name: 'prompt_embeds', shape: ['batch', 1, 2] }] } },
	textEncoder: { maxLength: 1, dropTokens: 0 },
};
let { paintMs = 0 } = JSON.parse(process.argv[2]);
setLog({ level: process.env.FLEET_LOG ?? 'silent' });

const handles = [];
let isHung = false;

class EchoHandle {
	pid = undefined;
	#listener;
	#isOver = false;
	#painting = Promise.resolve();

	constructor(settings, listener) {
		this.#listener = listener;
		setImmediate(() => {
			if (this.#isOver) return;
			listener.ready({ provider: 'cpu', refused: [], int8Graphs: [] });
			for (let i = 0; i < settings.inFlightMax - 1; i++) listener.pull();
		});
	}

	resume({ epoch, source, painting, prompts }) {
		const embedded = prompts.map(({ prompt, embeds }) => [prompt ?? null, [...embeds.promptEmbeds.data]]);
		process.send({ type: 'resumed', epoch, source: source.data[0], painting: painting.data[0], embedded });
	}

	send(frame, data, parameters) {
		const bytes = data.slice();
		this.#painting = this.#painting.then(() => this.#paint(frame, bytes, parameters));
	}

	async #paint({ layout, sequence, capturedUs, timestampUs, durationUs }, bytes, parameters) {
		const source = await fromWire(bytes, layout, loadNative());
		if (paintMs > 0) await new Promise((resolve) => setTimeout(resolve, paintMs));
		if (this.#isOver || isHung) return;
		const data = source.data.map((value) => 255 - value);
		data.fill(mark, data.length - 3 * layout.width * 8);
		const isSource = parameters.style === 'passthrough';
		if (!this.told)
			this.#listener.prompts?.(
				(this.told = parameters.conditioning).map(({ prompt }) => ({
					prompt,
					embeds: {
						promptEmbeds: { shape: [1, 1, 2], data: new Float32Array([mark, prompt.length]) },
						attentionMask: { shape: [1, 1], data: new BigInt64Array([1n]) },
					},
				})),
			);
		this.#listener.answer(
			{
				sequence,
				capturedUs,
				timestampUs,
				durationUs,
				epoch: parameters.epoch,
				kind: isSource ? 'source' : 'painting',
				isReused: false,
			},
			isSource ? undefined : { source, picture: { ...source, data } },
			{ stages: [['unet', 1]], batches: [{ sideMs: 1, mainMs: 1 }] },
		);
		this.#listener.pull();
	}

	die(error) {
		this.#isOver = true;
		this.#listener.gone(error);
	}

	end() {}
	taken() {}

	async stop() {
		this.#isOver = true;
	}

	async kill() {
		this.#isOver = true;
		isHung = false; // there is another process
		process.send({ type: 'killed' });
	}
}

const bus = await NatsBus.connect({ url, server: url.replace('nats://', ''), ...access });
const worker = await FleetWorker.open({
	bus,
	leases: await bus.leases(),
	engines: {
		start: (settings, listener) => {
			const handle = new EchoHandle(settings, listener);
			handles.push(handle);
			return handle;
		},
	},
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
	if (message.type === 'paintMs') paintMs = message.ms;
	else if (message.type === 'hang') isHung = true;
	else if (message.type === 'status') process.send({ type: 'status', status: worker.status });
	else if (message.type === 'die')
		for (const handle of handles) handle.die(Object.assign(new Error('it died'), { code: 'ERR_ENGINE' }));
});
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
process.send({ type: 'open' });
await worker.drained(new AbortController().signal);
process.send({ type: 'drained' });
