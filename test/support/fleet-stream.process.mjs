// A stream of the fleet in a process of its own, for a host of its own: what it shows is told to who started it.
import { openFleet, openStreamWith } from './fleet-stream.mjs';

const { url, parameters, fleet: access, stream: settings } = JSON.parse(process.argv[2]);
process.on('disconnect', () => process.kill(process.pid, 'SIGKILL'));
const fleet = await openFleet(url, access);
const stream = openStreamWith(fleet, parameters, (shown) => process.send({ type: 'shown', shown }), settings);
process.on('message', ({ subject, data = '' }) => {
	if (subject === undefined)
		process.send({ type: 'state', state: { restarts: stream.engine.restarts, ...stream.remote() } });
	else
		void fleet.bus
			.request(subject, Buffer.from(data), 5000)
			.then((answer) => process.send({ type: 'answer', answer: answer && Buffer.from(answer).toString() }));
});
process.send({ type: 'open' });
await stream.painting.catch(({ code, message }) => process.send({ type: 'error', error: { code, message } }));
