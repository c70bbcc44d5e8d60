import unittest

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training import qdq, quantize, rounding


def tiny(half=False):
    """conv 3x3 -> SiLU -> conv 1x1 -> Relu -> conv 3x3 into the output, beside a skip; weights from a seed."""
    rng = np.random.default_rng(4)
    shapes = {"a": (8, 4, 3, 3), "b": (8, 8, 1, 1), "c": (4, 8, 3, 3)}
    initializers, nodes = [], []
    for name, shape in shapes.items():
        weights = rng.normal(0, 0.3, shape).astype(np.float32)
        if half and name == "a":
            initializers.append(numpy_helper.from_array(weights.astype(np.float16), "a.weight.half"))
            nodes.append(helper.make_node("Cast", ["a.weight.half"], ["a.weight"], to=TensorProto.FLOAT))
        else:
            initializers.append(numpy_helper.from_array(weights, f"{name}.weight"))
        initializers.append(numpy_helper.from_array(rng.normal(0, 0.3, shape[0]).astype(np.float32), f"{name}.bias"))
    conv = lambda name, x, y, side: helper.make_node("Conv", [x, f"{name}.weight", f"{name}.bias"], [y], kernel_shape=[side, side], pads=[side // 2] * 4)
    nodes += [
        conv("a", "x", "ya", 3), helper.make_node("Sigmoid", ["ya"], ["s"]), helper.make_node("Mul", ["ya", "s"], ["h"]),
        conv("b", "h", "yb", 1), helper.make_node("Relu", ["yb"], ["r"]), conv("c", "r", "yc", 3), helper.make_node("Add", ["yc", "x"], ["z"]),
    ]
    value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8])
    graph = helper.make_graph(nodes, "tiny", [value("x")], [value("z"), value("yc")], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


RANGES = {"x": (-3.0, 3.0), "ya": (-4.0, 5.0), "h": (-0.3, 5.0), "r": (0.0, 4.0), "yc": (-4.0, 4.0)}


def picture(gain=127.5, also=()):
    """conv 3x3 -> a picture's bytes, as graphs.picture_out gives them."""
    rng = np.random.default_rng(6)
    constants = {"one": 1.0, "gain": gain, "low": 0.0, "high": 255.0}
    initializers = [numpy_helper.from_array(np.float32(value), name) for name, value in constants.items()]
    initializers.append(numpy_helper.from_array(rng.normal(0, 0.1, (12, 8, 3, 3)).astype(np.float32), "weight"))
    initializers.append(numpy_helper.from_array(rng.normal(0, 0.1, 12).astype(np.float32), "bias"))
    nodes = [
        helper.make_node("Conv", ["x", "weight", "bias"], ["y"], pads=[1] * 4), helper.make_node("DepthToSpace", ["y"], ["d"], blocksize=2, mode="CRD"),
        helper.make_node("Add", ["d", "one"], ["a"]), helper.make_node("Mul", ["a", "gain"], ["m"]),
        helper.make_node("Clip", ["m", "low", "high"], ["c"]), helper.make_node("Round", ["c"], ["r"]),
        helper.make_node("Cast", ["r"], ["b"], to=TensorProto.UINT8), helper.make_node("Transpose", ["b"], ["image"], perm=[0, 2, 3, 1]),
    ]
    outputs = [helper.make_tensor_value_info("image", TensorProto.UINT8, [1, 16, 16, 3])]
    outputs += [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 3, 16, 16]) for name in also]
    graph = helper.make_graph(nodes, "picture", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8, 8, 8])], outputs, initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def producers(model):
    return {name: node for node in model.graph.node for name in node.output}


class Surgery(unittest.TestCase):
    def test_taps_are_what_goes_in_and_what_comes_out(self):
        self.assertEqual(set(qdq.taps(tiny().graph)), set(RANGES))
        self.assertEqual({v.name for v in qdq.tapped(tiny()).graph.output}, {"z", "yc", "ya", "h", "r"})  # x is an input

    def test_convolutions_stand_between_pairs(self):
        made = qdq.quantize(tiny(), RANGES, {"ya", "yb"})
        onnx.checker.check_model(made, full_check=True)
        by, readers = producers(made), {}
        for node in made.graph.node:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        for out, behind in (("ya", "ya"), ("yb", "r")):
            self.assertEqual([by[name].op_type for name in by[out].input], ["DequantizeLinear"] * 3)
            self.assertEqual([node.op_type for node in readers[behind]], ["QuantizeLinear"])  # nobody reads what was not rounded
        self.assertEqual(by["r"].input[0], "yb")  # the Relu stays in front of its pair
        self.assertEqual(list(by["yc"].input), ["r.dq", "c.weight", "c.bias"])
        self.assertEqual([v.name for v in made.graph.output], ["z", "yc"])

    def test_an_output_of_the_graph_keeps_its_name(self):
        made = qdq.quantize(tiny(), RANGES, {"yc"})
        onnx.checker.check_model(made, full_check=True)
        by = producers(made)
        self.assertEqual(by["yc"].op_type, "DequantizeLinear")
        self.assertIn("Conv", [node.op_type for node in made.graph.node if "yc.raw" in node.output])

    def test_weights_stored_as_fp16_are_found_and_dropped(self):
        made = qdq.quantize(tiny(half=True), RANGES, {"ya"})
        names = {i.name for i in made.graph.initializer}
        self.assertFalse({"a.weight", "a.weight.half", "a.bias"} & names)
        self.assertNotIn("Cast", [node.op_type for node in made.graph.node])
        np.testing.assert_array_equal(
            numpy_helper.to_array(next(i for i in made.graph.initializer if i.name == "ya.weight.q")),
            rounding.quantized_weights(qdq.constants(tiny(half=True).graph)["a.weight"], np.zeros(8), np.float32(1))[0],
        )

    def test_without_a_choice_the_graph_stays_as_it_was(self):
        self.assertEqual(qdq.quantize(tiny(), RANGES, set()).graph, tiny().graph)


class Picture(unittest.TestCase):
    ranges = {"x": (-3.0, 3.0), "y": (-1.3, 1.4)}

    def ends(self, model):
        """The operators from the picture back to the convolution."""
        made = qdq.quantize(model, self.ranges, {"y"})
        onnx.checker.check_model(made, full_check=True)
        by, name, kinds = producers(made), "image", []
        while not kinds or kinds[-1] != "Conv":
            kinds.append(by[name].op_type)
            name = by[name].input[0]
        return made, kinds

    def test_a_convolution_gives_the_bytes_of_a_picture(self):
        made, kinds = self.ends(picture())
        self.assertEqual(kinds, ["Transpose", "DepthToSpace", "QuantizeLinear", "Conv"])
        values = {i.name: numpy_helper.to_array(i) for i in made.graph.initializer}
        step, zero = (values[name] for name in producers(made)["y.u8"].input[1:])
        self.assertEqual((step, zero, zero.dtype), (np.float32(1 / 127.5), 127, np.uint8))
        scale = rounding.quantization(*self.ranges["x"])[0]
        plain = rounding.quantized_weights(*(qdq.constants(picture().graph)[name] for name in ("weight", "bias")), scale)[2]
        half = (values["y.bias.q"] - plain) * values["y.bias.scale"].astype(np.float64)
        np.testing.assert_allclose(half, 0.5 / 127.5, atol=values["y.bias.scale"].max())
        x = np.random.default_rng(7).uniform(-1.5, 1.5, 10_000)
        given = np.clip(np.round((x + 0.5 / 127.5) / (1 / 127.5)) + 127, 0, 255)
        np.testing.assert_array_equal(given, np.round(np.clip((x + 1) * 127.5, 0, 255)))

    def test_another_end_stays_as_it_was(self):
        for model in (picture(gain=127.0), picture(gain=np.full(1, 127.5).repeat(16)), picture(also=["d"])):
            self.assertEqual(self.ends(model)[1][:3], ["Transpose", "Cast", "Round"])


class Numbers(unittest.TestCase):
    def test_weights_and_bias_come_back_within_half_a_step(self):
        rng = np.random.default_rng(1)
        weights, bias, scale = rng.normal(0, 1, (6, 5, 3, 3)), rng.normal(0, 1, 6), np.float32(0.02)
        weights[2] = 0  # a channel that says nothing but its bias
        levels, steps, whole = rounding.quantized_weights(weights, bias, scale)
        self.assertEqual((levels.dtype, whole.dtype), (np.int8, np.int32))
        self.assertLessEqual(np.abs(levels).max(), rounding.WEIGHT_MAX)
        self.assertTrue((np.abs(levels * steps[:, None, None, None] - weights) <= 0.5001 * steps[:, None, None, None]).all())
        step = steps.astype(np.float64) * scale
        self.assertTrue((np.abs(whole * step - bias) <= 0.5001 * step).all())

    def test_the_bias_takes_up_what_rounded_weights_do_to_a_flat_area(self):
        rng = np.random.default_rng(3)
        weights, bias, means = rng.normal(0, 1, (6, 5, 3, 3)), rng.normal(0, 1, 6), rng.normal(1, 1, 5)
        patches = np.repeat(means, 9) + rng.normal(0, 1, (500, 1)) + rng.normal(0, 0.2, (500, 45))

        def error(levels, steps, whole):
            wrong = ((levels * steps[:, None, None, None].astype(np.float64) - weights).reshape(6, -1) @ patches.T).T + whole * steps * 0.001 - bias
            return np.abs(wrong.mean(axis=0)).max(), wrong.std(axis=0).max()

        plain, corrected = (error(*rounding.quantized_weights(weights, bias, np.float32(0.001), given)) for given in (None, patches))
        self.assertLess(corrected[0], 1e-3)
        self.assertGreater(plain[0], 0.02)
        self.assertLess(corrected[1], 0.5 * plain[1])  # inputs that rise together: the weights make up for each other

    def test_inputs_that_never_change_are_rounded_to_the_nearest(self):
        wanted = np.random.default_rng(5).uniform(-70, 70, (4, 6))
        nearest = np.clip(np.round(wanted), -rounding.WEIGHT_MAX, rounding.WEIGHT_MAX)
        np.testing.assert_array_equal(rounding.rounded(wanted, np.full((3, 6), 2.0, np.float32)), nearest)

    def test_two_products_fit_the_16_bits_in_which_old_processors_add_them(self):
        self.assertLess(2 * 255 * rounding.WEIGHT_MAX, 2**15)

    def test_zero_is_exact_and_the_ends_are_met(self):
        for low, high in ((-3.0, 5.0), (0.0, 1.0), (-1e-3, 1e-3), (-0.278, 12.0)):
            scale, zero = rounding.quantization(low, high)
            ends = (np.array([0, zero, 255], np.float64) - zero) * scale
            self.assertEqual(ends[1], 0)
            np.testing.assert_allclose(ends[[0, 2]], [low, high], atol=scale)

    def test_a_long_tail_does_not_set_the_range(self):
        values = np.random.default_rng(2).normal(0, 1, 200_000).astype(np.float32)
        values[0] = 12

        def error(low, high):
            scale, zero = rounding.quantization(low, high)
            return np.square((np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale - values).mean()

        low, high = rounding.best_range(values)
        self.assertLess(high, 10)
        self.assertLess(error(low, high), 0.9 * error(values.min(), values.max()))
        self.assertLess(error(low, high), 0.9 * error(low / 2, high / 2))
        self.assertLess(rounding.best_range(np.zeros(10, np.float32))[0], 0)  # what is always zero has a range too

    def test_the_cheapest_errors_are_taken_until_the_bound(self):
        errors, work = {"a": 1.0, "b": 4.0, "c": 0.5, "d": 3.0}, {"a": 100, "b": 1000, "c": 1, "d": 10}
        self.assertEqual(quantize.choose(list(errors), errors, work, 5.6), ["b", "a", "c"])
        self.assertEqual(quantize.choose(list(errors), errors, work, 0.4), [])


class Choice(unittest.TestCase):
    errors = {("unet", "a"): 1.0, ("unet", "b"): 2.0, ("unet", "c"): 4.0, ("unet", "d"): 64.0}

    def most(self, decibels, share):
        """What is chosen of four with equal work, where together they cost `share` of what they cost alone."""
        make = lambda keys: {"unet": frozenset(keys)}
        cost = lambda variant: share * sum(self.errors[key] for key in variant.get("unet", ()))

        class Line:
            def errors(self, variants):
                return [(0.0, cost(variant)) for variant in variants]

        alone = {key: (0.0, error) for key, error in self.errors.items()}
        chosen, made, paintings = quantize.most(Line(), make, list(alone), alone, dict.fromkeys(alone, 10), decibels)
        if chosen:
            self.assertEqual(made, make(chosen))
            self.assertGreaterEqual(quantize.decibels(paintings[0][1]), decibels)
        return {name for _, name in chosen}

    def test_as_many_as_the_target_allows_whether_they_cost_less_or_more_together(self):
        target = quantize.decibels(7.5)
        self.assertEqual(self.most(target, 1.0), {"a", "b", "c"})
        self.assertEqual(self.most(target, 0.1), {"a", "b", "c", "d"})
        self.assertEqual(self.most(target, 2.0), {"a", "b"})

    def test_nothing_where_nothing_stays_near_enough(self):
        self.assertEqual(self.most(quantize.decibels(0.5), 1.0), set())


class Narrowing(unittest.TestCase):
    def test_an_end_that_nothing_needs_is_drawn_in_and_the_others_stay(self):
        ranges = {"unet": {**RANGES, "ya": (-40.0, 5.0)}}
        made = lambda keys: dict(ranges["unet"])
        square = lambda ends: 1 + sum((a - b) ** 2 for a, b in zip(ends, (-4.0, 5.0)))

        class Line:
            def errors(self, variants):
                return [(0.0, square(variant["ya"])) for variant in variants]

        alone = {("unet", "ya"): (0.0, square((-40.0, 5.0)))}
        quantize.narrow(Line(), made, {"unet": tiny()}, ranges, alone, [("unet", "ya")])
        self.assertEqual({name: ends for name, ends in ranges["unet"].items() if name != "ya"}, {n: e for n, e in RANGES.items() if n != "ya"})
        self.assertEqual(ranges["unet"]["ya"][1], 5.0)
        self.assertLess(abs(ranges["unet"]["ya"][0] + 4), 1.5)
        self.assertEqual(alone["unet", "ya"][1], square(ranges["unet"]["ya"]))


if __name__ == "__main__":
    unittest.main()
