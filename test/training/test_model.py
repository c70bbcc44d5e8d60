import tempfile
import unittest
from pathlib import Path

import cv2
import numpy as np
import onnx
import torch

from training import data, export, graphs, motion, prompts, restore, scenes
from training.adapter import Adapter, Shift
from training.model import DIRECTIONS, LATENT_CHANNELS, SMEARED, Form, Lite, Screen, Strokes
from training.teachers import PAINTERS
from training.train import Pictures, Trainer, modify, rate, to_float
from training.train_adapter import AdapterTrainer, without_tone


def lite():
    torch.manual_seed(1)
    return Lite(len(prompts.vocabulary())).eval()


class Model(unittest.TestCase):
    def test_strokes_are_noise_smeared_in_every_direction_at_its_own_strength(self):
        torch.manual_seed(2)
        strokes = Strokes()
        with torch.no_grad():
            laid = strokes(torch.randn(1, LATENT_CHANNELS, 96, 96))[0, :, 8:-8, 8:-8].reshape(DIRECTIONS, SMEARED, 80, 80)
        torch.testing.assert_close(laid.std(dim=(2, 3)), torch.ones(DIRECTIONS, SMEARED), atol=0.15, rtol=0)
        along, across = laid.diff(dim=-1).abs().mean(dim=(1, 2, 3)), laid.diff(dim=-2).abs().mean(dim=(1, 2, 3))
        self.assertGreater(across[0], 2 * along[0])  # Level strokes hardly change from left to right.
        self.assertGreater(along[DIRECTIONS // 2], 2 * across[DIRECTIONS // 2])
        self.assertFalse(any(parameter.requires_grad for parameter in strokes.parameters()))

    def test_strokes_along_the_form_follow_edges_and_flat_places_their_neighbours(self):
        form, latents = Form(), torch.zeros(1, LATENT_CHANNELS, 48, 64)
        with torch.no_grad():
            form.grey.weight.zero_()
            form.grey.weight[0, 0] = 1
            y, x = torch.meshgrid(torch.arange(48.0), torch.arange(64.0), indexing="ij")
            for wave, degrees in ((torch.sin(x), 90), (torch.sin(y), 0), (torch.sin(x - y), 45), (torch.sin(x + y), -45)):
                latents[0, 0] = wave
                c, s = form.direction(latents)[0, :, 24, 32]
                self.assertAlmostEqual(abs(torch.rad2deg(torch.atan2(s, c)).item()), abs(2 * degrees), delta=2)
                self.assertGreaterEqual(s.item() * degrees, 0)
                smeared = torch.zeros(1, DIRECTIONS, SMEARED, 48, 64)
                smeared[:, degrees % 180 * DIRECTIONS // 180] = torch.tensor([1.0, -2.0, 3.0, 4.0])[:, None, None]
                along = form(latents, smeared.flatten(1, 2))[0, :, 24, 32]
                torch.testing.assert_close(along, torch.tensor([1.0, -2.0, 3.0, 4.0]), atol=0.05, rtol=0)
            latents[0, 0] = torch.where(x < 32, torch.sin(x + y), torch.zeros(()))
            c, s = form.direction(latents)[0, :, 24, 34]  # Nothing is here, and lines that fall to the left are beside it.
            self.assertLess(s.item(), -0.9)
            latents.zero_()
            rest = form.rest.flatten() / form.rest.norm()
            torch.testing.assert_close(form.direction(latents)[0, :, 24, 32], rest, atol=1e-3, rtol=0)
        self.assertEqual({name for name, value in form.named_parameters() if value.requires_grad}, {"grey.weight", "grey.bias", "rest"})

    def test_shapes_follow_the_picture(self):
        base = lite()
        with torch.no_grad():
            for height, width in ((64, 96), (96, 64)):
                picture, noise = torch.randn(2, 3, height, width), torch.randn(2, LATENT_CHANNELS, height // 4, width // 4)
                prompt = base.prompt(torch.zeros(2, 32, dtype=torch.long), torch.ones(2, 32), torch.randn(2, 3, 128, 128))
                self.assertEqual(list(prompt.shape), [2, 16, 192])
                self.assertEqual(list(base.paint(picture, noise, prompt).shape), [2, 3, height, width])

    def test_one_step_from_noise_is_the_prediction(self):
        base = lite()
        sample, source, prompt = torch.randn(1, LATENT_CHANNELS, 16, 24), torch.randn(1, LATENT_CHANNELS, 16, 24), torch.randn(1, 16, 192)
        with torch.no_grad():
            velocity = base.unet(sample, torch.full((1,), 1000.0), prompt, source)
            x0 = base.unet.predict(sample, torch.full((1,), 1000.0), prompt, source)
        torch.testing.assert_close(sample - velocity, x0, atol=1e-5, rtol=0)

    def test_multiplier_zero_is_the_base_bit_for_bit(self):
        base, adapter = lite(), Adapter().eval()
        for hook in adapter.hooks.values():
            torch.nn.init.normal_(hook.up.weight)
        unet = graphs.Unet(base, adapter)
        inputs = graphs.example(graphs.TENSORS["unet"][0])
        with torch.no_grad():
            plain = base.unet(*inputs[:4])
            self.assertTrue(torch.equal(unet(*inputs[:-1], torch.zeros(1)), plain))
            self.assertFalse(torch.equal(unet(*inputs[:-1], torch.ones(1)), plain))

    def test_an_untrained_adapter_changes_nothing(self):
        base, inputs = lite(), graphs.example(graphs.TENSORS["unet"][0])
        with torch.no_grad():
            self.assertTrue(torch.equal(graphs.Unet(base, Adapter())(*inputs), base.unet(*inputs[:4])))


    def test_knows_where_on_the_paper_a_cell_lies(self):
        screen = Screen(2)
        torch.nn.init.constant_(screen.weight, 1.0)
        map = screen(torch.zeros(1, 2, 4, 6))[0, 0]
        self.assertEqual(map[:2, :2].tolist(), [[1.0, -1.0], [-1.0, 1.0]])
        torch.testing.assert_close(map[:2, :4], map[2:, 2:])


class Noise(unittest.TestCase):
    def test_moves_with_the_picture_in_fractions_of_a_cell_and_stays_white(self):
        field = motion.AdvectedNoise((8, 18, 32), np.random.default_rng(0))
        before = field.noise.copy()
        for _ in range(2):
            field.advance(np.full((72, 128, 2), (1.0, 0.0), np.float32))
        self.assertAlmostEqual(float(field.noise.std()), 1.0, delta=0.1)
        for _ in range(2):
            field.advance(np.full((72, 128, 2), (1.0, 0.0), np.float32))
        np.testing.assert_allclose(field.noise[:, :, 1:], before[:, :, :-1], atol=1e-4)

    def test_a_still_camera_with_sensor_noise_moves_nothing(self):
        rng = np.random.default_rng(1)
        wall = np.full((96, 128), 120.0)
        wall[30:60, 40:80] = 60
        first, second = (np.clip(wall + rng.normal(0, 2, wall.shape), 0, 255).astype(np.uint8) for _ in range(2))
        self.assertLess((motion.flow(first, second) != 0).mean(), 0.01)


class LastLatents(unittest.TestCase):
    def test_move_by_whole_cells_and_tell_the_rest(self):
        latents = np.arange(2 * 3 * 8, dtype=np.float32).reshape(2, 3, 8)
        moved, offsets = motion.move_latents(latents, np.full((3, 8, 2), (1.75, 0.0), np.float32))
        np.testing.assert_array_equal(moved[:, :, 2:], latents[:, :, :-2])
        np.testing.assert_allclose(offsets[0, :, 2:], 0.25)
        self.assertTrue((offsets[0, :, 0] == 0).all() and (offsets[1] == 0).all())

    def test_stay_as_they_are_where_nothing_moves(self):
        shift, latents, offsets = Shift(), torch.randn(1, LATENT_CHANNELS, 4, 6), torch.zeros(1, 2, 4, 6)
        torch.nn.init.normal_(shift.by.weight)
        with torch.no_grad():
            self.assertTrue(torch.equal(shift(latents, offsets), latents))
            self.assertFalse(torch.equal(shift(latents, offsets + 0.3), latents))

    def test_a_coarse_flow_counts_in_its_own_pixels(self):
        picture = motion.grey(scenes.draw(np.random.default_rng(3), (96, 160)))
        flow = motion.coarse_flow(picture, np.roll(picture, 8, axis=1))
        self.assertEqual(flow.shape, (24, 40, 2))
        self.assertAlmostEqual(float(np.median(flow[4:-4, 8:-8, 0])), 2.0, delta=0.5)


class Training(unittest.TestCase):
    def test_the_adapter_goes_by_the_latents_that_it_painted_last(self):
        trainer = AdapterTrainer(lite(), [], [], batch=2, crop=(64, 96))
        seen = [trainer.advance() for _ in range(3)]
        self.assertTrue(all(np.isfinite(v) for row in seen for v in row.values()))
        self.assertEqual(seen[0].keys(), {"loss", "to_warped", "base_to_warped"})
        self.assertEqual([sequence.latents.shape for sequence in trainer.sequences], [(LATENT_CHANNELS, 16, 24)] * 2)
        self.assertNotEqual(trainer.adapter.gate.gate.weight.abs().max().item(), 0)

    def test_strokes_follow_the_last_painting_and_light_does_not(self):
        weight = torch.ones(1, 1, 64, 96)
        strokes = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(4))
        fade = torch.full((1, 3, 64, 96), 0.3)
        left = without_tone(strokes + fade, weight)
        self.assertLess(left.mean().abs().item(), 0.01)
        self.assertGreater(torch.corrcoef(torch.stack([left.flatten(), strokes.flatten()]))[0, 1].item(), 0.98)

    def test_a_few_steps_on_drawn_scenes_lower_the_loss(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "train", 4, held=False, seed=1, workers=1)
            pictures = Pictures(Path(folder) / "train")
            self.assertEqual(set(pictures.paintings), set(PAINTERS))
            trainer = Trainer(pictures, batch=3, learning_rate=2e-3)
            losses = []
            for _ in range(20):
                trainer.rng = np.random.default_rng(2)  # The same batch again.
                losses.append(trainer.advance()["loss"])
            self.assertLess(np.mean(losses[-3:]), 0.85 * np.mean(losses[:3]))
            trainer.save(Path(folder) / "last.pt", 1.0)
            resumed = Trainer(pictures, batch=3)
            self.assertEqual((resumed.load(Path(folder) / "last.pt"), resumed.step), (1.0, 20))


    def test_the_rate_falls_only_at_the_end_so_that_a_run_can_be_finished_at_any_length(self):
        self.assertEqual([rate(step, 1000, 400, warmup=10) for step in (9, 300, 600)], [1.0, 1.0, 1.0])
        self.assertAlmostEqual(rate(1000, 1000, 400), 0.02)
        self.assertLess(rate(800, 1000, 400), 0.6)

    def test_an_older_checkpoint_keeps_the_words_it_knows(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "train", 1, held=False, seed=1, workers=1)
            old = lite().state_dict()
            words = {"canvas": 3, "oil": 5}
            old["te_text.tokens.weight"] = torch.arange(8.0)[:, None].expand(8, 192).clone()
            torch.save({"ema": old, "vocabulary": words}, Path(folder) / "old.pt")
            trainer = Trainer(Pictures(Path(folder) / "train"), batch=1)
            trainer.start_from(Path(folder) / "old.pt")
            rows = trainer.model.te_text.tokens.weight
            self.assertEqual([rows[prompts.vocabulary()[w]][0].item() for w in words], [3.0, 5.0])
            torch.testing.assert_close(trainer.model.unet.enter.weight, old["unet.enter.weight"])

    def test_a_checkpoint_with_fewer_latents_gives_its_channels_and_silent_new_ones(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "train", 1, held=False, seed=1, workers=1)
            old = lite().state_dict()
            old["unet.enter.weight"] = torch.randn(32, 16, 3, 3)
            torch.save({"ema": old}, Path(folder) / "old.pt")
            trainer = Trainer(Pictures(Path(folder) / "train"), batch=1)
            trainer.start_from(Path(folder) / "old.pt")
            weight = trainer.model.unet.enter.weight
            torch.testing.assert_close(weight[:, LATENT_CHANNELS : LATENT_CHANNELS + 8], old["unet.enter.weight"][:, 8:])
            self.assertEqual(weight[:, 8:LATENT_CHANNELS].abs().max().item(), 0.0)

    def test_the_autoencoder_alone_leaves_the_denoiser_as_it_is(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "train", 2, held=False, seed=1, workers=1)
            trainer = Trainer(Pictures(Path(folder) / "train"), batch=2, learning_rate=1e-3, texture=0.3)
            before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
            losses = [trainer.advance(autoencoder=True)["autoencode"] for _ in range(40)]
            self.assertLess(np.mean(losses[-5:]), 0.9 * np.mean(losses[:5]))
            for name, value in trainer.model.state_dict().items():
                self.assertEqual(torch.equal(value, before[name]), not name.startswith(("encoder", "decoder")), name)

    def test_a_frozen_encoder_learns_nothing_and_the_denoiser_learns(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "train", 2, held=False, seed=1, workers=1)
            trainer = Trainer(Pictures(Path(folder) / "train"), batch=3, texture=0.3, frozen=True)
            before = {name: value.clone() for name, value in [*trainer.model.state_dict().items(), *trainer.ema.state_dict().items()]}
            for _ in range(2):
                trainer.advance()
            for state in (trainer.model.state_dict(), trainer.ema.state_dict()):
                self.assertTrue(all(torch.equal(value, before[name]) for name, value in state.items() if name.startswith("te_")))
                self.assertFalse(torch.equal(state["unet.enter.weight"], before["unet.enter.weight"]))

    def test_the_encoder_learns_words_alone_and_may_be_kept_from_moving_far(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "train", 2, held=False, seed=1, workers=1)
            pictures, moved = Pictures(Path(folder) / "train"), {}
            sentences = pictures.sentences(np.random.default_rng(3), 32)
            plain = sentences["named"].sum(1) == 0
            self.assertTrue(0 < plain.sum() < 16)

            def read(trainer, model):
                with torch.no_grad():
                    prompt = model.prompt(sentences["input_ids"], sentences["attention_mask"], sentences["squashed"])
                    return prompt, trainer.reader.loss(prompt, sentences["style"], sentences["named"]).item()

            for kept in (False, True):
                trainer = Trainer(pictures, batch=2)
                before, wrong = read(trainer, trainer.model)
                trainer.teach_words(16, kept, size=16)
                after, right = read(trainer, trainer.ema)
                self.assertLess(right, 0.8 * wrong)
                moved[kept] = (after - before)[plain].square().mean()
            self.assertLess(moved[True], 0.8 * moved[False])

    def test_modifiers_move_what_they_name(self):
        painting = np.random.default_rng(0).integers(60, 190, (24, 24, 3)).astype(np.uint8)
        lab = lambda *names: cv2.cvtColor(modify(painting, names), cv2.COLOR_RGB2LAB).astype(float) - (0, 128, 128)
        plain = lab()
        chroma = lambda picture: np.hypot(picture[..., 1], picture[..., 2]).mean()
        self.assertGreater(chroma(lab("vibrant")), 1.05 * chroma(plain))
        self.assertLess(chroma(lab("muted")), 0.7 * chroma(plain))
        self.assertLess(chroma(lab("monochrome")), 1.5)
        self.assertGreater(lab("warm")[..., 2].mean(), plain[..., 2].mean() + 5)
        self.assertLess(lab("cool")[..., 2].mean(), plain[..., 2].mean() - 5)
        self.assertLess(lab("dark")[..., 0].mean(), plain[..., 0].mean())
        self.assertGreater(lab("bright")[..., 0].mean(), plain[..., 0].mean())
        np.testing.assert_array_equal(modify(painting, ["bold"]), painting)


class Data(unittest.TestCase):
    def test_painting_goes_on_where_it_stopped(self):
        with tempfile.TemporaryDirectory() as folder:
            data.build([], Path(folder) / "a", 2, held=False, seed=1, workers=1)
            whole = np.load(Path(folder) / "a" / "anime.npy").copy()
            np.load(Path(folder) / "a" / "anime.npy", mmap_mode="r+")[1] = 0
            (Path(folder) / "a" / "ready").write_text("1")
            data.build([], Path(folder) / "a", 2, held=False, seed=1, workers=1)
            np.testing.assert_array_equal(np.load(Path(folder) / "a" / "anime.npy"), whole)

    def test_damage_keeps_the_picture_recognisable(self):
        image = scenes.draw(np.random.default_rng(5), (96, 160))
        for seed in range(20):
            bad = data.damage(image, np.random.default_rng(seed))
            self.assertEqual((bad.dtype, bad.shape), (image.dtype, image.shape))
            self.assertGreater(np.corrcoef(bad.ravel(), image.ravel())[0, 1], 0.5)


class Export(unittest.TestCase):
    def test_six_graphs_pass_the_checker_and_carry_the_manifests_shapes(self):
        with tempfile.TemporaryDirectory() as folder:
            made = export.export(lite(), Adapter(), folder)
            self.assertEqual(set(made["graphs"]), set(graphs.TENSORS))
            for role, entry in made["graphs"].items():
                model = onnx.load(str(Path(folder) / entry["file"]))
                onnx.checker.check_model(model)
                for kind, values in (("inputs", model.graph.input), ("outputs", model.graph.output)):
                    shapes = [[d.dim_param or d.dim_value for d in v.type.tensor_type.shape.dim] for v in values]
                    self.assertEqual(shapes, [t["shape"] for t in entry[kind]], role)
                self.assertEqual(export.sha256(Path(folder) / entry["file"]), entry["sha256"])
            self.assertLess(sum(f.stat().st_size for f in Path(folder).iterdir()), 25_000_000)

    def test_a_published_model_can_be_read_back(self):
        base = lite()
        with torch.no_grad():
            for parameter in base.parameters():  # The exporter keeps one of equal tensors.
                parameter.add_(0.1 * torch.randn_like(parameter))
        export.half_rounded(base)
        with tempfile.TemporaryDirectory() as folder:
            export.export(base, Adapter(), folder)
            again = restore.restore(folder)["ema"]
            state = base.state_dict()
            self.assertEqual(sorted(again), sorted(state))
            for name, value in state.items():
                torch.testing.assert_close(again[name], value, atol=1e-7, rtol=0)
        with tempfile.TemporaryDirectory() as empty, self.assertRaisesRegex(SystemExit, "name the folder of a model"):
            restore.restore(empty)

    def test_bytes_in_and_out(self):
        image = torch.randint(0, 256, (1, 64, 64, 3), dtype=torch.uint8)
        torch.testing.assert_close(graphs.picture_out(graphs.picture_in(image)), image)
        torch.testing.assert_close(graphs.picture_in(image), to_float(image), atol=1e-6, rtol=0)


if __name__ == "__main__":
    unittest.main()
