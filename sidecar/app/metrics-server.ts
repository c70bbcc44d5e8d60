import { once } from 'node:events';
import { createServer } from 'node:http';
import { SidecarError } from '../errors.ts';

const HOST = '127.0.0.1';

/** `GET /metrics` on this machine, and nothing else. Errors: ERR_CONFIG where the port cannot be had. */
export const serveMetrics = async (port: number, text: () => Promise<string>): Promise<AsyncDisposable> => {
	const server = createServer((request, response) => {
		if (request.method !== 'GET' || request.url !== '/metrics') return response.writeHead(404).end();
		text().then(
			(body) => response.writeHead(200, { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' }).end(body),
			() => response.writeHead(500).end(),
		);
		return undefined;
	});
	server.requestTimeout = server.headersTimeout = 10_000;
	server.maxConnections = 16;
	server.listen(port, HOST);
	try {
		await once(server, 'listening');
	} catch (cause) {
		const reason = (cause as NodeJS.ErrnoException).code ?? 'unknown error';
		throw new SidecarError('ERR_CONFIG', `Metrics cannot be given at ${HOST}:${port} (${reason}).`, { cause });
	}
	return {
		[Symbol.asyncDispose]: async () => {
			server.closeAllConnections();
			server.close();
		},
	};
};
