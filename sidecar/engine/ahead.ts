/**
 * Works one item ahead: while the consumer is busy with item n, item n + 1 is being made. The one place
 * in the line where two stages overlap.
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
