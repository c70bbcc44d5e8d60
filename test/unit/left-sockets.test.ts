import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { removeLeftSockets } from '../../sidecar/frame/left-sockets.ts';
import { openTemporaryFolder } from '../support/clips.ts';

let folder: Awaited<ReturnType<typeof openTemporaryFolder>>;
let servers: ReturnType<typeof createServer>[] = [];
beforeEach(async () => void (folder = await openTemporaryFolder()));
afterEach(async () => {
	for (const server of servers.splice(0)) server.close();
	await folder[Symbol.asyncDispose]();
});

const listen = async (name: string) => {
	const server = createServer().listen(folder.at(name));
	servers.push(server);
	await once(server, 'listening');
};

it('what a killed process left goes; what runs, what has another name and what is no socket stays', async () => {
	const gone = spawnSync('true').pid;
	await listen(`painted-${gone}-0.sock`);
	await listen(`painted-${gone}-12.sock`);
	const kept = [
		`painted-${process.pid}-0.sock`,
		'painted-1-0.sock',
		`obs-${gone}-0.sock`,
		`painted-${gone}.sock`,
		'sidecar.sock',
	];
	for (const name of kept) await listen(name);
	writeFileSync(folder.at(`painted-${gone}-1.sock`), 'no socket');
	removeLeftSockets(folder.at('.'), 'painted');
	expect(readdirSync(folder.at('.')).toSorted()).toEqual([...kept, `painted-${gone}-1.sock`].toSorted());
});
