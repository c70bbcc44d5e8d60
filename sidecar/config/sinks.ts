import type { Configuration } from './schema/configuration.ts';

/** What is shown without a painting. */
type Rule = Pick<Configuration, 'failure' | 'holdS' | 'afterHold'>;

/** One sink, by the name that it has on the command line. */
export interface SinkChoice {
	to: string;
	rule: Rule;
}

/**
 * The sinks, each with what it shows without a painting: what its entry says, else what the run says. Under the run's
 * `slate` all show the slate, whatever their entries say.
 */
export const sinksOf = ({ sinks, failure, holdS, afterHold }: Configuration): SinkChoice[] =>
	sinks.map((sink) => {
		const run: Rule = { failure, holdS, afterHold };
		if (typeof sink === 'string') return { to: sink, rule: run };
		const { to, ...own } = sink;
		return { to, rule: failure === 'slate' ? run : { ...run, ...own } };
	});
