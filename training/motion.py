"""Optical flow of the input, and what is carried along it: the last painting and the noise field.

Flow F goes from the previous frame to this one; things are gathered: what is now at x was at x - F(x).
"""

import cv2
import numpy as np

STILL = 0.25  # Pixels: less than this is a still camera's noise.
EXPLAINS = 0.6  # Motion must leave at most this share of the difference between the two frames.
_DIS = {}


def grey(rgb):
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def _search(previous, current, finest_scale, sigma):
    if finest_scale not in _DIS:
        _DIS[finest_scale] = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        _DIS[finest_scale].setFinestScale(finest_scale)
    field = _DIS[finest_scale].calc(previous, current, None)
    difference = lambda a: cv2.GaussianBlur(cv2.absdiff(a, current).astype(np.float32), (0, 0), sigma)
    field[difference(warp(previous, field)) > EXPLAINS * difference(previous) - 0.5] = 0
    return field


def flow(previous, current):
    """DIS flow, float32 [H, W, 2] in pixels, from two grey frames uint8 [H, W].

    Zero where slower than STILL, and where it does not explain the change: on the plain walls of a still camera DIS
    finds motion in sensor noise (two thirds of the picture in our clips), and everything carried along would crawl.
    """
    field = _search(previous, current, finest_scale=2, sigma=4.0)
    field[np.hypot(field[..., 0], field[..., 1]) < STILL] = 0
    return field


def coarse_flow(previous, current):
    """Like flow, computed at a quarter of the size and in its pixels, [H / 4, W / 4, 2], slow motion too: what latents move along."""
    small = lambda picture: cv2.resize(picture, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    return _search(small(previous), small(current), finest_scale=1, sigma=2.0)


def origin(field):
    """The coordinates x - F(x) as two maps for cv2.remap."""
    height, width = field.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x - field[..., 0], y - field[..., 1]


def warp(image, field):
    """image [H, W, ...] gathered along the flow: what the last painting looks like on this frame."""
    x, y = origin(field)
    return cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def move_latents(latents, field):
    """Latents [C, H, W] gathered along a flow of their size by whole cells, and the rest of the motion [2, H, W], x then y."""
    height, width = field.shape[:2]
    x, y = (np.clip(at, 0, side - 1) for at, side in zip(origin(field), (width, height)))
    column, row = np.floor(x + 0.5).astype(int), np.floor(y + 0.5).astype(int)
    return latents[:, row, column], np.stack([x - column, y - row]).astype(np.float32)


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

    What is carried are coordinates into a field that never changes, so nothing blurs or clumps with time, and fractions
    of a cell count. The field, endless by repetition, is read between its cells with bilinear weights divided by their root sum of squares: unit
    variance whatever the fraction. Gathering whole cells from frame to frame instead tears the field apart: cells whose
    motion rounds differently jump in different frames, and on a slow pan the painting flickers more than with fixed noise.
    """

    def __init__(self, shape, rng):
        self.field = rng.standard_normal(shape).astype(np.float32)
        y, x = np.mgrid[0 : shape[1], 0 : shape[2]].astype(np.float32)
        self.grid = np.dstack([x, y])
        self.at = self.grid.copy()
        self.noise = self.field

    def advance(self, flow):
        """Moves the noise along the flow [4h, 4w, 2] and returns it."""
        height, width = self.noise.shape[1:]
        origin = self.grid - cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / 4
        inside = np.clip(origin, 0, np.array([width - 1, height - 1], np.float32))
        # What enters from outside continues the coordinates of the border.
        self.at = cv2.remap(self.at, inside[..., 0], inside[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) + (origin - inside)
        x, y = self.at[..., 0], self.at[..., 1]
        left, top = np.floor(x).astype(int), np.floor(y).astype(int)
        right, low = x - left, y - top
        cell = lambda dx, dy: self.field[:, (top + dy) % height, (left + dx) % width]
        weights = [(1 - right) * (1 - low), right * (1 - low), (1 - right) * low, right * low]
        mixed = sum(w * cell(dx, dy) for w, (dx, dy) in zip(weights, ((0, 0), (1, 0), (0, 1), (1, 1))))
        self.noise = (mixed / np.sqrt(sum(w * w for w in weights))).astype(np.float32)
        return self.noise
