import { SidecarError } from '../errors.ts';
import { describeVideoDevices, faultOfMessages, listVideoDevices, type VideoDeviceFault } from '../video-device.ts';

export const cameraError = (path: string, seen: string, advice: string): SidecarError =>
	new SidecarError('ERR_SOURCE', `Camera ${path}: ${seen}. ${advice}`);

/** Why a camera could not be opened: a fault of its file, or what ffmpeg said. */
export const openingError = async (path: string, why: VideoDeviceFault | readonly string[]): Promise<SidecarError> => {
	const fault = typeof why === 'string' ? why : faultOfMessages(why);
	const devices = describeVideoDevices(await listVideoDevices());
	const others = devices
		? `Video devices here: ${devices}.`
		: 'This machine has no video device: plug in a camera, or load its driver.';
	switch (fault) {
		case 'absent':
			return cameraError(path, 'there is no such device', others);
		case 'no device file':
			return cameraError(path, 'this is no device', `A camera is named like camera:/dev/video0. ${others}`);
		case 'no video device':
			return cameraError(path, 'this is no video device', others);
		case 'wrong direction':
			return cameraError(
				path,
				'it gives no pictures, like the second node of a camera or a virtual camera that nothing feeds',
				others,
			);
		case 'forbidden':
			return cameraError(
				path,
				'it may not be opened',
				'Join its group (sudo usermod -aG video "$USER") and log in again.',
			);
		case 'busy':
			return cameraError(path, 'another program uses it', `Close that one; fuser -v ${path} names it.`);
		case 'no bandwidth':
			return cameraError(
				path,
				'its USB bus has no room for this mode',
				'Ask for less with --camera-size, --camera-format mjpeg or --fps, or use another port.',
			);
		case undefined: {
			const reason = (typeof why === 'string' ? [why] : why).slice(-3).join('; ') || 'ffmpeg gave no reason';
			return cameraError(
				path,
				`ffmpeg cannot read it (${reason})`,
				'Check that it works elsewhere, or ask for another mode with --camera-size, --camera-format or --fps.',
			);
		}
	}
};
