"""Adds int8 variants of the convolution-heavy graphs to a model folder, beside the fp32 graphs.

    python3 -m training.quantize models/lite --data CLIPS --data PHOTOS

Works on the ONNX graphs of any model folder. Frames of clips and photographs that training may see, and drawn scenes, are painted in the
model's styles by the fp32 graphs in onnxruntime (training/calibrate.mjs); what flows through each convolution gives its ranges and how its weights
are rounded. Then each convolution is quantized alone and the paintings compared. Of those that cost most for their work the ranges are made
narrower while that helps; those that still do stay fp32, as many as the target asks for.
Writes ROLE.int8.onnx and, in model.json, "int8" and the tuning "precision": "auto". Prints what each graph costs in dB.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx

from training.calibration import Line, frames, sentences
from training.qdq import constants, convolutions, products, quantize, results

ROLES = ("vae_encoder", "lllite_cond", "unet", "vae_decoder")
WORK_MIN = 0.004  # Convolutions with a smaller share of their graph's products are left alone: Q and DQ would cost more.
# With fewer numbers going into each that comes out, int8 is no faster: Q, DQ and another layout cost what it saves (1x1 of 32 channels: 0.2 ms against 0.1).
INPUTS_MIN = 64
SUFFIX = ".int8.onnx"
NARROWED, NARROWER, ROUNDS = 12, 0.6, 8  # How many convolutions have their ranges made narrower, by how much at a time, how many times.


def worthwhile(graph, work):
    """Outputs of the convolutions that are faster in int8; work: what `products` gives."""
    known, least = constants(graph), WORK_MIN * sum(work.values())
    return [out for out, node in convolutions(graph).items() if work[out] >= least and np.prod(known[node.input[1]].shape[1:]) >= INPUTS_MIN]


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


def narrow(line, make, models, ranges, alone, keys):
    """Makes the ranges of what these convolutions read and give narrower, an end at a time, while their paintings come nearer; changes ranges and alone.

    The ends are set by the values, and these say nothing of what becomes of them: what is far below zero, a Relu behind a sum often cuts off.
    """
    for _ in range(ROUNDS):
        tries, variants = [], []
        for role, out in keys:
            for name in (convolutions(models[role].graph)[out].input[0], results(models[role].graph)[out]):
                low, high = was = ranges[role][name]
                for ends in {(low * NARROWER, high), (low, high * NARROWER)} - {was}:
                    ranges[role][name] = ends
                    tries.append(((role, out), name, ends))
                    variants.append(make([(role, out)]))
                ranges[role][name] = was
        keys = set()
        for (key, name, ends), error in sorted(zip(tries, line.errors(variants)), key=lambda tried: tried[1][1]):
            if key not in keys and error[1] < 0.95 * alone[key][1]:
                ranges[key[0]][name], alone[key] = ends, error
                keys.add(key)
        if not keys:
            return


def most(line, make, candidates, alone, work, target):
    """The convolutions with the most work that together stay at `target` dB or nearer to fp32, blotches counted: (keys, what `make` gives, their errors), or nothing."""
    errors, aim, best = {key: error for key, (_, error) in alone.items()}, target, ([], {}, [])
    for _ in range(5):
        chosen = choose(candidates, errors, work, 255**2 / 10 ** (aim / 10))
        made = make(chosen)
        paintings = line.errors([made, *({role: model} for role, model in made.items())])
        reached = decibels(paintings[0][1])
        if reached >= target and sum(map(work.get, chosen)) > sum(map(work.get, best[0])):
            best = chosen, made, paintings
        # The errors of all together are not quite the sum of what each costs alone.
        aim += target - reached + (0.2 if reached < target else 0)
    return best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", help="the model's folder; its graphs stay as they are")
    parser.add_argument("--data", action="append", default=[], help="a folder of clips or photographs; drawn scenes alone without one")
    parser.add_argument("--target", type=float, default=38.0, help="PSNR between the paintings in int8 and in fp32, dB, blotches counted as by BROAD; layers stay fp32 to reach it")
    args = parser.parse_args()
    say = lambda text: print(text, file=sys.stderr, flush=True)
    folder = Path(args.folder)
    manifest = json.loads((folder / "model.json").read_text())
    models = {role: onnx.load(str(folder / manifest["graphs"][role]["file"])) for role in ROLES}
    pairs = frames(args.data)
    phrases = sentences(manifest["styles"])
    with tempfile.TemporaryDirectory() as work:
        say(f"ranges from {len(pairs)} pairs of frames in {len(phrases)} styles")
        ranges, shapes, patches = Line(folder, pairs, phrases, work).seen(models)
        make = lambda keys: {
            role: quantize(models[role], ranges[role], {out for r, out in keys if r == role}, patches[role]) for role in ROLES if any(r == role for r, _ in keys)
        }
        work_of = {(role, out): count for role, model in models.items() for out, count in products(model.graph, shapes[role]).items()}
        candidates = [(role, out) for role, model in models.items() for out in worthwhile(model.graph, products(model.graph, shapes[role]))]
        line = Line(folder, pairs[:: max(1, len(pairs) // max(12, len(phrases)))], phrases, work)
        say(f"{len(candidates)} convolutions, each quantized alone")
        alone = dict(zip(candidates, line.errors([make([key]) for key in candidates])))
        dear = sorted(candidates, key=lambda key: -alone[key][1] / work_of[key])[:NARROWED]
        before = {key: alone[key][1] for key in dear}
        narrow(line, make, models, ranges, alone, dear)
        for key in sorted(candidates, key=lambda key: -alone[key][1]):
            wider = f" ({decibels(before[key]):.1f} before its ranges were made narrower)" if alone[key][1] != before.get(key, alone[key][1]) else ""
            say(f"{decibels(alone[key][0]):6.1f} dB, {decibels(alone[key][1]):6.1f} dB with blotches, {work_of[key] / 1e6:6.1f} M  {' '.join(key)}{wider}")
        chosen, made, paintings = most(line, make, candidates, alone, work_of, args.target)
    if not chosen:
        raise SystemExit(f"no choice of convolutions kept the paintings in int8 at {args.target} dB from those in fp32; nothing was written")
    share = sum(map(work_of.get, chosen)) / sum(work_of.values())
    say(f"{len(chosen)} convolutions in int8, {share:.0%} of all products; of those that pay, fp32: {', '.join(' '.join(k) for k in candidates if k not in chosen) or 'none'}")
    write(folder, manifest, made)
    for role, (square, error) in zip(["together", *made], paintings):
        print(f"{role}: {decibels(square):.1f} dB from fp32, {decibels(error):.1f} dB with blotches")


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
