import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
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

/** For ever (RFC 5280, 4.1.2.5), for a machine whose clock is behind or ahead is to know it, too. */
const FROM = '19700101000000Z';
const UNTIL = '99991231235959Z';
const WITHIN_MS = 20_000;

/** What `openssl ca` needs to sign: `openssl req` alone has every certificate begin now. */
const CONFIGURATION = `
[ca]
default_ca = own
[own]
database = index
new_certs_dir = .
rand_serial = yes
default_md = sha256
policy = anything
copy_extensions = copy
[anything]
commonName = supplied
`;

/** A new key (P-256) and its certificate, made by openssl. Errors: ERR_RUNTIME. */
export const makeServerIdentity = async (): Promise<ServerIdentity> => {
	const folder = await mkdtemp(join(tmpdir(), 'allaprima-identity-')); // for this user alone
	const openssl = (...flags: string[]) => promisify(execFile)('openssl', flags, { cwd: folder, timeout: WITHIN_MS });
	try {
		await writeFile(join(folder, 'ca.conf'), CONFIGURATION);
		await writeFile(join(folder, 'index'), '');
		const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', 'key'];
		const subject = ['-subj', '/CN=allaprima', '-addext', `subjectAltName=DNS:${SERVER_NAME}`];
		await openssl('req', '-new', '-sha256', ...key, ...subject, '-out', 'request');
		const dates = ['-startdate', FROM, '-enddate', UNTIL];
		const signed = ['-selfsign', '-keyfile', 'key', '-in', 'request', '-out', 'certificate'];
		await openssl('ca', '-config', 'ca.conf', '-batch', '-notext', ...dates, ...signed);
		return {
			certificate: await readBlock(join(folder, 'certificate'), 'CERTIFICATE'),
			key: await readBlock(join(folder, 'key'), 'PRIVATE KEY'),
		};
	} catch (cause) {
		if (cause instanceof SidecarError) throw cause;
		const { code, stderr = '' } = cause as NodeJS.ErrnoException & { stderr?: string };
		throw new SidecarError(
			'ERR_RUNTIME',
			code === 'ENOENT'
				? 'openssl was not found, which makes the certificate of this machine. Install it, on Debian with: apt-get install openssl.'
				: `openssl made no certificate (${stderr.trim().split('\n').at(-1) || String(code)}).`,
			{ cause },
		);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
};

const readBlock = async (path: string, label: string): Promise<string> => {
	const block = new RegExp(`-----BEGIN ${label}-----\n[A-Za-z0-9+/=\n]+-----END ${label}-----\n`);
	const found = block.exec(await readFile(path, 'utf8'))?.[0];
	if (found === undefined)
		throw new SidecarError('ERR_RUNTIME', `openssl made no certificate: what it wrote has no ${label} in it.`);
	return found;
};
