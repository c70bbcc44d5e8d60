"""Trains the transformer on painted sequences, in three stages; each starts from the one before.

    python3 -m training.causal_dit.train --stage teacher --sequences CACHE/sequences --base CACHE/dit/base.pt --out CACHE/dit/teacher --steps 20000
    python3 -m training.causal_dit.train --stage causal  --start CACHE/dit/teacher/last.pt --out CACHE/dit/causal ...
    python3 -m training.causal_dit.train --stage forcing --start CACHE/dit/causal/last.pt  --out CACHE/dit/forcing ...

teacher: flow matching, every frame reads all, a noise level for each frame; with --frames 1 first, for what painting is can be learnt from single frames, and a
sequence has much the same ones. causal: the levels of the few steps, each frame beside the clean ones before it (teacher forcing). forcing: the student paints
the sequence from its own paintings (Self-Forcing, arXiv 2506.08009). All are compared with the painters' in latents and in pixels; these are there for every
frame, so no network has to say how well they are matched.

The encoder, the decoder and the text-and-vision encoder are those of --base, of training.causal_dit.base, and stay as they are. One process a worker, one
thread each, as in training.train. Resumes from OUT/last.pt; what a step does follows from --seed, its number and the worker alone, so a run that was cut off
comes to the same weights. Writes OUT/log.csv.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import csv
import time
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist

from training import prompts
from training.causal_dit.base import load as load_base
from training.causal_dit.masks import bidirectional, teacher_forcing
from training.causal_dit.model import TINY, CausalDit, Size
from training.causal_dit.sequences import Sequences
from training.causal_dit.streaming import Window, roll_out, sigmas
from training.train import BFLOAT16, GRID, average_gradients, grid_loss, picture_loss, rate, texture_loss

STAGES = ("teacher", "causal", "forcing")
# Levels under this count as this much in the velocity's error: it goes with 1 / t.
LEVEL_MIN = 0.4
# Frames of a batch that are also compared as pictures, which costs as much as the network.
PICTURED = 6
# Share of the causal stage's batches that are a moving buffer (StreamDiT): the oldest frames are one step farther than the others, and all read all.
BUFFERED = 0.25
TEXTURE = 0.3
SMALL = Size(layers=4, width=128, heads=2, hidden=384)
SIZES = {"full": Size(), "small": SMALL, "tiny": TINY}


def flow_matching_loss(x0, target, times):
    """Mean squared error of the velocity (sample - x0) / t, which is that of x0 over t; x0, target [B, F, C, H, W], times [B, F]."""
    weights = times.clamp(min=LEVEL_MIN)[:, :, None, None, None] ** -2
    return (weights * (x0 - target).square()).mean()


class Trainer:
    """base: of training.model, frozen. sequences: what `Sequences.batch` gives comes from it."""

    def __init__(self, base, sequences, stage, size=Size(), batch=4, frames=4, window=6, steps=2, learning_rate=4e-4, seed=0, device="cpu", rank=0, world=1):
        torch.manual_seed(seed)
        self.base, self.sequences, self.stage, self.device = base.eval().requires_grad_(False).to(device), sequences, stage, device
        self.batch_size, self.frames, self.window, self.learning_rate, self.seed = batch, frames, window, learning_rate, seed
        self.rank, self.world = rank, world
        height, width = sequences.sources.shape[2:4]
        self.levels = sigmas(steps, height, width)
        self.model = CausalDit(size).to(device)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        self.step = 0

    def advance(self, factor=1.0):
        """One optimisation step at this share of the peak rate; returns the parts of the loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        rng = np.random.default_rng([self.seed, STAGES.index(self.stage), self.step, self.rank])
        batch = {name: value.to(self.device) for name, value in self.sequences.batch(rng, self.batch_size, self.frames).items()}
        # No cache: a weight first cast inside no_grad would be reused without its gradient.
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16 and self.device == "cpu", cache_enabled=False):
            loss, parts = self.losses(batch, rng)
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        if self.world > 1:
            average_gradients(self.model, self.world)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        decay = min(0.99, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for average, value in zip(self.ema.parameters(), self.model.parameters()):
                average.lerp_(value, 1 - decay)
        self.step += 1
        return {"loss": loss.item(), **parts}

    def losses(self, batch, rng):
        """(loss, its parts as numbers)"""
        source, details, target, reference, prompt_embeds = self._encode(batch)
        noise = batch["noise"][:, None].expand_as(target)
        words, anchors = self.model.words(prompt_embeds), self.model.anchor(reference)
        if self.stage == "forcing":
            return self._forcing(rng, batch, noise, source, details, target, words, anchors)
        times = self._times(rng).to(self.device)
        at = times[:, :, None, None, None]
        sample = (1 - at) * target + at * noise
        if self.stage == "teacher":
            mask = bidirectional(self.frames)
            x0 = self.model(sample, source, times, words, mask, anchors=anchors, anchored=batch["shown"])
            return self._compared(rng, x0, target, times, details, batch["target"])
        if self.frames > 1 and rng.random() < BUFFERED:
            farther = torch.arange(self.frames) < int(rng.integers(1, self.frames))
            times = torch.where(farther, self.levels[1], self.levels[0]).to(self.device).expand_as(times)
            at = times[:, :, None, None, None]
            x0 = self.model(
                (1 - at) * target + at * noise, source, times, words, bidirectional(self.frames), anchors=anchors, anchored=batch["shown"],
            )
            return self._compared(rng, x0, target, times, details, batch["target"])
        both = lambda clean, noised: torch.cat([clean, noised], dim=1)
        positions = torch.arange(self.frames).repeat(2)
        mask = teacher_forcing(self.frames, self.window)
        with torch.no_grad():
            past = self.base.encoder(batch["past"].flatten(0, 1))[0].float().unflatten(0, target.shape[:2])
        x0 = self.model(
            both(past, sample), both(source, source), both(torch.zeros_like(times), times), words, mask, positions, anchors, batch["shown"],
        )[:, self.frames :]
        return self._compared(rng, x0, target, times, details, batch["target"])

    def _compared(self, rng, x0, target, times, details, paintings):
        """(loss, its parts): of the latents' velocity, and of the pictures of some frames."""
        x0 = x0.float()
        near = flow_matching_loss(x0, target, times)
        some = torch.from_numpy(rng.permutation(x0.shape[0] * x0.shape[1])[:PICTURED])
        wanted = paintings.flatten(0, 1)[some]
        decoded = self.base.decoder(x0.flatten(0, 1)[some], details[some]).float()
        painted = picture_loss(decoded, wanted).mean()
        parts = {"latent": (x0 - target).square().mean().item(), "paint": painted.item()}
        return near + painted + TEXTURE * texture_loss(decoded, wanted) + GRID * grid_loss(decoded, wanted), parts

    def _forcing(self, rng, batch, noise, source, details, target, words, anchors):
        window = Window(self.model, self.window, anchors=anchors, anchored=batch["shown"])
        exits = [int(rng.integers(len(self.levels) - 1)) for _ in range(self.frames)]
        x0 = roll_out(self.model, noise, source, words, self.levels, window, exits)
        return self._compared(rng, x0, target, torch.ones(target.shape[:2]), details, batch["target"])

    def _times(self, rng):
        """Noise levels [B, F]: those of the few steps for the student; for the teacher half are 1, where every painting begins, the others logit-normal."""
        shape = (self.batch_size, self.frames)
        if self.stage == "teacher":
            times = np.where(rng.random(shape) < 0.5, 1.0, 1 / (1 + np.exp(-rng.normal(0.5, 1.0, shape))))
        else:
            times = rng.choice(self.levels[:-1], size=shape)
        return torch.from_numpy(times.astype(np.float32))

    def _encode(self, batch):
        """Latents of the sources and of the paintings [B, F, 12, h, w], the sources' details [B * F, ..], those of the reference, prompt_embeds."""
        fold = (self.batch_size, self.frames)
        with torch.no_grad():
            source, details = self.base.encoder(batch["source"].flatten(0, 1))
            target, _ = self.base.encoder(batch["target"].flatten(0, 1))
            reference, _ = self.base.encoder(batch["reference"])
            prompt_embeds = self.base.prompt(batch["input_ids"], batch["attention_mask"], batch["squashed"])
        return source.float().unflatten(0, fold), details, target.float().unflatten(0, fold), reference.float(), prompt_embeds

    def save(self, path, elapsed):
        state = {
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step,
            "elapsed": elapsed, "stage": self.stage, "size": asdict(self.model.size),
        }
        torch.save(state, f"{path}.part")
        os.replace(f"{path}.part", path)

    def load(self, path):
        """Goes on where `save` was called; returns the seconds trained so far."""
        state = torch.load(path, map_location=self.device)
        if (state["stage"], state["size"]) != (self.stage, asdict(self.model.size)):
            raise SystemExit(f"{path} is of stage {state['stage']} and {state['size']}, not {self.stage} and {asdict(self.model.size)}: name another --out")
        for name in ("model", "ema", "optimizer"):
            getattr(self, name).load_state_dict(state[name])
        self.step = state["step"]
        return state["elapsed"]

    def start_from(self, path):
        """Takes the averaged weights of the stage before."""
        state = torch.load(path, map_location=self.device)
        if state["size"] != asdict(self.model.size):
            raise SystemExit(f"{path} has {state['size']}, not {asdict(self.model.size)}: name the --size it was trained with")
        self.model.load_state_dict(state["ema"])
        self.ema.load_state_dict(state["ema"])


def run(rank, args):
    torch.set_num_threads(1)  # Two wait for each other as soon as something else runs.
    if args.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(args.port))
        dist.init_process_group("gloo", rank=rank, world_size=args.workers, timeout=timedelta(days=7))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    base = load_base(args.base)
    trainer = Trainer(
        base, Sequences(args.sequences), args.stage, SIZES[args.size], args.batch, args.frames, args.window,
        learning_rate=args.rate, seed=args.seed, device=args.device, rank=rank, world=args.workers,
    )
    before = 0.0
    if (out / "last.pt").exists():
        before = trainer.load(out / "last.pt")
    elif args.start:
        trainer.start_from(args.start)
    parts_of = ("loss", "latent", "paint")
    log = open(out / "log.csv", "a", newline="") if rank == 0 else None
    writer = csv.writer(log) if log else None
    if writer and trainer.step == 0:
        writer.writerow(["step", "minutes", *parts_of])
    started, saved, window = time.time(), time.time(), []
    elapsed = lambda: before + time.time() - started
    while trainer.step < args.steps:
        window.append(trainer.advance(rate(trainer.step, args.steps, args.cooldown, args.warmup)))
        if rank == 0 and (trainer.step % args.log_every == 0 or trainer.step == args.steps):
            mean = {key: float(np.mean([part[key] for part in window])) for key in window[0]}
            window = []
            writer.writerow([trainer.step, f"{elapsed() / 60:.2f}", *[f"{mean[key]:.5f}" if key in mean else "" for key in parts_of]])
            log.flush()
            if time.time() - saved > 90:
                trainer.save(out / "last.pt", elapsed())
                saved = time.time()
    if rank == 0:
        trainer.save(out / "last.pt", elapsed())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", choices=STAGES, required=True)
    parser.add_argument("--sequences", default="training/.cache/sequences", help="of training.causal_dit.sequences")
    parser.add_argument("--base", default="training/.cache/dit/base.pt", help="of training.causal_dit.base")
    parser.add_argument("--start", help="a checkpoint of the stage before, taken where there is nothing to resume")
    parser.add_argument("--out", required=True)
    parser.add_argument("--size", choices=SIZES, default="full")
    parser.add_argument("--steps", type=int, default=20000)
    parser.add_argument("--cooldown", type=int, default=4000, help="steps at the end over which the learning rate falls")
    parser.add_argument("--warmup", type=int, default=100, help="steps at the beginning over which it rises")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--frames", type=int, default=4, help="of a sequence in a batch")
    parser.add_argument("--window", type=int, default=6, help="frames that a frame may look back")
    parser.add_argument("--rate", type=float, default=4e-4, help="peak learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log-every", type=int, default=20)
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--workers", type=int, default=2, help="processes, of --batch sequences each; 1 on a GPU")
    parser.add_argument("--port", type=int, default=29614)
    args = parser.parse_args()
    if args.workers == 1:
        run(0, args)
    else:
        torch.multiprocessing.spawn(run, (args,), nprocs=args.workers)


if __name__ == "__main__":
    main()
