import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { arch, availableParallelism, cpus, platform, release } from 'node:os';
import { fileURLToPath } from 'node:url';

/** On what machine a number was measured: `AMD EPYC 9B45, 2 threads, linux 6.1.0 x64, node 20.20.2`. */
export const describeMachine = (): string =>
	[
		cpus()[0]?.model.trim() || 'unknown processor',
		`${availableParallelism()} threads`,
		`${platform()} ${release()} ${arch()}`,
		`node ${process.versions.node}`,
	].join(', ');

/** The commit of the checkout, `-dirty` where it was changed; the package's version where there is no git. */
export const describeCommit = (): string => {
	const root = fileURLToPath(new URL('../..', import.meta.url));
	try {
		return execFileSync(
			'git',
			['-c', 'safe.directory=*', '-C', root, 'describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'],
			{
				encoding: 'utf8',
				stdio: ['ignore', 'pipe', 'ignore'],
				timeout: 5000,
			},
		).trim();
	} catch {
		const { version } = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as { version: string };
		return `v${version}`;
	}
};
