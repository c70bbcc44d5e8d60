// Words that the model knows, as switches. Nothing is kept here: pressed means that the prompt has the words.

const escaped = (text) => text.replace(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);

const patternOf = (phrase) =>
	new RegExp(
		String.raw`(?<![\p{L}\p{N}])${phrase
			.split(/\s+/)
			.map(escaped)
			.join(String.raw`\s+`)}(?![\p{L}\p{N}])`,
		'giu',
	);

/** Whether a prompt has these words, as whole words, in any case. */
export const hasPhrase = (prompt, phrase) => patternOf(phrase).test(prompt);

export const withPhrase = (prompt, phrase) => [prompt.replace(/[\s,.]+$/, ''), phrase].filter(Boolean).join(', ');

/** The prompt without these words, and without a comma too many; empty where it has no others. */
export const withoutPhrase = (prompt, phrase) => {
	let rest = prompt;
	while (hasPhrase(rest, phrase))
		rest = rest
			.replace(patternOf(phrase), '')
			.replace(/\s*,(\s*,)*/g, ',')
			.replace(/^[\s,]+|[\s,]+$/g, '')
			.replace(/\s+/g, ' ');
	return rest;
};

/**
 * Joins the switches' group. `promptNow` gives the prompt as it is, `paint` is asked for another; what is left of a
 * prompt that was nothing but a modifier is for `onEmpty`.
 */
export const openModifiers = ({ group, promptNow, paint, onEmpty }) => {
	const list = group.querySelector('.toggles');
	let shown = '';

	const buttonOf = ({ name, phrase }) => {
		const button = document.createElement('button');
		button.type = 'button';
		button.textContent = name;
		button.dataset.phrase = phrase;
		button.title = `“${phrase}” in the prompt`;
		button.addEventListener('click', () => {
			const prompt = promptNow();
			const next = hasPhrase(prompt, phrase) ? withoutPhrase(prompt, phrase) : withPhrase(prompt, phrase);
			if (next) paint(next);
			else onEmpty();
		});
		return button;
	};

	return {
		/** The switches as the prompt has them; without a model that names any there are none. */
		show: ({ modifiers, prompt, isPainting }) => {
			const key = JSON.stringify(modifiers);
			if (key !== shown) {
				shown = key;
				list.replaceChildren(...modifiers.map(buttonOf));
				group.hidden = modifiers.length === 0;
			}
			for (const button of list.children) {
				button.ariaPressed = String(isPainting && hasPhrase(prompt, button.dataset.phrase));
				button.disabled = !isPainting;
			}
		},
	};
};
