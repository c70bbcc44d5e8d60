import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import cv2
import numpy as np

from training import footage, held_out, prompts
from training.teachers import PAINTERS


class Sentences(unittest.TestCase):
    def test_none_of_them_was_trained_on_but_presets_and_modifiers(self):
        for style in PAINTERS:
            trained, said = set(prompts.split(style)[0]), footage.sentences(style, 24)
            self.assertIn(said["preset"], trained)
            self.assertIn(said["plain"], trained)
            self.assertEqual(len(said["paraphrases"]), 24)
            self.assertTrue(said["kin"])
            self.assertFalse(trained & {*said["paraphrases"], *said["kin"]})

    def test_paraphrases_name_the_style_itself_and_kin_another(self):
        for style in PAINTERS:
            said = footage.sentences(style, 24)
            nouns = prompts.NOUNS[style]
            self.assertTrue(all(any(noun in p for noun in nouns) for p in said["paraphrases"]))
            self.assertTrue(all(any(word in p for word in prompts.KIN[style]) for p in said["kin"]))

    def test_modifiers_are_said_in_known_words_and_in_others(self):
        said = footage.sentences("oil-painting", 1)
        for name in prompts.MODIFIERS:
            known, other = set(said["modified"][name]), set(said["modified_otherwise"][name])
            self.assertEqual((len(known), len(other)), (2, 2))
            self.assertFalse(known & other)

    def test_unknown_styles_are_in_no_phrase(self):
        names = {name for style in PAINTERS for name in (*prompts.NOUNS[style], *prompts.KIN[style])}
        for sentence in footage.UNKNOWN:
            self.assertFalse([name for name in names if name in sentence])


class Pictures(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = Path(self.folder.name)

    def test_only_held_out_files_are_shown(self):
        for stem in (*sorted(held_out.PHOTOS)[:2], "kodim01"):
            cv2.imwrite(str(self.path / f"{stem}.png"), np.full((40, 60, 3), 90, np.uint8))
        found = footage.Footage([self.path])
        self.assertEqual({p.stem for p in found.photos}, set(sorted(held_out.PHOTOS)[:2]))
        self.assertNotIn("kodim01", {*found.stills(8), *found.moving(4, 2), *found.looks(2)})

    def test_the_liveliest_frames_are_those_that_move(self):
        frames = [np.full((36, 64, 3), 200 if 10 <= i < 14 and i % 2 else 50, np.uint8) for i in range(30)]
        self.assertEqual([int(f[0, 0, 0]) for f in footage.liveliest(frames, 4)].count(200), 2)

    def test_without_data_it_draws_and_paints_what_index_json_says(self):
        noise = self.path / "noise.f32"
        np.random.default_rng(1).standard_normal((12, 72, 128)).astype(np.float32).tofile(noise)
        command = [sys.executable, "-m", "training.footage", "--noise", noise, "--out", self.path]
        counts = {"stills": 1, "clips": 1, "frames": 2, "sentences": 2}
        subprocess.run([*command, *(word for name, n in counts.items() for word in (f"--{name}", str(n)))], check=True)
        index = json.loads((self.path / "index.json").read_text())
        self.assertTrue(index["isDrawn"])
        self.assertEqual(set(index["styles"]), set(PAINTERS))
        frame = index["width"] * index["height"] * 3
        for name in index["clips"]:
            self.assertEqual((self.path / "clips" / f"{name}.rgb").stat().st_size, 2 * frame)
        still = np.fromfile(self.path / "stills.rgb", np.uint8).astype(int)
        for style in PAINTERS:
            painted = np.fromfile(self.path / "teacher" / f"{style}.rgb", np.uint8).astype(int)
            self.assertEqual(painted.shape, still.shape)
            self.assertGreater(np.abs(painted - still).mean(), 3)


if __name__ == "__main__":
    unittest.main()
