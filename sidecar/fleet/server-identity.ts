import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { SidecarError } from '../errors.ts';

/** A certificate that a machine signed itself, and its key, as PEM. */
export interface ServerIdentity {
	certificate: string;
	key: string;
}

/**
 * What certificates of pairs are made out to: machines change their names and addresses, so the certificate is known by
 * itself and this name is the same for all. No name server knows it (RFC 2606).
 */
export const SERVER_NAME = 'allaprima.invalid';

const DAYS = '7300';
const WITHIN_MS = 20_000;

/** A new key (P-256) and its certificate, made by openssl. Errors: ERR_RUNTIME. */
export const makeServerIdentity = async (): Promise<ServerIdentity> => {
	const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', '-'];
	const subject = ['-subj', '/CN=allaprima', '-addext', `subjectAltName=DNS:${SERVER_NAME}`];
	const flags = ['req', '-x509', '-sha256', '-days', DAYS, ...key, ...subject, '-out', '-'];
	let said: string;
	try {
		({ stdout: said } = await promisify(execFile)('openssl', flags, { timeout: WITHIN_MS }));
	} catch (cause) {
		const { code, stderr = '' } = cause as NodeJS.ErrnoException & { stderr?: string };
		throw new SidecarError(
			'ERR_RUNTIME',
			code === 'ENOENT'
				? 'openssl was not found, which makes the certificate of this machine. Install it, on Debian with: apt-get install openssl.'
				: `openssl made no certificate (${stderr.trim().split('\n').at(-1) || String(code)}).`,
			{ cause },
		);
	}
	const block = (label: string) =>
		new RegExp(`-----BEGIN ${label}-----\n[A-Za-z0-9+/=\n]+-----END ${label}-----\n`).exec(said)?.[0];
	const [certificate, privateKey] = [block('CERTIFICATE'), block('PRIVATE KEY')];
	if (certificate === undefined || privateKey === undefined)
		throw new SidecarError('ERR_RUNTIME', 'openssl made no certificate: what it said has none in it.');
	return { certificate, key: privateKey };
};
