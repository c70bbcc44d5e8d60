import { ffmpeg } from './clips.ts';

/** Four seconds, at 12 frames/s, of a checkerboard of single pixels, which no brush paints, over a picture that moves. */
export const writeMarkedClip = async (
	path: string,
	{ width, height }: { width: number; height: number },
): Promise<void> => {
	const lum = `128+if(mod(X+Y\\,2)\\,50\\,-50)+40*sin((X+8*N)/40)*sin(Y/30)`;
	const colour = `cb=128+40*sin((X-6*N)/50):cr=128+40*cos((Y+5*N)/40)`;
	const lossless = '-pix_fmt yuv420p -c:v libx264 -qp 0 -preset ultrafast -g 12';
	await ffmpeg(`-f lavfi -i nullsrc=s=${width}x${height}:r=12:d=4,geq=lum=${lum}:${colour} ${lossless} ${path}`);
};
