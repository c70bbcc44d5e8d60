/**
 * Works one item ahead: while the consumer is busy with item n, item n + 1 is being made. It alone lets stages of the
 * line overlap.
 */
export async function* ahead<T>(items: AsyncIterable<T>): AsyncGenerator<T, void, undefined> {
	const iterator = items[Symbol.asyncIterator]();
	const pull = () => {
		const next = iterator.next();
		next.catch(() => {}); // heard when it is awaited below
		return next;
	};
	let next = pull();
	try {
		for (;;) {
			const result = await next;
			if (result.done) return;
			next = pull();
			yield result.value;
		}
	} finally {
		await iterator.return?.();
	}
}

/** As `ahead`, so many items. */
export const farAhead = <T>(items: AsyncIterable<T>, count: number): AsyncIterable<T> =>
	count === 0 ? items : farAhead(ahead(items), count - 1);
