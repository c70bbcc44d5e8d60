import { notifySystemd } from '../ndi.ts';
import { log } from '../telemetry/logger.ts';

const STATUS_EVERY_MS = 5000;

/**
 * Tells systemd that the service is ready and, for as long as nothing is failing, that it lives (sd_notify(3),
 * `WatchdogSec`). An event loop that hangs tells nothing, which is the point. Does nothing outside of systemd.
 */
export const serveWatchdog = (failing: () => readonly string[], status: () => string): Disposable => {
	const intervalUs = Number(process.env['WATCHDOG_USEC']);
	const everyMs = intervalUs > 0 ? Math.min(intervalUs / 1000 / 3, STATUS_EVERY_MS) : STATUS_EVERY_MS;
	const tell = () => {
		const wrong = failing();
		notifySystemd(wrong.length === 0 ? `WATCHDOG=1\nSTATUS=${status()}` : `STATUS=${wrong.join('; ')}`);
	};
	if (notifySystemd('READY=1')) log.debug({ everyMs }, 'systemd told');
	tell();
	const timer = setInterval(tell, everyMs);
	return {
		[Symbol.dispose]: () => {
			clearInterval(timer);
			notifySystemd('STOPPING=1');
		},
	};
};
