"""Ukiyo-e: flat colours of a few woodblocks (Prussian blue, vermilion, ochre, moss), wood grain, gradations, firm contours.

Noise channels: 0 wood grain, 1 its bend, 2 unevenness of the print, 3 the washi paper, 4 the line's pressure. 5 to 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush

# Pigments as CIE a, b: Prussian blue, vermilion, ochre, moss, rose, indigo grey.
PIGMENTS = np.array([(-2, -44), (48, 38), (10, 42), (-20, 24), (24, 8), (0, -12)], np.float32)


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of line and field -> print uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.60, pull=0.7)
    care = ink.care(photo)
    calm = ink.bilateral(cv2.GaussianBlur(photo, (0, 0), 0.7), passes=2, diameter=7, tone=0.10, space=4.0)
    wide = cv2.resize(calm, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = cv2.resize(brush.kuwahara(wide, max(2, round(5 * scale))), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    flat = wide * (1 - care[..., None]) + brush.kuwahara(calm, max(2, round(2.5 * scale))) * care[..., None]

    # Grain runs along the block, bent a little.
    heading = 0.10 * brush.plane(noise, 1, size, sigma=8.0)
    grain_paths = brush.trace(np.dstack([np.cos(heading), np.sin(heading)]).astype(np.float32), 30.0, step=4.0)
    grain = np.tanh(1.2 * brush.smear(brush.plane(noise, 0, size), grain_paths) * 3.0)
    uneven = brush.plane(noise, 2, size, sigma=3.0)

    lab = ink.to_lab(flat)
    tone = lab[..., 0] / 100
    cut = 0.84 * ink.steps(np.clip(tone, 0, 1), 5, softness=0.13) + 0.16 * tone
    ab = lab[..., 1:] * 1.6
    nearness = [np.exp(-((ab - p) ** 2).sum(axis=2) / 700) for p in PIGMENTS]
    total = sum(nearness) + 1e-3
    pull = sum(n[..., None] * p for n, p in zip(nearness, PIGMENTS)) / total[..., None]
    chroma = np.hypot(ab[..., 0], ab[..., 1])
    sure = np.clip(chroma / 16, 0, 1)[..., None] * np.clip(total, 0, 1)[..., None]
    ab = ab * (1 - 0.75 * sure) + pull * 0.75 * sure
    # Greys are printed in indigo where they are dark and left as paper where they are light.
    grey = np.clip(1 - chroma / 14, 0, 1)
    ab[..., 1] += grey * (np.clip((cut - 0.62) / 0.3, 0, 1) * 9 - np.clip((0.72 - cut) / 0.4, 0, 1) * 20)
    ab[..., 0] -= grey * np.clip((0.75 - cut) / 0.5, 0, 1) * 3
    printed = np.clip(1.15 - cut, 0, 1) * (1 - 0.6 * care)
    lab[..., 0] = 100 * np.clip(0.15 + 0.87 * cut ** 0.85, 0, 1) + (3.6 * grain + 1.6 * uneven) * printed
    lab[..., 1:] = ab
    colour = ink.to_rgb(lab)
    paper = np.array([0.965, 0.93, 0.84], np.float32)
    fibre = brush.plane(noise, 3, size)
    colour = colour * paper * (1 + 0.022 * np.tanh(fibre) * (1 - 0.5 * care))[..., None]

    field, _ = brush.direction(brush.luminance(calm), fine=2.5, coarse=8.0)
    contour = ink.lines(calm, brush.trace(field, 7.0, step=2.0), sigma=1.15 * scale, gain=54, threshold=0.26, care=care)
    contour = contour * np.clip(0.95 + 0.14 * brush.plane(noise, 4, size, sigma=1.5), 0.6, 1)
    key = np.array([0.10, 0.12, 0.20], np.float32)
    return ink.to_bytes(colour * (1 - contour[..., None]) + key * contour[..., None])
