import { access, constants, readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

/** Cameras and virtual cameras as Linux has them: character devices that speak Video4Linux 2. */

export interface VideoDevice {
	path: string;
	/** As the driver gives it, such as "HD Pro Webcam C920". */
	name: string;
}

/** `0` stands for /dev/video0; anything else is a path. */
export const videoDevicePath = (device: string): string =>
	/^\d+$/.test(device) ? `/dev/video${Number(device)}` : resolve(device);

/** The devices there are, in the order of their numbers. A camera has several: pictures on one, metadata on another. */
export const listVideoDevices = async (folder = '/sys/class/video4linux'): Promise<VideoDevice[]> => {
	const files = (await readdir(folder).catch(() => [])).filter((file) => /^video\d+$/.test(file));
	files.sort((a, b) => Number(a.slice('video'.length)) - Number(b.slice('video'.length)));
	return Promise.all(
		files.map(async (file) => ({
			path: `/dev/${file}`,
			name: (await readFile(join(folder, file, 'name'), 'utf8').catch(() => '')).trim() || 'without a name',
		})),
	);
};

/** "HD Pro Webcam C920 (/dev/video0, /dev/video1); Alla Prima (/dev/video10)". */
export const describeVideoDevices = (devices: readonly VideoDevice[]): string => {
	const paths = new Map<string, string[]>();
	for (const { path, name } of devices) paths.set(name, [...(paths.get(name) ?? []), path]);
	return [...paths].map(([name, of]) => `${name} (${of.join(', ')})`).join('; ');
};

/** Why a device cannot be used. */
export type VideoDeviceFault =
	| 'absent'
	| 'no device file'
	| 'forbidden'
	| 'busy'
	| 'no video device'
	| 'wrong direction'
	| 'no bandwidth';

/** What the file alone says, so that nothing is opened that is no device. */
export const faultOfFile = async (path: string): Promise<VideoDeviceFault | undefined> => {
	try {
		if (!(await stat(path)).isCharacterDevice()) return 'no device file';
		await access(path, constants.R_OK | constants.W_OK);
		return undefined;
	} catch (error) {
		return (error as NodeJS.ErrnoException).code === 'EACCES' ? 'forbidden' : 'absent';
	}
};

/** What ffmpeg's messages say: libavdevice/v4l2.c for a camera, v4l2enc.c for a virtual one, and the kernel's errors. */
export const faultOfMessages = (messages: readonly string[]): VideoDeviceFault | undefined => {
	const said = messages.join('\n');
	const faults: [RegExp, VideoDeviceFault][] = [
		[/Permission denied|Operation not permitted/, 'forbidden'],
		[/Device or resource busy/, 'busy'],
		[/VIDIOC_STREAMON\): No space left on device/, 'no bandwidth'],
		[/Inappropriate ioctl|VIDIOC_QUERYCAP\)/, 'no video device'],
		[/Not a video capture device|streaming I\/O method|VIDIOC_G_FMT\): Invalid argument/, 'wrong direction'],
		[/No such (file or directory|device)/, 'absent'],
	];
	return faults.find(([pattern]) => pattern.test(said))?.[1];
};
