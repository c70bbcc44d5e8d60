import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeMarkedClip } from './marked-clip.ts';
import { enginePids } from './engines.ts';
import type { Victim } from './faults.ts';
import { freePort } from './free-port.ts';
import { Obs } from './obs.ts';
import { ObsSidecar } from './obs-sidecar.ts';
import { pixelAt } from './png.ts';
import { SocketRelay } from './socket-relay.ts';
import { markOf } from './source-mark.mjs';

/**
 * A real show for faults: OBS that records all of its program without loss, a clip that carries the marker of
 * source-mark.mjs under the filter, the real sidecar, and a relay in each way between the two.
 */

export const CAMERA = 'Camera';
export const FILTER = 'Alla Prima';
export const STREAM = `${CAMERA} / ${FILTER}`;
export const SCENES = { show: 'Show', other: 'Other', empty: 'Break' };
/** The second is what the source changes to. */
export const CLIPS = [
	{ width: 256, height: 160 },
	{ width: 320, height: 192 },
] as const;
/** The second is what the canvas changes to. */
export const CANVASES = [
	{ width: 256, height: 160, fps: 12 },
	{ width: 320, height: 200, fps: 15 },
] as const;

/** How the middle of the slate is (sidecar/egress/failure-policy.ts); a resized one is near to it. */
const SLATE = [222, 176, 80];

/** Where in which recording something was. */
export interface Place {
	recording: number;
	atS: number;
}

/** A frame of the program. */
export interface ProgramFrame extends Place {
	/** How much of the source's marker is in it. */
	mark: number;
	/** Mean level, 0 to 255. */
	light: number;
}

export class ObsMarkedShow implements AsyncDisposable {
	obs: Obs;
	sidecar: ObsSidecar | undefined;
	/** Of every engine that was seen. */
	readonly engines = new Set<number>();
	/** How OBS ended where it was closed. */
	readonly ends: Awaited<ReturnType<Obs['stop']>>[] = [];
	readonly websocketRelay: SocketRelay;
	readonly pluginRelay: SocketRelay;
	readonly #port: number;
	#canvas = 0;

	private constructor(obs: Obs, websocketRelay: SocketRelay, pluginRelay: SocketRelay, port: number) {
		this.obs = obs;
		this.websocketRelay = websocketRelay;
		this.pluginRelay = pluginRelay;
		this.#port = port;
	}

	/** OBS records when this resolves; the sidecar has to be started. */
	static async start(failure: 'slate' | 'passthrough'): Promise<ObsMarkedShow> {
		const first = await Obs.start({ canvas: CANVASES[0], lossless: true });
		for (const clip of [0, 1]) await writeMarkedClip(clipPath(first, clip), CLIPS[clip]!);
		await addScenes(first, failure);
		await first.stop(); // saves it all
		const { folder, runtimeFolder } = first;
		mkdirSync(sidecarRuntime(first), { mode: 0o700 });
		const [websocketRelay, pluginRelay] = await Promise.all([
			SocketRelay.listen(join(folder, 'relay.sock'), join(folder, 'websocket.sock')),
			SocketRelay.listen(
				join(runtimeFolder, 'allaprima/sidecar.sock'),
				join(sidecarRuntime(first), 'allaprima/sidecar.sock'),
			),
		]);
		const obs = await Obs.start({ folder, records: true });
		const show = new ObsMarkedShow(obs, websocketRelay, pluginRelay, await freePort());
		await show.records();
		return show;
	}

	/** What faults.ts wants to know; `pid` is 0 where no sidecar runs. */
	get victim(): Victim {
		return { pid: this.sidecar?.pid ?? 0, port: this.#port, folder: this.obs.folder };
	}

	/** The sidecar has obs-websocket, and the plugin has the sidecar. */
	get isConnected(): boolean {
		return this.websocketRelay.connections > 0 && this.pluginRelay.connections > 0;
	}

	startSidecar(): void {
		this.sidecar = ObsSidecar.start(
			this.obs,
			{
				failure: 'slate',
				size: CLIPS[0],
				http: this.#port,
				obs: { websocket: { url: `ws+unix:${join(this.obs.folder, 'relay.sock')}:/` } },
			},
			{ XDG_RUNTIME_DIR: sidecarRuntime(this.obs) },
		);
	}

	async endSidecar(signal: 'SIGTERM' | 'SIGKILL'): Promise<number | null> {
		this.#seeEngines();
		return (await this.sidecar?.stop(signal)) ?? null;
	}

	/** OBS again, after its end. */
	async startObs(): Promise<void> {
		this.obs = await Obs.start({ folder: this.obs.folder, records: true });
		await this.records();
	}

	/** As a user ends it, who ends the recording first. */
	async closeObs(): Promise<void> {
		await this.stopRecording();
		this.ends.push(await this.obs.stop());
	}

	async killObs(): Promise<void> {
		process.kill(this.obs.pid, 'SIGKILL');
		await this.obs.stop();
	}

	/** With another size and rate; nothing leaves OBS meanwhile, for it changes them only then. */
	async changeCanvas(): Promise<void> {
		this.#canvas = 1 - this.#canvas;
		const { width, height, fps } = CANVASES[this.#canvas]!;
		await this.stopRecording();
		await this.obs.socket.call('SetVideoSettings', {
			baseWidth: width,
			baseHeight: height,
			outputWidth: width,
			outputHeight: height,
			fpsNumerator: fps,
			fpsDenominator: 1,
		});
		await this.obs.socket.call('StartRecord');
		await this.records();
	}

	async changeClip(clip: number): Promise<void> {
		await this.obs.socket.call('SetInputSettings', {
			inputName: CAMERA,
			inputSettings: { local_file: clipPath(this.obs, clip) },
		});
		const isThere = async () => (await this.obs.stream(STREAM)).width === CLIPS[clip]!.width;
		await this.obs.until(isThere, 'a source of another size');
	}

	/** Resolves when it records. */
	async records(): Promise<void> {
		await this.obs.until(async () => (await this.#recordStatus()).outputActive, 'the recording');
	}

	async stopRecording(): Promise<void> {
		await this.obs.socket.call('StopRecord');
		await this.obs.until(async () => !(await this.#recordStatus()).outputActive, 'the end of the recording');
	}

	/** Where the recording is now. */
	async place(): Promise<Place> {
		const { outputDuration } = await this.#recordStatus();
		return { recording: this.#recordings().length - 1, atS: outputDuration / 1000 };
	}

	#recordStatus() {
		return this.obs.socket.call('GetRecordStatus');
	}

	/** Resolves when paintings come, and no slate in their place, which the plugin takes for paintings. */
	async isPainted(timeoutMs: number): Promise<void> {
		let from: number | undefined;
		const isThere = async () => {
			const { engine, shown, framesShown } = await this.obs.stream(STREAM);
			const isPainting = engine === 'painting' && shown === 'painting' && !(await this.isSlate());
			from = isPainting ? (from ?? framesShown) : undefined;
			return from !== undefined && framesShown >= from + 3;
		};
		await this.obs.until(isThere, 'painting', timeoutMs);
		this.#seeEngines();
	}

	#seeEngines(): void {
		if (!this.sidecar?.isRunning) return;
		for (const pid of enginePids(this.sidecar.pid)) this.engines.add(pid);
	}

	async isSlate(): Promise<boolean> {
		const middle = pixelAt(await this.obs.screenshot(CAMERA));
		return SLATE.every((level, channel) => Math.abs(level - middle[channel]!) < 8);
	}

	/** Every frame of every recording, in order. */
	async *program(): AsyncGenerator<ProgramFrame> {
		for (const [recording, path] of this.#recordings().entries())
			for await (const { data, width, height, atS } of grayFrames(path)) {
				let light = 0;
				for (const level of data) light += level;
				yield { recording, atS, mark: markOf({ data, width, height, format: 'GRAY' }), light: light / data.length };
			}
	}

	#recordings(): string[] {
		const folder = join(this.obs.folder, 'recordings');
		return readdirSync(folder)
			.toSorted()
			.map((name) => join(folder, name));
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.endSidecar('SIGKILL');
		await this.websocketRelay[Symbol.asyncDispose]();
		await this.pluginRelay[Symbol.asyncDispose]();
		await this.obs[Symbol.asyncDispose]();
	}
}

/** The sidecar listens here, and the relay where the plugin looks for it. */
const sidecarRuntime = ({ folder }: Obs): string => join(folder, 'run-sidecar');

const clipPath = ({ folder }: Obs, clip: number): string => join(folder, `marked-${clip}.mkv`);

/** The camera in two scenes, and a third without it; a fade between them. */
const addScenes = async (obs: Obs, failure: string): Promise<void> => {
	const inputSettings = { local_file: clipPath(obs, 0), looping: true, restart_on_activate: false };
	for (const sceneName of Object.values(SCENES)) await obs.socket.call('CreateScene', { sceneName });
	await obs.socket.call('CreateInput', {
		sceneName: SCENES.empty,
		inputName: CAMERA,
		inputKind: 'ffmpeg_source',
		inputSettings,
	});
	await obs.addFilter(CAMERA, { failure }, FILTER);
	await obs.addColour(SCENES.other, 'ground', 0xff604020);
	for (const sceneName of [SCENES.show, SCENES.other])
		await obs.socket.call('CreateSceneItem', { sceneName, sourceName: CAMERA });
	const { sceneItemId } = await obs.socket.call('GetSceneItemId', { sceneName: SCENES.empty, sourceName: CAMERA });
	await obs.socket.call('RemoveSceneItem', { sceneName: SCENES.empty, sceneItemId });
	await obs.addColour(SCENES.empty, 'break', 0xff204060);
	await obs.socket.call('SetCurrentSceneTransition', { transitionName: 'Fade' });
	await obs.socket.call('SetCurrentProgramScene', { sceneName: SCENES.show });
	await obs.until(async () => (await obs.stream(STREAM)).active, 'the source in the program');
};

/** The frames of a recording, which a kill may have cut, as levels of grey. */
async function* grayFrames(path: string) {
	const decoder = spawn(
		'ffmpeg',
		['-v', 'error', '-nostdin', '-i', path, '-an', '-fps_mode', 'passthrough', '-pix_fmt', 'gray'].concat([
			'-strict',
			'-1',
			'-f',
			'yuv4mpegpipe',
			'-',
		]),
		{ stdio: ['ignore', 'pipe', 'ignore'] },
	);
	const exited = once(decoder, 'exit');
	let bytes = Buffer.alloc(0);
	let header: { width: number; height: number; rate: number } | undefined;
	let count = 0;
	for await (const chunk of decoder.stdout as AsyncIterable<Buffer>) {
		bytes = Buffer.concat([bytes, chunk]);
		if (!header) {
			const end = bytes.indexOf('\n');
			if (end < 0) continue;
			const [, width, height, num, den] = /W(\d+) H(\d+) F(\d+):(\d+)/.exec(bytes.toString('latin1', 0, end))!;
			header = { width: Number(width), height: Number(height), rate: Number(num) / Number(den) };
			bytes = bytes.subarray(end + 1);
		}
		const { width, height, rate } = header;
		// Each has "FRAME\n" before it.
		for (const size = 6 + width * height; bytes.length >= size; bytes = bytes.subarray(size))
			yield { data: bytes.subarray(6, size), width, height, atS: count++ / rate };
	}
	await exited;
}
