// The sidecar's side of obs-bridge/protocol.md without a painter: every frame comes back inverted. A process of its own,
// so that it can be killed and stopped. Is told what to do, and tells what it hears, over the IPC of `fork`:
//   to it    {say: message} {raw: text} {hangUp: true} {paint: false} {style: name} {format: 'BGRA' | 'RGBA' | 'RGB'} {scale: 0.5}
//   from it  {listening: true} {heard: message} {frame: {...}} {gone: true}
import { createServer } from 'node:net';
import { rmSync } from 'node:fs';
import { createInterface } from 'node:readline';

const { SharedRingReader, SharedRingWriter, ringSocketPath } = await import(
	new URL('../../dist/frame/shared-ring.js', import.meta.url).href
);

/** @type {{protocol: number, paints: boolean, format: string, scale: number, styles: {name: string, title: string}[], capturedAheadUs: number, delayMs: number}} */
const options = {
	protocol: 1,
	paints: true,
	format: 'BGRA',
	scale: 1,
	styles: [
		{ name: 'oil-painting', title: 'Oil painting' },
		{ name: 'watercolor', title: 'Watercolor' },
		{ name: 'anime', title: 'Anime' },
	],
	capturedAheadUs: 0,
	delayMs: 0,
	...JSON.parse(process.env['OBS_ECHO_OPTIONS'] ?? '{}'),
};

const tell = (/** @type {object} */ message) => process.connected && process.send?.(message);

/** @type {Set<import('node:net').Socket>} */
const plugins = new Set();
const sayTo = (/** @type {import('node:net').Socket} */ plugin, /** @type {object} */ message) =>
	plugin.write(`${JSON.stringify(message)}\n`);

/** Streams by id. @type {Map<string, any>} */
const streams = new Map();
let epoch = 0;

/** Bytes a pixel. */
const channels = (/** @type {string} */ format) => (format === 'RGB' ? 3 : 4);

/**
 * Inverts BGRA into what the painted ring is to hold: another format, or another size.
 * @param {Uint8Array} from @param {any} layout @param {Uint8Array} to @param {{format: string, scale: number}} painted
 */
const invert = (from, layout, to, { format, scale }) => {
	const width = Math.round(layout.width * scale);
	const height = Math.round(layout.height * scale);
	const pixels = new Uint32Array(from.buffer, 0, layout.width * layout.height);
	if (format === 'BGRA' && scale === 1) {
		const inverted = new Uint32Array(to.buffer, 0, pixels.length);
		for (let i = 0; i < pixels.length; i++) inverted[i] = /** @type {number} */ (pixels[i]) ^ 0xffffff;
		return { ...layout, format };
	}
	const size = channels(format);
	const order = format === 'BGRA' ? [0, 1, 2] : [2, 1, 0];
	for (let y = 0, i = 0; y < height; y++)
		for (let x = 0; x < width; x++, i += size) {
			const at = 4 * (Math.floor(y / scale) * layout.width + Math.floor(x / scale));
			for (let c = 0; c < 3; c++) to[i + c] = 255 - /** @type {number} */ (from[at + /** @type {number} */ (order[c])]);
			if (size === 4) to[i + 3] = 255;
		}
	return { ...layout, width, height, format };
};

const follow = async (/** @type {import('node:net').Socket} */ plugin, /** @type {any} */ wish) => {
	streams.get(wish.id)?.reader?.close();
	streams.get(wish.id)?.writer?.close();
	const stream = { ...wish, reader: null, writer: null };
	streams.set(wish.id, stream);
	const { format, scale } = options;
	const slotBytes = Math.ceil(wish.width * scale) * Math.ceil(wish.height * scale) * channels(format);
	stream.writer = new SharedRingWriter({ slotCount: 4, slotBytes });
	const ring = ringSocketPath(`painted-${wish.id}-${wish.width}x${wish.height}-${process.pid}`);
	stream.writer.listen(ring);
	sayTo(plugin, { type: 'painted', id: wish.id, ring });
	const isGone = () => streams.get(wish.id) !== stream;
	try {
		stream.reader = await SharedRingReader.connect(wish.tap);
	} catch (error) {
		// A filter may go before anybody came to its tap; that is told a moment later.
		for (let waited = 0; waited < 40 && !isGone(); waited++) await new Promise((wake) => setTimeout(wake, 50));
		if (isGone()) return;
		throw error;
	}
	if (isGone()) return stream.reader.close();
	const source = new Uint8Array(new SharedArrayBuffer(stream.reader.slotBytes));
	let painted = new Uint8Array(new ArrayBuffer(slotBytes));
	const middle = 4 * (Math.floor(wish.height / 2) * wish.width + Math.floor(wish.width / 2));
	for await (const frame of stream.reader.frames(source, new AbortController().signal)) {
		tell({
			frame: {
				id: wish.id,
				sequence: frame.sequence,
				missed: frame.missed,
				capturedUs: frame.capturedUs,
				width: frame.layout.width,
				height: frame.layout.height,
				middle: [...source.subarray(middle, middle + 4)],
				corner: [...source.subarray(0, 4)],
			},
		});
		if (isGone()) return; // removed, and its rings closed, while the frame was on its way
		if (!options.paints) continue;
		const layout = invert(source, frame.layout, painted, { format, scale });
		const described = { ...frame, capturedUs: frame.capturedUs + options.capturedAheadUs, layout };
		const picture = painted.subarray(0, layout.width * layout.height * channels(format));
		if (options.delayMs === 0) {
			stream.writer.write(described, picture);
			continue;
		}
		painted = new Uint8Array(new ArrayBuffer(slotBytes));
		setTimeout(() => isGone() || stream.writer.write(described, picture), options.delayMs);
	}
};

const sayState = (
	/** @type {import('node:net').Socket} */ plugin,
	/** @type {string} */ id,
	/** @type {string} */ style,
) => sayTo(plugin, { type: 'state', id, engine: 'painting', style, epoch, fps: 24, latencyMs: 84 });

const hear = (/** @type {import('node:net').Socket} */ plugin, /** @type {any} */ message) => {
	tell({ heard: message });
	if (message.type === 'hello') {
		sayTo(plugin, { type: 'hello', protocol: options.protocol, sidecar: '0.1.0' });
		if (options.protocol === 1) sayTo(plugin, { type: 'styles', styles: options.styles });
	} else if (message.type === 'stream') {
		const known = streams.get(message.id);
		if (known?.style !== message.style) epoch++;
		if (known?.tap === message.tap && known.plugin === plugin) Object.assign(known, message);
		else void follow(plugin, { ...message, plugin }).catch((error) => tell({ failed: String(error) }));
		sayState(plugin, message.id, message.style);
	} else if (message.type === 'stream_removed') {
		streams.get(message.id)?.reader?.close();
		streams.get(message.id)?.writer?.close();
		streams.delete(message.id);
	} else if (message.type === 'command') {
		const { type, name } = message.command;
		const names = options.styles.map((style) => style.name);
		for (const stream of streams.values()) {
			if (message.id && message.id !== stream.id) continue;
			const at = names.indexOf(stream.style);
			if (type === 'style') stream.style = name;
			else if (type === 'next') stream.style = names[(at + 1) % names.length];
			else if (type === 'previous') stream.style = names[(at + names.length - 1) % names.length];
			else continue;
			epoch++;
			sayState(plugin, stream.id, stream.style);
		}
	}
};

const path = ringSocketPath('sidecar');
rmSync(path, { force: true }); // of one that was killed
createServer((plugin) => {
	plugins.add(plugin);
	plugin.on('error', () => {});
	plugin.on('close', () => {
		plugins.delete(plugin);
		tell({ gone: true });
	});
	createInterface({ input: plugin })
		.on('line', (line) => hear(plugin, JSON.parse(line)))
		.on('error', () => {}); // the plugin hung up in the middle of what was said
}).listen(path, () => tell({ listening: true }));

process.on('message', (/** @type {any} */ { say, raw, hangUp, ...changes }) => {
	for (const plugin of plugins) {
		if (say) sayTo(plugin, say);
		if (raw !== undefined) plugin.write(raw);
		if (hangUp) plugin.destroy();
	}
	Object.assign(options, changes);
});
process.on('disconnect', () => process.exit());
