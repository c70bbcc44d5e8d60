import { afterEach, describe, expect, test } from 'vitest';
import type { PreparedChannel } from '../../sidecar/app/relay-channel.ts';
import { RelayChannels } from '../../sidecar/app/relay-channels.ts';
import { setLog } from '../../sidecar/telemetry/logger.ts';
import type { Report } from '../../sidecar/telemetry/report.ts';
import { until } from '../support/engines.ts';

setLog({ level: 'silent' });

const channel = (name: string, style = 'anime'): PreparedChannel =>
	({ name, input: { name: 'CAM' }, configuration: { style, ndi: {} } }) as unknown as PreparedChannel;

/** Channels that run until they are stopped, or told to end. */
class Rig {
	readonly log: string[] = [];
	readonly #ends = new Map<string, { resolve: (report?: Report) => void; reject: (error: unknown) => void }>();
	readonly channels = new RelayChannels(
		({ name, configuration }, signal) => {
			this.log.push(`+${name} ${configuration.style}`);
			return new Promise<Report | undefined>((resolve, reject) => {
				this.#ends.set(name, { resolve, reject });
				signal.addEventListener('abort', () => {
					this.log.push(`-${name}`);
					resolve(undefined);
				});
			});
		},
		{ retryMs: 10 },
	);

	end(name: string, report?: Report): void {
		this.#ends.get(name)!.resolve(report);
	}

	lose(name: string, message: string): void {
		this.#ends.get(name)!.reject(new Error(message));
	}
}

const rigs: Rig[] = [];
const newRig = (): Rig => {
	const rig = new Rig();
	rigs.push(rig);
	return rig;
};
afterEach(async () => {
	for (const { channels } of rigs.splice(0)) await channels[Symbol.asyncDispose]();
});

describe('the channels of a relay', () => {
	test('are started, and a reload touches only what is new, gone or other', async () => {
		const rig = newRig();
		await rig.channels.apply([channel('A'), channel('B'), channel('C')]);
		await rig.channels.apply([channel('A'), channel('B', 'watercolor'), channel('D')]);
		expect(rig.log).toEqual(['+A anime', '+B anime', '+C anime', '-B', '-C', '+B watercolor', '+D anime']);
		expect(rig.channels.names).toEqual(['A', 'B', 'D']);
	});

	test('a reload that changes the only one does not end the relay', async () => {
		const rig = newRig();
		await rig.channels.apply([channel('A')]);
		let isOver = false;
		void rig.channels.over.then(() => (isOver = true));
		await rig.channels.apply([channel('A', 'watercolor')]);
		expect(rig.log).toEqual(['+A anime', '-A', '+A watercolor']);
		expect(isOver).toBe(false);
	});

	test('one that is lost is tried again while others go on', async () => {
		const rig = newRig();
		await rig.channels.apply([channel('A'), channel('B')]);
		rig.lose('B', 'the name is taken');
		await until(() => rig.log.length === 3);
		expect(rig.log).toEqual(['+A anime', '+B anime', '+B anime']);
	});

	test('one that is lost and no longer wanted is left alone', async () => {
		const rig = newRig();
		await rig.channels.apply([channel('A'), channel('B')]);
		rig.lose('B', 'the name is taken');
		await until(() => rig.channels.names.length === 1);
		await rig.channels.apply([channel('A')]);
		await new Promise((resolve) => setTimeout(resolve, 50));
		expect(rig.log).toEqual(['+A anime', '+B anime']);
	});

	test('the last one lost is the end, with its reason', async () => {
		const rig = newRig();
		await rig.channels.apply([channel('A')]);
		rig.lose('A', 'no runtime');
		await expect(rig.channels.over).rejects.toThrow('no runtime');
	});

	test('when all have ended it is over, and their reports are there', async () => {
		const rig = newRig();
		await rig.channels.apply([channel('A'), channel('B')]);
		rig.end('A', { framesOut: 1 } as Report);
		rig.end('B', { framesOut: 2 } as Report);
		await rig.channels.over;
		expect(rig.channels.reports).toEqual({ A: { framesOut: 1 }, B: { framesOut: 2 } });
	});
});
