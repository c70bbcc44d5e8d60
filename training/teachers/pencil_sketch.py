"""Pencil: thin lines, layers of single hatching strokes that get denser where it is darker, a little smudged graphite, white paper.

Noise channels: 0 and 1 hatching that falls to the left, 2 crossing hatches, 3 strokes that follow the form, 4 paper
tooth, 5 pressure. 6 and 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush

GRAPHITE, SHEET = np.array([0.17, 0.17, 0.19], np.float32), np.array([0.975, 0.97, 0.955], np.float32)


def _ridges(plane, degrees, length):
    """The plane smeared along a straight line of `length` pixels, as cv2.filter2D does it."""
    side = int(length) | 1
    kernel = np.zeros((side, side), np.float32)
    middle = side // 2
    dx, dy = np.cos(np.radians(degrees)) * middle, np.sin(np.radians(degrees)) * middle
    cv2.line(kernel, (round(middle - dx), round(middle - dy)), (round(middle + dx), round(middle + dy)), 1.0, 1, cv2.LINE_AA)
    return cv2.filter2D(plane, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101)


def _strokes(ridge, tone):
    """Darkness 0..1 of one layer: more of the smeared noise is pressed into the paper as tone 0..1 rises, and thin lines run where it passes zero.

    Lines alone would be a function that ridge and -ridge share: a network has no slope to find the smearing by, and learns grey.
    """
    pressed = np.clip((ridge - 1.05 + 1.45 * tone) / 0.65, 0, 1)
    thin = np.exp(-((ridge / (0.12 + 0.4 * tone)) ** 2))
    return np.clip(0.85 * pressed + 0.42 * thin, 0, 1) * np.clip(tone * 2.4, 0, 1)


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of the strokes -> drawing uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.56, pull=0.6)
    care = ink.care(photo)
    calm = cv2.bilateralFilter(cv2.GaussianBlur(brush.luminance(photo), (0, 0), 0.8), 9, 0.12, 4)
    field, _ = brush.direction(calm, fine=2.0, coarse=8.0)
    along = brush.trace(field, 6.0, step=2.0)
    line = ink.lines(cv2.GaussianBlur(photo, (0, 0), 0.6), along, sigma=0.95 * scale, gain=46, threshold=0.12, care=care) ** 0.8

    # Tones: darkness of the calm picture, each layer starting at its own depth.
    dark = 1 - cv2.GaussianBlur(calm, (0, 0), 1.2)
    ramp = lambda start, end: np.clip((dark - start) / (end - start), 0, 1)
    plane = lambda channel: brush.plane(noise, channel, size, sigma=0.5 * (scale - 1) if scale > 1 else 0.0)
    left = [_ridges(plane(channel), degrees, 53 * min(scale, 1.3)) * 3.0 for channel, degrees in ((0, -52), (1, -46))]
    light = 1 - 0.55 * care  # Features are drawn with the point, not hatched over.
    layers = [
        0.42 * light * _strokes(left[0], ramp(0.34, 0.86)),
        0.48 * light * _strokes(left[1], ramp(0.50, 0.92)),
        0.52 * _strokes(_ridges(plane(2), -14, 43 * min(scale, 1.3)) * 2.7, ramp(0.63, 0.95)),
        0.52 * _strokes(brush.smear(plane(3), along) * 1.9, ramp(0.72, 0.97)),
        0.34 * ramp(0.74, 1.0),
        (0.10 + 0.22 * care) * ramp(0.30, 0.85),
    ]
    paper = np.ones(size, np.float32)
    pressure = 1 + 0.18 * brush.plane(noise, 5, size, sigma=2.0)
    for layer in layers:
        paper = paper * (1 - np.clip(layer * pressure, 0, 1))
    paper = paper * (1 - 0.86 * line * np.clip(pressure, 0.6, 1.2)) + 0.012 * brush.plane(noise, 4, size)
    return ink.to_bytes(GRAPHITE + (SHEET - GRAPHITE) * np.clip(paper, 0, 1)[..., None])
