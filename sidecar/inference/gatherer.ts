interface Waiting<Request, Result> {
	request: Request;
	resolve: (result: Result) => void;
	reject: (error: unknown) => void;
}

/**
 * Runs requests one after the other, and together those that have come meanwhile and have the same key: what several
 * lines ask of one device shares its cost, and nobody waits for somebody who has not come.
 */
export class Gatherer<Request, Result> {
	readonly #run: (requests: readonly Request[]) => Promise<readonly Result[]>;
	readonly #keyOf: (request: Request) => string;
	readonly #ownerOf: (request: Request) => unknown;
	readonly #isTooMuch: (error: unknown) => boolean;
	#most: number;
	#waiting: Waiting<Request, Result>[] = [];
	#isRunning = false;

	/**
	 * `run` gives a result for each request, in their order; at most `most` are run together, and of one owner no two: what
	 * somebody asks next goes by what came of the request before. Where a run fails and `isTooMuch` says so, half of them are run together from then on, and those that failed again.
	 */
	constructor({
		run,
		keyOf,
		most,
		ownerOf = (request) => request,
		isTooMuch = () => false,
	}: {
		run: (requests: readonly Request[]) => Promise<readonly Result[]>;
		keyOf: (request: Request) => string;
		most: number;
		ownerOf?: (request: Request) => unknown;
		isTooMuch?: (error: unknown) => boolean;
	}) {
		this.#run = run;
		this.#keyOf = keyOf;
		this.#most = most;
		this.#ownerOf = ownerOf;
		this.#isTooMuch = isTooMuch;
	}

	/** Errors: what `run` throws, to all whose requests it had. */
	call(request: Request): Promise<Result> {
		return new Promise((resolve, reject) => {
			this.#waiting.push({ request, resolve, reject });
			if (!this.#isRunning) void this.#work();
		});
	}

	async #work(): Promise<void> {
		this.#isRunning = true;
		while (this.#waiting.length > 0) {
			const together = this.#next();
			try {
				const results = await this.#run(together.map(({ request }) => request));
				for (const [i, { resolve }] of together.entries()) resolve(results[i]!);
			} catch (error) {
				if (together.length > 1 && this.#isTooMuch(error)) {
					this.#most = Math.floor(together.length / 2);
					this.#waiting.unshift(...together);
				} else for (const { reject } of together) reject(error);
			}
		}
		this.#isRunning = false;
	}

	/** The one that has waited longest, and those that go with it. */
	#next(): Waiting<Request, Result>[] {
		const key = this.#keyOf(this.#waiting[0]!.request);
		const owners = new Set<unknown>();
		const isFirst = (owner: unknown) => !owners.has(owner) && Boolean(owners.add(owner));
		const first = this.#waiting.filter(({ request }) => isFirst(this.#ownerOf(request)));
		const together = first.filter(({ request }) => this.#keyOf(request) === key).slice(0, this.#most);
		this.#waiting = this.#waiting.filter((one) => !together.includes(one));
		return together;
	}
}
