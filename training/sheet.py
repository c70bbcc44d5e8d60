"""Paints all styles on a few held-out frames, one row a style: the contact sheet of the model card.

    python3 -m training.sheet --data CLIPS --data PHOTOS --base CACHE/run/base.pt --out models/lite/paintings.jpg

Frames are named STEM or STEM:INDEX (of a clip). Only paintings are written, no source.
"""

import argparse

import cv2
import numpy as np
import torch

from training import data, export, prompts
from training.model import LATENT_CHANNELS
from training.train import paint_whole

TILE = (384, 216)


def frame(files, name):
    """RGB uint8 [288, 512, 3] of STEM or STEM:INDEX."""
    stem, _, index = name.partition(":")
    path = next(p for p in files if p.stem == stem)
    if path.suffix in data.CLIP_SUFFIXES:
        return data.cover(data.read_clip(path, [int(index or 0)])[0])
    return data.cover(cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], required=True)
    parser.add_argument("--base", default="training/.cache/run/base.pt")
    parser.add_argument("--frames", default="book:40,kodim19,kodim23")
    parser.add_argument("--out", default="models/lite/paintings.jpg")
    args = parser.parse_args()
    torch.set_num_threads(2)
    base = export.half_rounded(export.load(args.base)[0]).eval()
    clips, photos = data.files(args.data)
    tokenize, rows = prompts.WordPiece(), []
    frames = [frame(clips + photos, name) for name in args.frames.split(",")]
    noise = np.random.default_rng(42).standard_normal((LATENT_CHANNELS, data.HEIGHT // 4, data.WIDTH // 4)).astype(np.float32)
    for text in prompts.PRESETS.values():
        rows.append(np.hstack([cv2.resize(paint_whole(base, f, noise, text, tokenize), TILE, interpolation=cv2.INTER_AREA) for f in frames]))
    cv2.imwrite(args.out, cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])


if __name__ == "__main__":
    main()
