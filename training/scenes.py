"""Scenes drawn by a program: what cameras do not show (interfaces, games, flat graphics, plain gradients, text), and figures,
landscapes and rooms in colours that no clip has."""

import cv2
import numpy as np

WORDS = "LIVE SCORE START MENU ALLA PRIMA News 12:45 Round 2 chat follow Level 7 x128 Camera ON AIR loading the a of and Settings 100 % OK".split()
SKIN = np.array([(92, 60, 42), (141, 95, 66), (186, 132, 98), (224, 178, 146), (240, 205, 180)], np.float32)


def _colour(rng):
    return tuple(int(v) for v in rng.integers(0, 256, 3))


def _near(rng, colour, spread=18):
    return tuple(int(v) for v in np.clip(np.array(colour) + rng.normal(0, spread, 3), 0, 255))


def _gradient(rng, size, a=None, b=None, upright=False):
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle = np.pi / 2 if upright else rng.uniform(0, 2 * np.pi)
    ramp = (np.cos(angle) * x / width + np.sin(angle) * y / height + (0 if upright else 1)) / (1 if upright else 2)
    if not upright and rng.random() < 0.3:
        ramp = np.hypot(x / width - rng.random(), y / height - rng.random())
    a, b = np.float32(_colour(rng) if a is None else a), np.float32(_colour(rng) if b is None else b)
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


def _write(rng, image, at, ink, scale=None):
    text = " ".join(rng.choice(WORDS, rng.integers(1, 6)))
    cv2.putText(image, text, at, int(rng.integers(0, 4)), float(rng.uniform(0.4, 1.0) if scale is None else scale), ink, int(rng.integers(1, 3)), cv2.LINE_AA)


def _panels(rng, image):
    height, width = image.shape[:2]
    for _ in range(rng.integers(1, 5)):
        x, y = int(rng.integers(0, width * 3 // 4)), int(rng.integers(0, height * 3 // 4))
        w, h = int(rng.integers(width // 8, width // 2)), int(rng.integers(height // 12, height // 2))
        cv2.rectangle(image, (x, y), (x + w, y + h), _colour(rng), -1)
        ink = _colour(rng)
        for line in range(int(rng.integers(1, 5))):
            _write(rng, image, (x + 6, y + 20 + 22 * line), ink)


def _page(rng, size):
    """Text on a plain sheet."""
    light = rng.random() < 0.6
    sheet = _near(rng, (240, 238, 232) if light else (28, 30, 36), 10)
    image = np.full((*size, 3), sheet, np.uint8)
    scale = float(rng.uniform(0.4, 1.2))
    for y in range(int(30 * scale + 10), size[0], int(34 * scale)):
        if rng.random() < 0.85:
            _write(rng, image, (int(rng.integers(8, 40)), y), _near(rng, (30, 30, 34) if light else (225, 225, 220), 25), scale)
    return image


def _figure(rng, image):
    """Head and shoulders or a whole standing person, with a face where there is room for one."""
    height, width = image.shape[:2]
    head = float(rng.uniform(0.04, 0.26)) * height
    x, y = rng.uniform(0.15, 0.85) * width, rng.uniform(0.2, 0.5) * height
    point = lambda dx, dy: (int(x + dx * head), int(y + dy * head))
    size = lambda a, b: (max(1, int(a * head)), max(1, int(b * head)))
    skin, hair, cloth = SKIN[rng.integers(len(SKIN))] + rng.normal(0, 6, 3), _near(rng, (40, 30, 25), 35), _colour(rng)
    tone = lambda gain: tuple(int(v) for v in np.clip(skin * gain, 0, 255))
    limb = max(2, int(0.55 * head))
    cv2.ellipse(image, point(0, -0.25), size(1.0, 1.25), 0, 0, 360, hair, -1, cv2.LINE_AA)
    cv2.fillPoly(image, [np.int32([point(-0.5, 1.3), point(0.5, 1.3), point(1.9, 2.1), point(1.6, 5.4), point(-1.6, 5.4), point(-1.9, 2.1)])], cloth, cv2.LINE_AA)
    for side in (-1, 1):
        elbow, hand = point(side * rng.uniform(1.6, 3), rng.uniform(2.6, 4)), point(side * rng.uniform(0.3, 3), rng.uniform(1.5, 5))
        cv2.line(image, point(side * 1.7, 2.3), elbow, _near(rng, cloth, 8), limb, cv2.LINE_AA)
        cv2.line(image, elbow, hand, _near(rng, cloth, 8), limb, cv2.LINE_AA)
        cv2.circle(image, hand, max(1, int(0.42 * head)), tone(1.0), -1, cv2.LINE_AA)
        cv2.line(image, point(side * 0.7, 5.2), point(side * rng.uniform(0.5, 1.3), 9.5), _near(rng, (50, 50, 70), 30), int(1.2 * limb) + 1, cv2.LINE_AA)
    cv2.line(image, point(0, 0.6), point(0, 1.6), tone(0.85), max(2, int(0.7 * head)), cv2.LINE_AA)
    cv2.ellipse(image, point(0, 0), size(0.8, 1.05), 0, 0, 360, tone(1.0), -1, cv2.LINE_AA)
    cv2.ellipse(image, point(0.12, 0.05), size(0.62, 0.9), 0, -80, 80, tone(0.86), -1, cv2.LINE_AA)
    for side in (-1, 1):
        cv2.ellipse(image, point(side * 0.34, -0.12), size(0.17, 0.10), 0, 0, 360, (240, 238, 232), -1, cv2.LINE_AA)
        cv2.circle(image, point(side * 0.34, -0.12), max(1, int(0.09 * head)), (40, 30, 26), -1, cv2.LINE_AA)
        cv2.ellipse(image, point(side * 0.34, -0.32), size(0.22, 0.07), 0, 180, 360, hair, max(1, int(0.06 * head)), cv2.LINE_AA)
    cv2.line(image, point(0, -0.05), point(0.1, 0.3), tone(0.75), max(1, int(0.06 * head)), cv2.LINE_AA)
    cv2.ellipse(image, point(0, 0.58), size(0.28, float(rng.uniform(0.04, 0.16))), 0, 0, 360, _near(rng, (160, 70, 66), 15), -1, cv2.LINE_AA)
    cv2.ellipse(image, point(0, -0.55), size(0.86, 0.6), 0, 180, 360, hair, -1, cv2.LINE_AA)


def _landscape(rng, size):
    height, width = size
    day = rng.random() < 0.75
    sky = _near(rng, (90, 150, 220) if day else (30, 35, 70), 40)
    image = _gradient(rng, size, sky, _near(rng, (225, 225, 215) if day else (120, 80, 90), 30), upright=True)
    image = np.clip(image + np.clip(_cloud(rng, size, 40) + 0.6 * _cloud(rng, size, 14), 0, 2)[..., None] * rng.uniform(0, 40), 0, 255).astype(np.uint8)
    if rng.random() < 0.5:
        cv2.circle(image, (int(rng.integers(width)), int(rng.integers(height // 2))), int(rng.integers(8, 34)), (255, 240, 190), -1, cv2.LINE_AA)
    horizon = float(rng.uniform(0.35, 0.6)) * height
    for layer in range(int(rng.integers(2, 6))):
        line = horizon + layer * height * 0.11 + _cloud(rng, (2, width), int(rng.integers(16, 90)))[0] * height * rng.uniform(0.01, 0.09)
        points = np.stack([np.arange(width), line], axis=1)
        ground = _near(rng, rng.choice(np.array([(70, 110, 60), (110, 120, 130), (150, 130, 80), (60, 90, 120)])) * (1 - 0.12 * layer), 18)
        cv2.fillPoly(image, [np.int32(np.vstack([points, [(width, height), (0, height)]]))], ground, cv2.LINE_AA)
    for _ in range(int(rng.integers(0, 12))):
        x, y, tall = int(rng.integers(width)), int(rng.uniform(horizon, height)), int(rng.uniform(0.06, 0.3) * height)
        cv2.line(image, (x, y), (x, y - tall), _near(rng, (80, 55, 40), 12), max(1, tall // 12), cv2.LINE_AA)
        leaves = _near(rng, (60, 110, 50), 30)
        for _ in range(9):
            at = (x + int(rng.normal(0, tall * 0.2)), y - tall + int(rng.normal(0, tall * 0.2)))
            cv2.circle(image, at, max(2, int(tall * 0.16)), _near(rng, leaves, 14), -1, cv2.LINE_AA)
    rough = _cloud(rng, size, 3) * rng.uniform(2, 12)
    return np.clip(image + rough[..., None], 0, 255).astype(np.uint8)


def _room(rng, size):
    height, width = size
    wall, floor = _near(rng, (205, 200, 190), 35), _near(rng, (130, 95, 65), 35)
    image = _gradient(rng, size, wall, _near(rng, wall, 25)).clip(0, 255).astype(np.uint8)
    line = int(rng.uniform(0.55, 0.8) * height)
    corner = int(rng.uniform(-0.2, 1.2) * width)
    cv2.fillPoly(image, [np.int32([(0, line + 30), (corner, line), (width, line + 40), (width, height), (0, height)])], floor, cv2.LINE_AA)
    cv2.line(image, (corner, 0), (corner, line), _near(rng, wall, 12), 2, cv2.LINE_AA)
    for x in range(-width, 2 * width, int(rng.integers(18, 60))):
        cv2.line(image, (corner + (x - corner) // 3, line + 6), (x, height), _near(rng, floor, 10), 1, cv2.LINE_AA)
    for _ in range(int(rng.integers(2, 7))):
        x, y, w, h = int(rng.integers(width)), int(rng.uniform(0.05, 0.75) * height), int(rng.integers(30, 160)), int(rng.integers(30, 140))
        colour = _colour(rng)
        cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
        cv2.rectangle(image, (x, y), (x + w, y + h), _near(rng, np.array(colour) * 0.6, 8), int(rng.integers(1, 6)))
        if rng.random() < 0.4:
            cv2.line(image, (x + w // 2, y), (x + w // 2, y + h), (235, 235, 230), 2)
    shade = 1 + 0.2 * _cloud(rng, size, 130)
    return np.clip(image * shade[..., None], 0, 255).astype(np.uint8)


def _game(rng, size):
    """Tiles, sprites, bars and counters."""
    height, width = size
    tile = int(rng.integers(16, 48))
    palette = [_colour(rng) for _ in range(4)]
    board = rng.integers(0, 4, (height // tile + 1, width // tile + 1)) * (rng.random((height // tile + 1, width // tile + 1)) < rng.uniform(0.1, 0.8))
    image = np.array(palette, np.uint8)[np.kron(board.astype(int), np.ones((tile, tile), int))[:height, :width]]
    for _ in range(int(rng.integers(2, 9))):
        sprite = rng.integers(0, 2, (8, 4)).astype(np.uint8)
        sprite = np.kron(np.hstack([sprite, sprite[:, ::-1]]), np.ones((int(rng.integers(2, 7)),) * 2, np.uint8))
        h, w = sprite.shape
        y, x = int(rng.integers(max(1, height - h))), int(rng.integers(max(1, width - w)))
        patch = image[y : y + h, x : x + w]
        patch[sprite[: patch.shape[0], : patch.shape[1]] > 0] = _colour(rng)
    for i in range(int(rng.integers(1, 4))):
        y, full = 10 + 20 * i, int(rng.integers(60, 200))
        cv2.rectangle(image, (10, y), (10 + full, y + 12), (30, 30, 30), -1)
        cv2.rectangle(image, (12, y + 2), (12 + int(full * rng.random()), y + 10), _colour(rng), -1)
    _write(rng, image, (width // 2, 24), (255, 255, 255))
    return image


def _abstract(rng, size):
    image = _gradient(rng, size)
    if rng.random() < 0.5:
        image += _cloud(rng, size, int(rng.integers(4, 60)))[..., None] * rng.uniform(4, 30)
    if rng.random() < 0.4:
        image += _cloud(rng, size, int(rng.integers(8, 80)))[..., None] * np.float32(rng.uniform(-20, 20, 3))
    image = np.clip(image, 0, 255).astype(np.uint8)
    if rng.random() < 0.85:
        _shapes(rng, image)
    return image


def draw(rng, size=(288, 512)):
    """One scene, RGB uint8 [H, W, 3], from a numpy Generator."""
    kinds = (_abstract, _landscape, _room, _game, _page)
    image = np.ascontiguousarray(kinds[rng.choice(5, p=[0.3, 0.25, 0.22, 0.12, 0.11])](rng, size))
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 4))):
            _figure(rng, image)
    if rng.random() < 0.3:
        _panels(rng, image)
    if rng.random() < 0.4:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0)))
    if rng.random() < 0.3:
        shade = 1 + 0.25 * _cloud(rng, size, int(rng.integers(60, 140)))
        image = np.clip(image * shade[..., None], 0, 255).astype(np.uint8)
    return image
