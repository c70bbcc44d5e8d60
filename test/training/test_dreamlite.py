import contextlib
import io
import json
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch._subclasses.fake_tensor import FakeTensorMode

from training.dreamlite import export, lllite, parity, pipeline, qwen3vl, random_model, safetensors, tenth, tokenizer
from training.dreamlite.checkpoint import Checkpoint
from training.dreamlite.errors import CheckpointError
from training.dreamlite.half import halve
from training.dreamlite.parts import run
from training.dreamlite.text_parts import GRID, text_parts, vision_parts
from training.dreamlite.unet import UNet
from training.dreamlite.unet_parts import unet_parts

SIZE = (128, 64)


class PublishedSize(unittest.TestCase):
    """Networks of the published size, without their memory: the counts are those that were published."""

    def test_unet_and_adapter(self):
        with FakeTensorMode():
            unet = UNet(random_model.published("unet"))
            adapter = lllite.Adapter(unet)
        self.assertEqual(round(sum(p.numel() for p in unet.parameters()) / 1e5), 3900)
        self.assertEqual(sum(isinstance(m, torch.nn.LayerNorm) for m in unet.modules()), 108)
        self.assertEqual([list(adapter.targets.values()).count(level) for level in range(3)], [2, 4, 32])
        self.assertEqual(round(sum(p.numel() for p in adapter.parameters()) / 1e4), 453)

    def test_text_encoder(self):
        with FakeTensorMode():
            model = qwen3vl.Qwen3VL(random_model.published("text_encoder"))
        self.assertEqual(round(sum(p.numel() for p in model.parameters()) / 1e6), 2128)


class Tenth(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = Path(tempfile.mkdtemp(prefix="allaprima-tenth-"))
        cls.checkpoint = Checkpoint(tenth.build(cls.folder / "checkpoint"), any_size=True)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def adapted(self):
        unet = self.checkpoint.module("unet")
        adapter = lllite.load(unet, safetensors.SafeTensors(self.checkpoint.folder / "temporal_lllite.safetensors"))
        adapter.attach(unet)
        return unet, adapter


class Networks(Tenth):
    def inputs(self):
        generator = torch.Generator().manual_seed(5)
        random = lambda *shape: torch.randn(shape, generator=generator)
        latents = (2, 4, SIZE[1] // 8, SIZE[0] // 8)
        mask = (torch.arange(24)[None] < torch.tensor([[24], [9]])).long()
        return {"sample": random(*latents), "source_latents": random(*latents), "prompt_embeds": random(2, 24, tenth.WIDTH), "encoder_attention_mask": mask,
                "timestep": torch.tensor([1000.0, 652.0])}  # fmt: skip

    def velocity(self, unet, given):
        beside = torch.cat([given["sample"], given["source_latents"]], dim=3)
        sizes = torch.tensor([SIZE, SIZE], dtype=torch.float32)
        with torch.no_grad():
            return unet(beside, given["timestep"], given["prompt_embeds"], given["encoder_attention_mask"], sizes)[..., : SIZE[0] // 8]

    def test_the_parts_of_the_unet_are_the_unet(self):
        unet, adapter = self.adapted()
        given = self.inputs()
        image = torch.rand(2, 3, SIZE[1], SIZE[0]) * 2 - 1
        adapter.bind_image(image, torch.ones(1))
        expected = self.velocity(unet, given)
        with torch.no_grad():
            values = {**given, "multiplier": torch.ones(1)}
            values.update((f"cond_embeds_{i}", packed) for i, packed in enumerate(lllite.PackedConditioning(adapter)(image)))
            run(unet_parts(unet, adapter, SIZE), values)
        torch.testing.assert_close(values["velocity"], expected, rtol=1e-4, atol=1e-4)

    def test_an_adapter_says_nothing_before_it_was_trained_nor_at_multiplier_0(self):
        unet, trained = self.adapted()
        given, image = self.inputs(), torch.rand(2, 3, SIZE[1], SIZE[0])
        trained.bind({}, None)
        plain = self.velocity(unet, given)
        trained.bind_image(image, torch.zeros(1))
        self.assertTrue(torch.equal(self.velocity(unet, given), plain))
        trained.bind_image(image, torch.ones(1))
        self.assertFalse(torch.allclose(self.velocity(unet, given), plain, atol=1e-3))
        trained.bind({}, None)
        untrained = lllite.Adapter(unet, 4, 8)
        untrained.attach(unet)
        untrained.bind_image(image, torch.ones(1))
        self.assertTrue(torch.equal(self.velocity(unet, given), plain))

    def test_conditioning_of_another_size_is_an_error_and_no_silent_bypass(self):
        unet, adapter = self.adapted()
        adapter.bind_image(torch.zeros(2, 3, SIZE[1], 2 * SIZE[0]), torch.ones(1))
        with self.assertRaisesRegex(ValueError, "has 256 tokens, and its conditioning 512"):
            self.velocity(unet, self.inputs())

    def test_the_conditioning_lies_beside_the_source_row_by_row(self):
        tokens = lllite.beside_source(torch.arange(1.0, 7.0).reshape(1, 2, 3, 1))[0, :, 0].tolist()
        self.assertEqual(tokens, [1, 2, 3, 0, 0, 0, 4, 5, 6, 0, 0, 0])

    def test_masked_tokens_change_nothing(self):
        unet, adapter = self.adapted()
        given = self.inputs()
        before = self.velocity(unet, given)
        given["prompt_embeds"][1, 9:] = 50.0
        torch.testing.assert_close(self.velocity(unet, given), before)

    def test_the_system_prompt_kept_as_keys_and_values_changes_nothing(self):
        model = self.checkpoint.module("text_encoder")
        ids, mask = self.checkpoint.tokenizer.padded(parity.PROMPT)
        other, other_mask = self.checkpoint.tokenizer.padded("anime")
        image = parity.gradient(256, 256)
        parts, drop = text_parts(model, ids)
        given = {"pixel_values": qwen3vl.patches(image), "input_ids": torch.tensor([other]), "attention_mask": torch.tensor([other_mask])}
        with torch.no_grad():
            expected = model(given["input_ids"], given["attention_mask"], given["pixel_values"], GRID)[:, drop:]
            found = run([*vision_parts(model), *parts], given)["prompt_embeds"]
        count = sum(other_mask) - drop
        torch.testing.assert_close(found[:, :count], expected[:, :count], rtol=1e-3, atol=1e-3)

    def test_patches_are_grouped_as_they_are_merged(self):
        image = parity.gradient(96, 64)
        rows = []
        for top in range(0, 64, 32):
            for left in range(0, 96, 32):
                for y, x in ((0, 0), (0, 16), (16, 0), (16, 16)):
                    patch = image[0, top + y : top + y + 16, left + x : left + x + 16].float() / 255
                    channels = [((patch[..., channel] - 0.5) / 0.5).flatten() for channel in range(3)]
                    rows.append(torch.cat([torch.cat([values, values]) for values in channels]))
        torch.testing.assert_close(qwen3vl.patches(image)[0], torch.stack(rows), atol=1e-6, rtol=0)

    def test_positions_of_text_and_picture(self):
        ids = torch.tensor([7, 7, 9, 9, 9, 9, 9, 9, 7, 7])  # a picture of 2 x 3 tokens
        expected = [[0, 1, 2, 2, 2, 2, 2, 2, 5, 6], [0, 1, 2, 2, 2, 3, 3, 3, 5, 6], [0, 1, 2, 3, 4, 2, 3, 4, 5, 6]]
        self.assertEqual(qwen3vl.token_positions(ids, 9, (2, 3)).tolist(), expected)

    def test_frequencies_are_interleaved_by_axis(self):
        config = {"head_dim": 128, "rope_theta": 5e6, "mrope_section": [24, 20, 20]}
        cos, _ = qwen3vl.rotation(torch.tensor([[1], [20], [300]]), config)
        for i in range(64):
            position = 20 if i % 3 == 1 and i < 60 else 300 if i % 3 == 2 and i < 60 else 1
            expected = torch.cos(torch.tensor(position * 5e6 ** (-i / 64)))
            torch.testing.assert_close(cos[0, i], expected, atol=2e-4, rtol=0)
            self.assertEqual(cos[0, i], cos[0, i + 64])


class HalfFloats(unittest.TestCase):
    def graph(self):
        value = lambda name: helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4])
        nodes = [
            helper.make_node("MatMul", ["x", "w"], ["y"], name="body/1"), helper.make_node("Mul", ["y", "scale"], ["z"], name="body/2"),
            helper.make_node("MatMul", ["z", "v"], ["a"], name="head/1"), helper.make_node("Softmax", ["a"], ["out"], name="body/3"),
        ]  # fmt: skip
        weights = {"w": torch.randn(4, 4), "v": torch.randn(4, 4), "scale": torch.randn(4)}
        return helper.make_graph(nodes, "tiny", [value("x")], [value("out")]), weights

    def kinds(self, graph, weights):
        initializers = [numpy_helper.from_array(value.numpy(), name) for name, value in weights.items()]
        graph.initializer.extend(initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model)
        return {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}

    def test_products_are_in_halves_and_what_lies_between_is_not(self):
        graph, weights = self.graph()
        halve(graph, weights, "products", ["head/"])
        self.assertEqual({name: value.dtype for name, value in weights.items()}, {"w": torch.float16, "v": torch.float32, "scale": torch.float32})
        kinds = self.kinds(graph, weights)
        self.assertEqual([kinds[name] for name in ("x/half", "y/product")], [TensorProto.FLOAT16] * 2)
        self.assertEqual([kinds[name] for name in ("y", "z", "a")], [TensorProto.FLOAT] * 3)

    def test_weights_alone_are_in_halves(self):
        graph, weights = self.graph()
        halve(graph, weights, "weights")
        self.assertEqual({name: value.dtype for name, value in weights.items()},
                         {"w/half": torch.float16, "v/half": torch.float16, "scale": torch.float32})  # fmt: skip
        kinds = self.kinds(graph, weights)
        self.assertEqual([kinds[name] for name in ("w", "v", "y", "z", "a")], [TensorProto.FLOAT] * 5)


class Tokens(Tenth):
    def test_the_system_prompt_has_64_tokens_as_in_the_published_tokenizer(self):
        ids, mask = self.checkpoint.tokenizer.padded("anime")
        added = self.checkpoint.tokenizer.added
        self.assertEqual(ids.index(added["<|vision_start|>"]), 64)
        self.assertEqual(ids[65:129], [added["<|image_pad|>"]] * 64)
        self.assertEqual(ids[129], added["<|vision_end|>"])
        self.assertEqual(len(ids), 256)
        self.assertEqual(set(ids[sum(mask) :]), {added["<|endoftext|>"]})

    def test_any_text_has_tokens(self):
        ids = self.checkpoint.tokenizer("zażółć 42 🎨_\r\n\t x")
        back = {id: text for text, id in self.checkpoint.tokenizer.vocabulary.items()}
        letters = {letter: byte for byte, letter in tokenizer.LETTERS.items()}
        self.assertEqual(bytes(letters[letter] for id in ids for letter in back[id]).decode(), "zażółć 42 🎨_\r\n\t x")


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "w.safetensors"

    def test_what_was_written_is_read(self):
        tensors = {"a": torch.randn(3, 5), "b": torch.randn(7), "none": torch.zeros(0, 4)}
        for kind, error in (("F32", 0), ("F16", 2e-3), ("BF16", 2e-2)):
            safetensors.write(self.path, tensors, kind)
            file = safetensors.SafeTensors(self.path)
            self.assertEqual({name: file.shape(name) for name in file.names()}, {name: tuple(t.shape) for name, t in tensors.items()})
            for name, tensor in tensors.items():
                torch.testing.assert_close(file.tensor(name), tensor, atol=error, rtol=error)

    def refused(self, header, data=b"\0" * 8, length=None):
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        self.path.write_bytes((len(text) if length is None else length).to_bytes(8, "little") + text + data)
        with self.assertRaises(CheckpointError) as caught:
            safetensors.SafeTensors(self.path)
        return str(caught.exception)

    def test_a_header_that_lies_is_refused(self):
        entry = lambda shape=(2,), begin=0, end=8, dtype="F32": {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
        self.assertIn("18446744073709551615 bytes", self.refused({}, length=2**64 - 1))
        self.assertIn("header says it has", self.refused({"a": entry()}, length=500))
        self.assertIn("not JSON", self.refused(b"{" * 60))
        self.assertIn("not JSON", self.refused(b"[" * 60_000))
        self.assertIn("is there twice", self.refused(b'{"a": {}, "a": {}}'))
        self.assertIn("not an object", self.refused([1]))
        self.assertIn("lacks its type", self.refused({"a": 3}))
        self.assertIn("of the type F8", self.refused({"a": entry(dtype="F8")}))
        self.assertIn("no list of numbers", self.refused({"a": entry(shape=[-2])}))
        self.assertIn("no list of numbers", self.refused({"a": entry(shape=[True])}))
        self.assertIn("12 bytes, and its place is 0 to 8", self.refused({"a": entry(shape=[3])}))
        self.assertIn("0 to 8000000000 of 8", self.refused({"a": entry(shape=[2_000_000_000], end=8_000_000_000)}))
        self.assertIn("its tensors end at 4", self.refused({"a": entry(shape=[1], end=4)}))
        self.assertIn("the tensor before it ends at 8", self.refused({"a": entry(), "b": entry(shape=[1], begin=4, end=8)}))
        self.path.write_bytes(b"abc")
        with self.assertRaisesRegex(CheckpointError, "its header says"):
            safetensors.SafeTensors(self.path)


class Pipeline(unittest.TestCase):
    def test_it_measures_each_stage_and_the_whole(self):
        rows = pipeline.measure(pipeline.Device(), SIZE, [1, 2], runs=1, is_tenth=True, compiled=False)
        self.assertEqual([row["batch"] for row in rows], [1, 2])
        for row in rows:
            for figure in ("teMs", "vaeEncodeMs", "condMs", "unetMs", "vaeDecodeMs", "lawFps", "fps", "memoryMiB"):
                self.assertGreater(row[figure], 0, figure)

    def test_each_role_takes_and_gives_what_its_graph_does(self):
        own = pipeline.Pipeline(pipeline.Device(), SIZE, is_tenth=True, compiled=False)
        for role, (inputs, outputs) in own.graphs.tensors.items():
            given = own.inputs(role, 2)
            named = {name: tensor for (name, _, _), tensor in zip(inputs, given)}
            with torch.no_grad(), own.device.autocast():
                expected = run(own.graphs.parts[role], named)
            for (name, _, shape), found in zip(outputs, own.run(role, given), strict=True):
                self.assertEqual(list(found.shape), [2 if side == "batch" else side for side in shape], f"{role} {name}")
                self.assertTrue(torch.equal(found, expected[name]), f"{role} {name}")


class BadCheckpoints(Tenth):
    def setUp(self):
        self.copy = self.folder / "copy"
        shutil.copytree(self.checkpoint.folder, self.copy)
        self.addCleanup(shutil.rmtree, self.copy)
        self.adapter = self.copy / "temporal_lllite.safetensors"

    def refused(self, *flags, expected=2):
        """What export-dreamlite says; nothing may be left of it."""
        out, said = self.folder / "out", io.StringIO()
        with contextlib.redirect_stderr(said):
            code = export.main([str(self.copy), "--out", str(out), "--size", "128x64", "--adapter", str(self.adapter), *flags])
        self.assertEqual(code, expected)
        self.assertEqual(list(out.iterdir()) if out.exists() else [], [])
        return said.getvalue()

    def edit(self, path, **changes):
        path = self.copy / path
        path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))

    def test_another_models(self):
        self.edit("model_index.json", _class_name="StableDiffusionXLPipeline")
        self.assertIn("is a checkpoint of StableDiffusionXLPipeline, expected DreamLiteMobilePipeline", self.refused("--any-size"))
        (self.copy / "model_index.json").unlink()
        self.assertIn("has no model_index.json", self.refused("--any-size"))

    def test_another_network_or_another_size(self):
        said = self.refused()
        self.assertIn("unet: block_out_channels is [32, 64, 96], expected [256, 512, 896]", said)
        self.assertIn("text_config.num_hidden_layers is 6, expected 28", said)
        self.assertIn("--any-size", said)
        self.edit("unet/config.json", qk_norm=None, use_sep_conv=False)
        self.assertIn("unet: use_sep_conv is false, expected true", self.refused("--any-size"))
        self.edit("unet/config.json", use_sep_conv=True, norm_eps=2e-5)
        self.assertIn("unet: norm_eps is 2e-05, expected 1e-05", self.refused("--any-size"))

    def test_a_config_that_would_take_all_memory(self):
        for lie in ([32, 64, 10**9], 5, "many", [32] * 10**4):
            self.edit("unet/config.json", block_out_channels=lie)
            self.assertIn("unet: block_out_channels is", self.refused("--any-size"))

    def test_a_config_without_sense(self):
        self.edit("unet/config.json", attention_head_dim=[0, 0, 0])
        self.assertIn("describes no network", self.refused("--any-size"))

    def test_a_missing_shard(self):
        (self.copy / "text_encoder" / "model-00002-of-00002.safetensors").unlink()
        self.assertRegex(self.refused("--any-size"), r"model-00002-of-00002\.safetensors is missing, which has \d+ of the \d+ tensors of text_encoder")

    def test_shards_outside_the_folder(self):
        self.edit("text_encoder/model.safetensors.index.json", weight_map={"a": "../unet/diffusion_pytorch_model.safetensors"})
        self.assertIn("of its own folder's files", self.refused("--any-size"))

    def test_a_lora_in_place_of_the_adapter(self):
        safetensors.write(self.adapter, {"unet.down_blocks.0.attn1.to_q.lora_A.weight": torch.zeros(4, 4)})
        self.assertIn("is a LoRA, expected a ControlNet-LLLite adapter", self.refused("--any-size"))
        safetensors.write(self.adapter, {"a": torch.zeros(4)})
        self.assertIn("no ControlNet-LLLite adapter", self.refused("--any-size"))

    def test_weights_whose_header_lies(self):
        path = self.copy / "unet" / "diffusion_pytorch_model.safetensors"
        bytes = path.read_bytes()
        path.write_bytes((len(bytes) + 1).to_bytes(8, "little") + bytes[8:])
        self.assertRegex(self.refused("--any-size"), r"unet/diffusion_pytorch_model\.safetensors .*header says it has \d+")
        path.write_bytes(bytes[:-100])
        self.assertRegex(self.refused("--any-size"), r"unet/diffusion_pytorch_model\.safetensors.* its place is \d+ to \d+ of \d+")

    def test_weights_of_another_shape_or_name(self):
        path = self.copy / "vae" / "diffusion_pytorch_model.safetensors"
        file = safetensors.SafeTensors(path)
        tensors = {name: file.tensor(name) for name in file.names()}
        safetensors.write(path, {**tensors, "encoder.layers.0.weight": torch.zeros(8, 3, 5, 5)})
        self.assertIn("encoder.layers.0.weight is [8, 3, 5, 5], expected [8, 3, 3, 3]", self.refused("--any-size"))
        safetensors.write(path, {**tensors, "quant_conv.weight": torch.zeros(1)})
        self.assertIn("quant_conv.weight is not of this network", self.refused("--any-size"))

    def test_a_full_disk_half_way(self):
        disk = self.folder / "out"
        disk.mkdir()
        self.addCleanup(disk.rmdir)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True, text=True, check=False)
        if mounted.returncode:
            self.skipTest(f"no small disk could be mounted: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", str(disk)], check=True)
        self.assertIn("could not be written", self.refused("--any-size", expected=1))

    def test_a_tokenizer_of_another_model(self):
        path = self.copy / "tokenizer" / "tokenizer.json"
        mine = json.loads(path.read_text())
        say = lambda **changes: (path.write_text(json.dumps({**mine, **changes})), self.refused("--any-size"))[1]
        self.assertIn("lacks <|endoftext|>", say(added_tokens=[]))
        self.assertIn("no number for some byte", say(model={**mine["model"], "vocab": {}}))
        self.assertIn("has no number for it", say(model={**mine["model"], "vocab": {k: v for k, v in mine["model"]["vocab"].items() if v < 300}}))
        shifted = [{**token, "id": token["id"] + 1} for token in mine["added_tokens"]]
        self.assertRegex(say(added_tokens=shifted), r"gives <\|image_pad\|> the number 479, and text_encoder/config.json 478")
        extra = {**mine["added_tokens"][0], "id": 10_000, "content": "<|more|>"}
        self.assertIn("has numbers up to 10000", say(added_tokens=[*mine["added_tokens"], extra]))
        self.assertIn("no byte-level BPE", say(model=None))


if __name__ == "__main__":
    unittest.main()
