import unittest

import numpy as np

from training import scenes
from training.teachers import NOISE_CHANNELS, PAINTERS


def scene(seed=3, size=(96, 160)):
    return scenes.draw(np.random.default_rng(seed), size)


def noise(seed, size=(96, 160)):
    return np.random.default_rng(seed).standard_normal((NOISE_CHANNELS, size[0] // 4, size[1] // 4)).astype(np.float32)


class Teachers(unittest.TestCase):
    def test_the_same_noise_gives_the_same_painting(self):
        for style, painter in PAINTERS.items():
            with self.subTest(style):
                first, second = painter(scene(), noise(1)), painter(scene(), noise(1))
                self.assertEqual(first.dtype, np.uint8)
                self.assertEqual(first.shape, scene().shape)
                np.testing.assert_array_equal(first, second)

    def test_other_noise_moves_the_strokes(self):
        for style, painter in PAINTERS.items():
            with self.subTest(style):
                apart = np.abs(painter(scene(), noise(1)).astype(int) - painter(scene(), noise(2))).mean()
                self.assertGreater(apart, 2.0)

    def test_a_plain_ground_is_painted_with_strokes_not_with_a_tint(self):
        ground = np.full((96, 160, 3), 90, np.uint8)
        for style, painter in PAINTERS.items():
            with self.subTest(style):
                least = 2.0 if style in ("anime", "render-3d") else 4.0  # A cel and a moulded wall are nearly plain.
                self.assertGreater(painter(ground, noise(4)).astype(float).std(axis=(0, 1)).max(), least)

    def test_bold_and_fine_strokes_differ(self):
        for style, painter in PAINTERS.items():
            with self.subTest(style):
                apart = np.abs(painter(scene(), noise(1), 1.5).astype(int) - painter(scene(), noise(1), 0.7)).mean()
                self.assertGreater(apart, 1.0)

    def test_the_dot_screen_stays_on_the_paper_when_the_scene_moves(self):
        first, second = (PAINTERS["comic-halftone"](np.full((64, 96, 3), level, np.uint8), noise(1, (64, 96))).astype(float).mean(axis=2) for level in (150, 110))
        self.assertGreater(np.corrcoef(first.ravel(), second.ravel())[0, 1], 0.6)
        # The screen repeats every 8 pixels.
        self.assertGreater(np.corrcoef(first[:, :-8].ravel(), first[:, 8:].ravel())[0, 1], 0.8)

    def test_pencil_is_grey_on_light_paper(self):
        drawing = PAINTERS["pencil-sketch"](np.full((64, 96, 3), 235, np.uint8), noise(1, (64, 96))).astype(int)
        self.assertGreater(drawing.mean(), 225)
        self.assertLess(np.abs(drawing[..., 0] - drawing[..., 2]).max(), 12)

    def test_paint_follows_the_exposure_of_the_whole_picture(self):
        dark = (scene() * 0.35).astype(np.uint8)
        painted = PAINTERS["oil-painting"](dark, noise(1)).mean()
        self.assertGreater(painted, dark.mean() * 1.1)


if __name__ == "__main__":
    unittest.main()
