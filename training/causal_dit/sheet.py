"""A contact sheet of a checkpoint, one row a style, on frames that training never saw.

    python3 -m training.causal_dit.sheet --data CLIPS --data PHOTOS --base CACHE/dit/base.pt --checkpoint CACHE/dit/causal/last.pt --out sheet.png

Of each frame: as it is, as the painter paints it, as the transformer does told in words, and shown the painter's painting of the frame after it in the list.
With --stream N the transformer has painted the N - 1 frames of the clip before.
"""

import argparse

import cv2
import numpy as np
import torch

from training import data, prompts
from training.causal_dit.base import load as load_base
from training.causal_dit.export import load
from training.causal_dit.model import LATENT_CHANNELS
from training.causal_dit.sequences import REFERENCE_PROMPT, SIZE
from training.causal_dit.streaming import Window, paint_frame, sigmas
from training.teachers import NOISE_CHANNELS, PAINTERS
from training.train import all_channels, squash, to_float


def frames_of(files, name, count):
    """RGB uint8 [144, 256, 3] of STEM or STEM:INDEX, the last of `count` in a row; a photograph is one."""
    stem, _, index = name.partition(":")
    path = next(p for p in files if p.stem == stem)
    if path.suffix in data.CLIP_SUFFIXES:
        last = int(index or 0)
        found = [data.cover(f) for f in data.read_clip(path, range(max(0, last - count + 1), last + 1))]
    else:
        found = [data.cover(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))] * count
    return [cv2.resize(f, (SIZE[1], SIZE[0]), interpolation=cv2.INTER_AREA) for f in found]


class Painter:
    """The transformer on its base, uint8 RGB in and out."""

    def __init__(self, base, model, steps=2, window=6):
        self.base, self.model, self.levels, self.window = base.eval(), model.eval(), sigmas(steps, *SIZE), window
        self.tokenize = prompts.WordPiece()

    def encode(self, picture):
        return self.base.encoder(to_float(torch.from_numpy(picture)[None]))

    def paint(self, frames, noise, text, reference=None):
        """The paintings of all frames."""
        with torch.no_grad():
            ids, mask = self.tokenize(text)
            prompt = self.base.prompt(torch.tensor([ids]), torch.tensor([mask]), to_float(torch.from_numpy(squash(frames[0]))[None]))
            words = self.model.words(prompt)
            window = Window(self.model, self.window, anchors=None if reference is None else self.model.anchor(self.encode(reference)[0]))
            painted = []
            for frame in frames:
                source, details = self.encode(frame)
                y = self.base.decoder(paint_frame(self.model, noise, source, words, self.levels, window), details)
                painted.append(((y[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).round().byte().numpy())
        return painted


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], required=True)
    parser.add_argument("--base", default="training/.cache/dit/base.pt")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--frames", default="book:40,kodim19,kodim23")
    parser.add_argument("--stream", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--styles", default=",".join(PAINTERS))
    parser.add_argument("--no-sources", action="store_true", help="paintings alone")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    base = load_base(args.base)
    painter = Painter(base, load(args.checkpoint), args.steps)
    clips, photos = data.files(args.data)
    shots = [frames_of(clips + photos, name, args.stream) for name in args.frames.split(",")]
    rng = np.random.default_rng(42)
    brush = rng.standard_normal((NOISE_CHANNELS, SIZE[0] // 4, SIZE[1] // 4)).astype(np.float32)
    noise = torch.from_numpy(all_channels(brush, rng, LATENT_CHANNELS))[None]
    rows, errors = [], {}
    for style in args.styles.split(","):
        taught = [PAINTERS[style](shot[-1], brush, 1.0) for shot in shots]
        row = []
        for i, shot in enumerate(shots):
            told = painter.paint(shot, noise, prompts.PRESETS[style])[-1]
            shown = painter.paint(shot, noise, REFERENCE_PROMPT, taught[(i + 1) % len(shots)])[-1]
            row += [taught[i], told, shown] if args.no_sources else [shot[-1], taught[i], told, shown]
            for name, painting in (("told", told), ("shown", shown)):
                errors.setdefault((style, name), []).append(np.square(painting.astype(np.float32) - taught[i]).mean())
        rows.append(np.hstack(row))
    cv2.imwrite(args.out, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    for (style, name), found in errors.items():
        print(f"{style} {name}: {10 * np.log10(255**2 / np.mean(found)):.2f} dB")


if __name__ == "__main__":
    main()
