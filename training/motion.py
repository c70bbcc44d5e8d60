"""Optical flow of the input, and what is carried along it: the last painting and the noise field.

Flow F goes from the previous frame to this one; things are gathered: what is now at x was at x - F(x).
"""

import cv2
import numpy as np

STILL = 0.25  # Pixels: less than this is a still camera's noise.
_DIS = []


def grey(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def flow(previous, current):
    """DIS flow, float32 [H, W, 2] in pixels, from two grey frames uint8 [H, W]; zero where slower than STILL."""
    if not _DIS:
        _DIS.append(cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST))
    field = _DIS[0].calc(previous, current, None)
    field[np.hypot(field[..., 0], field[..., 1]) < STILL] = 0
    return field


def origin(field):
    """The coordinates x - F(x) as two maps for cv2.remap."""
    height, width = field.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x - field[..., 0], y - field[..., 1]


def warp(image, field):
    """image gathered along the flow: what the last painting looks like on this frame."""
    x, y = origin(field)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def valid(previous, current, field, tolerance=18.0):
    """float32 [H, W]: 1 where the warped previous frame agrees with this one and came from inside it, else 0."""
    x, y = origin(field)
    height, width = current.shape
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    apart = cv2.absdiff(warp(previous, field), current).astype(np.float32)
    agrees = cv2.GaussianBlur(apart, (0, 0), 1.5) < tolerance
    return (inside & agrees).astype(np.float32)


class AdvectedNoise:
    """A noise field [8, h, w] on the quarter grid that moves with the picture.

    Cells are gathered from the nearest cell, so the field stays white; what is left of a move is kept for the next
    frame, so that slow motion moves it too. Cells that come from outside are drawn anew.
    """

    def __init__(self, shape, rng):
        self.rng = rng
        self.noise = rng.standard_normal(shape).astype(np.float32)
        self.rest = np.zeros((*shape[1:], 2), np.float32)

    def advance(self, field):
        """Moves the noise along the flow [4h, 4w, 2] and returns it."""
        height, width = self.noise.shape[1:]
        cells = cv2.resize(field, (width, height), interpolation=cv2.INTER_AREA) / 4
        moved = self.rest + cells
        whole = np.rint(moved).astype(np.int32)
        self.rest = moved - whole
        if not whole.any():
            return self.noise
        y, x = np.mgrid[0:height, 0:width]
        y, x = y - whole[..., 1], x - whole[..., 0]
        inside = (y >= 0) & (x >= 0) & (y < height) & (x < width)
        gathered = self.noise[:, np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        fresh = self.rng.standard_normal(self.noise.shape).astype(np.float32)
        self.noise = np.where(inside[None], gathered, fresh)
        return self.noise
