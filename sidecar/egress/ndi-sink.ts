import { pictureByteLength, type Picture, type PictureLayout, type StyledFrame } from '../frame/frame.ts';
import { loadNative } from '../native.ts';
import { NdiSender, openNdi, type NdiRelay } from '../ndi.ts';
import type { FailurePolicy } from './failure-policy.ts';
import type { FrameSink, SinkSetup } from './frame-sink.ts';

/** NDI has no field for it: this is what receivers take pictures of that height for. */
const matrixOf = (height: number): PictureLayout['matrix'] => (height >= 720 ? 'bt709' : 'bt601');

/** A source of NDI called `name`. Errors: ERR_NDI, also where this machine has a source of that name. */
export const openNdiSink = (
	name: string,
	{ size: { width, height }, fit, frameRate }: SinkSetup,
	network: { runtimePath?: string; groups?: string },
): FrameSink => {
	const layout: PictureLayout = {
		format: 'UYVY',
		width: width + (width % 2),
		height,
		matrix: matrixOf(height),
		range: 'limited',
	};
	openNdi(network);
	const native = loadNative();
	const { groups } = network;
	const sender = new NdiSender({ name, ...(groups !== undefined && { groups }), layout, frameRate });
	const target: Picture = { ...layout, data: new Uint8Array(pictureByteLength(layout)) };
	let last: Picture | undefined;
	return {
		name: `ndi:${name}`,
		present: async ({ picture }: StyledFrame) => {
			if (picture !== last) await native.convert(picture, target, fit);
			last = picture;
			sender.send(target);
		},
		finish: () => Promise.resolve(),
		[Symbol.asyncDispose]: async () => sender.close(),
	};
};

/**
 * Hands paintings to the relay, which sends them in time. Frames without a painting are none of its business here: it
 * has the source's own, and its own failure policy.
 */
export const relaySinkOf = (relay: NdiRelay, failure: FailurePolicy): FrameSink => ({
	name: 'ndi',
	showsWhole: () => failure === 'slate',
	present: async ({ kind, sequence, picture, part }) => {
		if (kind === 'painting') relay.painted(sequence, part?.painting ?? picture, part?.mask);
	},
	finish: () => Promise.resolve(),
	[Symbol.asyncDispose]: () => Promise.resolve(),
});
