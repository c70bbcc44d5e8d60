"""Direction fields, smearing along them, and noise planes: what every painter's brush is made of.

Smearing is line-integral convolution (Cabral and Leedom 1993) along the edge tangent flow of a smoothed
structure tensor (Kyprianidis and Kang, "Image and Video Abstraction by Coherence-Enhancing Filtering", 2011).
"""

import cv2
import numpy as np


def luminance(rgb):
    """float32 [H, W] 0..1 of an RGB image [H, W, 3] 0..1."""
    return rgb @ np.array([0.299, 0.587, 0.114], np.float32)


def plane(noise, channel, size, sigma=0.0):
    """One noise channel [h, w] blurred by sigma (in grid cells), enlarged to size (H, W) and brought to unit variance.

    The scale is computed from the blur kernel, not from the picture, so a crop gives the same values as the whole.
    """
    field = noise[channel]
    if sigma > 0:
        field = cv2.GaussianBlur(field, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101)
        field = field * (2.0 * sigma * np.sqrt(np.pi) if sigma > 0.6 else 1.0 + sigma)
    return cv2.resize(field, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def direction(grey, fine=2.0, coarse=12.0, rest=None, weight=2e-4):
    """Unit vectors along the edges, float32 [H, W, 2] (x, y), and the edge strength [H, W].

    Tensors of two scales are added, so that flat places take their direction from their neighbours; `rest`
    ([H, W], radians) is the direction where neither says anything.
    """
    gx = cv2.Scharr(grey, cv2.CV_32F, 1, 0) / 16
    gy = cv2.Scharr(grey, cv2.CV_32F, 0, 1) / 16
    tensor = cv2.merge([gx * gx, gx * gy, gy * gy])
    near = cv2.GaussianBlur(tensor, (0, 0), fine)
    small = cv2.resize(near, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    far = cv2.resize(cv2.GaussianBlur(small, (0, 0), coarse / 4), (grey.shape[1], grey.shape[0]), interpolation=cv2.INTER_LINEAR)
    total = near + 0.25 * far
    # Double-angle form of the tangent: averaging it is safe, averaging the vectors is not.
    c, s = total[..., 2] - total[..., 0], -2 * total[..., 1]
    if rest is not None:
        c, s = c + weight * np.cos(2 * rest), s + weight * np.sin(2 * rest)
    angle = 0.5 * np.arctan2(s, c)
    strength = np.sqrt(near[..., 0] + near[..., 2])
    return np.dstack([np.cos(angle), np.sin(angle)]).astype(np.float32), strength


_GRIDS = {}


def grid(height, width):
    """float32 [H, W, 2] of pixel coordinates (x, y)."""
    if (height, width) not in _GRIDS:
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        _GRIDS[height, width] = np.dstack([x, y])
    return _GRIDS[height, width]


def sample(image, at, interpolation=cv2.INTER_LINEAR):
    """image read at the coordinates at [H, W, 2]."""
    return cv2.remap(image, at[..., 0], at[..., 1], interpolation, borderMode=cv2.BORDER_REFLECT_101)


def trace(field, length, step=2.0):
    """Coordinates along the field on both sides of each pixel: a list of [H, W, 2], middle left out."""
    height, width = field.shape[:2]
    paths = []
    for sign in (1.0, -1.0):
        at = grid(height, width) + sign * step * 0.5 * field
        heading = sign * field
        for _ in range(max(1, round(length / step))):
            paths.append(at.copy())
            # Nearest: the field's sign jumps where the angle wraps, and a mean across the jump would vanish.
            here = sample(field, at, cv2.INTER_NEAREST)
            flip = np.sign((here * heading).sum(2, keepdims=True))
            heading = here * np.where(flip == 0, 1, flip)
            at = at + step * heading
    return paths


def smear(image, paths):
    """Mean of image [H, W(, C)] over the traced paths."""
    total = np.zeros_like(image)
    for at in paths:
        total += sample(image, at)
    return total / len(paths)


def spread(signal, sigma=24.0):
    """Local standard deviation of signal, for bringing smeared noise to unit variance; float32 [H, W]."""
    small = cv2.resize(signal * signal, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return np.sqrt(cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / 4), (signal.shape[1], signal.shape[0]))) + 1e-4


_SECTORS = {}


def _sectors(radius, count=8):
    if (radius, count) not in _SECTORS:
        y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1].astype(np.float32)
        distance, angle = np.hypot(x, y), np.arctan2(y, x)
        kernels = []
        for i in range(count):
            off = np.abs((angle - 2 * np.pi * i / count + np.pi) % (2 * np.pi) - np.pi)
            kernel = np.exp(-0.5 * (off / (0.7 * np.pi / count * 2)) ** 2) * np.exp(-0.5 * (distance / (0.55 * radius)) ** 2)
            kernel[distance > radius + 0.5] = 0
            kernel[radius, radius] = kernel.max() / count
            kernels.append(kernel / kernel.sum())
        _SECTORS[radius, count] = kernels
    return _SECTORS[radius, count]


def kuwahara(rgb, radius, sharpness=6.0):
    """Soft-sector Kuwahara filter (Papari et al. 2007): flat colour inside, crisp edges. rgb float32 0..1."""
    grey = luminance(rgb)
    packed = np.dstack([rgb, grey * grey])
    total = np.zeros_like(rgb)
    weights = np.zeros_like(grey)
    for kernel in _sectors(radius):
        mean = cv2.filter2D(packed, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
        variance = np.maximum(mean[..., 3] - luminance(mean[..., :3]) ** 2, 0)
        weight = 1 / (1e-4 + variance) ** (sharpness / 4)
        total += mean[..., :3] * weight[..., None]
        weights += weight
    return total / weights[..., None]


def expose(rgb, middle, pull):
    """Gamma that pulls the mean luminance of the whole picture towards `middle`: rgb float32 0..1."""
    mean = float(np.clip(luminance(rgb).mean(), 0.06, 0.9))
    gamma = 1 + pull * (np.log(middle) / np.log(mean) - 1)
    return np.clip(rgb, 0, 1) ** float(np.clip(gamma, 0.6, 1.5))
