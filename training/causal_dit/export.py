"""Writes a model folder: the transformer's graphs, their weights in one file that they share; the base's graphs and tokenizer; model.json.

    python3 -m training.causal_dit.export --checkpoint CACHE/dit/last.pt --base CACHE/base.pt --out models/lite-dit [--picture 256x144] [--frames 6]

parity.json beside them has a stream of frames with two switches of style as torch painted it, one by one and in a moving buffer. --tiny makes a model of random weights for tests.
"""

import argparse
import hashlib
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from training import export as lite
from training import graphs as base_graphs
from training import prompts
from training.causal_dit import graphs
from training.causal_dit.base import Base
from training.causal_dit.base import load as load_base
from training.causal_dit.sequences import REFERENCE_PROMPT
from training.causal_dit.model import LATENT_CHANNELS, PATCH, TINY, CausalDit, Size, multiply_adds
from training.causal_dit.streaming import Buffer, Window, paint_frame, sigmas
from training.dreamlite.parity import packed
from training.export import HALF_FROM, OPSET, half_rounded, name_dims, sha256
from training.model import QUERIES, TOKENS, VISION_SIDE
from training.model import WIDTH as PROMPT_WIDTH

WEIGHTS = "causal-dit.weights"
INLINE_BYTES = 1024
SCALE = 4  # Pixels a cell of the latents is wide and high.


class SharedWeights:
    """The weights of several graphs in one file, each tensor once."""

    def __init__(self, path):
        self.path, self.offsets = path, {}
        self.file = path.open("wb")

    def move(self, model):
        """Moves a graph's larger initialisers here, as fp16 behind a Cast that folds at load."""
        casts = []
        for initializer in model.graph.initializer:
            values = numpy_helper.to_array(initializer)
            name = initializer.name
            if values.dtype == np.float32 and values.size >= HALF_FROM and name not in graphs.FULL:
                values = values.astype(np.float16)
                casts.append(helper.make_node("Cast", [f"{name}.half"], [name], name=f"cast.{name}", to=TensorProto.FLOAT))
                name = f"{name}.half"
            initializer.CopyFrom(numpy_helper.from_array(values, name))
            if values.nbytes >= INLINE_BYTES:
                self._move(initializer, values.tobytes())
        nodes = list(model.graph.node)
        del model.graph.node[:]
        model.graph.node.extend(casts + nodes)

    def _move(self, initializer, data):
        digest = hashlib.sha256(data).digest()
        if digest not in self.offsets:
            self.file.write(b"\0" * (-self.file.tell() % 64))
            self.offsets[digest] = self.file.tell()
            self.file.write(data)
        initializer.ClearField("raw_data")
        initializer.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self.path.name), ("offset", self.offsets[digest]), ("length", len(data))):
            initializer.external_data.add(key=key, value=str(value))

    def close(self):
        self.file.close()


def export_graph(module, inputs, outputs, path, weights):
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Sides of tensors are constants on purpose.
        torch.onnx.export(
            module.eval(), graphs.example(inputs), buffer, opset_version=OPSET, do_constant_folding=True,
            input_names=[t[0] for t in inputs], output_names=[t[0] for t in outputs],
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    name_dims(model.graph.input, inputs)
    name_dims(model.graph.output, outputs)
    weights.move(model)
    del model.graph.value_info[:]
    model.producer_name, model.producer_version, model.doc_string = "training.causal_dit", "", path.stem
    path.write_bytes(model.SerializeToString())


def base_modules(base):
    """Role -> module, of what the transformer stands on."""
    return {
        "te_vision": base_graphs.TeVision(base), "te_text": base_graphs.TeText(base),
        "vae_encoder": base_graphs.VaeEncoder(base), "vae_decoder": base_graphs.VaeDecoder(base),
    }


def manifest(name, size, window, steps, entries, tokenizer_hash):
    return {
        "format": "allaprima-model", "formatVersion": 1, "name": name, "version": "0.1.0", "title": "Lite DiT", "family": "causal-dit", "licence": "MIT",
        "size": {"fixed": size},
        "latents": {"channels": LATENT_CHANNELS, "scale": SCALE},
        "scheduler": {"type": "flow-match-euler", "baseShift": 0.5, "maxShift": 1.15, "baseSeqLen": 256, "maxSeqLen": 4096},
        "steps": {"default": steps, "supported": [1, 2]},
        "textEncoder": {
            "tokenizer": "tokenizer.json", "tokenizerSha256": tokenizer_hash, "template": "{prompt}", "maxLength": TOKENS, "dropTokens": 0,
            "padTokenId": 0, "neutralPrompt": prompts.NEUTRAL_PROMPT, "referencePrompt": REFERENCE_PROMPT,
            "image": {"width": VISION_SIDE, "height": VISION_SIDE},
        },
        "window": window,
        "tuning": {"batchSize": 1, "steps": steps, "noise": "fixed", "teRefreshEvery": 8, "teBatchOne": True, "precision": "fp32"},
        "styles": list(prompts.PRESETS),
        "graphs": entries,
    }


def export(model, base, out, grid, frames, sinks, steps, share=0.3, name="lite-dit"):
    """Writes graphs, tokenizer and model.json into the folder out and returns the manifest; base: training.causal_dit.base.Base; share: of the tokens, for `dit_step_kept`."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    size, (rows, columns) = model.size, grid
    own = rows * columns
    kept = max(1, int(share * own))
    tensors, weights = graphs.tensors(size, grid, frames, kept), SharedWeights(out / WEIGHTS)
    for role, module in graphs.modules(half_rounded(model).eval(), grid).items():
        export_graph(module, *tensors[role], out / f"{role}.onnx", weights)
    weights.close()
    specs = lambda own: [{"name": tensor, "type": kind, "shape": shape} for tensor, kind, shape in own]
    of_base, maps = base_modules(half_rounded(base).eval()), base_graphs.base_tensors(LATENT_CHANNELS, LATENT_CHANNELS)
    entries = {role: lite.export_graph(role, module, out / f"{role}.onnx", maps) for role, module in of_base.items()}
    for role, (inputs, outputs) in tensors.items():
        path = out / f"{role}.onnx"
        onnx.checker.check_model(str(path))
        shared = [{"file": WEIGHTS, "sha256": sha256(out / WEIGHTS)}]
        entries[role] = {"file": path.name, "sha256": sha256(path), "externalData": shared, "inputs": specs(inputs), "outputs": specs(outputs)}
    (out / "tokenizer.json").write_text(prompts.tokenizer_json() + "\n", encoding="utf-8")
    painted = [columns * PATCH * SCALE, rows * PATCH * SCALE]
    made = manifest(name, painted, {"frames": frames, "sinkFrames": sinks}, steps, entries, sha256(out / "tokenizer.json"))
    (out / "model.json").write_text(json.dumps(made, indent=2) + "\n")
    return made


def parity(model, made, count):
    """A stream of `count` frames by torch: noise, sources, two styles, the latents it came to.

    It begins with style a, its reference and its words; in the middle it goes on with the words of b and no reference, towards the end with b's. Of some frames, a
    few tokens are painted.
    """
    generator = torch.Generator().manual_seed(7)
    random = lambda *shape: torch.randn(shape, generator=generator)
    width, height = made["size"]["fixed"]
    levels = sigmas(made["tuning"]["steps"], height, width)
    latents = (LATENT_CHANNELS, height // SCALE, width // SCALE)
    values = {
        "noise": random(count, *latents), "source_latents": random(count, *latents),
        "prompt_a": random(1, QUERIES, PROMPT_WIDTH), "prompt_b": random(1, QUERIES, PROMPT_WIDTH),
        "reference_a": random(1, *latents), "reference_b": random(1, *latents),
    }
    switches = [
        {"frame": 0, "prompt": "prompt_a", "reference": "reference_a"}, {"frame": count // 2, "prompt": "prompt_b"},
        {"frame": count - 2, "prompt": "prompt_b", "reference": "reference_b"},
    ]
    kept_count = next(t["shape"][0] for t in made["graphs"]["dit_step_kept"]["inputs"] if t["name"] == "kept")
    token = SCALE * PATCH
    kept_frames = [frame for frame in range(count) if frame % 3 == 2 and frame not in [switch["frame"] for switch in switches]]
    order = [torch.randperm(width * height // token**2, generator=generator)[:kept_count].sort()[0] for _ in kept_frames]
    values["kept"] = torch.stack(order) if order else torch.zeros(0, kept_count, dtype=torch.int64)
    window, painted = Window(model, made["window"]["frames"], made["window"]["sinkFrames"]), []
    with torch.no_grad():
        for frame in range(count):
            for switch in switches:
                if switch["frame"] == frame:
                    words = model.words(values[switch["prompt"]])
                    window.switch(model.anchor(values[switch["reference"]]) if "reference" in switch else None)
            one = slice(frame, frame + 1)
            some = {"kept": values["kept"][kept_frames.index(frame)], "rest": painted[-1]} if frame in kept_frames else {}
            painted.append(paint_frame(model, values["noise"][one], values["source_latents"][one], words, levels, window, **some))
    values["painted"] = torch.cat(painted)
    finished = []
    if len(levels) == 3:
        finished = [frame for frame in range(count) if frame in (1, 2, count - 1) or frame + 1 in [switch["frame"] for switch in switches]]
        values["buffered"] = buffered(model, values, levels, switches, finished)
    streams = {"sigmas": levels, "switches": switches, "keptFrames": kept_frames, "finishedFrames": finished}
    return {**streams, "tensors": {name: packed(value) for name, value in values.items()}}


def buffered(model, values, levels, switches, finished):
    """The same stream in a moving buffer, which a switch empties; the frames `finished` don't wait for the next one."""
    painted = []
    with torch.no_grad():
        for frame in range(len(values["noise"])):
            for switch in switches:
                if switch["frame"] == frame:
                    words = model.words(values[switch["prompt"]])
                    anchors = model.anchor(values[switch["reference"]]) if "reference" in switch else None
                    buffer = Buffer(model, levels)
            one = slice(frame, frame + 1)
            painted.append(buffer.push(values["noise"][None, one], values["source_latents"][None, one], words, anchors))
            if frame in finished:
                painted.append(buffer.finish(words, anchors))
    return torch.cat([x0[0] for x0 in painted if x0 is not None])


def load(path):
    """The averaged model of a checkpoint of training.causal_dit.train."""
    state = torch.load(path, map_location="cpu")
    model = CausalDit(Size(**state["size"]))
    model.load_state_dict(state["ema"])
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="of training.causal_dit.train; random weights without it")
    parser.add_argument("--base", help="of training.causal_dit.base; random weights without it")
    parser.add_argument("--out", required=True)
    parser.add_argument("--tiny", action="store_true", help="a model of two narrow layers, 96x64")
    parser.add_argument("--picture", default="256x144", help="the size that is painted")
    parser.add_argument("--frames", type=int, default=6, help="of the window, sinks among them")
    parser.add_argument("--sinks", type=int, default=0)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--kept", type=float, default=0.3, help="share of the tokens that dit_step_kept paints")
    parser.add_argument("--stream", type=int, default=10, help="frames of parity.json")
    args = parser.parse_args()
    torch.manual_seed(0)
    model = load(args.checkpoint) if args.checkpoint else CausalDit(TINY if args.tiny else Size())
    width, height = (96, 64) if args.tiny else (int(side) for side in args.picture.split("x"))
    token = PATCH * SCALE
    if width % token or height % token:
        parser.error(f"--picture is {width}x{height}, expected multiples of {token}")
    if not 0 <= args.sinks < args.frames:
        parser.error(f"--sinks is {args.sinks}, expected 0 to {args.frames - 1}, fewer than --frames")
    if not 0 < args.kept <= 1:
        parser.error(f"--kept is {args.kept}, expected a share, 0 to 1")
    base = load_base(args.base) if args.base else Base()
    grid, name = (height // token, width // token), "tiny-dit" if args.tiny else "lite-dit"
    made = export(model, base, args.out, grid, args.frames, args.sinks, args.steps, args.kept, name)
    (Path(args.out) / "parity.json").write_text(json.dumps(parity(model, made, args.stream)) + "\n")
    own, stored = grid[0] * grid[1], sum(path.stat().st_size for path in Path(args.out).iterdir())
    adds = multiply_adds(model.size, own, (1 + args.frames) * own)
    print(f"{args.out}: {adds / 1e9:.2f} G multiply-adds a pass, {stored / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
