// Requests that a browser or fetch would not let one send.
import { once } from 'node:events';
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { WebSocket } from 'ws';

export interface RawAnswer {
	status: number;
	headers: IncomingHttpHeaders;
	body: string;
}

/** With any header, and a path that stays as it is. */
export const ask = async (
	port: number,
	path: string,
	{
		host = '127.0.0.1',
		method = 'GET',
		headers = {},
		body,
	}: { host?: string; method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<RawAnswer> => {
	const request = httpRequest({ host, port, path, method, headers });
	request.end(body);
	const [response] = (await once(request, 'response')) as [IncomingMessage];
	const chunks: Buffer[] = [];
	for await (const chunk of response) chunks.push(chunk as Buffer);
	return { status: response.statusCode!, headers: response.headers, body: Buffer.concat(chunks).toString() };
};

/** Bytes as they are, and everything that comes back until the other side closes. */
export const sendRaw = async (port: number, text: string): Promise<string> => {
	const socket = connect(port, '127.0.0.1');
	socket.on('error', () => {});
	socket.write(text);
	let answer = '';
	socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
	await once(socket, 'close');
	return answer;
};

export const jsonOf = (body: string): { code: string; message: string } =>
	(JSON.parse(body) as { error: { code: string; message: string } }).error;

export const socketOf = (url: string, path: string, headers: Record<string, string> = {}): WebSocket =>
	new WebSocket(new URL(path, url.replace('http', 'ws')), { headers });

/** The status with which a WebSocket is refused, or 101 where it is not. */
export const upgradeStatusOf = async (url: string, path: string, headers?: Record<string, string>): Promise<number> => {
	const socket = socketOf(url, path, headers);
	socket.on('error', () => {});
	const status = await Promise.race([
		once(socket, 'open').then(() => 101),
		once(socket, 'unexpected-response').then(([, response]) => (response as IncomingMessage).statusCode!),
	]);
	socket.terminate();
	return status;
};
