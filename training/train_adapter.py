"""Trains the temporal adapter on short sequences, the base frozen.

    python3 -m training.train_adapter --data CLIPS_FOLDER --data PHOTOS_FOLDER --base CACHE/run/base.pt --out CACHE/adapter --steps 500

The condition is the model's own last painting (with the adapter) warped onto this frame along the input's flow; it is renewed every 1 to 8
frames, and its latents are moved with every frame, as the engine does. The noise stands still for half of the sequences and is advected for the others. The target is what the base paints of this frame, with strokes of the
warped last painting (but for a share OWN) where the warp is valid. Resumes from OUT/adapter.pt, like training.train.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import csv
import time
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from training import data, held_out, motion, prompts, scenes
from training.adapter import Adapter
from training.model import LATENT_CHANNELS, Lite
from training.teachers import PAINTERS
from training.train import BFLOAT16, average_gradients, picture_loss, rate, squash, texture_loss, to_float

OWN = 0.06
# Steadiness must not be bought with blur: the texture stays that of the frame's own painting.
TEXTURE = 0.25
# Moved latents paint the moved painting: through the gate alone `Shift` would learn only where it is open.
SHIFTED = 0.2
TONE = 16  # Pixels: what is coarser is light and colour, and not strokes.
LENGTH = 10


def load_clips(folders, limit=90):
    """The training clips as uint8 [N, 288, 512, 3] each, up to `limit` frames of each, and the photographs."""
    clips, photos = data.files(folders) if folders else ([], [])
    rng = np.random.default_rng(5)
    made = []
    for path in clips:
        if path.stem in held_out.CLIPS:
            continue
        length = data.clip_length(path)
        start = int(rng.integers(max(1, length - limit)))
        made.append(np.stack([data.cover(f) for f in data.read_clip(path, range(start, min(length, start + limit)))]))
    stills = [cv2.cvtColor(cv2.imread(str(p)), cv2.COLOR_BGR2RGB) for p in photos if p.stem not in held_out.PHOTOS]
    return made, stills


class Sequence:
    """A run of frames of one crop, painted one after another."""

    def __init__(self, rng, clips, stills, crop):
        self.rng, self.crop = rng, crop
        kind = rng.choice(["clip", "pan", "still"], p=[0.6, 0.3, 0.1] if clips else [0, 0.8, 0.2])
        if kind == "clip":
            clip = clips[int(rng.integers(len(clips)))]
            start = int(rng.integers(max(1, len(clip) - LENGTH)))
            whole = clip[start : start + LENGTH]
            if rng.random() < 0.5:
                whole = whole[:, :, ::-1]
            if rng.random() < 0.3:
                whole = whole[::-1]
        else:
            still = stills[int(rng.integers(len(stills)))] if stills and rng.random() < 0.8 else scenes.draw(rng, (360, 640))
            whole = self._pan(still, 0 if kind == "still" else 1)
        height, width = whole.shape[1:3]
        y, x = 8 * int(rng.integers((height - crop[0]) // 8 + 1)), 8 * int(rng.integers((width - crop[1]) // 8 + 1))
        self.frames = [np.ascontiguousarray(f[y : y + crop[0], x : x + crop[1]]) for f in whole]
        self.squashed = squash(whole[0])
        style = str(rng.choice(list(PAINTERS)))
        self.text = prompts.PRESETS[style]
        self.noise = motion.AdvectedNoise((LATENT_CHANNELS, crop[0] // 4, crop[1] // 4), rng)
        self.advects = rng.random() < 0.5
        self.index, self.painting, self.latents, self.condition, self.age = 0, None, None, None, 0
        self.refresh = int(rng.choice([1, 2, 4, 8]))

    def _pan(self, still, moving):
        """Frames of a camera that drifts and zooms over a still, with a little sensor noise."""
        zoom, at = self.rng.uniform(1.1, 1.5), self.rng.uniform(0.2, 0.8, 2)
        drift, grow = moving * self.rng.normal(0, 0.012, 2), 1 + moving * self.rng.normal(0, 0.004)
        noise = self.rng.uniform(0, 3)
        frames = []
        for _ in range(LENGTH):
            height, width = still.shape[:2]
            w = min(width, height * 16 / 9) / zoom
            scale = w / 512
            x0, y0 = (width - w) * at[1], (height - w * 9 / 16) * at[0]
            matrix = np.float32([[scale, 0, x0], [0, scale, y0]])
            view = cv2.warpAffine(still, matrix, (512, 288), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REFLECT_101)
            frames.append(np.clip(view + self.rng.normal(0, noise, view.shape), 0, 255).astype(np.uint8))
            at, zoom = np.clip(at + drift, 0, 1), max(1.0, zoom * grow)
        return np.stack(frames)

    @property
    def over(self):
        return self.index >= len(self.frames)

    def prepare(self):
        """Moves everything onto the next frame: (frame, noise, condition, last latents, rest of their motion, warped painting, weight of warped)."""
        frame = self.frames[self.index]
        if self.painting is None:
            blank = np.zeros(frame.shape[:2], np.float32)
            return frame, self.noise.noise, frame, np.zeros_like(self.noise.noise), np.zeros_like(self.noise.noise[:2]), frame, blank
        before, now = motion.grey(self.frames[self.index - 1]), motion.grey(frame)
        field = motion.flow(before, now)
        warped = motion.warp(self.painting, field)
        if self.condition is None or self.age >= self.refresh:
            self.condition, self.age = warped, 0
        self.age += 1
        moved = motion.move_latents(self.latents, motion.coarse_flow(before, now))
        noise = self.noise.advance(field) if self.advects else self.noise.noise
        return frame, noise, self.condition, *moved, warped, motion.valid(before, now, field)

    def keep(self, painting, latents):
        self.painting, self.latents = painting, latents
        self.index += 1


def without_tone(difference, weight):
    """A difference [B, 3, H, W] less its mean around each pixel, over pixels that weigh [B, 1, H, W].

    Strokes follow the last painting, light and colour the frame: else a fade of the source lags (14 of 255, or four frames, in one of 36 frames).
    """
    around = lambda map: F.interpolate(F.avg_pool2d(map, TONE), size=map.shape[2:], mode="bilinear", align_corners=False)
    return difference - around(difference * weight) / (around(weight) + 1e-3)


class AdapterTrainer:
    def __init__(self, base, clips, stills, batch=6, crop=(160, 256), learning_rate=1.5e-3, rank=0, world=1):
        torch.manual_seed(0)
        self.base, self.clips, self.stills, self.crop, self.world, self.learning_rate = base.eval().requires_grad_(False), clips, stills, crop, world, learning_rate
        self.adapter = Adapter()
        self.adapter.condition.start_from(base.encoder)
        self.ema = copy.deepcopy(self.adapter).requires_grad_(False)
        self.optimizer = torch.optim.AdamW(self.adapter.parameters(), lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0)
        self.rank, self.rng = rank, np.random.default_rng([11, rank])
        self.tokenize = prompts.WordPiece()
        self.sequences = [None] * batch
        self.embeds = [None] * batch
        self.step = 0

    def _renew(self):
        for i, sequence in enumerate(self.sequences):
            if sequence is None or sequence.over:
                self.sequences[i] = sequence = Sequence(self.rng, self.clips, self.stills, self.crop)
                ids, mask = self.tokenize(sequence.text)
                with torch.no_grad():
                    self.embeds[i] = self.base.prompt(torch.tensor([ids]), torch.tensor([mask]), to_float(torch.from_numpy(sequence.squashed)[None]))

    def save(self, path):
        state = {"ema": self.ema.state_dict(), "adapter": self.adapter.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step}
        torch.save(state, f"{path}.part")
        os.replace(f"{path}.part", path)

    def load(self, path):
        state = torch.load(path, map_location="cpu")
        self.ema.load_state_dict(state["ema"])
        self.adapter.load_state_dict(state["adapter"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step = state["step"]
        self.rng = np.random.default_rng([11, self.step, self.rank])

    def advance(self, factor=1.0):
        """One frame of every sequence, one optimisation step."""
        self._renew()
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor
        prepared = [sequence.prepare() for sequence in self.sequences]
        frame, noise, condition, last, offsets, warped, weight = (torch.from_numpy(np.stack(column)) for column in zip(*prepared))
        frame, condition, warped = to_float(frame), to_float(condition), to_float(warped)
        prompt = torch.cat(self.embeds)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16):
            with torch.no_grad():
                source_latents, details = self.base.encoder(frame)
                full = torch.full((frame.shape[0],), 1000.0)
                x0 = self.base.unet.predict(noise, full, prompt, source_latents)
                own = self.base.decoder(x0, details).float()
            hooks = self.adapter.bind(self.adapter.condition(condition), last, offsets, torch.ones(1))
            adapted = self.base.unet.predict(noise, full, prompt, source_latents, hooks)
            y = self.base.decoder(adapted, details).float()
            shifted = self.base.decoder(self.adapter.shift(last, offsets), details).float()
        weight = weight[:, None]
        followed = own + (1 - OWN) * weight * without_tone(warped - own, weight)
        loss = picture_loss(y, followed).mean() + TEXTURE * texture_loss(y, own) + SHIFTED * ((shifted - warped).abs() * weight).mean()
        self.optimizer.zero_grad(set_to_none=False)
        loss.backward()
        if self.world > 1:
            average_gradients(self.adapter, self.world)
        torch.nn.utils.clip_grad_norm_(self.adapter.parameters(), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for average, value in zip(self.ema.parameters(), self.adapter.parameters()):
                average.lerp_(value, 0.02 if self.step > 50 else 0.2)
            shown = ((y.permute(0, 2, 3, 1) + 1) * 127.5).clamp(0, 255).round().byte().numpy()
            plain = ((own.permute(0, 2, 3, 1) + 1) * 127.5).clamp(0, 255).round().byte().numpy()
            moved = ((y - warped).abs().mean(1, keepdim=True) * weight).sum() / (weight.sum() + 1)
            alone = ((own - warped).abs().mean(1, keepdim=True) * weight).sum() / (weight.sum() + 1)
        adapted, x0 = adapted.detach().float().numpy(), x0.float().numpy()
        for sequence, *painted in zip(self.sequences, shown, adapted, plain, x0):
            sequence.keep(*(painted[2:] if sequence.painting is None else painted[:2]))
        self.step += 1
        return {"loss": loss.item(), "to_warped": moved.item() * 127.5, "base_to_warped": alone.item() * 127.5}


def run(rank, args):
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(args.port))
        dist.init_process_group("gloo", rank=rank, world_size=args.workers, timeout=timedelta(days=7))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    base = Lite(len(prompts.vocabulary()))
    base.load_state_dict(torch.load(args.base, map_location="cpu")["ema"])
    trainer = AdapterTrainer(base.to(memory_format=torch.channels_last), *load_clips(args.data), batch=args.batch, rank=rank, world=args.workers)
    if (out / "adapter.pt").exists():
        trainer.load(out / "adapter.pt")
    writer = None
    if rank == 0:
        log = open(out / "log.csv", "a", newline="")
        writer = csv.writer(log)
        if trainer.step == 0:
            writer.writerow(["step", "minutes", "loss", "to_warped", "base_to_warped"])
    started, window = time.time(), []
    while trainer.step < args.steps:
        window.append(trainer.advance(rate(trainer.step, args.steps, cooldown=args.steps // 2, warmup=60)))
        if rank == 0 and (trainer.step % 50 == 0 or trainer.step == args.steps):
            writer.writerow([trainer.step, f"{(time.time() - started) / 60:.2f}", *[f"{np.mean([p[k] for p in window]):.4f}" for k in window[0]]])
            log.flush()
            window = []
            trainer.save(out / "adapter.pt")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", action="append", default=[], help="a folder of clips or photographs; may be repeated")
    parser.add_argument("--base", default="training/.cache/run/base.pt")
    parser.add_argument("--out", default="training/.cache/adapter")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=6, help="sequences per worker")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--port", type=int, default=29614)
    args = parser.parse_args()
    if args.workers == 1:
        run(0, args)
    else:
        torch.multiprocessing.spawn(run, (args,), nprocs=args.workers)


if __name__ == "__main__":
    main()
