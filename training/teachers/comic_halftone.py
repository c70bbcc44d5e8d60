"""Comic: flat process colours, Ben-Day dots on a screen of 45 degrees, black ink with solid shadows, newsprint.

The screen is fixed to the paper, not to the scene: one dot in every second cell of the noise grid (4 pixels), so dots are 5.7 pixels
apart. Noise channels: 0 how much ink a dot took, 1 newsprint, 2 the nib's pressure. 3 to 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush


def screen(size):
    """float32 [H, W]: height of the dot screen, 1 in the middle of a dot and -1 between dots."""
    y, x = np.mgrid[0 : size[0], 0 : size[1]].astype(np.float32)
    u, v = (x - 1.5) * np.pi / 4, (y - 1.5) * np.pi / 4
    return np.cos(u) * np.cos(v) * 0.5 + 0.5 * np.sign(np.cos(u) * np.cos(v)) * np.abs(np.cos(u) * np.cos(v)) ** 0.5


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of dot and nib -> print uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.52, pull=0.7)
    care = ink.care(photo)
    calm = ink.bilateral(cv2.GaussianBlur(photo, (0, 0), 0.7), passes=2, diameter=7, tone=0.11, space=3.0)
    wide = cv2.resize(calm, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    wide = cv2.resize(brush.kuwahara(wide, max(2, round(3 * scale))), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    flat = wide * (1 - care[..., None]) + brush.kuwahara(calm, 2) * care[..., None]

    lab = ink.to_lab(flat)
    tone = np.clip(0.5 + (lab[..., 0] / 100 - 0.5) * 1.25, 0, 1)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    gain = float(np.clip(50.0 / (chroma.mean() + 8.0), 1.4, 2.2))
    # The light ink of a field, and the darker ink its dots are printed with.
    light, dark = lab.copy(), lab.copy()
    flatter = 0.65 * ink.steps(tone, 5, softness=0.2) + 0.35 * tone
    light[..., 0] = 100 * np.clip(0.34 + 0.70 * flatter, 0, 1)
    dark[..., 0] = 100 * np.clip(-0.04 + 0.78 * flatter, 0, 1)
    light[..., 1:] *= gain * 0.8
    dark[..., 1:] *= gain * 1.15
    grey = np.clip(1 - chroma / 12, 0, 1)
    dark[..., 2] -= 16 * grey
    dark[..., 1] += 3 * grey
    light[..., 2] += 5 * grey

    took = 0.06 * np.tanh(brush.plane(noise, 0, size, sigma=0.7))
    cover = np.clip(1.12 - 1.05 * tone, 0.0, 0.92) + took + (0.08 if scale > 1 else -0.05 if scale < 1 else 0)
    # Share of ink to the level at which the screen is cut, and an edge of about a pixel.
    dots = np.clip((screen(size) - (1.0 - 2.0 * cover)) * 1.6 + 0.5, 0, 1)
    dots = dots * np.clip(cover * 8 - 0.4, 0, 1) * (1 - 0.5 * care)
    amount = dots[..., None]
    colour = ink.to_rgb(light) * (1 - amount) + ink.to_rgb(dark) * amount

    field, _ = brush.direction(brush.luminance(calm), fine=2.0, coarse=8.0)
    line = ink.lines(calm, brush.trace(field, 6.0, step=2.0), sigma=1.15 * scale, gain=62, threshold=0.22, care=care) ** 0.7
    black = np.clip((0.11 - tone) / 0.05 + 0.5, 0, 1) * (1 - 0.3 * care)
    press = np.clip(0.97 + 0.10 * brush.plane(noise, 2, size, sigma=1.2), 0.6, 1)
    key = np.maximum(line * press, black)[..., None]
    paper = np.array([1.0, 0.985, 0.94], np.float32)
    newsprint = (1 + 0.022 * np.tanh(brush.plane(noise, 1, size)))[..., None]
    colour = colour * (1 - key) + np.array([0.05, 0.04, 0.07], np.float32) * key
    return ink.to_bytes(colour * paper * newsprint)
