"""3-D render: forms guessed from the luminance, moulded in soft vinyl: key light, rim, specular, ambient occlusion.

Noise channels: 0 and 1 the grain of the moulded surface, 2 broad dents. 3 to 7 are not used.
"""

import cv2
import numpy as np

from training.teachers import ink
from training.teachers import orientation as brush

KEY = np.array([-0.45, -0.62, 0.64], np.float32)


def _shrunk(image, sigma, size):
    small = cv2.resize(image, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def paint(rgb, noise, scale=1.0):
    """rgb uint8 [H, W, 3], noise float32 [8, H/4, W/4], scale of the forms -> rendering uint8 [H, W, 3]."""
    size = rgb.shape[:2]
    photo = brush.expose(rgb.astype(np.float32) / 255, middle=0.48, pull=0.6)
    care = ink.care(photo)
    photo = ink.features(photo, care)
    calm = ink.bilateral(cv2.GaussianBlur(photo, (0, 0), 0.8), passes=3, diameter=9, tone=0.10, space=5.0)
    calm = calm * (0.4 + 0.3 * care)[..., None] + brush.kuwahara(calm, max(2, round(3 * scale))) * (0.6 - 0.3 * care)[..., None]
    grey = brush.luminance(calm)

    # What has colour or is dark is a body, what is light and grey is a wall behind it. Bodies bulge between their edges.
    lab = ink.to_lab(calm)
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    body = np.clip(np.clip((chroma - 10) / 20, 0, 1) + np.clip((0.30 - grey) / 0.15, 0, 1), 0, 1)
    body = cv2.GaussianBlur(body, (0, 0), 1.5)
    gx, gy = cv2.Sobel(calm, cv2.CV_32F, 1, 0), cv2.Sobel(calm, cv2.CV_32F, 0, 1)
    edge = np.clip(np.sqrt((gx * gx + gy * gy).max(axis=2)) - 0.05, 0, 0.8)
    bulge = -body * (cv2.GaussianBlur(edge, (0, 0), 2.5 * scale) * 3.0 + _shrunk(edge, 8.0 * scale, size) * 9.0)
    height = bulge + (0.10 + 0.90 * body) * (3.5 * cv2.GaussianBlur(grey, (0, 0), 2.5) + 9.0 * _shrunk(grey, 9.0, size))
    grain = 0.012 * brush.plane(noise, 0, size) + 0.03 * brush.plane(noise, 1, size, sigma=0.8 * scale)
    dents = 0.16 * brush.plane(noise, 2, size, sigma=4.0 * scale)
    height = cv2.GaussianBlur(height, (0, 0), 1.2) * (1 - 0.45 * care) + (grain + dents) * (1 - 0.65 * care)

    nx, ny = -cv2.Sobel(height, cv2.CV_32F, 1, 0) / 8, -cv2.Sobel(height, cv2.CV_32F, 0, 1) / 8
    length = np.sqrt(nx * nx + ny * ny + 0.16)
    nx, ny, nz = nx / length, ny / length, np.float32(0.4) / length
    diffuse = np.clip(nx * KEY[0] + ny * KEY[1] + nz * KEY[2], 0, 1)
    half = KEY + np.array([0, 0, 1], np.float32)
    half = half / np.linalg.norm(half)
    gloss = np.clip(nx * half[0] + ny * half[1] + nz * half[2], 0, 1)
    specular = (0.55 * gloss**50 + 0.10 * gloss**8) * (1 - 0.3 * care)
    rim = np.clip(0.75 * nx + 0.5 * ny - 0.35, 0, 1) ** 1.5
    # Bodies throw a soft shadow to the lower right, on the wall and a little on each other.
    cast = cv2.warpAffine(_shrunk(body, 7.0, size), np.float32([[1, 0, 7], [0, 1, 9]]), (size[1], size[0]), borderMode=cv2.BORDER_REPLICATE)
    occlusion = np.clip(cast - 0.85 * body, 0, 1) + 0.35 * np.clip(_shrunk(height, 10.0, size) - height, 0, 4) / 4

    gain = float(np.clip(44.0 / (chroma.mean() + 8.0), 1.3, 1.9))
    lab[..., 1:] *= gain
    lab[..., 0] = 100 * np.clip(0.5 + (lab[..., 0] / 100 - 0.5) * 0.82 + 0.03, 0, 1)
    colour = ink.to_rgb(lab)
    light = (0.46 + 0.86 * diffuse) * (1 - 0.55 * np.clip(occlusion, 0, 1))
    warm, cool = np.array([1.04, 1.0, 0.95], np.float32), np.array([0.86, 0.93, 1.10], np.float32)
    mix = np.clip(light, 0, 1)[..., None]
    colour = colour * light[..., None] * (warm * mix + cool * (1 - mix))
    lit = (0.35 + 0.65 * brush.luminance(colour))[..., None]
    colour = colour + specular[..., None] * lit + 0.20 * rim[..., None] * np.array([0.7, 0.85, 1.0], np.float32) * lit
    # A filmic shoulder.
    return ink.to_bytes(colour * (1 + 0.12 * colour) / (1 + 0.12 * colour * colour))
