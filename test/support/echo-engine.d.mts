import type { Engines } from '../../sidecar/engine/engine-process.ts';

export class EchoEngines {
	constructor(settings: { mark: number; paintMs?: number; tell?: (message: object) => void });
	start: Engines['start'];
}
