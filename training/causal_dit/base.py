"""What the transformer stands on: the text-and-vision encoder of `lite`, and an autoencoder trained for its pictures.

    python3 -m training.restore --model models/lite --out CACHE/lite.pt
    python3 -m training.causal_dit.base --start CACHE/lite.pt --sequences CACHE/sequences --out CACHE/dit/base.pt --steps 3000

Paintings go through encoder and decoder, the details come from their sources; what the autoencoder can't draw, the transformer can't either.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from training import prompts
from training.causal_dit.model import LATENT_CHANNELS
from training.causal_dit.sequences import STYLES, Sequences
from training.model import Decoder, Encoder, TextEncoder, VisionEncoder
from training.train import autoencoder_loss, rate, to_float


class Base(nn.Module):
    """The text-and-vision encoder of `lite`, and an encoder and a decoder of pictures that are the transformer's own."""

    def __init__(self):
        super().__init__()
        self.te_vision, self.te_text = VisionEncoder(), TextEncoder(len(prompts.vocabulary()))
        own = {"latents": LATENT_CHANNELS, "details": LATENT_CHANNELS, "activation": F.silu}
        self.encoder, self.decoder = Encoder(**own), Decoder(**own)

    def prompt(self, input_ids, attention_mask, squashed):
        return self.te_text(input_ids, attention_mask, self.te_vision(squashed))


def load(path):
    """The Base of a checkpoint that `main` wrote."""
    base, state = Base(), torch.load(path, map_location="cpu")["ema"]
    base.load_state_dict({name: state[name] for name in base.state_dict()})
    return base


def batch(sequences, rng, size):
    """source, target [size, 3, H, W]; one in eight targets is the source itself."""
    rows = []
    for i in range(size):
        index, style, frame = int(rng.integers(sequences.count)), int(rng.integers(len(STYLES))), int(rng.integers(sequences.sources.shape[1]))
        source = np.array(sequences.sources[index, frame])
        rows.append((source, source if i % 8 == 7 else np.array(sequences.paintings[index, style, frame])))
    return {name: to_float(torch.from_numpy(np.stack(column))) for name, column in zip(("source", "target"), zip(*rows))}


def train(start, sequences, steps, size=8, learning_rate=2e-3, seed=0, say=lambda line: None):
    """The base's averaged state, from the checkpoint `start` as far as its shapes fit."""
    torch.manual_seed(seed)
    base = Base()
    own = base.state_dict()
    base.load_state_dict({name: start[name] if name in start and start[name].shape == value.shape else value for name, value in own.items()})
    average = copy.deepcopy(base).requires_grad_(False)
    parts = [*base.encoder.parameters(), *base.decoder.parameters()]
    averages = [*average.encoder.parameters(), *average.decoder.parameters()]
    optimizer = torch.optim.AdamW(parts, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
    seen, started = [], time.time()
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * rate(step, steps, steps // 2)
        loss, told = autoencoder_loss(base, batch(sequences, np.random.default_rng([seed, step]), size), texture=0.3)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parts, 1.0)
        optimizer.step()
        with torch.no_grad():
            for mean, value in zip(averages, parts):
                mean.lerp_(value, 1 - min(0.998, (step + 1) / (step + 20)))
        seen.append(told["psnr"])
        if (step + 1) % 100 == 0:
            say(f"step {step + 1}, {(time.time() - started) / 60:.1f} minutes: {np.mean(seen[-100:]):.2f} dB")
    return average.state_dict()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", required=True, help="a checkpoint of training.train or training.restore")
    parser.add_argument("--sequences", default="training/.cache/sequences", help="of training.causal_dit.sequences")
    parser.add_argument("--out", default="training/.cache/dit/base.pt")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    state = train(torch.load(args.start)["ema"], Sequences(args.sequences), args.steps, say=lambda line: print(line, flush=True))
    torch.save({"ema": state, "vocabulary": prompts.vocabulary()}, args.out)


if __name__ == "__main__":
    main()
