"""Oil: flat colour laid in strokes of three sizes, broken colour from stroke to stroke, lit bristles.

Noise channels: 0 broad strokes, 1 medium strokes, 2 bristles, 3 and 4 colour of a stroke (red-green,
yellow-blue), 5 the direction of strokes on plain ground. 6 and 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import orientation as brush


def paint(rgb, noise):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4] -> painting uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(cv2.GaussianBlur(rgb, (0, 0), 0.7).astype(np.float32) / 255, middle=0.46, pull=0.45)

    # Where a small brush is needed: much fine detail, widened a little.
    grey = brush.luminance(photo)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 3.0))
    detail = cv2.GaussianBlur(cv2.dilate(cv2.GaussianBlur(fine, (0, 0), 2.0), np.ones((7, 7))), (0, 0), 5.0)
    detail = np.clip((detail - 0.012) / 0.045, 0, 1)

    broad = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    broad = cv2.resize(brush.kuwahara(broad, 4), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    close = brush.kuwahara(photo, 4)
    d = detail[..., None]
    colour = broad * (1 - d) + close * d

    rest = 0.6 + 0.35 * brush.plane(noise, 5, size, sigma=9.0)
    field, _ = brush.direction(brush.luminance(colour), fine=3.0, coarse=12.0, rest=rest, weight=1.5e-3)
    long_paths = brush.trace(field, 15.0, step=2.5)
    half = len(long_paths) // 2
    short_paths = long_paths[:3] + long_paths[half : half + 3]

    planes = [brush.plane(noise, channel, size, sigma=1.9) for channel in (0, 3, 4)]
    wide = brush.smear(np.dstack(planes), long_paths) * 1.7
    thin = brush.smear(np.dstack([brush.plane(noise, 1, size, sigma=0.6), brush.plane(noise, 2, size)]), short_paths)
    hairs = brush.smear(brush.plane(noise, 2, size), long_paths) * 2.2

    # Squashed noise has plateaus with an edge between them: strokes.
    stroke = np.tanh(2.6 * (wide[..., 0] * (1 - detail) + 1.6 * thin[..., 0] * detail))

    # Broken colour: each stroke took its paint a little to the side, so outlines are ragged.
    reach = (2.0 + 2.0 * (1 - detail))[..., None]
    colour = brush.sample(colour, brush.grid(*size) + reach * np.tanh(np.dstack([thin[..., 1], hairs])))

    # And from its own corner of the palette; greys and fine detail wander less.
    lab = cv2.cvtColor(np.clip(colour, 0, 1), cv2.COLOR_RGB2LAB)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    gain = float(np.clip(32.0 / (chroma.mean() + 5.0), 1.2, 1.75))
    play = (1 - 0.6 * detail) * (0.45 + 0.55 * np.clip(chroma / 30, 0, 1))
    lab[..., 0] = np.clip(50 + (lab[..., 0] - 50) * 1.10 + (1 - 0.5 * detail) * (4.2 * stroke + 1.4 * np.tanh(hairs)), 0, 100)
    lab[..., 1] = lab[..., 1] * gain + 5.0 * np.tanh(1.5 * wide[..., 1]) * play
    lab[..., 2] = lab[..., 2] * gain + 7.0 * np.tanh(1.5 * wide[..., 2]) * play
    colour = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1)

    # Relief: the stroke's own thickness and the hairs in it, lit from the upper left.
    height = cv2.GaussianBlur(1.35 * stroke + 0.6 * hairs, (0, 0), 0.8)
    light = -(cv2.Sobel(height, cv2.CV_32F, 1, 0) * 0.5 + cv2.Sobel(height, cv2.CV_32F, 0, 1) * 0.87) / 8
    relief = np.clip(light * (0.42 - 0.18 * detail), -0.16, 0.20)[..., None]
    shade = 0.30 + 0.70 * np.sqrt(brush.luminance(colour))[..., None]
    return (np.clip(colour + relief * shade, 0, 1) * 255 + 0.5).astype(np.uint8)
