import json
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

from training import prompts
from training.causal_dit import export, graphs, masks, sequences
from training.causal_dit.base import Base
from training.causal_dit.model import LATENT_CHANNELS, REFERENCE_DISTANCE, TINY, CausalDit, Made, Size, multiply_adds, place_angles, time_angles, turn
from training.causal_dit.streaming import Buffer, Window, merged, paint_frame, roll_out, sigmas
from training.causal_dit.train import Trainer
from training.model import QUERIES, WIDTH

FRAMES, WINDOW = 6, 2
LATENTS = (LATENT_CHANNELS, 16, 24)


def model(seed=1):
    """Tiny, and with everything in it that a trained one has: nothing is zero."""
    torch.manual_seed(seed)
    made = CausalDit(TINY).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return made


class Stream:
    """Two samples of a stream of random frames, and their conditions."""

    def __init__(self, net, seed=2):
        generator = torch.Generator().manual_seed(seed)
        random = lambda *shape: torch.randn(shape, generator=generator)
        self.sample, self.clean, self.source = (random(2, FRAMES, *LATENTS) for _ in range(3))
        self.times = torch.rand(2, FRAMES, generator=generator)
        self.prompt, self.reference = random(2, QUERIES, WIDTH), random(2, *LATENTS)
        self.words, self.anchors = net.words(self.prompt), net.anchor(self.reference)

    def full(self, net, mask, **changed):
        given = {"sample": self.sample, "source": self.source, "times": self.times, "words": self.words, "anchors": self.anchors, **changed}
        return net(given.pop("sample"), given.pop("source"), given.pop("times"), given.pop("words"), mask, **given)


def close(found, expected):
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)


class NoGradient(unittest.TestCase):
    def setUp(self):
        context = torch.no_grad()
        context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)


class Cached(NoGradient):
    """What is painted frame by frame from a cache is what one pass under a mask gives."""

    def test_a_stream_is_the_pass_under_the_causal_mask(self):
        net = model()
        stream = Stream(net)
        for anchors in (stream.anchors, None):
            expected = stream.full(net, masks.causal(FRAMES, WINDOW), anchors=anchors)
            window = Window(net, WINDOW, anchors=anchors)
            for f in range(FRAMES):
                x0, made = net.step(stream.sample[:, f], stream.source[:, f], stream.times[:, f], stream.words, window.past())
                window.write(made)
                close(x0, expected[:, f])

    def test_clean_writes_are_teacher_forcing(self):
        net = model()
        stream = Stream(net)
        both = lambda a, b: torch.cat([a, b], dim=1)
        expected = stream.full(
            net, masks.teacher_forcing(FRAMES, WINDOW), sample=both(stream.clean, stream.sample), source=both(stream.source, stream.source),
            times=both(torch.zeros(2, FRAMES), stream.times), positions=torch.arange(FRAMES).repeat(2),
        )[:, FRAMES:]  # fmt: skip
        window = Window(net, WINDOW, anchors=stream.anchors)
        for f in range(FRAMES):
            x0, _ = net.step(stream.sample[:, f], stream.source[:, f], stream.times[:, f], stream.words, window.past())
            close(x0, expected[:, f])
            window.write(net.step(stream.clean[:, f], stream.source[:, f], torch.zeros(2), stream.words, window.past())[1])

    def test_positions_say_how_far_back_and_nothing_else(self):
        net = model()
        stream = Stream(net)
        mask = masks.causal(FRAMES, WINDOW)
        plain = stream.full(net, mask)
        close(stream.full(net, mask, positions=torch.arange(FRAMES) + 100), plain)
        self.assertGreater((stream.full(net, mask, positions=2 * torch.arange(FRAMES)) - plain).abs().max(), 1e-3)

    def test_a_sample_without_a_reference_does_not_see_it(self):
        net = model()
        stream = Stream(net)
        mask, anchored = masks.causal(FRAMES, WINDOW), torch.tensor([True, False])
        mixed, all_of, none = (stream.full(net, mask, **given) for given in ({"anchored": anchored}, {}, {"anchors": None}))
        close(mixed[0], all_of[0])
        close(mixed[1], none[1])
        self.assertGreater((all_of[1] - none[1]).abs().max(), 1e-3)
        window = Window(net, WINDOW, anchors=stream.anchors, anchored=anchored)
        for f in range(FRAMES):
            bias = window.bias(24)
            x0, made = net.step(stream.sample[:, f], stream.source[:, f], stream.times[:, f], stream.words, window.past(), bias)
            window.write(made)
            close(x0, mixed[:, f])


class Kept(NoGradient):
    def test_tokens_that_are_kept_come_out_as_from_the_whole_frame(self):
        net = model()
        stream = Stream(net)
        given = (stream.sample[:, 0], stream.source[:, 0], stream.times[:, 0], stream.words, stream.anchors)
        whole, made = net.step(*given)
        for kept in (torch.tensor([3, 4, 11, 20]), torch.randperm(24)):
            # With the keys and values that the others have in the same pass.
            layers = [tuple(part.index_fill(2, kept, 9.0) for part in pair) for pair in made.layers]
            x0, again = net.step(*given, kept=kept, own=Made(layers, made.hidden.index_fill(1, kept, 9.0)))
            close(merged(x0, whole + 1, kept), merged(whole, whole + 1, kept))
            close(again.hidden, made.hidden)
            for pair, expected in zip(again.layers, made.layers):
                close(pair[0], expected[0])
                close(pair[1], expected[1])

    def test_the_others_stay_as_they_were(self):
        net = model()
        stream = Stream(net)
        window = Window(net, WINDOW, anchors=stream.anchors)
        levels, kept = sigmas(2, 64, 96), torch.tensor([0, 5, 23])
        first = paint_frame(net, stream.sample[:, 0], stream.source[:, 0], stream.words, levels, window)
        before = window.held[-1][1]
        second = paint_frame(net, stream.sample[:, 1], stream.source[:, 1], stream.words, levels, window, kept=kept, rest=first)
        same = (first == second).all(dim=1).all(dim=0)  # [16, 24], tokens of 4 x 4
        self.assertEqual(same.reshape(4, 4, 6, 4).any(dim=3).any(dim=1).flatten().logical_not().nonzero().flatten().tolist(), kept.tolist())
        for (key, _), (earlier, _) in zip(window.held[-1][1].layers, before.layers):
            moved = (key != earlier).flatten(0, 1).any(dim=2).any(dim=0)
            self.assertEqual(moved.nonzero().flatten().tolist(), kept.tolist())


class MovingBuffer(NoGradient):
    def test_frames_leave_one_pass_after_they_came_at_the_levels_of_two_steps(self):
        net = model()
        stream = Stream(net)
        levels = sigmas(2, 64, 96)
        for chunk in (1, 2):
            seen = []
            forward = net.forward
            net.forward = lambda *given, **named: (seen.append(given[2].clone()), forward(*given, **named))[1]
            buffer = Buffer(net, levels, chunk)
            pieces = [slice(f, f + chunk) for f in range(0, FRAMES, chunk)]
            given = [buffer.push(stream.sample[:, p], stream.source[:, p], stream.words, stream.anchors) for p in pieces]
            del net.forward
            self.assertIsNone(given[0])
            self.assertTrue(all(x0.shape == (2, chunk, *LATENTS) for x0 in given[1:]))
            self.assertEqual(seen[0][0].tolist(), [1.0] * 2 * chunk)
            np.testing.assert_allclose(seen[1][0], [levels[1]] * chunk + [1.0] * chunk, atol=1e-6)
            # By hand: the second pass has the first chunk a step farther.
            first, second = pieces[:2]
            times = torch.tensor([[levels[1]] * chunk + [1.0] * chunk] * 2)
            whole = lambda a, b: torch.cat([a, b], dim=1)
            mask = masks.bidirectional(2 * chunk)
            again = lambda x, t: net(x, whole(stream.source[:, first], stream.source[:, first if t is None else second]), torch.ones(2, 2 * chunk) if t is None else t, stream.words, mask, anchors=stream.anchors)
            x0 = again(whole(stream.sample[:, first], stream.sample[:, first]), None)[:, :chunk]
            moved = x0 + levels[1] * (stream.sample[:, first] - x0)
            close(given[1], again(whole(moved, stream.sample[:, second]), times)[:, :chunk])
        with self.assertRaisesRegex(ValueError, "expected those of two steps"):
            Buffer(net, sigmas(4, 64, 96))


class Masks(NoGradient):
    def test_who_reads_whom(self):
        self.assertTrue(masks.bidirectional(3).all())
        self.assertEqual(masks.causal(4, 1).int().tolist(), [[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 1, 1]])
        self.assertEqual(
            masks.teacher_forcing(3, 1).int().tolist(),
            [[1, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 0, 0], [1, 0, 0, 0, 1, 0], [0, 1, 0, 0, 0, 1]],
        )

    def test_the_teacher_sees_what_comes_and_the_student_does_not(self):
        net = model()
        stream = Stream(net)
        other = stream.sample.clone()
        other[:, 4] += 1
        apart = lambda mask: (stream.full(net, mask) - stream.full(net, mask, sample=other)).abs().amax(dim=(0, 2, 3, 4))
        self.assertTrue((apart(masks.bidirectional(FRAMES)) > 1e-4).all())
        seen = apart(masks.causal(FRAMES, WINDOW))
        self.assertEqual(seen[:4].tolist(), [0.0] * 4)
        self.assertTrue((seen[4:] > 1e-4).all())

    def test_each_frame_has_its_own_timestep(self):
        net = model()
        stream = Stream(net)
        times = stream.times.clone()
        times[:, 4] *= 0.5
        mask = torch.eye(FRAMES, dtype=torch.bool)
        apart = (stream.full(net, mask) - stream.full(net, mask, times=times)).abs().amax(dim=(0, 2, 3, 4))
        self.assertEqual((apart > 1e-4).tolist(), [False, False, False, False, True, False])


class Angles(NoGradient):
    def test_scores_depend_on_the_distance_alone(self):
        q, k = torch.randn(1, 16), torch.randn(1, 16)
        score = lambda a, b: (turn(q, time_angles(16, torch.tensor([a]))) * turn(k, time_angles(16, torch.tensor([b])))).sum()
        close(score(5, 2), score(3, 0))
        self.assertGreater((score(5, 2) - score(5, 1)).abs(), 1e-4)

    def test_time_rows_and_columns_turn_pairs_of_their_own(self):
        moved = lambda angles: set((angles[1].abs() > 0).any(dim=0).nonzero().flatten().tolist())
        time, places = moved(time_angles(16, torch.tensor([1]))), moved(place_angles(16, 2, 2))
        self.assertEqual(time | places, set(range(8)))
        self.assertFalse(time & places)

    def test_a_reference_is_farther_than_a_window_reaches(self):
        net = model()
        reference = torch.randn(1, *LATENTS)
        near = turn(net.anchor(reference)[0][0], time_angles(TINY.head, torch.tensor([REFERENCE_DISTANCE])))
        said = net._times(torch.zeros(1, 1))
        x = net._tokens(reference[:, None], torch.zeros(1, 1, *LATENTS), said)[0] + net.reference
        modulation = net.blocks[0].modulation(net._modulation(said))
        close(near, net.blocks[0].project(x, modulation[0], modulation[1], net.places(reference))[1])


class Rolling(unittest.TestCase):
    def written(self, frames, sinks, count, switch_at=()):
        """The numbers that a window holds after `count` frames; a frame's keys are its number everywhere."""
        window = Window(model(), frames, sinks)
        for f in range(count):
            if f in switch_at:
                window.switch()
            number = torch.full((1, 2, 1, TINY.head), float(f))
            window.write(Made([(number, number)], torch.zeros(1, 1, TINY.width)))
        numbers = [made.layers[0][1][0, 0, 0, 0].item() for _, made in window.held]
        self.assertEqual(window.past()[0][1][0, 0, :, 0].tolist(), numbers)
        return [int(number) for number in numbers]

    def test_the_oldest_goes_sinks_stay_and_a_switch_leaves_the_last(self):
        self.assertEqual(self.written(3, 0, 7), [4, 5, 6])
        self.assertEqual(self.written(3, 1, 7), [0, 5, 6])
        self.assertEqual(self.written(3, 1, 6, switch_at=(5,)), [4, 5])
        self.assertEqual(self.written(3, 1, 9, switch_at=(5,)), [5, 7, 8])
        self.assertEqual(self.written(2, 1, 6, switch_at=(5,)), [4, 5])  # a sink takes nobody's place
        self.assertEqual(self.written(3, 1, 4, switch_at=(1,)), [1, 2, 3])  # what was a sink is none of the new style

    def test_self_forcing_learns_from_one_step_of_each_frame_and_reads_its_own_paintings(self):
        net = model().train()
        stream = Stream(net)
        levels = sigmas(2, 64, 96)
        run = lambda exits: roll_out(net, stream.sample, stream.source, stream.words, levels, Window(net, WINDOW, anchors=stream.anchors), exits)
        plain = run(None)
        self.assertFalse(plain.requires_grad)
        last = run([1] * FRAMES)
        close(last, plain)
        self.assertGreater((run([0] + [1] * (FRAMES - 1))[:, 1] - last[:, 1]).abs().max(), 1e-5)
        # The past is no way for a gradient: a later frame says nothing of an earlier one's noise.
        noise = stream.sample.clone().requires_grad_(True)
        words, anchors = net.words(stream.prompt), net.anchor(stream.reference)
        window = Window(net, WINDOW, anchors=anchors)
        x0 = roll_out(net, noise, stream.source, words, levels, window, [0] * FRAMES)
        self.assertFalse(any(part.requires_grad for _, made in window.held for pair in made.layers for part in pair))
        x0[:, 3].sum().backward()
        self.assertEqual((noise.grad.abs().amax(dim=(0, 2, 3, 4)) > 0).tolist(), [False, False, False, True, False, False])
        self.assertTrue(all(p.grad is not None for p in net.parameters()))

    def test_two_steps_are_the_levels_of_lite(self):
        np.testing.assert_allclose(sigmas(2, 256, 256), [1, 0.622459, 0], atol=1e-6)
        np.testing.assert_allclose(sigmas(4, 512, 512), [1, 0.849235, 0.652489, 0.384945, 0], atol=1e-6)
        self.assertEqual(sigmas(1, 144, 256), [1.0, 0.0])


class Export(unittest.TestCase):
    def test_graphs_have_their_tensors_and_share_their_weights(self):
        with tempfile.TemporaryDirectory() as folder:
            made = export.export(model(), Base(), folder, (4, 6), 3, 1, 2)
            self.assertEqual(made, json.loads((Path(folder) / "model.json").read_text()))
            self.assertEqual((made["family"], made["size"], made["window"]), ("causal-dit", {"fixed": [96, 64]}, {"frames": 3, "sinkFrames": 1}))
            stored = 0
            for role in graphs.tensors(TINY, (4, 6), 3, 7):
                entry = made["graphs"][role]
                graph = onnx.load(str(Path(folder) / entry["file"])).graph
                for kind, values in (("inputs", graph.input), ("outputs", graph.output)):
                    shapes = [[d.dim_value for d in v.type.tensor_type.shape.dim] for v in values]
                    self.assertEqual((shapes, [v.name for v in values]), ([t["shape"] for t in entry[kind]], [t["name"] for t in entry[kind]]), role)
                stored += sum(len(i.raw_data) for i in graph.initializer)
            self.assertEqual(made["graphs"]["dit_step"]["inputs"][6]["shape"], [1, 2, 4 * 24, 16])
            self.assertLess((Path(folder) / export.WEIGHTS).stat().st_size, 0.85 * stored)

    def test_the_full_size_is_what_the_design_says(self):
        net = CausalDit()
        count = sum(p.numel() for p in net.parameters())
        self.assertLess(2 * count, 20e6)
        self.assertAlmostEqual(multiply_adds(Size(), 144, 7 * 144) / 1e9, 1.426, delta=0.001)
        self.assertAlmostEqual(multiply_adds(Size(), 144, 7 * 144, kept=43) / 1e9, 0.587, delta=0.001)
        roles = graphs.tensors(Size(), (9, 16), 6, 43)
        self.assertEqual(roles["dit_step"][0][5], ("attention_bias", "float32", [1, 1, 1, 1152]))


class Training(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        sequences.build([], cls.folder.name, 3, frames=3, size=(64, 96), workers=1)
        cls.sequences = sequences.Sequences(cls.folder.name)
        torch.manual_seed(3)
        cls.base = Base()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def trainer(self, stage, **given):
        return Trainer(self.base, self.sequences, stage, TINY, **{"batch": 2, "frames": 3, "window": 2, "learning_rate": 3e-3, **given})

    def test_a_reference_is_another_painting_of_the_style(self):
        rng = np.random.default_rng(0)
        shown = 0
        for _ in range(200):
            row = self.sequences._one(rng, 2)
            if row["shown"]:
                shown += 1
                self.assertFalse(any((row["reference"] == frame).all() for frame in row["target"]))
        self.assertGreater(shown, 0)

    def test_every_stage_lowers_its_loss(self):
        for stage in ("teacher", "causal", "forcing"):
            trainer = self.trainer(stage)
            seen = []
            for _ in range(20):
                trainer.step = 0  # The same batch again.
                seen.append(trainer.advance()["latent"])
            self.assertLess(np.mean(seen[-3:]), 0.9 * np.mean(seen[:2]), stage)

    def test_a_run_that_was_cut_off_comes_to_the_same_weights(self):
        whole, first = self.trainer("causal"), self.trainer("causal")
        for _ in range(4):
            whole.advance()
        for _ in range(2):
            first.advance()
        path = Path(self.folder.name) / "last.pt"
        first.save(path, 5.0)
        second = self.trainer("causal")
        self.assertEqual(second.load(path), 5.0)
        for _ in range(2):
            second.advance()
        for a, b in zip(whole.model.parameters(), second.model.parameters()):
            torch.testing.assert_close(a, b, atol=1e-6, rtol=0)
        with self.assertRaisesRegex(SystemExit, "is of stage causal"):
            self.trainer("teacher").load(path)
        student = self.trainer("forcing")
        student.start_from(path)
        torch.testing.assert_close(student.model.leave.weight, first.ema.leave.weight)


if __name__ == "__main__":
    unittest.main()
