/** The next result, asked for and perhaps awaited later; an error waits there until somebody asks for it. */
export const pull = <T>(iterator: AsyncIterator<T>): Promise<IteratorResult<T>> => {
	const next = iterator.next();
	next.catch(() => {});
	return next;
};

export interface Deadline {
	passed: Promise<'deadline'>;
	clear: () => void;
}

/** Infinity never passes. */
export const deadlineIn = (ms: number): Deadline => {
	if (!Number.isFinite(ms)) return { passed: new Promise(() => {}), clear: () => {} };
	let handle: NodeJS.Timeout;
	const passed = new Promise<'deadline'>((resolve) => (handle = setTimeout(resolve, ms, 'deadline')));
	return { passed, clear: () => clearTimeout(handle) };
};
