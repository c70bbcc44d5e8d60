"""Van Gogh: separate thick dashes that run around things and in waves over plain ground, blues against yellows, Prussian-blue contours.

Noise channels: 0 dashes, 1 and 2 colour of a dash, 3 small dashes on detail, 5 the waves. 4, 6 and 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of the dashes -> painting uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(cv2.GaussianBlur(rgb, (0, 0), 0.7).astype(np.float32) / 255, middle=0.44, pull=0.6)
    care = ink.care(photo)
    c = care[..., None]
    photo = ink.features(photo, care)
    broad = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    broad = cv2.resize(brush.kuwahara(broad, max(2, round(4 * scale))), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    colour = broad * (1 - c) + brush.kuwahara(photo, max(2, round(2.6 * scale))) * c

    # On plain ground the dashes run around whatever is near, and in waves where nothing is.
    waves = 0.2 + 0.18 * brush.plane(noise, 5, size, sigma=9.0)
    field, _ = brush.direction(brush.luminance(colour), fine=3.0, coarse=26.0, rest=waves, weight=2.5e-4)
    long_paths = brush.trace(field, 15.0 * min(scale, 1.4), step=2.5)
    half = len(long_paths) // 2
    short = max(2, half // 2)
    short_paths = long_paths[:short] + long_paths[half : half + short]
    planes = [brush.plane(noise, channel, size, sigma=sigma * scale) for channel, sigma in ((0, 0.4), (1, 0.9), (2, 0.9))]
    wide = brush.smear(np.dstack(planes), long_paths) * 2.1
    thin = brush.smear(brush.plane(noise, 3, size), short_paths) * 1.7
    dash = wide[..., 0] * (1 - care) + thin * care

    reach = scale * (2.4 - 1.6 * c)
    colour = brush.sample(colour, brush.grid(*size) + reach * np.tanh(np.dstack([dash, wide[..., 1]])))
    lab = ink.to_lab(colour)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    gain = float(np.clip(42.0 / (chroma.mean() + 6.0), 1.35, 2.0))
    strong = 1 - 0.75 * care
    tone = lab[..., 0] / 100
    # Light dashes towards chrome yellow, dark ones towards cobalt.
    side = np.tanh(2.2 * dash)
    hue = np.tanh(1.6 * wide[..., 1])
    lab[..., 0] = np.clip(48 + (lab[..., 0] - 50) * 1.10 + strong * (8.0 * side + 3.0 * np.tanh(wide[..., 2])), 0, 100)
    lab[..., 1] = lab[..., 1] * gain + strong * (5.0 * np.tanh(wide[..., 2]) - 2.0)
    cold = np.clip((0.62 - tone) / 0.4, 0, 1) * 9.0 - np.clip((tone - 0.55) / 0.35, 0, 1) * 10.0
    lab[..., 2] = lab[..., 2] * gain - cold * (1 - 0.5 * care) + strong * (9.0 * side + 8.0 * hue)
    colour = ink.to_rgb(lab)

    # The groove between two dashes, and paint that stands up and catches the light.
    groove = np.exp(-((dash / 0.22) ** 2)) * strong
    colour = colour * (1 - 0.26 * groove[..., None] * np.array([1.0, 0.85, 0.6], np.float32))
    height = cv2.GaussianBlur(np.abs(np.tanh(1.6 * dash)), (0, 0), 0.7)
    light = -(cv2.Sobel(height, cv2.CV_32F, 1, 0) * 0.5 + cv2.Sobel(height, cv2.CV_32F, 0, 1) * 0.87) / 8
    colour = colour + np.clip(0.55 * light * strong, -0.12, 0.18)[..., None] * (0.35 + 0.65 * brush.luminance(colour)[..., None])
    contour = ink.lines(cv2.GaussianBlur(photo, (0, 0), 0.8), short_paths, sigma=1.3 * min(scale, 1.2), gain=40, threshold=0.22, care=care)[..., None]
    contour = contour * (0.85 - 0.15 * c)
    return ink.to_bytes(colour * (1 - contour) + np.array([0.05, 0.09, 0.24], np.float32) * contour)
