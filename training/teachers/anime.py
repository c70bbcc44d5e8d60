"""Anime: cel shading in a few tones with violet shadows, clean ink lines, gouache strokes on the ground, a little bloom.

Noise channels: 0 gouache strokes, 1 weight of the line, 2 unevenness of the paint. 3 to 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of line and stroke -> painting uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.52, pull=0.6)
    care = ink.care(photo)
    calm = ink.bilateral(cv2.GaussianBlur(photo, (0, 0), 0.6), passes=2, diameter=7, tone=0.10, space=3.0)
    wide = cv2.resize(calm, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = cv2.resize(brush.kuwahara(wide, max(2, round(3 * scale))), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    flat = wide * (1 - care[..., None]) + brush.kuwahara(calm, 2) * care[..., None]

    field, _ = brush.direction(brush.luminance(flat), fine=2.0, coarse=10.0, rest=np.full(size, 0.35, np.float32), weight=1e-3)
    along = brush.trace(field, 6.0, step=2.0)
    gouache = brush.smear(brush.plane(noise, 0, size, sigma=0.8 * scale), brush.trace(field, 14.0, step=2.8)) * 1.9

    lab = ink.to_lab(flat)
    tone = lab[..., 0] / 100 + 0.004 * gouache * (1 - care)
    cel = ink.steps(np.clip(tone, 0, 1), 7, softness=0.16)
    cel = 0.78 * cel + 0.22 * tone
    lab[..., 0] = 100 * np.clip(0.5 + (cel - 0.5) * 1.10 + 0.05, 0, 1)
    shadow = np.clip((0.55 - cel) / 0.4, 0, 1)
    light = np.clip((cel - 0.6) / 0.35, 0, 1)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    gain = float(np.clip(40.0 / (chroma.mean() + 8.0), 1.25, 1.9))
    lab[..., 1] = lab[..., 1] * gain + 5.0 * shadow
    lab[..., 2] = lab[..., 2] * gain - 10.0 * shadow + 3.0 * light
    uneven = brush.plane(noise, 2, size, sigma=3.0)
    lab[..., 0] += (1.5 * np.tanh(gouache) + 0.7 * np.tanh(uneven)) * (1 - 0.8 * care)
    colour = ink.to_rgb(lab)

    glow = cv2.resize(np.clip(colour - 0.72, 0, 1), None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    glow = cv2.resize(cv2.GaussianBlur(glow, (0, 0), 2.5), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    colour = 1 - (1 - colour) * (1 - 0.55 * glow)
    line = ink.lines(calm, along, sigma=0.9 * scale, gain=58, threshold=0.18, care=care) ** 0.8
    line = line * np.clip(0.92 + 0.16 * brush.plane(noise, 1, size, sigma=1.5), 0.5, 1)
    shade = np.array([0.10, 0.07, 0.16], np.float32)
    return ink.to_bytes(colour * (1 - line[..., None]) + shade * line[..., None])
