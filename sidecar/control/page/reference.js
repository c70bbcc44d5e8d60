// A picture that shows the style: chosen, dropped on the page, or taken from what is painted.

import { drawCover } from './thumbnails.js';

const hasFiles = ({ dataTransfer }) => [...(dataTransfer?.types ?? [])].includes('Files');

/**
 * Joins the group. `send` takes a file, `takeFrame` a frame of now, `forget` goes back to what the preset says; each gives a
 * promise that never rejects. `fetchPicture` gives the picture in force.
 */
export const openReference = ({ group, send, takeFrame, forget, fetchPicture, complain }) => {
	const find = (selector) => group.querySelector(selector);
	const [shown, canvas, name, remove, file, choose, frame] = [
		'.shown',
		'canvas',
		'.name',
		'.remove',
		'input',
		'.choose',
		'.frame',
	].map(find);
	/** Of the picture that is drawn, or is being fetched. */
	let drawn;
	/** How many are on their way. */
	let sending = 0;

	const busy = async (work) => {
		sending++;
		group.ariaBusy = 'true';
		await work;
		sending--;
		group.ariaBusy = String(sending > 0);
	};
	const paintLike = (picture) => {
		if (picture) void busy(send(picture));
		else complain('That is no picture file. Drop a PNG, JPEG, WebP or GIF.');
	};

	choose.addEventListener('click', () => file.click());
	file.addEventListener('change', () => {
		const [picture] = file.files;
		if (picture) paintLike(picture);
		file.value = ''; // the same one may be chosen again
	});
	frame.addEventListener('click', () => void busy(takeFrame()));
	remove.addEventListener('click', () => {
		choose.focus();
		void busy(forget());
	});

	// The browser would open the picture in place of the page.
	let depth = 0;
	const over = (by) => {
		depth = Math.max(0, depth + by);
		document.body.toggleAttribute('data-drop', depth > 0 && !group.hidden);
	};
	document.addEventListener('dragenter', (event) => hasFiles(event) && over(1));
	document.addEventListener('dragleave', (event) => hasFiles(event) && over(-1));
	document.addEventListener('dragover', (event) => hasFiles(event) && event.preventDefault());
	document.addEventListener('drop', (event) => {
		if (!hasFiles(event)) return;
		event.preventDefault();
		over(-depth);
		paintLike(event.dataTransfer.files[0]);
	});

	const clear = () => canvas.getContext('2d').clearRect(0, 0, canvas.width, canvas.height);
	const draw = async (id) => {
		drawn = id;
		clear();
		try {
			const picture = await fetchPicture();
			if (!picture) drawn = undefined; // asked for again with the next state
			else if (drawn === id) drawCover(canvas, await createImageBitmap(picture));
		} catch {
			drawn = undefined; // the sidecar is away, as the status says
		}
	};

	return {
		show: ({ takesReferences, control: { reference, panic, style } }) => {
			group.hidden = !takesReferences;
			shown.hidden = !reference;
			frame.title =
				style === 'passthrough' ? 'Paints like the source is now (L)' : 'Paints like the painting is now (L)';
			remove.hidden = reference?.isOfPreset !== false;
			name.textContent = name.title = reference?.name ?? '';
			canvas.ariaLabel = reference ? `The picture that shows the style: ${reference.name}` : '';
			const id = panic ? undefined : reference?.id;
			if (id === undefined) {
				if (drawn !== undefined) clear();
				drawn = undefined;
			} else if (id !== drawn) void draw(id);
		},
	};
};
