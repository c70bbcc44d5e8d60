import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import { openTemporaryFolder } from './clips.ts';

/**
 * The real ffmpeg, but for its Video4Linux devices: a camera becomes a test picture in real time, a virtual camera a
 * file of raw video. What ffmpeg does with the pictures is real; what a driver does is not.
 */
const WRAPPER = `#!/usr/bin/env bash
here=$(dirname "$0") camera=false args=()
if [[ -e $here/refusal ]]; then cat "$here/refusal" >&2; exit 1; fi
while (($#)); do
	case $1 in
		-list_formats) cat "$here/formats" >&2; exit 1 ;;
		-f)
			if [[ $2 != v4l2 ]]; then args+=("$1" "$2"); shift
			elif [[ $3 == /dev/* ]]; then args+=(-flush_packets 1 -f rawvideo "$here/output.yuv"); shift 2
			else camera=true; shift; fi ;;
		-input_format) format=$2; shift ;;
		-video_size) size=$2; $camera || args+=("$1" "$2"); shift ;;
		-framerate) rate=$2; $camera || args+=("$1" "$2"); shift ;;
		-i)
			if ! $camera; then args+=("$1" "$2")
			elif [[ $format == mjpeg ]]; then args+=(-re -stream_loop -1 -f mjpeg -framerate "$rate" -i "$here/camera.mjpeg")
			else args+=(-re -f lavfi -i "testsrc2=size=$size:rate=$rate,format=$format"); fi
			shift ;;
		*) args+=("$1") ;;
	esac
	shift
done
printf '%s\\n' "\${args[*]}" > "$here/arguments"
echo $$ > "$here/pid"
if [[ -e $here/unplug ]]; then
	ffmpeg -t "$(cat "$here/unplug")" "\${args[@]}"
	echo '[video4linux2,v4l2 @ 0x1] ioctl(VIDIOC_DQBUF): No such device' >&2
	exit 0
fi
exec ffmpeg "\${args[@]}"
`;

/** Any character device that is there; it is never opened. */
export const SIMULATED_DEVICE = '/dev/null';

export type SimulatedV4l2 = Awaited<ReturnType<typeof simulateV4l2>>;

/** From here to its disposal every ffmpeg of this process has simulated devices. */
export const simulateV4l2 = async (formats: string) => {
	const folder = await openTemporaryFolder();
	const wrapper = folder.at('ffmpeg');
	await writeFile(wrapper, WRAPPER);
	await chmod(wrapper, 0o755);
	await writeFile(folder.at('formats'), formats);
	const kept = process.env['ALLAPRIMA_FFMPEG'];
	process.env['ALLAPRIMA_FFMPEG'] = wrapper;
	return {
		at: (name: string) => folder.at(name),
		/** A signal to the ffmpeg that plays the device. */
		signal: async (name: NodeJS.Signals) => process.kill(Number(await readFile(folder.at('pid'), 'utf8')), name),
		/** What ffmpeg says instead of opening a device; nothing lets it open again. */
		refuse: (message: string) =>
			message ? writeFile(folder.at('refusal'), `${message}\n`) : rm(folder.at('refusal'), { force: true }),
		[Symbol.asyncDispose]: async () => {
			if (kept === undefined) delete process.env['ALLAPRIMA_FFMPEG'];
			else process.env['ALLAPRIMA_FFMPEG'] = kept;
			await folder[Symbol.asyncDispose]();
		},
	};
};
