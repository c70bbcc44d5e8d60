"""Paints frames with OpenCV, one after the other, as fast as it goes: peer-commands.mjs calls this.

    python3 peers.py CALL INPUT WIDTHxHEIGHT FRAMES [OUTPUT-%d.png]

INPUT is what ffmpeg reads. It decodes, converts to BGR and pipes, as it does for the line; here a frame is painted and dropped. Prints
the time in seconds as each frame is done, on a clock of its own.
"""

import subprocess
import sys
import time

import cv2
import numpy as np

CALLS = {
    "stylization": cv2.stylization,
    "pencilSketch": lambda frame: cv2.pencilSketch(frame)[1],  # the coloured one of the two that it gives
    "xphoto.oilPainting": lambda frame: cv2.xphoto.oilPainting(frame, 7, 1),
}


def main(call, source, size, count, output=None):
    cv2.setNumThreads(2)  # as the line
    width, height = map(int, size.split("x"))
    paint = CALLS[call]
    frames = ["-frames:v", count, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "bgr24", "-"]
    decode = ["ffmpeg", "-v", "error", "-nostdin", "-threads", "2", "-i", source, *frames]
    with subprocess.Popen(decode, stdout=subprocess.PIPE) as decoder:
        for i in range(int(count)):
            data = decoder.stdout.read(3 * width * height)
            if len(data) < 3 * width * height:
                sys.exit(f"{source} has {i} frames of {size}, {count} are wanted")
            painted = paint(np.frombuffer(data, np.uint8).reshape(height, width, 3))
            print(f"{time.perf_counter():.6f}", flush=True)
            if output:
                cv2.imwrite(output % (i + 1), painted)


if __name__ == "__main__":
    main(*sys.argv[1:])
