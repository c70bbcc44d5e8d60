"""Scenes drawn by a program: what cameras do not show (interfaces, games, flat graphics, plain gradients, text)."""

import cv2
import numpy as np

WORDS = "LIVE SCORE START MENU ALLA PRIMA News 12:45 Round 2 chat follow Level 7 x128 Camera ON AIR loading".split()


def _colour(rng):
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def _gradient(rng, size):
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (np.cos(angle) * x / width + np.sin(angle) * y / height + 1) / 2
    if rng.random() < 0.3:
        ramp = np.hypot(x / width - rng.random(), y / height - rng.random())
    a, b = np.float32(_colour(rng)), np.float32(_colour(rng))
    return a + (b - a) * np.clip(ramp, 0, 1)[..., None]


def _cloud(rng, size, cell):
    small = rng.standard_normal((max(2, size[0] // cell), max(2, size[1] // cell))).astype(np.float32)
    return cv2.resize(small, (size[1], size[0]), interpolation=cv2.INTER_CUBIC)


def _shapes(rng, image):
    height, width = image.shape[:2]
    for _ in range(rng.integers(3, 14)):
        centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
        extent = rng.integers(height // 20, height // 2, 2)
        kind = rng.integers(4)
        thickness = -1 if rng.random() < 0.75 else int(rng.integers(2, 8))
        if kind == 0:
            cv2.ellipse(image, centre, tuple(int(v) for v in extent), float(rng.uniform(0, 180)), 0, 360, _colour(rng), thickness, cv2.LINE_AA)
        elif kind == 1:
            corner = (centre[0] + int(extent[0]), centre[1] + int(extent[1]))
            cv2.rectangle(image, centre, corner, _colour(rng), thickness)
        elif kind == 2:
            points = (np.array(centre) + rng.integers(-height // 3, height // 3, (rng.integers(3, 7), 2))).astype(np.int32)
            cv2.fillPoly(image, [points], _colour(rng), cv2.LINE_AA)
        else:
            end = (int(rng.integers(0, width)), int(rng.integers(0, height)))
            cv2.line(image, centre, end, _colour(rng), int(rng.integers(1, 10)), cv2.LINE_AA)


def _panels(rng, image):
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 5)):
        x, y = int(rng.integers(0, width * 3 // 4)), int(rng.integers(0, height * 3 // 4))
        w, h = int(rng.integers(60, width // 2)), int(rng.integers(24, height // 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), _colour(rng), -1)
        ink = _colour(rng)
        for line in range(int(rng.integers(1, 5))):
            text = " ".join(rng.choice(WORDS, rng.integers(1, 4)))
            cv2.putText(image, text, (x + 6, y + 20 + 22 * line), int(rng.integers(0, 4)), float(rng.uniform(0.4, 1.0)), ink, int(rng.integers(1, 3)), cv2.LINE_AA)


def draw(rng, size=(288, 512)):
    """One scene, RGB uint8 [H, W, 3], from a numpy Generator."""
    image = _gradient(rng, size)
    if rng.random() < 0.5:
        image += _cloud(rng, size, int(rng.integers(4, 60)))[..., None] * rng.uniform(4, 30)
    if rng.random() < 0.4:
        image += _cloud(rng, size, int(rng.integers(8, 80)))[..., None] * np.float32(rng.uniform(-20, 20, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.85:
        _shapes(rng, image)
    if rng.random() < 0.45:
        _panels(rng, image)
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0)))
    if rng.random() < 0.4:
        shade = 1 + 0.25 * _cloud(rng, size, int(rng.integers(60, 140)))
        image = np.clip(image * shade[..., None], 0, 255).astype(np.uint8)
    return image
