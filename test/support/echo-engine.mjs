// An engine that paints a negative, for where painting is not the question: it speaks what engines speak, one frame at a
// time. The last rows of a painting are of one grey, by which its painter is known.
import { toRgb } from '../../dist/fleet/pictures.js';
import { loadNative } from '../../dist/native.js';

export class EchoEngines {
	handles = [];
	isHung = false;
	mark;
	paintMs;
	tell;

	constructor({ mark, paintMs = 0, tell = () => {} }) {
		this.mark = mark;
		this.paintMs = paintMs;
		this.tell = tell;
	}

	start(settings, listener) {
		const handle = new EchoHandle(this, settings, listener);
		this.handles.push(handle);
		return handle;
	}
}

class EchoHandle {
	pid = undefined;
	#engines;
	#listener;
	#isOver = false;
	#painting = Promise.resolve();

	constructor(engines, settings, listener) {
		this.#engines = engines;
		this.#listener = listener;
		setImmediate(() => {
			if (this.#isOver) return;
			listener.ready({ provider: 'cpu', refused: [], int8Graphs: [] });
			for (let i = 0; i < settings.inFlightMax - 1; i++) listener.pull();
		});
	}

	resume({ epoch, source, painting, prompts }) {
		const embedded = prompts.map(({ prompt, embeds }) => [prompt ?? null, [...embeds.promptEmbeds.data]]);
		this.#engines.tell({ type: 'resumed', epoch, source: source.data[0], painting: painting.data[0], embedded });
	}

	send(frame, data, parameters) {
		const bytes = data.slice();
		this.#painting = this.#painting.then(() => this.#paint(frame, bytes, parameters));
	}

	async #paint({ layout, sequence, capturedUs, timestampUs, durationUs }, bytes, parameters) {
		const { mark, paintMs } = this.#engines;
		const source = await toRgb({ ...layout, data: bytes }, layout, 'stretch', loadNative());
		if (paintMs > 0) await new Promise((resolve) => setTimeout(resolve, paintMs));
		if (this.#isOver || this.#engines.isHung) return;
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
		this.#engines.isHung = false; // there is another process
		this.#engines.tell({ type: 'killed' });
	}
}
