"""Ink lines, and where a painter should take the small brush."""

import cv2
import numpy as np

from training.teachers import orientation as brush


def care(photo):
    """float32 [H, W] 0..1: how fine the brush should be. Fine detail and what has the colour of skin; rgb float32 0..1.

    The box of skin in YCrCb is that of Chai and Ngan, "Face Segmentation Using Skin-Color Map" (1999).
    """
    grey = brush.luminance(photo)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 3.0))
    fine = cv2.GaussianBlur(cv2.dilate(cv2.GaussianBlur(fine, (0, 0), 2.0), np.ones((7, 7))), (0, 0), 5.0)
    busy = 0.8 * np.clip((fine - 0.012) / 0.045, 0, 1)
    small = cv2.resize(photo, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    _, cr, cb = cv2.split(cv2.cvtColor(np.ascontiguousarray(small, np.float32), cv2.COLOR_RGB2YCrCb))
    skin = np.exp(-(((cr - 0.590) / 0.055) ** 2) - ((cb - 0.440) / 0.060) ** 2)
    skin = cv2.resize(cv2.GaussianBlur(skin, (0, 0), 3.0), (photo.shape[1], photo.shape[0]), interpolation=cv2.INTER_LINEAR)
    # Skin alone is not enough for the finest brush: a wooden floor has its colour too, but no features.
    return np.clip(np.maximum(busy, skin * (0.5 + 0.8 * np.clip(fine / 0.016, 0, 1))), 0, 1)


def features(photo, care, gain=0.8):
    """The photo with more local contrast where care is high: a broad brush would lose eyes and letters otherwise."""
    return np.clip(photo + (gain * care)[..., None] * (photo - cv2.GaussianBlur(photo, (0, 0), 4.0)), 0, 1)


def lines(photo, along, sigma=1.0, gain=44.0, threshold=0.11, colour=0.7, care=None):
    """Darkness 0..1 of ink lines: differences of Gaussians smoothed along the edges, in luminance and, fainter, each colour.

    After Winnemoeller, Kyprianidis and Olsen, "XDoG" (2012); `along` are the traced paths of the edge field. The colours are
    there so that a red bird on green leaves has an outline. Where care [H, W] is 1 the pen is thinner and follows every bend,
    or eyes and mouths run together.
    """
    soft = np.dstack([brush.luminance(photo), colour * photo])
    apart = lambda s: cv2.GaussianBlur(soft, (0, 0), s) - cv2.GaussianBlur(soft, (0, 0), 1.8 * s)
    edge = brush.smear(apart(sigma), along).min(axis=2)
    if care is not None:
        half = len(along) // 2
        near = [along[0], along[half]]
        edge = edge * (1 - care) + (0.8 * care) * brush.smear(apart(min(0.75, 0.75 * sigma)), near).min(axis=2)
    return np.clip(-edge * gain - threshold, 0, 1)


def bilateral(photo, passes=2, diameter=7, tone=0.12, space=4.0):
    for _ in range(passes):
        photo = cv2.bilateralFilter(photo, diameter, tone, space)
    return photo


def steps(tone, count, softness=0.18):
    """tone 0..1 brought to `count` levels with soft steps between them."""
    scaled = tone * (count - 1)
    low = np.floor(scaled)
    return (low + np.clip((scaled - low - 0.5) / (2 * softness) + 0.5, 0, 1)) / (count - 1)


def to_lab(rgb):
    return cv2.cvtColor(np.ascontiguousarray(np.clip(rgb, 0, 1), np.float32), cv2.COLOR_RGB2LAB)


def to_rgb(lab):
    return np.clip(cv2.cvtColor(np.ascontiguousarray(lab, np.float32), cv2.COLOR_LAB2RGB), 0, 1)


def to_bytes(rgb):
    return (np.clip(rgb, 0, 1) * 255 + 0.5).astype(np.uint8)
