// The fleet: the workers there are, the streams that they paint, and who paints the channels here. Read alone.

const READ_EVERY_MS = 2000;

const milliseconds = (ms) => (ms === undefined ? '–' : `${ms < 9.95 ? ms.toFixed(1) : Math.round(ms)} ms`);
const perSecond = (fps) => fps.toFixed(1);

const rowOf = (head, ...cells) => {
	const row = document.createElement('tr');
	const title = row.appendChild(document.createElement('th'));
	title.scope = 'row';
	title.textContent = head;
	for (const text of cells) row.appendChild(document.createElement('td')).textContent = text;
	return row;
};

const workerRow = ({ worker, host, isDraining, streams, streamsMax, load, capacity, answerMs, ...rest }) => {
	const row = rowOf(
		isDraining ? `${worker} (draining)` : worker,
		`${streams.length} of ${streamsMax}`,
		capacity > 0 ? `${Math.round((100 * load) / capacity)} %` : '–',
		perSecond(streams.reduce((sum, { fps }) => sum + fps, 0)),
		milliseconds(rest.queueMs?.p50),
		milliseconds(rest.frameMs?.p50),
		milliseconds(answerMs),
	);
	row.dataset.worker = worker;
	row.title = `on ${host}, version ${rest.version}; ${rest.framesPainted} frames painted, ${rest.framesDropped} came too late, ${rest.leasesLost} leases lost`;
	return row;
};

/** Below its worker: a stream has no name that would mean anything to people. */
const streamRow = ({ size: { width, height }, isLeased, fps }) => {
	const row = rowOf(`${width}×${height}`, isLeased ? 'leased' : 'no lease', '', perSecond(fps), '', '', '');
	row.className = 'stream-row';
	return row;
};

const channelRow = ({
	channel,
	worker,
	roundTripMs,
	framesLate,
	placements,
	failovers,
	encoding,
	linkBitsPerSecond,
}) => {
	const row = rowOf(
		channel,
		worker ?? 'nobody',
		milliseconds(roundTripMs),
		String(framesLate),
		String(placements),
		String(failovers),
	);
	row.dataset.channel = channel;
	const carries =
		linkBitsPerSecond === undefined ? '' : `; the last ones at ${Math.round(linkBitsPerSecond / 1e6)} Mbit/s`;
	row.title =
		encoding === 'jpeg' ? `frames go as JPEG, for the link is narrow${carries}` : `frames go as NV12${carries}`;
	return row;
};

/** Joins the section's elements. `read` gives the fleet; it is link.js's. */
export const openFleet = ({ section, read }) => {
	const [workers, channels] = ['.workers tbody', '.channels tbody'].map((selector) => section.querySelector(selector));
	const [engine, none] = ['.engine', '.none'].map((selector) => section.querySelector(selector));
	let isReading = false;

	const show = (fleet) => {
		engine.textContent = fleet.engine;
		workers.replaceChildren(
			...fleet.workers
				.sort((a, b) => (a.worker < b.worker ? -1 : 1))
				.flatMap((worker) => [workerRow(worker), ...worker.streams.map(streamRow)]),
		);
		channels.replaceChildren(...fleet.channels.map(channelRow));
		none.hidden = fleet.workers.length > 0;
	};

	const refresh = async () => {
		if (isReading || section.hidden || !section.open || document.hidden) return;
		isReading = true;
		try {
			show(await read());
		} catch {
			// The sidecar is away, as the status says.
		} finally {
			isReading = false;
		}
	};
	section.addEventListener('toggle', () => void refresh());
	setInterval(() => void refresh(), READ_EVERY_MS);

	return {
		/** How the channel of this page fares elsewhere; undefined where its engine runs there where the sidecar does. */
		follow: (remote) => {
			section.hidden = remote === undefined;
		},
	};
};
