import { loadConfiguration } from '../config/load-config.ts';
import { HTTP_PORT } from '../config/schema.ts';
import { readSetting, SETTINGS } from '../config/settings.ts';
import { styleCommand, type Command } from '../control/commands.ts';
import { SidecarError, type ErrorCode } from '../errors.ts';
import { printValue } from './print.ts';

const ANSWER_MS = 5000;

interface ControlOptions {
	/** As the flag has it; else what the configuration says. */
	port?: string;
	/** Of several; else the first. */
	channel?: string;
	json: boolean;
	environment: Record<string, string | undefined>;
}

/** `allaprima style NAME|next|previous`: tells the running sidecar. Errors: ERR_CONTROL where none runs, ERR_STYLE. */
export const changeStyle = async (word: string, options: ControlOptions): Promise<void> => {
	const { control } = await tell(styleCommand(word), options);
	if (options.json) printValue(control);
	else process.stdout.write(`${control.style}\n`);
};

/** `allaprima panic on|off`: nothing but the slate leaves, until it is over. Errors: ERR_CONTROL where no sidecar runs. */
export const setPanic = async (on: boolean, options: ControlOptions): Promise<void> => {
	const { control } = await tell({ type: 'panic', on }, options);
	if (options.json) printValue(control);
	else process.stdout.write(`panic ${control.panic ? 'on' : 'off'}\n`);
};

const portOf = async (port: string | undefined, environment: ControlOptions['environment']): Promise<number> => {
	const setting = SETTINGS.find(({ key }) => key === 'http')!;
	const asked =
		port === undefined
			? (await loadConfiguration({ flags: {}, environment })).http
			: readSetting(setting, port, 'flag --port');
	return typeof asked === 'number' && asked > 0 ? asked : HTTP_PORT;
};

interface Answer {
	control: { style: string; panic: boolean };
}

const tell = async (command: Command, { port, channel, environment }: ControlOptions): Promise<Answer> => {
	const address = `127.0.0.1:${await portOf(port, environment)}`;
	const query = channel === undefined ? '' : `?channel=${encodeURIComponent(channel)}`;
	let response: Response;
	try {
		response = await fetch(`http://${address}/api/commands${query}`, {
			method: 'POST',
			headers: { 'Content-Type': 'application/json' },
			body: JSON.stringify(command),
			signal: AbortSignal.timeout(ANSWER_MS),
		});
	} catch (cause) {
		throw new SidecarError(
			'ERR_CONTROL',
			`No allaprima answers at ${address}. Start one with allaprima run, or name its port with --port.`,
			{ cause },
		);
	}
	const answer = (await response.json().catch(() => undefined)) as
		| (Answer & { error?: { code: ErrorCode; message: string } })
		| undefined;
	if (answer?.error) throw new SidecarError(answer.error.code, answer.error.message);
	if (!response.ok || answer?.control === undefined)
		throw new SidecarError('ERR_CONTROL', `What answers at ${address} is no allaprima. Name its port with --port.`);
	return answer;
};
