// Panic in a live run: the real line, asked by HTTP.
import { expect, it } from 'vitest';
import { slateOf } from '../../sidecar/egress/failure-policy.ts';
import type { Picture } from '../../sidecar/frame/frame.ts';
import { until } from '../support/engines.ts';
import { freePort } from '../support/free-port.ts';
import { openLiveRun, PAINTED } from '../support/live-run.ts';

const slate = Buffer.from(slateOf(PAINTED).data);
const isSlate = ({ data }: Picture) => slate.equals(data);

it('takes the place of the painting that is shown, and does not wait for the next', async () => {
	const http = await freePort();
	const { shown, painted, paintings, finish } = openLiveRun({ http });
	const panic = async (on: boolean) => {
		const answer = await fetch(`http://127.0.0.1:${http}/api/commands`, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json', connection: 'close' },
			body: JSON.stringify({ type: 'panic', on }),
		});
		expect(answer.status).toBe(200);
	};
	await painted(5);
	for (let time = 0; time < 3; time++) {
		const from = shown.length - 1;
		await panic(true);
		await until(() => isSlate(shown.at(-1)!.picture));
		const first = shown.findIndex(({ picture }, index) => index > from && isSlate(picture));
		const [before, card] = [shown[first - 1]!, shown[first]!];
		expect(isSlate(before.picture)).toBe(false);
		// The next frame would have another number, and one that is shown again in its turn another time.
		expect(card).toMatchObject({ sequence: before.sequence, timestampUs: before.timestampUs });
		await panic(true); // again changes nothing
		await panic(false);
		await painted(paintings() + 3);
	}
	await finish();
});
