import { execFile, execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';

const DOCS = fileURLToPath(new URL('../../docs/', import.meta.url));

const hasAnalyze = ((): boolean => {
	try {
		execFileSync('systemd-analyze', ['--version'], { stdio: 'ignore' });
		return true;
	} catch {
		return false;
	}
})();

let folder: string;
beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), 'allaprima-units-'));
});
afterAll(async () => {
	await rm(folder, { recursive: true, force: true });
});

/** What systemd says against a unit, with the node of this machine in it. */
const complaintsOf = async (name: string, text: string): Promise<string[]> => {
	const path = join(folder, name);
	await writeFile(path, text.replaceAll('/usr/bin/node', process.execPath));
	const { stderr } = await promisify(execFile)('systemd-analyze', ['verify', '--man=no', path]).catch(
		(error: { stderr: string }) => error,
	);
	return stderr.split('\n').filter((line) => line.includes(name));
};

describe('the units for systemd', () => {
	const units = readdirSync(DOCS).filter((name) => name.endsWith('.service'));

	beforeEach((context) => {
		if (!hasAnalyze) context.skip('systemd-analyze is missing: apt-get install systemd');
	});

	it('are those of the relay, of workers, and of both ends of a pair', () => {
		expect(units.sort()).toEqual([
			'allaprima-painter.service',
			'allaprima-paired.service',
			'allaprima-relay.service',
			'allaprima-worker.service',
		]);
	});

	it.each(units)('%s is understood', async (name) => {
		expect(await complaintsOf(name, await readFile(join(DOCS, name), 'utf8'))).toEqual([]);
	});

	it('is said where it is not', async () => {
		const text = await readFile(join(DOCS, 'allaprima-painter.service'), 'utf8');
		const wrong = text.replace('KillMode=mixed', 'KillMode=gently').replace('LimitNOFILE', 'LimitFiles');
		expect(await complaintsOf('wrong.service', wrong)).toHaveLength(2);
	});
});
