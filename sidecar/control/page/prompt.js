// The prompt: painted at Enter, and where that is wanted whenever the typing rests.

/** As long as one thinks of the next word. */
const REST_MS = 600;
const KEPT = 'alla-prima-live';

/** Joins the form. `paint` is asked for a prompt; `targetNow` gives style and prompt as they are, or nothing yet. */
export const openPrompt = ({ form, paint, targetNow }) => {
	const field = form.querySelector('textarea');
	const live = form.querySelector('input[type=checkbox]');
	/** What was painted before the typing, and in which style, to be taken back. */
	let before;
	let timer;

	live.checked = localStorage.getItem(KEPT) !== 'off';
	live.addEventListener('change', () => {
		localStorage.setItem(KEPT, live.checked ? 'on' : 'off');
		if (live.checked) rest();
		else clearTimeout(timer);
	});

	const isEdited = () => field.classList.contains('edited');
	const settle = () => {
		clearTimeout(timer);
		timer = undefined;
		before = undefined;
		field.classList.remove('edited');
	};
	const paintNow = () => {
		timer = undefined;
		const text = field.value.trim();
		if (text && text !== targetNow()?.prompt) paint(text);
	};
	const rest = () => {
		clearTimeout(timer);
		timer = isEdited() ? setTimeout(paintNow, REST_MS) : undefined;
	};

	field.addEventListener('input', ({ isComposing }) => {
		const target = targetNow();
		before ??= target;
		field.classList.toggle('edited', field.value !== target?.prompt);
		if (live.checked && !isComposing) rest();
	});
	field.addEventListener('compositionend', () => live.checked && rest());
	field.addEventListener('blur', () => {
		if (timer === undefined) return;
		clearTimeout(timer);
		paintNow();
		settle();
	});
	field.addEventListener('keydown', (event) => {
		if (event.isComposing) return;
		if (event.key === 'Enter' && !event.shiftKey) {
			event.preventDefault();
			form.requestSubmit();
		} else if (event.key === 'Escape') {
			const target = targetNow();
			const old = before;
			settle();
			if (target) field.value = target.prompt;
			if (old?.prompt && old.style === target?.style && old.prompt !== target.prompt) {
				field.value = old.prompt;
				paint(old.prompt);
			}
			field.blur();
		}
	});
	form.addEventListener('submit', (event) => {
		event.preventDefault();
		const text = field.value.trim();
		settle();
		if (text) paint(text);
		else field.value = targetNow()?.prompt ?? '';
	});

	return {
		/** As it stands there, painted or not. */
		get text() {
			return field.value;
		},
		/** The prompt in force; what somebody types stays. */
		show: (text) => {
			if (document.activeElement !== field || !isEdited()) field.value = text;
		},
		set: (text) => {
			settle();
			field.value = text;
		},
	};
};
