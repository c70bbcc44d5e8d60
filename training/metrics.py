"""Warping error, Sobel and HF-FFT as the dreamlite-stream paper's code defines them, so that numbers compare."""

import cv2
import numpy as np

from training.motion import grey

FARNEBACK = dict(pyr_scale=0.5, levels=3, winsize=15, iterations=3, poly_n=5, poly_sigma=1.2, flags=0)


def input_flow(a, b):
    """Farneback flow between two RGB input frames."""
    return cv2.calcOpticalFlowFarneback(grey(a), grey(b), None, **FARNEBACK)


def warping_error(painted_a, painted_b, flow):
    """Mean |a - b sampled at x + F| over RGB, 0..255, no occlusion mask; flow is of the input, a to b."""
    height, width = flow.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    warped = cv2.remap(painted_b, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return float(cv2.absdiff(painted_a, warped).mean())


def sobel(rgb):
    """Mean |d2/dxdy| of the grey picture."""
    return float(np.abs(cv2.Sobel(grey(rgb), cv2.CV_32F, 1, 1, ksize=3)).mean())


def high_frequencies(rgb):
    """Mean spectrum magnitude beyond a quarter of the smaller side."""
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2(grey(rgb).astype(np.float32))))
    height, width = spectrum.shape
    y, x = np.ogrid[:height, :width]
    far = (y - height // 2) ** 2 + (x - width // 2) ** 2 > (min(height, width) // 4) ** 2
    return float(spectrum[far].mean())


def psnr(a, b):
    return float(10 * np.log10(255**2 / (np.square(a.astype(np.float32) - b).mean() + 1e-9)))
