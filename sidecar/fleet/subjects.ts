/** Where what is said on NATS: docs/fleet.md. Names of workers and lines are checked before they come here. */

export const OFFER = 'allaprima.offer';
export const STATUS = 'allaprima.status';

export const openSubject = (worker: string): string => `allaprima.worker.${worker}.open`;
export const drainSubject = (worker: string): string => `allaprima.worker.${worker}.drain`;

export interface LineSubjects {
	/** To the worker. */
	in: string;
	/** To the sidecar. */
	out: string;
}

export const lineSubjects = (line: string): LineSubjects => ({
	in: `allaprima.line.${line}.in`,
	out: `allaprima.line.${line}.out`,
});
