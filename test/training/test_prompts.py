import json
import unittest
from pathlib import Path

import numpy as np

from training import prompts

MANIFEST = Path(__file__).parents[2] / "models/lite/model.json"
FIXTURE = Path(__file__).with_name("tokens.json")


class Tokenizer(unittest.TestCase):
    def test_agrees_with_what_the_hugging_face_tokenizer_gave(self):
        tokenize = prompts.WordPiece()
        for text, expected in json.loads(FIXTURE.read_text(encoding="utf-8")):
            ids, mask = tokenize(text)
            with self.subTest(text):
                self.assertEqual(ids[: sum(mask)], expected)

    def test_file_holds_the_same_vocabulary(self):
        made = json.loads(prompts.tokenizer_json())
        self.assertEqual(made["model"]["vocab"], prompts.vocabulary())
        self.assertEqual([t["id"] for t in made["added_tokens"]], [0, 1, 2, 3])

    def test_any_ascii_sentence_becomes_known_tokens(self):
        ids, mask = prompts.WordPiece()("Qwzx-like brushwork, 3rd pass: 100% (v2)!")
        self.assertNotIn(1, ids[: sum(mask)])

    def test_long_text_is_cut_and_closed(self):
        ids, mask = prompts.WordPiece()("paint " * 100)
        self.assertEqual((len(ids), sum(mask), ids[-1]), (32, 32, 3))


class Phrases(unittest.TestCase):
    def test_hundreds_of_paraphrases_some_held_out_presets_never(self):
        for style, preset in prompts.PRESETS.items():
            train, held = prompts.split(style)
            self.assertGreater(len(train), 300)
            self.assertGreater(len(held), 30)
            self.assertEqual(train[0], preset)
            self.assertFalse(set(train) & set(held))

    def test_every_phrase_fits_and_is_made_of_known_words(self):
        tokenize = prompts.WordPiece()
        for style in [*prompts.PRESETS, prompts.NEUTRAL]:
            for phrase in prompts.phrases(style):
                ids, mask = tokenize(phrase)
                self.assertLess(sum(mask), 32, phrase)
                self.assertNotIn(1, ids, phrase)


    def test_the_models_manifest_offers_modifiers_in_words_of_training(self):
        manifest = json.loads(MANIFEST.read_text())
        self.assertEqual(manifest["modifiers"], prompts.offered_modifiers())
        for offered in manifest["modifiers"]:
            self.assertIn(offered["phrase"], prompts.modifier_words(offered["name"]))

    def test_modifiers_can_be_said_in_ways_that_training_never_hears(self):
        tokenize, rng = prompts.WordPiece(), np.random.default_rng(0)
        for name in prompts.MODIFIERS:
            train, held = prompts.modifier_words(name), prompts.modifier_words(name, held=True)
            self.assertTrue(len(train) >= 5 and held and not set(train) & set(held), name)
        for style, preset in prompts.PRESETS.items():
            said = prompts.modified(preset, ["warm", "bold"], rng)
            ids, mask = tokenize(said)
            self.assertIn(preset, said)
            self.assertTrue(sum(mask) < 32 and 1 not in ids, said)


if __name__ == "__main__":
    unittest.main()
