"""What flows through a model's graphs, and how far paintings of changed graphs are from those of its own: training/calibrate.mjs, from Python."""

import json
import os
import subprocess
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import onnx

from training import data, held_out, prompts, scenes
from training.qdq import tapped, taps, windows
from training.rounding import best_range

SIZE = (288, 512)
BROAD = 8  # An error that is the same over 16x16 pixels, a blotch, weighs that much more than one of single pixels.


class Seen(NamedTuple):
    """By role: tensor -> (low, high), tensor -> shape, convolution's output -> patches of its input, float [N, I * h * w]."""

    ranges: dict
    shapes: dict
    patches: dict


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

    def seen(self, models):
        """What flows through the convolutions of ROLE -> fp32 model."""
        asked = {
            role: {"file": self._save(f"{role}.tapped", tapped(model)), "names": taps(model.graph), "windows": windows(model.graph)}
            for role, model in models.items()
        }
        found = self._run(taps=asked)
        samples, patches = (np.fromfile(self.work / f"{name}.f32", np.float32) for name in ("samples", "patches"))
        seen = Seen({}, {}, {})
        for role, tensors in found["taps"].items():
            sizes = [tensor["count"] for tensor in tensors.values()]
            parts, samples = np.split(samples[: sum(sizes)], np.cumsum(sizes)[:-1]), samples[sum(sizes) :]
            seen.ranges[role] = {n: best_range(np.append(part, [t["min"], t["max"]])) for (n, t), part in zip(tensors.items(), parts)}
            seen.shapes[role] = {name: tensor["shape"] for name, tensor in tensors.items()}
        for role, shapes in found["patches"].items():
            seen.patches[role] = {}
            for name, (count, length) in shapes.items():
                seen.patches[role][name], patches = patches[: count * length].reshape(count, length), patches[count * length :]
        return seen

    def errors(self, variants):
        """[(mean squared error of the paintings, that and BROAD times the error of blocks)] of {role: model} against fp32, in levels of 255."""
        files = [{role: self._save(f"{role}.{i}", model) for role, model in variant.items()} for i, variant in enumerate(variants)]
        return [(e["square"], e["square"] + BROAD * e["broad"]) for e in self._run(variants=files)["errors"]]

    def _save(self, name, model):
        path = self.work / f"{name}.onnx"
        onnx.save(model, str(path))
        return str(path)


