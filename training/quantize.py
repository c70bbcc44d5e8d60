"""Adds int8 variants of the convolution-heavy graphs to a model folder, beside the fp32 graphs.

    python3 -m training.quantize models/lite --data CLIPS --data PHOTOS

Works on the ONNX graphs of any model folder. Frames of clips and photographs that training may see, and drawn scenes, are painted in the
model's styles by the fp32 graphs in onnxruntime (training/calibrate.mjs); what flows through each convolution gives its ranges. Then each
convolution is quantized alone and the paintings compared: those that cost most for their work stay fp32, as many as the target asks for.
Writes ROLE.int8.onnx and, in model.json, "int8" and the tuning "precision": "auto". Prints what each graph costs in dB.

Convolutions become QuantizeLinear, DequantizeLinear, Conv, QuantizeLinear, DequantizeLinear, which onnxruntime fuses into QLinearConv
only with the pair behind the convolution as well. Activations are uint8 per tensor, weights int8 per output channel, symmetric and of
7 bits: 255 * 63 * 2 fits 16 bits, so processors without VNNI, which add pairs of products in 16 bits, do not saturate.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training import data, held_out, prompts, scenes

ROLES = ("vae_encoder", "lllite_cond", "unet", "vae_decoder")
WEIGHT_MAX = 63
WORK_MIN = 0.004  # Convolutions with a smaller share of their graph's products are left alone: Q and DQ would cost more.
CHANNELS_MIN = 8  # With fewer channels coming in, int8 is no faster (patches of a picture: 0.43 ms against 0.40).
BROAD = 8  # An error that is the same over 16x16 pixels, a blotch, weighs that much more than one of single pixels.
SIZE = (288, 512)
SUFFIX = ".int8.onnx"
# How a graph that gives a picture ends (graphs.picture_out), from its output back to a convolution between pairs.
PICTURE_OUT = ("Transpose", "Cast", "Round", "Clip", "Mul", "Add", "DepthToSpace", "DequantizeLinear", "QuantizeLinear", "Conv")


def constants(graph):
    """Name -> array of every initialiser, also of those stored as fp16 behind a Cast."""
    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    for node in graph.node:
        if node.op_type == "Cast" and node.input[0] in stored:
            to = next(a.i for a in node.attribute if a.name == "to")
            stored[node.output[0]] = stored[node.input[0]].astype(helper.mapping.TENSOR_TYPE_TO_NP_TYPE[to])
    return stored


def convolutions(graph):
    """Output name -> node of every plain convolution with constant weights and bias, in the order of the graph."""
    known = constants(graph)
    group = lambda node: next((a.i for a in node.attribute if a.name == "group"), 1)
    return {
        node.output[0]: node for node in graph.node
        if node.op_type == "Conv" and len(node.input) == 3 and node.input[1] in known and node.input[2] in known and group(node) == 1
    }


def results(graph):
    """Convolution's output -> the tensor to quantize behind it: a Relu that alone reads it fuses into it."""
    readers = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.output}
    relu = lambda name: name not in outputs and [n.op_type for n in readers.get(name, [])] == ["Relu"]
    return {name: readers[name][0].output[0] if relu(name) else name for name in convolutions(graph)}


def taps(graph):
    """The tensors whose ranges quantization needs: what goes into each convolution and what comes out."""
    behind = results(graph)
    return list(dict.fromkeys(name for out, node in convolutions(graph).items() for name in (node.input[0], behind[out])))


def tapped(model):
    """The model with its taps as outputs besides its own."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    own = {value.name for value in [*copy.graph.output, *copy.graph.input]}
    copy.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in taps(copy.graph) if name not in own)
    return copy


def best_range(values, steps=14):
    """(low, high) around 0 whose 256 levels give `values` (float [N]) back with the least squared error."""
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if high - low < 1e-6:
        return -1e-3, 1e-3
    values, best = values.astype(np.float32), (np.inf, low, high)
    shares = np.linspace(1, 0.3, steps)
    for a in low * shares if low < 0 else [0.0]:
        for b in high * shares if high > 0 else [0.0]:
            scale, zero = quantization(a, b)
            error = np.square((np.clip(np.round(values / scale) + zero, 0, 255) - zero) * scale - values).mean()
            best = min(best, (float(error), float(a), float(b)))
    return best[1:]


def quantization(low, high):
    """(scale, zero point) of uint8 for a range with 0 inside it, so that 0 (the padding) is exact."""
    scale = np.float32(max(high - low, 1e-6) / 255)
    return scale, np.uint8(np.clip(round(-low / scale), 0, 255))


def quantized_weights(weights, bias, scale, means=None):
    """(int8 [O, I, h, w], scales [O], bias int32 [O] in units of the input's scale times the weights').

    With the mean of each input channel, the bias takes up what rounding the weights does to the mean of the output (Nagel et al.,
    arXiv 1906.04721, section 4.2); else flat areas change their colour a little.
    """
    per_channel = np.abs(weights).reshape(len(weights), -1).max(axis=1) / WEIGHT_MAX
    # A channel without weights would make its bias overflow.
    per_channel = np.maximum(per_channel, np.abs(bias) / (scale * 2**30)).astype(np.float32)
    per_channel = np.maximum(per_channel, np.float32(1e-12))
    levels = np.clip(np.round(weights / per_channel[:, None, None, None]), -WEIGHT_MAX, WEIGHT_MAX).astype(np.int8)
    if means is not None:
        bias = bias + np.einsum("oihw,i->o", weights - levels * per_channel[:, None, None, None], means)
    return levels, per_channel, np.round(bias / (per_channel.astype(np.float64) * scale)).astype(np.int32)


def quantize(model, ranges, chosen, means=None):
    """The model with the convolutions of the outputs `chosen` between Q and DQ; ranges: tensor -> (low, high), means: tensor -> [channels]."""
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    known, behind = constants(graph), results(graph)
    nodes, pairs = [], {}

    def constant(name, array):
        if name not in known:
            known[name] = array
            graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def pair(name):
        """Q and DQ behind the tensor `name`; the name of what comes out."""
        if name not in pairs:
            scale, zero = quantization(*ranges[name])
            parameters = [constant(f"{name}.scale", scale), constant(f"{name}.zero", zero)]
            nodes.append(helper.make_node("QuantizeLinear", [name, *parameters], [f"{name}.u8"], name=f"q.{name}"))
            nodes.append(helper.make_node("DequantizeLinear", [f"{name}.u8", *parameters], [f"{name}.dq"], name=f"dq.{name}"))
            pairs[name] = f"{name}.dq"
        return pairs[name]

    def weights(node, x):
        """DQ of int8 weights and of an int32 bias for the input x; the names of what comes out."""
        scale, _ = quantization(*ranges[x])
        given = [known[name].astype(np.float32) for name in node.input[1:3]]
        levels, scales, bias = quantized_weights(*given, scale, means[x] if means else None)
        names = []
        for kind, array, steps in (("weight", levels, scales), ("bias", bias, scales * scale)):
            base = f"{node.output[0]}.{kind}"
            inputs = [constant(f"{base}.q", array), constant(f"{base}.scale", steps.astype(np.float32)), constant(f"{base}.zero", np.zeros(len(steps), array.dtype))]
            nodes.append(helper.make_node("DequantizeLinear", inputs, [base], name=f"dq.{base}", axis=0))
            names.append(base)
        return names

    own = {value.name: value for value in graph.output}
    ends = {behind[out] for out in chosen}  # Tensors whose readers get what comes out of the pair.
    for node in graph.node:
        if node.output and node.output[0] in chosen:
            x = node.input[0]
            node.input[:] = [pair(x), *weights(node, x)]
        else:
            node.input[:] = [pairs[name] if name in ends and name in pairs else name for name in node.input]
        nodes.append(node)
        for name in node.output:
            if name in ends and name not in own:
                pair(name)
    # An output of the graph keeps its name: the convolution gets another.
    for name in ends & set(own):
        for node in nodes:
            node.input[:] = [f"{name}.raw" if i == name else i for i in node.input]
            node.output[:] = [f"{name}.raw" if o == name else o for o in node.output]
        ranges = {**ranges, f"{name}.raw": ranges[name]}
        pair(f"{name}.raw")
        nodes[-1].output[0] = name
    del graph.node[:]
    graph.node.extend(nodes)
    return give_bytes(_pruned(made))


def give_bytes(model):
    """Lets a convolution whose rounded output becomes a picture give the picture's bytes; the model, changed where it ends so.

    127.5 (x + 1), clipped and rounded, is x and half a step rounded to steps of 1 / 127.5 above -127 of them: what QuantizeLinear does,
    with the half step in the bias. The picture is rounded once, not twice, and no float passes over it: the decoder of lite 0.2.0
    takes 10 % less time (0.6 of 5.8 ms) and is at 48.5 dB from fp32 in place of 48.0.
    """
    graph = model.graph
    known = constants(graph) | {n.output[0]: numpy_helper.to_array(n.attribute[0].t) for n in graph.node if n.op_type == "Constant"}
    by = {name: node for node in graph.node for name in node.output}
    read = [name for node in graph.node for name in node.input] + [value.name for value in graph.output]
    for value in graph.output:
        tail, name = [], value.name
        while name in by and read.count(name) == 1 and len(tail) < len(PICTURE_OUT):
            tail.append(by[name])
            name = tail[-1].input[0]
        if tuple(node.op_type for node in tail) != PICTURE_OUT:
            continue
        transpose, cast, _, clip, scaled, shifted, shuffle, _, rounded, conv = tail
        numbers = [known.get(name) for name in (*clip.input[1:], scaled.input[1], shifted.input[1])]
        if not all(np.array_equal(number, given) for number, given in zip(numbers, (0, 255, 127.5, 1))) or cast.attribute[0].i != TensorProto.UINT8:
            continue
        levels, steps = by[conv.input[2]].input[:2]
        bias = known[levels] + np.round(0.5 / 127.5 / known[steps].astype(np.float64))
        if np.abs(bias).max() >= 2**31:  # a channel without weights
            continue
        shuffle.input[0], transpose.input[0] = rounded.output[0], shuffle.output[0]
        parameters = [("bytes.scale", np.float32(1 / 127.5)), ("bytes.zero", np.uint8(127)), (levels, bias.astype(np.int32))]
        rounded.input[1:] = [name for name, _ in parameters[:2]]
        others = [i for i in graph.initializer if i.name != levels]
        del graph.initializer[:]
        graph.initializer.extend(others + [numpy_helper.from_array(np.asarray(array), name) for name, array in parameters])
    return _pruned(model)


def _pruned(model):
    """The model without the nodes and weights that no output needs."""
    graph = model.graph
    nodes = _needed(list(graph.node), [value.name for value in graph.output])
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [i for i in graph.initializer if i.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    onnx.checker.check_model(model)
    return model


def _needed(nodes, outputs):
    """The nodes that some output needs, in their order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    return kept[::-1]


def products(graph, shapes):
    """Convolution's output -> multiplications for one frame; shapes: tensor -> its shape in a run."""
    known, behind = constants(graph), results(graph)
    return {out: int(np.prod(known[node.input[1]].shape) * np.prod(shapes[behind[out]][2:])) for out, node in convolutions(graph).items()}


def worthwhile(graph, work):
    """Outputs of the convolutions that are faster in int8; work: what `products` gives."""
    known, least = constants(graph), WORK_MIN * sum(work.values())
    return [out for out, node in convolutions(graph).items() if work[out] >= least and known[node.input[1]].shape[1] >= CHANNELS_MIN]


def choose(candidates, errors, work, error_max):
    """Names to quantize: cheapest in error for their work first, until together they would reach error_max (mean square).

    The errors of one convolution each add up well enough: they are nearly independent.
    """
    chosen, total = [], 0.0
    for name in sorted(candidates, key=lambda name: errors[name] / work[name]):
        if total + errors[name] <= error_max:
            chosen.append(name)
            total += errors[name]
    return chosen


def frames(folders, clips_count=24, scenes_count=12, seed=5):
    """Pairs of successive frames uint8 [N, 2, H, W, 3]: clips and photographs that training may see, and drawn scenes."""
    rng, pairs = np.random.default_rng(seed), []
    clips, photos = data.files(folders) if folders else ([], [])
    clips = [path for path in clips if path.stem not in held_out.CLIPS]
    photos = [path for path in photos if path.stem not in held_out.PHOTOS]
    for i in range(clips_count if clips else 0):
        path = clips[i % len(clips)]
        start = int(rng.integers(0, max(1, data.clip_length(path) - 3)))
        read = data.read_clip(path, [start, start + 1])
        if len(read) == 2:
            pairs.append([data.cover(frame, SIZE) for frame in read])
    for path in photos[:: max(1, len(photos) // 8)]:
        pairs.append([data.cover(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB), SIZE)] * 2)
    pairs += [[scenes.draw(rng, SIZE)] * 2 for _ in range(scenes_count)]
    return np.array(pairs, np.uint8)


def sentences(styles):
    """A prompt for each style of the manifest."""
    return [prompts.PRESETS.get(style, f"transfer this to {style.replace('-', ' ')} style") for style in styles]


class Line:
    """The model's graphs one after another in onnxruntime, by training/calibrate.mjs."""

    def __init__(self, folder, pairs, phrases, work):
        self.folder, self.work = Path(folder).resolve(), Path(work)
        manifest = json.loads((self.folder / "model.json").read_text())
        vision = manifest["textEncoder"]["image"]
        small = [cv2.resize(b, (vision["width"], vision["height"]), interpolation=cv2.INTER_AREA) for _, b in pairs]
        (self.work / "frames.u8").write_bytes(pairs.tobytes())
        (self.work / "small.u8").write_bytes(np.array(small, np.uint8).tobytes())
        self.job = {"folder": str(self.folder), "count": len(pairs), "height": SIZE[0], "width": SIZE[1], "prompts": phrases}

    def _run(self, **job):
        (self.work / "job.json").write_text(json.dumps({**self.job, **job}))
        quiet = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
        subprocess.run(["node", str(Path(__file__).with_name("calibrate.mjs")), str(self.work)], check=True, env=quiet)
        return json.loads((self.work / "result.json").read_text())

    def ranges(self, models):
        """By role and tap, of ROLE -> fp32 model: (low, high), the means of the channels, the shape."""
        files = {role: self._save(f"{role}.tapped", tapped(model)) for role, model in models.items()}
        found = self._run(taps={role: {"file": files[role], "names": taps(model.graph)} for role, model in models.items()})
        samples, at = np.fromfile(self.work / "samples.f32", np.float32), 0
        ranges, means, shapes = {}, {}, {}
        for role, tensors in found["taps"].items():
            ranges[role], means[role], shapes[role] = {}, {}, {}
            for name, tensor in tensors.items():
                ranges[role][name] = best_range(np.append(samples[at : at + tensor["count"]], [tensor["min"], tensor["max"]]))
                means[role][name], shapes[role][name] = np.array(tensor["means"]), tensor["shape"]
                at += tensor["count"]
        return ranges, means, shapes

    def errors(self, variants):
        """[(mean squared error of the paintings, that and BROAD times the error of blocks)] of {role: model} against fp32, in levels of 255."""
        files = [{role: self._save(f"{role}.{i}", model) for role, model in variant.items()} for i, variant in enumerate(variants)]
        return [(e["square"], e["square"] + BROAD * e["broad"]) for e in self._run(variants=files)["errors"]]

    def _save(self, name, model):
        path = self.work / f"{name}.onnx"
        onnx.save(model, str(path))
        return str(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the model's folder; its graphs stay as they are")
    parser.add_argument("--data", action="append", default=[], help="a folder of clips or photographs; drawn scenes alone without one")
    parser.add_argument("--target", type=float, default=40.0, help="PSNR between the paintings in int8 and in fp32, dB, blotches counted as by BROAD; layers stay fp32 to reach it")
    args = parser.parse_args()
    say = lambda text: print(text, file=sys.stderr, flush=True)
    folder = Path(args.folder)
    manifest = json.loads((folder / "model.json").read_text())
    models = {role: onnx.load(str(folder / manifest["graphs"][role]["file"])) for role in ROLES}
    pairs = frames(args.data)
    phrases = sentences(manifest["styles"])
    with tempfile.TemporaryDirectory() as work:
        say(f"ranges from {len(pairs)} pairs of frames in {len(phrases)} styles")
        ranges, means, shapes = Line(folder, pairs, phrases, work).ranges(models)
        make = lambda keys: {
            role: quantize(models[role], ranges[role], {out for r, out in keys if r == role}, means[role]) for role in ROLES if any(r == role for r, _ in keys)
        }
        work_of = {(role, out): count for role, model in models.items() for out, count in products(model.graph, shapes[role]).items()}
        candidates = [(role, out) for role, model in models.items() for out in worthwhile(model.graph, products(model.graph, shapes[role]))]
        line = Line(folder, pairs[:: max(1, len(pairs) // max(12, len(phrases)))], phrases, work)
        say(f"{len(candidates)} convolutions, each quantized alone")
        alone = dict(zip(candidates, line.errors([make([key]) for key in candidates])))
        for key in sorted(candidates, key=lambda key: -alone[key][1]):
            say(f"{decibels(alone[key][0]):6.1f} dB, {decibels(alone[key][1]):6.1f} dB with blotches, {work_of[key] / 1e6:6.1f} M  {' '.join(key)}")
        target = args.target
        for _ in range(6):
            chosen = choose(candidates, {key: error for key, (_, error) in alone.items()}, work_of, 255**2 / 10 ** (target / 10))
            made = make(chosen)
            together, *single = line.errors([made, *({role: model} for role, model in made.items())])
            if decibels(together[1]) >= args.target:
                break
            target += 0.2 + args.target - decibels(together[1])
    share = sum(work_of[key] for key in chosen) / sum(work_of.values())
    say(f"{len(chosen)} convolutions in int8, {share:.0%} of all products; of those that pay, fp32: {', '.join(' '.join(k) for k in candidates if k not in chosen) or 'none'}")
    if decibels(together[1]) < args.target:
        raise SystemExit(f"the paintings in int8 are at {decibels(together[1]):.1f} dB from those in fp32, less than {args.target}; nothing was written")
    write(folder, manifest, made)
    for role, errors in zip([*made, "together"], [*single, together]):
        print(f"{role}: {decibels(errors[0]):.1f} dB from fp32, {decibels(errors[1]):.1f} dB with blotches")


def decibels(error):
    return 10 * np.log10(255**2 / max(error, 1e-9))


def write(folder, manifest, made):
    """Writes the graphs and their entries in model.json, in place of those of an earlier run."""
    for old in manifest.pop("int8", {}).values():
        (folder / old["file"]).unlink(missing_ok=True)
    manifest["int8"] = {}
    for role, model in made.items():
        path = folder / f"{role}{SUFFIX}"
        model.doc_string = f"{model.doc_string} int8"
        content = model.SerializeToString()
        path.write_bytes(content)
        manifest["int8"][role] = {"file": path.name, "sha256": hashlib.sha256(content).hexdigest()}
    manifest["tuning"]["precision"] = "auto"
    (folder / "model.json").write_text(json.dumps(manifest, indent=2) + "\n")


if __name__ == "__main__":
    main()
