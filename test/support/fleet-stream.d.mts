import type { Size, StyledFrame } from '../../sidecar/frame/frame.ts';
import type { LeaseStore } from '../../sidecar/fleet/leases.ts';
import type { NatsBus as Bus } from '../../sidecar/fleet/nats.ts';
import type { ModelFolder } from '../../sidecar/inference/manifest.ts';
import type { SupervisedEngine } from '../../sidecar/engine/supervised-engine.ts';
import type { Engines, RemoteNumbers } from '../../sidecar/engine/engine-process.ts';
import type { Parameters } from '../../sidecar/parameters.ts';

export { NatsBus } from '../../sidecar/fleet/nats.ts';
export const nowUs: () => number;

export const PAINTED: Size;

export interface OpenFleet extends AsyncDisposable {
	bus: Bus;
	leases: LeaseStore;
	engines: Engines;
}

export const openFleet: (url: string, settings?: { deadlineMs?: number; access?: object }) => Promise<OpenFleet>;

/** The grey level of a frame; a painting has 255 less that. */
export const levelOf: (sequence: number) => number;

/** What left a stream. */
export interface Shown {
	sequence: number;
	kind: StyledFrame['kind'];
	epoch: number;
	/** Of the first pixel of the frame and of its painting. */
	source: number;
	level: number;
	/** Which worker painted it. */
	mark: number;
	atUs: number;
	ageUs: number;
}

export interface StreamSettings {
	fps?: number;
	painted?: Size;
	keepsAll?: boolean;
	frames?: number;
	folder?: ModelFolder;
	stuckAfterUs?: number;
	/** Has noise in its middle, so that a JPEG of it is as large as one of a camera's picture. */
	isGrainy?: boolean;
}

export interface OpenStream extends AsyncDisposable {
	engine: SupervisedEngine;
	/** Ends with it. */
	painting: Promise<void>;
	remote: () => RemoteNumbers | undefined;
	change: (to: Parameters) => void;
}

export const openStreamWith: (
	fleet: Pick<OpenFleet, 'engines'>,
	parameters: Parameters,
	show: (shown: Shown) => void,
	settings?: StreamSettings,
) => OpenStream;
