// Source and painting over each other, with a divider between them.

const MAGIC = 0x56505041;
const SAME_PICTURE = 1;

/** A message of the preview (the format: sidecar/egress/preview-sink.ts); undefined where it is no such thing. */
export const readFrame = (buffer) => {
	const view = new DataView(buffer);
	if (buffer.byteLength < 28 || view.getUint32(0, true) !== MAGIC || view.getUint16(4, true) !== 1) return undefined;
	const headerBytes = view.getUint16(6, true);
	const width = view.getUint16(8, true);
	const height = view.getUint16(10, true);
	const isSame = (view.getUint32(24, true) & SAME_PICTURE) !== 0;
	const pictureBytes = 3 * width * height;
	if (buffer.byteLength !== headerBytes + (isSame ? 1 : 2) * pictureBytes) return undefined;
	const source = new Uint8Array(buffer, headerBytes, pictureBytes);
	return {
		width,
		height,
		epoch: view.getUint32(16, true),
		latencyMs: view.getUint32(20, true) / 1000,
		source,
		painting: isSame ? source : new Uint8Array(buffer, headerBytes + pictureBytes, pictureBytes),
	};
};

/** Puts RGB onto a canvas, through an image that is kept from frame to frame. */
const painterOf = (canvas) => {
	const context = canvas.getContext('2d', { alpha: false });
	let image;
	let pixels;
	return (rgb, width, height) => {
		if (image?.width !== width || image.height !== height) {
			canvas.width = width;
			canvas.height = height;
			image = context.createImageData(width, height);
			pixels = new Uint32Array(image.data.buffer);
		}
		for (let pixel = 0, byte = 0; pixel < pixels.length; pixel++, byte += 3)
			pixels[pixel] = 0xff000000 | (rgb[byte + 2] << 16) | (rgb[byte + 1] << 8) | rgb[byte];
		context.putImageData(image, 0, 0);
	};
};

const KEPT = 'alla-prima-divider';
const STEPS = {
	ArrowLeft: -2,
	ArrowRight: 2,
	ArrowDown: -2,
	ArrowUp: 2,
	PageDown: -10,
	PageUp: 10,
	Home: -100,
	End: 100,
};

/** Joins the stage's elements; `show` takes frames as they come and shows the newest with the next picture of the screen. */
export const openStage = ({ stage, source, painting, divider }) => {
	const paintSource = painterOf(source);
	const paintPainting = painterOf(painting);
	let waiting;

	let share = 50;
	const divide = (percent) => {
		share = Math.min(Math.max(percent, 0), 100);
		stage.style.setProperty('--divider', `${share}%`);
		const rounded = Math.round(share);
		divider.setAttribute('aria-valuenow', String(rounded));
		divider.setAttribute('aria-valuetext', `${rounded} % source, ${100 - rounded} % painting`);
		localStorage.setItem(KEPT, String(rounded));
	};
	divide(Number(localStorage.getItem(KEPT) ?? 50));

	const follow = ({ clientX }) => {
		const { left, width } = stage.getBoundingClientRect();
		divide((100 * (clientX - left)) / width);
	};
	stage.addEventListener('pointerdown', (event) => {
		if (event.button !== 0) return;
		stage.setPointerCapture(event.pointerId);
		follow(event);
		divider.focus({ preventScroll: true });
		event.preventDefault();
	});
	stage.addEventListener('pointermove', (event) => stage.hasPointerCapture(event.pointerId) && follow(event));
	divider.addEventListener('keydown', (event) => {
		const step = STEPS[event.key];
		if (step === undefined || event.ctrlKey || event.altKey || event.metaKey) return;
		divide(share + step * (event.shiftKey ? 5 : 1));
		event.preventDefault();
	});

	const draw = () => {
		const { width, height, source: before, painting: after } = waiting;
		waiting = undefined;
		stage.style.setProperty('--aspect', String(width / height));
		paintSource(before, width, height);
		paintPainting(after, width, height);
	};
	return {
		show: (frame) => {
			if (!waiting) requestAnimationFrame(draw);
			waiting = frame;
		},
	};
};
