// The table of scenes: what is painted in which scene of OBS. Each edit is sent at once.

const ATTEMPTS = 3;

const optionsOf = (styles, own) => {
	const options = styles.map(({ name, title }) => new Option(title, name));
	// Its file is gone; it may come back.
	if (own !== undefined && !styles.some(({ name }) => name === own))
		options.unshift(new Option(`${own} (missing)`, own));
	return options;
};

/** Joins the section's elements. `read` gives the table, `write` takes one; both are link.js's. */
export const openScenes = ({ section, read, write }) => {
	const find = (selector) => section.querySelector(selector);
	const [body, none, known, form] = ['tbody', '.none', 'datalist', 'form'].map(find);
	const [scene, style] = [form.elements.scene, form.elements.style];
	const [note, problem] = ['.note', '.problem'].map(find);
	/** scene -> { row, select } */
	const rows = new Map();
	let styles = [];
	let table = { revision: -1, scenes: [], known: [] };
	/** That was read last, or is being read; undefined before the first. */
	let followed;

	const rowOf = (name) => {
		const row = document.createElement('tr');
		const [head, choice, removal] = ['th', 'td', 'td'].map((tag) => row.appendChild(document.createElement(tag)));
		head.scope = 'row';
		head.textContent = name;
		const select = choice.appendChild(document.createElement('select'));
		select.ariaLabel = `Style of ${name}`;
		select.addEventListener('change', () => void set(name, select.value));
		const remove = removal.appendChild(document.createElement('button'));
		remove.type = 'button';
		remove.ariaLabel = `Remove ${name}`;
		remove.textContent = '×';
		remove.addEventListener('click', () => {
			void edit((scenes) => scenes.filter((other) => other.scene !== name));
			scene.focus();
		});
		return { row, select };
	};

	/** Rows stay where they are, so that a choice that is open stays open. */
	const show = (newest) => {
		table = newest;
		followed = newest.revision;
		const names = new Set(table.scenes.map((own) => own.scene));
		for (const [name, { row }] of rows) {
			if (names.has(name)) continue;
			row.remove();
			rows.delete(name);
		}
		for (const [index, own] of table.scenes.entries()) {
			const entry = rows.get(own.scene) ?? rowOf(own.scene);
			rows.set(own.scene, entry);
			if (body.children[index] !== entry.row) body.insertBefore(entry.row, body.children[index] ?? null);
			if (document.activeElement === entry.select && entry.select.value === own.style) continue;
			entry.select.replaceChildren(...optionsOf(styles, own.style));
			entry.select.value = own.style;
		}
		none.hidden = names.size > 0;
		known.replaceChildren(...table.known.filter((name) => !names.has(name)).map((name) => new Option(name)));
	};

	/** `change` makes new rows of old ones: where somebody else was faster, it is made again of theirs. */
	const edit = async (change) => {
		try {
			for (let attempt = 1; ; attempt++) {
				const answer = await write({ revision: table.revision, scenes: change(table.scenes) });
				if (answer === undefined && attempt < ATTEMPTS) {
					show(await read());
					continue;
				}
				if (answer === undefined) throw new Error('The table changes all the time. Try again.');
				show(answer);
				note.textContent = answer.keptIn ? `Kept in ${answer.keptIn}` : '';
				if (answer.problem) throw new Error(answer.problem);
				problem.hidden = true;
				return true;
			}
		} catch (error) {
			problem.textContent = error.message;
			problem.hidden = false;
			show(await read().catch(() => table)); // what is chosen is what is in force
			return false;
		}
	};

	const set = (name, chosen) =>
		edit((scenes) => {
			const row = { scene: name, style: chosen };
			const isThere = scenes.some((other) => other.scene === name);
			return isThere ? scenes.map((other) => (other.scene === name ? row : other)) : [...scenes, row];
		});

	form.addEventListener('submit', (event) => {
		event.preventDefault();
		const name = scene.value;
		// At once: the next one may be typed before this one is kept.
		scene.value = '';
		scene.focus();
		void set(name, style.value).then((isDone) => {
			if (!isDone && scene.value === '') scene.value = name;
		});
	});

	return {
		/** The styles that there are to choose from. */
		setStyles: (newest) => {
			styles = newest;
			const chosen = style.value;
			style.replaceChildren(...optionsOf(styles));
			if (styles.some(({ name }) => name === chosen)) style.value = chosen;
			show(table);
		},
		/** Undefined where OBS is not in use. */
		follow: (revision) => {
			section.hidden = revision === undefined;
			if (revision === undefined || revision === followed) return;
			followed = revision;
			void read().then(show, () => {}); // the connection is lost, and so it will come again
		},
		/** Another sidecar may be there, whose table has other rows under the same revision. */
		forget: () => {
			followed = undefined;
		},
	};
};
