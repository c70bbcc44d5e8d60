import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { OBSWebSocket } from 'obs-websocket-js';
import { ffmpeg } from './clips.ts';
import { until } from './engines.ts';
import { freePort } from './free-port.ts';
import { decodePng, type RgbaPicture } from './png.ts';

/**
 * A real OBS, headless, in a folder of its own: configuration, sockets, log. Debian's 29 with the obs-websocket that
 * comes with it.
 */

const root = fileURLToPath(new URL('../..', import.meta.url));
export const OBS_PASSWORD = 'only-for-tests';
export const CANVAS = { width: 640, height: 360, fps: 30 };

/** What a test needs of the plugin's get_state. */
export interface StreamState {
	id: string;
	stream: string;
	key: string;
	style: string;
	mode: string;
	failure: string;
	/** Absent where it is for ever. */
	holdS?: number;
	afterHold: string;
	engine: string;
	fps: number;
	latencyMs: number;
	shown: 'source' | 'painting' | 'held' | 'slate';
	active: boolean;
	width: number;
	height: number;
	framesTapped: number;
	framesShown: number;
	glassToGlassMs?: number;
	glassToGlassMsP95?: number;
}

export interface PluginState {
	sidecar: 'absent' | 'connected' | 'other protocol';
	panic: boolean;
	streams: StreamState[];
}

export interface VendorEvent {
	eventType: string;
	eventData: Record<string, unknown>;
}

const LEAVING_MS = 200;

/** First-run keys, obs-websocket and a small canvas: with neither FirstRun nor LastVersion the window stays empty. */
const writeConfiguration = (folder: string, port: number, canvas: typeof CANVAS, isLossless: boolean): void => {
	const profile = join(folder, 'config/obs-studio/basic/profiles/Test');
	mkdirSync(profile, { recursive: true });
	mkdirSync(join(folder, 'config/obs-studio/basic/scenes'), { recursive: true });
	mkdirSync(join(folder, 'run'), { recursive: true, mode: 0o700 });
	mkdirSync(join(folder, 'recordings'), { recursive: true });
	const ini = (sections: Record<string, Record<string, string | number | boolean>>) =>
		Object.entries(sections)
			.map(
				([name, keys]) =>
					`[${name}]\n${Object.entries(keys)
						.map(([key, value]) => `${key}=${value}\n`)
						.join('')}`,
			)
			.join('\n');
	writeFileSync(
		join(folder, 'config/obs-studio/global.ini'),
		ini({
			General: { FirstRun: true, LastVersion: (29 << 24) | 2, EnableAutoUpdates: false, ConfirmOnExit: false },
			Basic: { Profile: 'Test', ProfileDir: 'Test', SceneCollection: 'Test', SceneCollectionFile: 'Test' },
			BasicWindow: { SysTrayEnabled: false, PreviewEnabled: false },
			OBSWebSocket: {
				FirstLoad: false,
				ServerEnabled: true,
				ServerPort: port,
				AlertsEnabled: false,
				AuthRequired: true,
				ServerPassword: OBS_PASSWORD,
			},
		}),
	);
	const basic = join(profile, 'basic.ini');
	if (existsSync(basic)) return; // of an earlier run, with what it kept
	const lossless = { rate_control: 'CRF', crf: 0, preset: 'ultrafast', tune: 'zerolatency', keyint_sec: 1 };
	writeFileSync(join(profile, 'recordEncoder.json'), JSON.stringify(lossless));
	writeFileSync(
		basic,
		ini({
			General: { Name: 'Test' },
			Video: {
				BaseCX: canvas.width,
				BaseCY: canvas.height,
				OutputCX: canvas.width,
				OutputCY: canvas.height,
				FPSType: 1,
				FPSInt: canvas.fps,
			},
			// Without spaces, for `ffmpeg` of clips.ts.
			Output: { Mode: isLossless ? 'Advanced' : 'Simple', FilenameFormatting: '%CCYY-%MM-%DD-%hh-%mm-%ss' },
			AdvOut: { RecFilePath: join(folder, 'recordings'), RecFormat: 'mkv', RecEncoder: 'obs_x264' },
			SimpleOutput: {
				FilePath: join(folder, 'recordings'),
				RecFormat: 'mkv',
				RecQuality: 'Small',
				RecEncoder: 'x264',
			},
		}),
	);
};

/**
 * With OBS_SANITIZED=1 the plugin is one with the address and the undefined-behaviour sanitizer, built here where it is not:
 * what they find ends OBS, and is in its log.
 */
const isSanitized = () => process.env['OBS_SANITIZED'] === '1';

const buildSanitized = (): string => {
	const [source, build] = [join(root, 'obs-bridge/plugin'), join(root, 'obs-bridge/plugin/build/sanitized')];
	execFileSync('cmake', ['-S', source, '-B', build, '-DSANITIZERS=address,undefined'], { stdio: 'ignore' });
	execFileSync('cmake', ['--build', build, '--parallel', '2'], { stdio: 'ignore' });
	return join(build, 'allaprima.so');
};

/** What OBS is started with so that it can load that plugin; its leaks are OBS's own to count. */
const sanitizerEnvironment = (): Record<string, string> => ({
	OBS_PRELOAD: execFileSync('cc', ['-print-file-name=libasan.so'], { encoding: 'utf8' }).trim(),
	ASAN_OPTIONS: 'detect_leaks=0:handle_segv=1:halt_on_error=1',
	UBSAN_OPTIONS: 'print_stacktrace=1',
});

const installPlugin = (folder: string): void => {
	const built = isSanitized() ? buildSanitized() : join(root, 'obs-bridge/plugin/build/allaprima.so');
	if (!existsSync(built)) throw new Error(`${built} is missing: run scripts/setup --tests`);
	const target = join(folder, 'config/obs-studio/plugins/allaprima');
	mkdirSync(join(target, 'bin/64bit'), { recursive: true });
	cpSync(built, join(target, 'bin/64bit/allaprima.so'));
	cpSync(join(root, 'obs-bridge/plugin/data'), join(target, 'data'), { recursive: true });
};

export interface ObsOptions {
	canvas?: typeof CANVAS;
	/** False for an OBS without the plugin. */
	plugin?: boolean;
	/** The folder of an earlier run, whose scenes and profile are to be there again. */
	folder?: string;
	/** Recordings are what the program was, bit for bit; of a new folder alone. */
	lossless?: boolean;
	/** Records from its start on. */
	records?: boolean;
}

export class Obs {
	/** Kept after `stop`, so that the next run may have it; disposal removes it. */
	readonly folder: string;
	readonly display: string;
	readonly pid: number;
	readonly socket = new OBSWebSocket();
	readonly vendorEvents: VendorEvent[] = [];
	readonly #sandbox: ChildProcess;
	readonly #exit: Promise<{ exit: number | null; signal: string | null }>;
	#hasExited = false;

	private constructor(
		folder: string,
		{ obs, display }: { obs: number; display: string },
		sandbox: ChildProcess,
		exit: Promise<{ exit: number | null; signal: string | null }>,
	) {
		this.folder = folder;
		this.pid = obs;
		this.display = display;
		this.#sandbox = sandbox;
		sandbox.stdin?.on('error', () => {}); // it has gone, as `exit` says
		this.#exit = exit;
		void exit.then(() => (this.#hasExited = true));
		this.socket.on('VendorEvent', ({ vendorName, eventType, eventData }) => {
			if (vendorName === 'allaprima') this.vendorEvents.push({ eventType, eventData });
		});
	}

	/** obs-websocket, through a socket of the file system where this OBS has a network of its own. */
	get websocketUrl(): string {
		return `ws+unix:${join(this.folder, 'websocket.sock')}:/`;
	}

	/** The folder that sidecar and plugin meet in: XDG_RUNTIME_DIR of this OBS. */
	get runtimeFolder(): string {
		return join(this.folder, 'run');
	}

	static async start({
		canvas = CANVAS,
		plugin = true,
		folder,
		lossless = false,
		records = false,
	}: ObsOptions = {}): Promise<Obs> {
		const home = folder ?? mkdtempSync(join(tmpdir(), 'obs-'));
		const port = await freePort();
		writeConfiguration(home, port, canvas, lossless);
		if (plugin) installPlugin(home);
		rmSync(join(home, 'websocket.sock'), { force: true });
		const script = [process.execPath, fileURLToPath(new URL('./obs-sandbox.mjs', import.meta.url)), home, `${port}`];
		const flags = ['--profile', 'Test', '--collection', 'Test', ...(records ? ['--startrecording'] : [])];
		// As root it cannot be reached over the network; other users may not make a namespace.
		const ownNetwork = process.getuid?.() === 0;
		const command = [...(ownNetwork ? ['unshare', '-n', '--'] : []), ...script, ...flags];
		const sandbox = spawn(command[0]!, command.slice(1), {
			cwd: home,
			stdio: ['pipe', 'pipe', 'inherit'],
			env: {
				...process.env,
				...(ownNetwork ? { OBS_SANDBOX_OWN_NETWORK: '1' } : {}),
				...(isSanitized() ? sanitizerEnvironment() : {}),
				HOME: home,
				XDG_CONFIG_HOME: join(home, 'config'),
				XDG_RUNTIME_DIR: join(home, 'run'),
				LANG: 'C.UTF-8',
				QT_QPA_PLATFORM: 'xcb',
				LIBGL_ALWAYS_SOFTWARE: '1',
				GALLIUM_DRIVER: 'llvmpipe',
				// OBS would look for news of its streaming services.
				https_proxy: 'http://127.0.0.1:9',
				http_proxy: 'http://127.0.0.1:9',
			},
		});
		const lines = createInterface({ input: sandbox.stdout! });
		const next = async () => JSON.parse(String((await once(lines, 'line'))[0])) as never;
		const started = (await next()) as { obs: number; display: string };
		const obs = new Obs(home, started, sandbox, next());
		await obs.#connect(port);
		if (isSanitized() && !readFileSync(`/proc/${obs.pid}/maps`, 'utf8').includes('libasan'))
			throw new Error('OBS runs without libasan');
		return obs;
	}

	async #connect(port: number): Promise<void> {
		let isConnected = false;
		for (let attempts = 0; !isConnected; attempts++) {
			if (this.#hasExited) throw new Error(`OBS ended at once:\n${this.log().slice(-2000)}`);
			if (attempts > 300) throw new Error(`obs-websocket does not listen on ${port}:\n${this.log().slice(-2000)}`);
			isConnected = await this.socket.connect(this.websocketUrl, OBS_PASSWORD).then(
				() => true,
				() => new Promise<false>((resolve) => setTimeout(() => resolve(false), 100)),
			);
		}
		// It listens before the scenes are loaded.
		await this.until(async () => (await this.socket.call('GetSceneList')).scenes.length > 0);
	}

	/** Everything that OBS has logged so far. */
	log(): string {
		return readFileSync(join(this.folder, 'obs.log'), 'utf8');
	}

	/** Lines of the log that the plugin wrote. */
	pluginLog(): string[] {
		return this.log()
			.split('\n')
			.filter((line) => line.includes('[allaprima]'));
	}

	/** Asks again until the answer holds, and not more often than there are new frames. */
	async until(holds: () => Promise<boolean>, what = 'what was waited for', timeoutMs = 20_000): Promise<void> {
		const end = Date.now() + timeoutMs;
		while (!(await holds().catch(() => false))) {
			if (this.#hasExited) throw new Error(`OBS ended while waiting for ${what}`);
			if (Date.now() > end)
				throw new Error(`${what} did not happen; the plugin logged:\n${this.pluginLog().slice(-15).join('\n')}`);
			await new Promise((resolve) => setTimeout(resolve, 20));
		}
	}

	async vendor<Response>(requestType: string, requestData: Record<string, unknown> = {}): Promise<Response> {
		const { responseData } = await this.socket.call('CallVendorRequest', {
			vendorName: 'allaprima',
			requestType,
			// obs-websocket 5.1 refuses a request without any.
			requestData: { _: 0, ...requestData } as never,
		});
		return responseData as Response;
	}

	state(): Promise<PluginState> {
		return this.vendor<PluginState>('get_state');
	}

	async stream(name?: string): Promise<StreamState> {
		const { streams } = await this.state();
		const found = name === undefined ? streams[0] : streams.find(({ stream }) => stream === name);
		if (!found) throw new Error(`there is no stream ${name}: ${streams.map(({ stream }) => stream).join(', ')}`);
		return found;
	}

	/** Resolves with the first vendor event of a type, of those that were and those that come, that `matches`. */
	async vendorEvent(type: string, matches: (data: Record<string, unknown>) => boolean = () => true) {
		const find = () => this.vendorEvents.find(({ eventType, eventData }) => eventType === type && matches(eventData));
		await until(() => find() !== undefined, 20_000);
		return find()!.eventData;
	}

	/** The picture of a source or scene as it is now, at its own size. */
	async screenshot(sourceName: string): Promise<RgbaPicture> {
		const { imageData } = await this.socket.call('GetSourceScreenshot', { sourceName, imageFormat: 'png' });
		return decodePng(Buffer.from(imageData.slice(imageData.indexOf(',') + 1), 'base64'));
	}

	/** A colour source of OBS in a scene; `colour` is 0xAABBGGRR. */
	async addColour(
		sceneName: string,
		inputName: string,
		colour: number,
		size: { width: number; height: number } = CANVAS,
	): Promise<void> {
		await this.socket.call('CreateInput', {
			sceneName,
			inputName,
			inputKind: 'color_source_v3',
			inputSettings: { color: colour, ...size },
		});
	}

	/** A moving test picture of 640x360, played again and again, in a new scene. */
	async addClip(sceneName: string, inputName: string): Promise<void> {
		const clip = join(this.folder, `${inputName}.mkv`);
		await ffmpeg(`-f lavfi -i testsrc2=size=640x360:rate=30:duration=4 -c:v mjpeg -q:v 3 ${clip}`);
		await this.socket.call('CreateScene', { sceneName });
		await this.socket.call('CreateInput', {
			sceneName,
			inputName,
			inputKind: 'ffmpeg_source',
			inputSettings: { local_file: clip, looping: true },
		});
	}

	/** The filter on a source or scene. */
	async addFilter(sourceName: string, settings: Record<string, unknown> = {}, filterName = 'Alla Prima') {
		await this.socket.call('CreateSourceFilter', {
			sourceName,
			filterName,
			filterKind: 'allaprima_filter',
			filterSettings: settings as never,
		});
	}

	/** Changes some settings of a filter. */
	async setFilter(sourceName: string, settings: Record<string, unknown>, filterName = 'Alla Prima') {
		await this.socket.call('SetSourceFilterSettings', {
			sourceName,
			filterName,
			filterSettings: settings as never,
			overlay: true,
		});
	}

	/**
	 * A new scene in the program with one colour in it and the filter on that: the input is `SCENE colour`, the stream
	 * `SCENE colour / Alla Prima`.
	 */
	async showColour(
		scene: string,
		colour: number,
		settings: Record<string, unknown> = {},
		size: { width: number; height: number } = CANVAS,
	): Promise<{ id: string; source: string; stream: string }> {
		const source = `${scene} colour`;
		const stream = `${source} / Alla Prima`;
		await this.socket.call('CreateScene', { sceneName: scene });
		await this.addColour(scene, source, colour, size);
		await this.addFilter(source, settings);
		await this.socket.call('SetCurrentProgramScene', { sceneName: scene });
		await this.until(async () => (await this.stream(stream)).width === size.width, 'a stream');
		return { id: (await this.stream(stream)).id, source, stream };
	}

	/** Resolves when a stream shows this. */
	async shows(stream: string, what: StreamState['shown']): Promise<void> {
		await this.until(async () => (await this.stream(stream)).shown === what, `${stream} showing the ${what}`);
	}

	/** Ends OBS as a user does, and says what it found to be left over. */
	async stop(): Promise<{ code: number | null; signal: string | null; leaks: number | undefined }> {
		await this.socket.disconnect().catch(() => {});
		// obs-websocket 5.1.0 still has to do with a client that left: unloaded at that moment it has crashed once.
		await sleep(LEAVING_MS);
		if (!this.#hasExited) this.#sandbox.stdin?.write('close\n');
		const gaveUp = setTimeout(() => process.kill(this.pid, 'SIGKILL'), 20_000);
		const { exit, signal } = await this.#exit;
		clearTimeout(gaveUp);
		this.#sandbox.stdin?.end();
		const leaks = [...this.log().matchAll(/Number of memory leaks: (\d+)/g)].at(-1)?.[1];
		return { code: exit, signal, leaks: leaks === undefined ? undefined : Number(leaks) };
	}

	/** Whether OBS still runs. */
	get isRunning(): boolean {
		return !this.#hasExited;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		const { signal } = await this.stop();
		if (signal) console.error(`OBS was ended by ${signal}; its folder is kept: ${this.folder}`);
		else rmSync(this.folder, { recursive: true, force: true });
	}
}
