"""Pencil: flow-guided difference-of-Gaussians lines and layers of single hatching strokes on white paper.

Lines after Winnemoeller, Kyprianidis and Olsen, "XDoG" (2012). Noise channels: 0 and 1 hatching that falls to the left,
2 crossing hatches, 3 strokes that follow the form, 4 paper tooth, 5 pressure. 6 and 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import orientation as brush


def _strokes(noise, channel, size, paths, tone, gain):
    """Darkness 0..1 of one layer: thin ridges of smeared noise, wider and darker as tone 0..1 rises."""
    ridge = brush.smear(brush.plane(noise, channel, size), paths) * gain
    width = 0.16 + 0.62 * tone
    return np.exp(-((ridge / width) ** 2)) * np.clip(tone * 2.2, 0, 1)


def paint(rgb, noise):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4] -> drawing uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.55, pull=0.6)
    grey = brush.luminance(photo)
    calm = cv2.bilateralFilter(cv2.GaussianBlur(grey, (0, 0), 0.8), 9, 0.12, 4)

    field, strength = brush.direction(calm, fine=2.0, coarse=8.0)
    along = brush.trace(field, 5.0, step=1.5)

    # Lines, in luminance and (fainter) in each colour, so that a red bird on green leaves has an outline.
    soft = np.dstack([calm, 0.7 * cv2.bilateralFilter(cv2.GaussianBlur(photo, (0, 0), 0.8), 7, 0.15, 3)])
    edge = brush.smear(cv2.GaussianBlur(soft, (0, 0), 1.0) - cv2.GaussianBlur(soft, (0, 0), 1.8), along)
    line = np.clip(-edge.min(axis=2) * 48 - 0.12, 0, 1) ** 0.8

    # Tones: darkness of the calm picture, each layer starting at its own depth.
    dark = 1 - cv2.GaussianBlur(calm, (0, 0), 1.5)
    heading = lambda degrees: np.broadcast_to(
        np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], np.float32), (*size, 2)
    ).copy()
    left = brush.trace(heading(-52), 27.0, step=3.0)
    cross = brush.trace(heading(-14), 21.0, step=3.0)
    ramp = lambda start, end: np.clip((dark - start) / (end - start), 0, 1)
    layers = [
        0.40 * _strokes(noise, 0, size, left, ramp(0.36, 0.85), 3.2),
        0.46 * _strokes(noise, 1, size, left, ramp(0.52, 0.92), 3.2),
        0.50 * _strokes(noise, 2, size, cross, ramp(0.64, 0.95), 2.8),
        0.50 * _strokes(noise, 3, size, brush.trace(field, 10.0, step=2.0), ramp(0.72, 0.97), 2.2),
        0.30 * ramp(0.72, 1.0),
    ]
    paper = np.ones(size, np.float32)
    pressure = 1 + 0.18 * brush.plane(noise, 5, size, sigma=2.0)
    for layer in layers:
        paper = paper * (1 - np.clip(layer * pressure, 0, 1))
    tooth = brush.plane(noise, 4, size)
    paper = paper * (1 - np.clip(0.09 * ramp(0.34, 1.0), 0, 1))
    paper = paper * (1 - 0.88 * line * np.clip(pressure, 0.6, 1.2))
    paper = paper + 0.012 * tooth
    # Graphite, not black; paper, not white light.
    tone = np.clip(paper, 0, 1)[..., None]
    ink, sheet = np.array([0.17, 0.17, 0.19], np.float32), np.array([0.975, 0.97, 0.955], np.float32)
    return (np.clip(ink + (sheet - ink) * tone, 0, 1) * 255 + 0.5).astype(np.uint8)
