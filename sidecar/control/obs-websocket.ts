import { setTimeout as sleep } from 'node:timers/promises';
import { OBSWebSocket } from 'obs-websocket-js';
import type { Configuration } from '../config/schema/configuration.ts';
import { isSidecarError } from '../errors.ts';
import { log } from '../telemetry/logger.ts';
import { AUDIO_OFFSET_START, measured, type AudioOffset } from './audio-offset.ts';
import type { Controller } from './controller.ts';
import type { SceneTable } from './scene-table.ts';

/** Between attempts: twice as long each time, up to the second. */
const RETRY_MS = { first: 500, longest: 10_000 };
const MEASURE_MS = 1000;
/** Between looks whether OBS is there, for who waits for it. */
const WAIT_MS = 50;
/** Leaving studio mode tells of the preview's scene and then of the program's; the last one within this is meant. */
const SETTLE_MS = 100;
/** obs-websocket closes with these when trying again is of no use. */
const CLOSED_BY_PASSWORD = 4009;

/**
 * Where obs-websocket keeps what the inputs waited before us, by input: for who comes after a sidecar that died, and would
 * take the offset that it left for the streamer's own.
 */
const OFFSETS_KEPT = { realm: 'OBS_WEBSOCKET_DATA_REALM_GLOBAL', slotName: 'allaprima.audioOffsets' };
type KeptOffsets = Record<string, { beforeMs: number; setMs: number }>;

export interface ObsWebsocketOptions {
	obs: Pick<Configuration['obs'], 'websocket' | 'audioInputs'>;
	/** Styles by scene, and what scenes there are. */
	scenes: SceneTable;
	controller: Controller;
	/** From render to program, as the plugin measured it last. */
	delayMs: () => number | undefined;
	/** With the plugin, scenes come through it: it knows of a switch before the transition, not after. */
	hasPlugin: () => boolean;
	nowUs: () => number;
}

/**
 * What OBS tells without our plugin, and what it is told: styles by scene, arming the style of the previewed scene, and
 * audio that waits for the picture. Connects again for as long as it lives; OBS may come and go.
 */
export class ObsWebsocket implements AsyncDisposable {
	readonly #options: ObsWebsocketOptions;
	readonly #ending = new AbortController();
	readonly #running: Promise<void>;
	#socket: OBSWebSocket | undefined;
	#settling: NodeJS.Timeout | undefined;
	#shownScene: string | undefined;
	#offset: AudioOffset = AUDIO_OFFSET_START;
	/** What the inputs waited before us, to be given back. */
	readonly #offsetsBefore = new Map<string, number>();

	constructor(options: ObsWebsocketOptions) {
		this.#options = options;
		this.#running = this.#run();
	}

	/**
	 * A BMP of a source or scene as it is now, once OBS is there. Errors: those of obs-websocket, by message, and one where
	 * the signal aborts first.
	 */
	async shoot(sourceName: string, signal: AbortSignal): Promise<Uint8Array> {
		while (!this.isConnected) await sleep(WAIT_MS, undefined, { signal });
		const { imageData } = await this.#socket!.call('GetSourceScreenshot', { sourceName, imageFormat: 'bmp' });
		return Buffer.from(imageData.slice(imageData.indexOf(',') + 1), 'base64');
	}

	get isConnected(): boolean {
		return this.#socket?.identified === true;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		this.#ending.abort();
		clearTimeout(this.#settling);
		await this.#restoreOffsets();
		await this.#socket?.disconnect();
		await this.#running;
	}

	async #run(): Promise<void> {
		const { signal } = this.#ending;
		let waitMs = RETRY_MS.first;
		while (!signal.aborted) {
			const socket = new OBSWebSocket();
			this.#socket = socket;
			const closed = new Promise<number>((resolve) => socket.on('ConnectionClosed', ({ code }) => resolve(code)));
			try {
				const { url, password } = this.#options.obs.websocket!;
				const { obsWebSocketVersion } = await socket.connect(url, password);
				log.info({ url, obsWebSocketVersion }, 'obs-websocket');
				waitMs = RETRY_MS.first;
				await this.#join(socket);
				const measuring = setInterval(() => void this.#followDelay(socket), MEASURE_MS);
				await closed;
				clearInterval(measuring);
				if (!signal.aborted) log.info('obs-websocket closed');
			} catch (error) {
				const { code, message } = error as { code?: number; message: string };
				if (code === CLOSED_BY_PASSWORD)
					log.warn('obs-websocket refuses the password; set it in ALLAPRIMA_OBS_PASSWORD');
				else log.debug({ reason: message }, 'obs-websocket does not answer');
			}
			await sleep(waitMs, undefined, { signal }).catch(() => {});
			waitMs = Math.min(2 * waitMs, RETRY_MS.longest);
		}
	}

	/** Listens, and reads what was missed. */
	async #join(socket: OBSWebSocket): Promise<void> {
		socket.on('CurrentProgramSceneChanged', ({ sceneName }) => this.#sceneShown(sceneName));
		socket.on('CurrentPreviewSceneChanged', ({ sceneName }) => this.#arm(sceneName));
		socket.on('StudioModeStateChanged', () => this.#options.controller.arm(undefined));
		socket.on('SceneNameChanged', ({ oldSceneName, sceneName }) => {
			this.#options.scenes.rename(oldSceneName, sceneName);
			if (this.#shownScene === oldSceneName) this.#shownScene = sceneName;
		});
		const followTransition = () => void this.#followTransition(socket);
		socket.on('CurrentSceneTransitionChanged', followTransition);
		socket.on('CurrentSceneTransitionDurationChanged', followTransition);
		await this.#followTransition(socket);
		socket.on('SceneListChanged', ({ scenes }) => this.#scenesThere(scenes));
		socket.on('CurrentSceneCollectionChanged', () => void this.#readScenes(socket));
		await this.#readScenes(socket);
		await this.#rememberOffsets(socket);
	}

	async #readScenes(socket: OBSWebSocket): Promise<void> {
		try {
			const { currentProgramSceneName, scenes } = await socket.call('GetSceneList');
			this.#scenesThere(scenes);
			this.#sceneShown(currentProgramSceneName);
		} catch (error) {
			log.debug({ reason: (error as Error).message }, 'scenes not known');
		}
	}

	/** OBS lists them from the last to the first. */
	#scenesThere(scenes: readonly { sceneName?: unknown }[]): void {
		const names = scenes.map(({ sceneName }) => sceneName).filter((name) => typeof name === 'string');
		this.#options.scenes.know(names.toReversed());
	}

	#sceneShown(scene: string): void {
		clearTimeout(this.#settling);
		this.#settling = setTimeout(() => {
			const isNews = scene !== this.#shownScene;
			this.#shownScene = scene;
			this.#options.scenes.show(scene);
			const style = this.#options.scenes.styleOf(scene);
			if (!isNews || style === undefined || this.#options.hasPlugin()) return;
			try {
				this.#options.controller.apply({ type: 'style', name: style });
			} catch (error) {
				if (!isSidecarError(error)) throw error;
				log.warn({ scene, reason: error.message }, 'scene without its style');
			}
		}, SETTLE_MS);
	}

	/** A stinger does not say how long it is. */
	async #followTransition(socket: OBSWebSocket): Promise<void> {
		try {
			const { transitionKind, transitionDuration } = await socket.call('GetCurrentSceneTransition');
			const durationMs = transitionKind === 'cut_transition' ? 0 : (transitionDuration as number | null);
			if (durationMs === null || this.#options.hasPlugin()) return;
			this.#options.controller.followTransition(Math.min(durationMs / 1000, 60));
		} catch (error) {
			log.debug({ reason: (error as Error).message }, 'transition not known');
		}
	}

	#arm(scene: string): void {
		this.#options.controller.arm(this.#options.scenes.styleOf(scene));
	}

	/** After OBS came back, and after a sidecar that died, what was there before us is still what was there before that. */
	async #rememberOffsets(socket: OBSWebSocket): Promise<void> {
		this.#offset = AUDIO_OFFSET_START;
		const { audioInputs } = this.#options.obs;
		if (audioInputs.length === 0) return;
		const { slotValue } = await socket.call('GetPersistentData', OFFSETS_KEPT).catch(() => ({ slotValue: null }));
		const kept = (slotValue ?? {}) as KeptOffsets;
		for (const inputName of audioInputs) {
			try {
				const { inputAudioSyncOffset: nowMs } = await socket.call('GetInputAudioSyncOffset', { inputName });
				const left = kept[inputName]?.setMs === nowMs ? kept[inputName] : undefined;
				if (left) this.#offset = { ...AUDIO_OFFSET_START, appliedMs: left.setMs - left.beforeMs };
				if (!this.#offsetsBefore.has(inputName)) this.#offsetsBefore.set(inputName, left?.beforeMs ?? nowMs);
			} catch (error) {
				log.warn({ input: inputName, reason: (error as Error).message }, 'no such audio input in OBS');
			}
		}
	}

	async #followDelay(socket: OBSWebSocket): Promise<void> {
		const delayMs = this.#options.delayMs();
		if (delayMs === undefined || this.#offsetsBefore.size === 0) return;
		const before = this.#offset.appliedMs;
		this.#offset = measured(this.#offset, delayMs, this.#options.nowUs());
		const { appliedMs } = this.#offset;
		if (appliedMs === before) return;
		const setMs = (beforeMs: number) => Math.min(beforeMs + appliedMs, 20_000);
		const offsets: KeptOffsets = {};
		for (const [inputName, beforeMs] of this.#offsetsBefore) offsets[inputName] = { beforeMs, setMs: setMs(beforeMs) };
		await this.#keepOffsets(socket, offsets);
		for (const [inputName, offset] of Object.entries(offsets)) await this.#setOffset(socket, inputName, offset.setMs);
		log.info({ offsetMs: appliedMs }, 'audio waits for the picture');
	}

	async #keepOffsets(socket: OBSWebSocket, slotValue: KeptOffsets): Promise<void> {
		try {
			await socket.call('SetPersistentData', { ...OFFSETS_KEPT, slotValue });
		} catch (error) {
			log.debug({ reason: (error as Error).message }, 'audio offsets not kept in OBS');
		}
	}

	async #setOffset(socket: OBSWebSocket, inputName: string, inputAudioSyncOffset: number): Promise<void> {
		try {
			await socket.call('SetInputAudioSyncOffset', { inputName, inputAudioSyncOffset });
		} catch (error) {
			log.warn({ input: inputName, reason: (error as Error).message }, 'audio offset not set');
		}
	}

	async #restoreOffsets(): Promise<void> {
		const socket = this.#socket;
		if (!socket?.identified || this.#offset.appliedMs === 0) return;
		for (const [inputName, beforeMs] of this.#offsetsBefore) await this.#setOffset(socket, inputName, beforeMs);
		await this.#keepOffsets(socket, {});
	}
}
