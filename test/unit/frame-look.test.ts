import { expect, test } from 'vitest';
import { FrameLook } from '../../sidecar/app/frame-look.ts';
import { rgbLayout, type Picture, type StyledFrame } from '../../sidecar/frame/frame.ts';
import { loadNative } from '../../sidecar/native.ts';
import { frameOf } from '../support/frames.ts';

const SIZE = { width: 64, height: 32 };
const grey = (level: number, { width, height } = SIZE): Picture => ({
	...rgbLayout({ width, height }),
	data: new Uint8Array(3 * width * height).fill(level),
});
const frame = (kind: StyledFrame['kind'], source: Picture, picture = source): StyledFrame => ({
	...frameOf(0),
	epoch: 0,
	kind,
	source,
	picture,
});

const lookOf = ({ failure = 'passthrough' as 'passthrough' | 'slate', painted = SIZE } = {}) => {
	const controller = { isPanic: false };
	const canvas = { painted, fit: 'cover' as const };
	return { controller, look: new FrameLook({ controller, failure, canvas, native: loadNative() }) };
};

test('the painting and its source are given as they are', async () => {
	const { look } = lookOf();
	await expect(look.take('painting')).rejects.toMatchObject({
		code: 'ERR_STYLE',
		message: expect.stringMatching(/nothing is painted yet/),
	});
	look.see(frame('painting', grey(10), grey(20)));
	expect((await look.take('painting')).picture).toMatchObject({ ...SIZE, format: 'RGB', data: grey(20).data });
	expect((await look.take('source')).picture.data).toEqual(grey(10).data);
});

test('the source of a style that paints nothing is given at the painted size, at most 1024 px; there is no painting', async () => {
	const { look } = lookOf({ painted: { width: 2048, height: 512 } });
	look.see(frame('source', { ...grey(0), format: 'NV12', data: new Uint8Array((64 * 32 * 3) / 2).fill(128) }));
	expect((await look.take('source')).picture).toMatchObject({ format: 'RGB', width: 1024, height: 256 });
	await expect(look.take('painting')).rejects.toMatchObject({
		message: expect.stringMatching(/nothing is painted now, choose a style/),
	});
});

test('nothing of the source is given under the policy slate, and nothing at all under panic or of before it', async () => {
	const { look, controller } = lookOf({ failure: 'slate' });
	look.see(frame('painting', grey(10), grey(20)));
	await expect(look.take('source')).rejects.toMatchObject({
		message: expect.stringMatching(/policy slate the source is not shown/),
	});
	expect((await look.take('painting')).picture.data[0]).toBe(20);
	controller.isPanic = true;
	await expect(look.take('painting')).rejects.toMatchObject({ message: expect.stringMatching(/panic is on/) });
	look.see(frame('painting', grey(10), grey(20)));
	controller.isPanic = false;
	await expect(look.take('painting')).rejects.toMatchObject({
		message: expect.stringMatching(/nothing is painted yet/),
	});
});
