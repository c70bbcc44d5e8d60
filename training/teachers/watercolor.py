"""Watercolour: washes with wandering, darker edges, granulating pigment, paper left white, a faint pencil drawing below.

Noise channels: 0 and 1 how edges wander, 2 the flow of the wash, 3 granulation, 4 paper. 5 to 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of the brush -> painting uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.56, pull=0.6)
    care = ink.care(photo)
    c = care[..., None]

    broad = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    broad = brush.kuwahara(brush.kuwahara(broad, max(2, round(4 * scale))), max(2, round(3 * scale)))
    broad = cv2.resize(broad, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    close = brush.kuwahara(photo, max(2, round(2.4 * scale)))
    wander = np.dstack([brush.plane(noise, 0, size, sigma=1.2), brush.plane(noise, 1, size, sigma=1.2)])
    at = brush.grid(*size) + scale * (2.6 - 1.9 * c) * np.tanh(wander)
    wash = brush.sample(broad * (1 - c) + close * c, at)

    # Pigment gathers where a wash ends.
    lab = ink.to_lab(wash)
    lightness = lab[..., 0] / 100
    ends = np.zeros(size, np.float32)
    for channel, weight in ((lab[..., 0], 1.0), (lab[..., 1], 1.0), (lab[..., 2], 0.8)):
        ends += weight * np.clip(np.abs(channel - cv2.GaussianBlur(channel, (0, 0), 2.2)) - 0.6, 0, 8)
    dark_side = np.clip(cv2.GaussianBlur(lightness, (0, 0), 2.5) - lightness + 0.015, 0, 0.06) / 0.06
    ends = np.clip(ends / 9, 0, 1) * dark_side

    flow = brush.plane(noise, 2, size, sigma=4.0 * scale)
    grain = brush.plane(noise, 3, size)
    tooth = brush.plane(noise, 4, size)
    body = np.clip(1.15 - lightness, 0, 1)
    density = 0.86 + 0.13 * flow * (1 - 0.6 * care) + 0.42 * ends + (0.16 * np.tanh(grain) + 0.10 * np.tanh(tooth)) * body * np.clip(lightness / 0.35, 0, 1) * (1 - 0.6 * care)

    lab[..., 0] = 100 - (100 - lab[..., 0]) * 0.80
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    gain = float(np.clip(32.0 / (chroma.mean() + 4.0), 1.25, 1.8))
    lab[..., 1:] *= gain
    lab[..., 1] += 2.0 * np.tanh(flow) * (1 - care)
    lab[..., 2] -= 3.0 * np.tanh(flow) * (1 - care)
    colour = np.maximum(ink.to_rgb(lab), 0.02) ** np.clip(density, 0.35, 2.2)[..., None]

    # Highlights are paper; the brush runs dry over its grain on the way there.
    bare = lightness + 0.016 * tooth + 0.02 * flow - 0.0035 * np.minimum(chroma, 60)
    lit = np.clip((bare - 0.78) / 0.10, 0, 1)[..., None] * (1 - 0.35 * c)
    paper = np.array([0.985, 0.975, 0.95], np.float32)
    colour = colour * (1 - 0.85 * lit) + paper * 0.85 * lit
    field, _ = brush.direction(brush.luminance(photo), fine=2.0, coarse=8.0)
    drawing = ink.lines(cv2.GaussianBlur(photo, (0, 0), 0.7), brush.trace(field, 4.0, step=2.0), gain=34, threshold=0.14, care=care)
    colour = colour * (1 - (0.26 + 0.24 * c) * drawing[..., None] * np.array([0.8, 0.85, 0.9], np.float32))
    relief = cv2.Sobel(tooth, cv2.CV_32F, 1, 1) / 4
    return ink.to_bytes(colour * paper * (1 + 0.035 * np.clip(relief, -1.2, 1.2) + 0.012 * tooth)[..., None])
