import { isSidecarError } from '../../errors.ts';
import { log } from '../../telemetry/logger.ts';

/** What goes back to the client. An error is `{ "error": { "code", "message" } }`. */
export interface Answer {
	type: string;
	body: Buffer | string;
	/** 200 where absent. */
	status?: number;
	headers?: Record<string, string>;
}

export const SECURITY_HEADERS = {
	'Content-Security-Policy':
		"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	'Cross-Origin-Resource-Policy': 'same-origin',
	'Referrer-Policy': 'no-referrer',
	'X-Content-Type-Options': 'nosniff',
	'Cache-Control': 'no-store',
};

/** An answer other than success, to be thrown. */
export class Refusal extends Error {
	readonly status: number;
	readonly code: string;
	readonly headers: Record<string, string>;

	constructor(status: number, code: string, message: string, headers: Record<string, string> = {}) {
		super(message);
		this.status = status;
		this.code = code;
		this.headers = headers;
	}
}

export const json = (value: unknown): Answer => ({ type: 'application/json', body: JSON.stringify(value) });

export const refusalAnswer = (error: unknown): Answer => {
	const explain = (status: number, code: string, message: string): Answer => ({
		...json({ error: { code, message } }),
		status,
	});
	if (error instanceof Refusal) return { ...explain(error.status, error.code, error.message), headers: error.headers };
	if (isSidecarError(error)) return explain(400, error.code, error.message);
	log.error({ error }, 'request failed');
	return explain(500, 'ERR_INTERNAL', 'The log says what went wrong.');
};
