"""Oil: flat colour laid in strokes of two sizes, a little broken colour from stroke to stroke, lit bristles.

Noise channels: 0 broad strokes, 1 small strokes, 2 bristles, 3 and 4 colour of a stroke (red-green,
yellow-blue), 5 the direction of strokes on plain ground. 6 and 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of the strokes -> painting uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(cv2.GaussianBlur(rgb, (0, 0), 0.6).astype(np.float32) / 255, middle=0.46, pull=0.45)
    care = ink.care(photo) * (1.0 if scale <= 1 else 0.75)
    c = care[..., None]
    photo = ink.features(photo, care)

    broad = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    broad = cv2.resize(brush.kuwahara(broad, max(2, round(4 * scale))), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    close = brush.kuwahara(photo, max(2, round(2.6 * scale)))
    colour = broad * (1 - c) + close * c

    rest = 0.6 + 0.10 * brush.plane(noise, 5, size, sigma=9.0)
    field, _ = brush.direction(brush.luminance(colour), fine=3.0, coarse=12.0, rest=rest, weight=3e-3)
    long_paths = brush.trace(field, 15.0 * min(scale, 1.4), step=2.5)
    half = len(long_paths) // 2
    short = max(2, half // 2)
    short_paths = long_paths[:short] + long_paths[half : half + short]

    # The means of smeared noise are small; the factors bring them to about unit variance.
    planes = [brush.plane(noise, channel, size, sigma=sigma * scale) for channel, sigma in ((0, 1.2), (3, 1.6), (4, 1.6))]
    wide = brush.smear(np.dstack(planes), long_paths) * 2.0
    thin = brush.smear(np.dstack([brush.plane(noise, 1, size), brush.plane(noise, 2, size)]), short_paths) * 1.6
    hairs = brush.smear(brush.plane(noise, 2, size), long_paths) * 2.2
    stroke = np.tanh(1.6 * (wide[..., 0] * (1 - care) + thin[..., 0] * care))

    # Broken colour: each stroke took its paint a little to the side, so outlines are ragged.
    reach = scale * (3.2 - 2.2 * care)[..., None]
    colour = brush.sample(colour, brush.grid(*size) + reach * np.tanh(np.dstack([thin[..., 1], hairs])))

    # And from its own corner of the palette; greys and fine detail wander less.
    lab = ink.to_lab(colour)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    gain = float(np.clip(32.0 / (chroma.mean() + 5.0), 1.2, 1.7))
    play = (1 - 0.75 * care) * (0.22 + 0.78 * np.clip(chroma / 35, 0, 1))
    lab[..., 0] = np.clip(50 + (lab[..., 0] - 50) * 1.12 + (1 - 0.55 * care) * (3.8 * stroke + 1.3 * np.tanh(hairs)), 0, 100)
    lab[..., 1] = lab[..., 1] * gain + 5.0 * np.tanh(wide[..., 1]) * play
    lab[..., 2] = lab[..., 2] * gain + 7.0 * np.tanh(wide[..., 2]) * play
    colour = ink.to_rgb(lab)

    # Relief: the stroke's own thickness and the hairs in it, lit from the upper left.
    height = cv2.GaussianBlur(1.1 * stroke + 0.65 * np.tanh(hairs), (0, 0), 0.7)
    light = -(cv2.Sobel(height, cv2.CV_32F, 1, 0) * 0.5 + cv2.Sobel(height, cv2.CV_32F, 0, 1) * 0.87) / 8
    relief = np.clip(light * (0.50 - 0.30 * care), -0.13, 0.17)[..., None]
    shade = 0.30 + 0.70 * np.sqrt(brush.luminance(colour))[..., None]
    return ink.to_bytes(colour + relief * shade)
