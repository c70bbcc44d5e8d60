// The token, where the sidecar asks for one. It is kept for this tab, and goes out as a header, never in an address.

const KEY = 'allaprima-token';
const dialog = document.getElementById('login');
const form = document.getElementById('login-form');
const field = document.getElementById('token');
const problem = document.getElementById('login-problem');

const headersFor = (token) => (token === null ? {} : { Authorization: `Bearer ${token}` });

/** Why the sidecar does not take this token; undefined where it does. */
const refusalOf = async (token) => {
	if (!/^[\x21-\x7e]+$/.test(token)) return 'A token has letters, digits and signs alone.';
	const response = await fetch('/api/tickets', { method: 'POST', headers: headersFor(token) }).catch(() => undefined);
	if (response === undefined) return 'The sidecar does not answer.';
	return response.ok ? undefined : (await response.json()).error.message;
};

/** Until a token was given that is taken; one question for all who ask at a time. */
let asking;
const askForToken = () => {
	asking ??= new Promise((resolve) => {
		dialog.showModal();
		form.onsubmit = async (event) => {
			event.preventDefault();
			const token = field.value.trim();
			const refusal = await refusalOf(token);
			problem.textContent = refusal ?? '';
			problem.hidden = refusal === undefined;
			if (refusal !== undefined) return field.select();
			sessionStorage.setItem(KEY, token);
			field.value = '';
			asking = undefined;
			dialog.close();
			resolve();
		};
	});
	return asking;
};
// Without a token there is nothing to go back to.
dialog.addEventListener('close', () => asking && dialog.showModal());

/** Whether this tab has shown one. */
export const hasToken = () => sessionStorage.getItem(KEY) !== null;

/** As fetch, with the token; asks for it where it is missing or no longer taken. */
export const request = async (path, options = {}) => {
	for (;;) {
		const token = sessionStorage.getItem(KEY);
		const response = await fetch(path, { ...options, headers: { ...options.headers, ...headersFor(token) } });
		if (![401, 403, 429].includes(response.status)) return response;
		const { error } = await response.clone().json();
		if (error?.code !== 'ERR_TOKEN') return response;
		// Somebody else may have been asked meanwhile.
		if (sessionStorage.getItem(KEY) !== token) continue;
		if (response.status !== 429) sessionStorage.removeItem(KEY);
		await askForToken();
	}
};
