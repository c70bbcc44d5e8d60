"""Short sequences painted by the teachers in every style: what the transformer learns from.

    python3 -m training.causal_dit.sequences --data CLIPS --data PHOTOS --out CACHE/sequences --count 900

writes OUT/{source,painting,noise}.npy: uint8 [N, F, 144, 256, 3] RGB, [N, 8, F, 144, 256, 3] in the order of PAINTERS, float16 [N, 8, 36, 64]. The noise
stays on the canvas, as `lite` starts. The file `ready` says how many are finished; a run that was cut off goes on from there.
"""

import argparse
import multiprocessing
from pathlib import Path

import cv2
import numpy as np
import torch

from training import prompts
from training.teachers import NOISE_CHANNELS, PAINTERS
from training.causal_dit.model import LATENT_CHANNELS
from training.train import SHARES, all_channels, squash, to_float
from training.train_adapter import LENGTH, Sequence, load_clips

STYLES = list(PAINTERS)
SIZE = (144, 256)
FRAMES = 6
# What is said where the style is shown; RTR-DiT's words.
REFERENCE_PROMPT = "transfer the video style to match the reference image style"
# Share of the samples whose past is of another style, as after a switch: a model that never sees one goes on in the old one.
SWITCHED = 0.25
_FOOTAGE = {}


def _paint(task):
    """(frames, paintings, noise) of sequence `index`."""
    index, frames, size, seed = task
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, index])
    whole = Sequence(rng, *_FOOTAGE["clips, stills"], crop=(288, 512)).frames[:frames]
    sources = [cv2.resize(frame, (size[1], size[0]), interpolation=cv2.INTER_AREA) for frame in whole]
    sources += sources[-1:] * (frames - len(sources))  # A short clip stands still at its end.
    noise = rng.standard_normal((NOISE_CHANNELS, size[0] // 4, size[1] // 4)).astype(np.float16)
    paintings = [[painter(source, noise.astype(np.float32), 1.0) for source in sources] for painter in PAINTERS.values()]
    return np.stack(sources), np.array(paintings), noise


def build(folders, out, count, frames=FRAMES, size=SIZE, seed=1, workers=2):
    """Paints `count` sequences into out, from where an earlier run stopped."""
    if not 1 <= frames <= LENGTH:
        raise SystemExit(f"--frames is {frames}, expected 1 to {LENGTH}")
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    ready = out / "ready"
    done = int(ready.read_text()) if ready.exists() else 0
    pictures = (count, frames, *size, 3)
    kinds = {"source": (np.uint8, pictures), "painting": (np.uint8, (count, len(STYLES), *pictures[1:]))}
    kinds["noise"] = (np.float16, (count, NOISE_CHANNELS, size[0] // 4, size[1] // 4))
    arrays = {
        name: np.lib.format.open_memmap(out / f"{name}.npy", mode="r+" if done else "w+", dtype=dtype, shape=shape)
        for name, (dtype, shape) in kinds.items()
    }
    if arrays["source"].shape != pictures:
        raise SystemExit(f"{out} was begun as {arrays['source'].shape}, not {pictures}: name the same --count and --frames, or another --out")
    # Inherited by the workers.
    _FOOTAGE["clips, stills"] = load_clips(folders)
    with multiprocessing.get_context("fork").Pool(workers) as pool:
        results = pool.imap(_paint, [(i, frames, size, seed) for i in range(done, count)])
        for i, (sources, paintings, noise) in enumerate(results, done):
            arrays["source"][i], arrays["painting"][i], arrays["noise"][i] = sources, paintings, noise
            if (i + 1) % 10 == 0 or i + 1 == count:
                ready.write_text(str(i + 1))
    for array in arrays.values():
        array.flush()
    return count


class Sequences:
    """The arrays that `build` wrote, memory-mapped."""

    def __init__(self, folder):
        folder = Path(folder)
        self.count = int((folder / "ready").read_text())
        self.sources, self.paintings, self.noise = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("source", "painting", "noise"))
        shares = np.array([SHARES.get(style, 1.0) for style in STYLES])
        self.shares = shares / shares.sum()
        self.tokenize = prompts.WordPiece()
        self.phrases = {style: prompts.split(style)[0] for style in STYLES}

    def batch(self, rng, size, frames):
        """A dict of tensors: source, target, past [B, F, 3, H, W] (what is painted, and what was before it was switched), noise [B, 12, H/4, W/4], squashed [B, 3, 128, 128], input_ids, attention_mask
        [B, 32], reference [B, 3, H, W], shown bool [B]: whose style the reference shows, the others' words name it.
        """
        rows = [self._one(rng, frames) for _ in range(size)]
        stack = lambda key: torch.from_numpy(np.stack([row[key] for row in rows]))
        film = lambda key: to_float(stack(key).flatten(0, 1)).unflatten(0, (size, frames))
        return {
            "source": film("source"), "target": film("target"), "past": film("past"), "noise": stack("noise"), "squashed": to_float(stack("squashed")),
            "input_ids": stack("ids"), "attention_mask": stack("mask"), "reference": to_float(stack("reference")), "shown": stack("shown"),
        }

    def _one(self, rng, frames):
        index = int(rng.integers(self.count))
        style = int(rng.choice(len(STYLES), p=self.shares))
        start = int(rng.integers(self.sources.shape[1] - frames + 1))
        cut = slice(start, start + frames)
        shown = self.count > 1 and rng.random() < 0.5
        # A painting of something else: what it shows is how it is painted.
        other = (index + 1 + int(rng.integers(self.count - 1))) % self.count if shown else index
        target = np.array(self.paintings[index, style, cut])
        past = target.copy()
        if rng.random() < SWITCHED:
            switch = int(rng.integers(1, frames + 1))
            past[:switch] = self.paintings[index, int(rng.integers(len(STYLES))), cut][:switch]
        phrases = self.phrases[STYLES[style]]
        ids, mask = self.tokenize(REFERENCE_PROMPT if shown else phrases[int(rng.integers(len(phrases)))])
        return {
            "source": np.array(self.sources[index, cut]), "target": target, "past": past,
            "noise": all_channels(np.array(self.noise[index]), rng, LATENT_CHANNELS), "squashed": squash(self.sources[index, start]),
            "reference": np.array(self.paintings[other, style, int(rng.integers(self.sources.shape[1]))]), "shown": np.array(shown),
            "ids": np.array(ids), "mask": np.array(mask),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], help="a folder of clips or photographs; may be repeated; scenes are drawn without one")
    parser.add_argument("--out", default="training/.cache/sequences")
    parser.add_argument("--count", type=int, default=900)
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    build(args.data, args.out, args.count, args.frames, seed=args.seed, workers=args.workers)


if __name__ == "__main__":
    main()
