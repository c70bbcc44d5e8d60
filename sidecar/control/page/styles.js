// The grid of styles: a button with a small picture for each, and the keys that choose them.

import { drawCover, renewThumbnails } from './thumbnails.js';

export const PASSTHROUGH = 'passthrough';
/** Of the stage, for the style that is on it. */
const STAGE_EVERY_MS = 1000;

/** Any hue, but always the same for a name. */
const hueOf = (name) => [...name].reduce((hash, letter) => (hash * 31 + letter.codePointAt(0)) % 360, 7);

/** Joins the grid. `onChoose` is told of clicks; `fetchThumbnail` gives a picture of a style, or none. */
export const openStyles = ({ grid, onChoose, fetchThumbnail }) => {
	/** name -> { button, thumbnail, key } */
	const styles = new Map();
	/** Those that somebody can see: a long list is scrolled. */
	const seen = new Set();
	const observer = new IntersectionObserver((entries) => {
		for (const { target, isIntersecting } of entries)
			if (isIntersecting) seen.add(target.dataset.style);
			else seen.delete(target.dataset.style);
	});

	const buttonOf = ({ name, title }, key) => {
		const button = document.createElement('button');
		button.type = 'button';
		button.dataset.style = name;
		button.style.setProperty('--hue', String(name === PASSTHROUGH ? 30 : hueOf(name)));
		const thumbnail = document.createElement('canvas');
		thumbnail.width = 224;
		thumbnail.height = 126;
		thumbnail.ariaHidden = 'true';
		button.title = title;
		const label = document.createElement('span');
		label.textContent = title;
		button.append(thumbnail, label);
		if (key !== undefined) {
			const hint = document.createElement('kbd');
			hint.textContent = key;
			hint.ariaHidden = 'true';
			button.setAttribute('aria-keyshortcuts', key);
			button.append(hint);
		}
		button.addEventListener('click', () => onChoose(name));
		observer.observe(button);
		styles.set(name, { button, thumbnail, key });
		return button;
	};

	const draw = (name, picture) => {
		const canvas = styles.get(name)?.thumbnail;
		if (canvas) drawCover(canvas, picture);
	};

	/** What is on the stage: nobody needs to paint that again. */
	let stage;
	setInterval(() => {
		const now = document.hidden ? undefined : stage?.();
		if (!now) return;
		draw(PASSTHROUGH, now.source);
		if (now.painting) draw(now.style, now.painting);
	}, STAGE_EVERY_MS);
	renewThumbnails({
		wanted: () => {
			const onStage = stage?.()?.style;
			return [...styles.keys()].filter((name) => name !== PASSTHROUGH && name !== onStage && seen.has(name));
		},
		isWatched: () => !document.hidden && stage?.()?.isPainted === true,
		fetchThumbnail,
		// One that was asked for before a panic may come during it.
		show: (name, picture) => stage?.() && draw(name, picture),
	});

	return {
		/** Other styles, with the pictures that they had. */
		setPresets: (presets) => {
			const before = new Map(styles);
			const focused = document.activeElement?.dataset.style;
			styles.clear();
			seen.clear();
			observer.disconnect();
			const painting = presets.filter(({ name }) => name !== PASSTHROUGH);
			grid.replaceChildren(
				...presets.map((preset) => {
					const place = painting.indexOf(preset) + 1;
					return buttonOf(preset, place === 0 ? '0' : place <= 9 ? String(place) : undefined);
				}),
			);
			for (const [name, { thumbnail }] of before) draw(name, thumbnail);
			styles.get(focused)?.button.focus();
		},
		show: ({ style, pending }) => {
			for (const [name, { button }] of styles) {
				button.setAttribute('aria-pressed', String(name === style));
				button.classList.toggle('pending', name === pending);
			}
		},
		/** Nothing that was seen before stays. */
		clear: () => {
			for (const { thumbnail } of styles.values())
				thumbnail.getContext('2d').clearRect(0, 0, thumbnail.width, thumbnail.height);
		},
		named: (key) => [...styles].find(([, style]) => style.key === key)?.[0],
		/**
		 * `look` gives the canvases of the stage, with `painting` where that is wholly of its style, and whether the engine paints;
		 * undefined while there is nothing to see.
		 */
		watchStage: (look) => {
			stage = look;
		},
	};
};
