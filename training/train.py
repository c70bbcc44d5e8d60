"""Trains the base model end to end on painted pictures, for a given number of steps.

    python3 -m training.train --pictures CACHE/pictures --out CACHE/run --steps 40000 --workers 2

One process per worker, one thread each, gradients averaged over gloo: two threads in one process lose a third to
barriers as soon as something else runs on the machine. Resumes from OUT/last.pt: the learning rate is constant until
the last --cooldown steps, so a run may be stopped at any time and finished by naming another number of steps. --start takes
the weights of an older checkpoint as far as their shapes fit. Writes OUT/log.csv, OUT/sheet.png
(source, teacher, student on pictures held out) and OUT/base.pt (the moving average is its "ema").
"""

import os

# One thread per worker: OpenBLAS's own threads would spin against the other worker's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import copy
import csv
import math
import time
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

from training import data, prompts
from training.model import LATENT_CHANNELS, VISION_SIDE, WIDTH, Lite
from training.teachers import PAINTERS

CROP = (160, 256)
STYLES = list(PAINTERS)
# How often a style is drawn: those whose every pixel is a stroke take longest to learn.
SHARES = {"oil-painting": 1.8, "van-gogh": 3.0, "pencil-sketch": 1.2, "comic-halftone": 0.7, "anime": 0.7, "render-3d": 0.8, "ukiyo-e": 0.7, "watercolor": 0.8}
# Activations in bfloat16, where the processor has it: 1.4 times the speed, the loss the same to four digits.
BFLOAT16 = "avx512_bf16" in (Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else "")
# Encoder and decoder alone begin fast and slow down to their share of the rate: at the full one they stay 1 dB below.
AUTOENCODER_START, AUTOENCODER_RATE = 2.5, 0.3
TEXTURED = 3  # One picture in so many has its texture compared: that costs three times as much as everything else in the loss.
CURVED = 3.0  # Weight of second derivatives beside the others in the texture loss.
GRID = 3.0  # Weight of grid_loss beside the texture loss.
ENCODER_RATE = 0.3  # The text encoder's share of the rate, once it has learned to read.
# How much a sentence without modifiers may move from where an older encoder had it, beside the reader's loss, and one with them.
KEPT, KEPT_MODIFIED = 3.0, 0.1
MODIFIED = 0.55  # How many paintings have their colour or light modified.
MODIFIER_GROUPS = (("vibrant", "muted", "monochrome"), ("warm", "cool"), ("dark", "bright"), ("bold", "fine"))
# Noise levels after the first step of 2 and 4 step schedules at 512x288 (shift mu = 0.554), and a little around them.
LATER_TIMES = (0.839, 0.635, 0.367)


class Pictures:
    """The arrays that training.data wrote, memory-mapped, and the phrases of each style."""

    def __init__(self, folder):
        folder = Path(folder)
        self.sources = np.load(folder / "source.npy", mmap_mode="r")
        self.noise = np.load(folder / "noise.npy", mmap_mode="r")
        self.scale = np.load(folder / "scale.npy", mmap_mode="r")
        self.folder = folder
        self.refresh()
        self.paintings = {style: np.load(folder / f"{style}.npy", mmap_mode="r") for style in STYLES}
        shares = np.array([SHARES.get(style, 1.0) for style in STYLES])
        self.shares = shares / shares.sum()
        self.tokenize = prompts.WordPiece()
        self.phrases = {style: prompts.split(style)[0] for style in [*STYLES, prompts.NEUTRAL]}

    def refresh(self):
        """Takes in what training.data has finished since."""
        self.count = int((self.folder / "ready").read_text())

    def __len__(self):
        return self.count

    def batch(self, rng, size, crop=CROP):
        """A dict of tensors: source, target [B, 3, h, w], noise [B, 16, h/4, w/4], squashed, input_ids, attention_mask, style, named."""
        rows = [self._one(rng, crop) for _ in range(size)]
        stack = lambda key: torch.from_numpy(np.stack([row[key] for row in rows]))
        return {
            "source": to_float(stack("source")), "target": to_float(stack("target")), "squashed": to_float(stack("squashed")),
            "noise": stack("noise"), "input_ids": stack("input_ids"), "attention_mask": stack("attention_mask"),
            "style": stack("style"), "named": stack("named"),
        }

    def sentences(self, rng, size):
        """A dict as batch() gives it, of what the text encoder reads: every style as often as any other, and most with modifiers."""
        rows = []
        for _ in range(size):
            style = str(rng.choice([*STYLES, prompts.NEUTRAL]))
            text = self._phrase(rng, style)
            modifiers = []
            if style != prompts.NEUTRAL:
                groups = rng.choice(len(MODIFIER_GROUPS), size=int(rng.choice(3, p=[0.3, 0.5, 0.2])), replace=False)
                modifiers = [str(rng.choice(MODIFIER_GROUPS[group])) for group in groups]
            read = self._read(rng, style, text, modifiers, self._said(style, text, modifiers))
            rows.append({**read, "squashed": squash(self.sources[int(rng.integers(self.count))])})
        stack = lambda key: torch.from_numpy(np.stack([row[key] for row in rows]))
        return {key: to_float(stack(key)) if key == "squashed" else stack(key) for key in rows[0]}

    def _phrase(self, rng, style):
        """The preset's own words, which are what most people will send, or any others."""
        phrases = self.phrases[style]
        return phrases[0] if rng.random() < 0.15 else phrases[int(rng.integers(len(phrases)))]

    def _said(self, style, text, modifiers):
        """The modifiers and those that the preset's own words name."""
        return [*(prompts.PRESET_MODIFIERS.get(style, ()) if text == self.phrases[style][0] else ()), *modifiers]

    def _read(self, rng, style, text, modifiers, said):
        """The sentence with its modifiers, for the text encoder, and for the Reader what it says."""
        named = np.zeros(len(prompts.MODIFIERS), np.float32)
        named[[list(prompts.MODIFIERS).index(name) for name in said]] = 1
        ids, mask = self.tokenize(prompts.modified(text, modifiers, rng))
        return {"input_ids": np.array(ids), "attention_mask": np.array(mask), "style": np.array([*STYLES, prompts.NEUTRAL].index(style)), "named": named}

    def _one(self, rng, crop):
        index = int(rng.integers(self.count))
        style = str(rng.choice([*STYLES, prompts.NEUTRAL], p=[*(0.95 * self.shares), 0.05]))
        # Multiples of 8: the halftone screen's period.
        y = 8 * int(rng.integers((self.sources.shape[1] - crop[0]) // 8 + 1))
        x = 8 * int(rng.integers((self.sources.shape[2] - crop[1]) // 8 + 1))
        cut = (slice(y, y + crop[0]), slice(x, x + crop[1]))
        grid = (slice(None), slice(y // 4, (y + crop[0]) // 4), slice(x // 4, (x + crop[1]) // 4))
        whole = self.sources[index]
        source = np.array(whole[cut])
        text = self._phrase(rng, style)
        target, modifiers, said = source, [], []
        if style != prompts.NEUTRAL:
            modifiers = self._modifiers(rng, index, style)
            said = self._said(style, text, modifiers)
            target = modify(np.array(self.paintings[style][index][cut]), said)
        return {
            "source": source, "target": target, "squashed": squash(whole), "noise": all_channels(self.noise[index][grid], rng),
            **self._read(rng, style, text, modifiers, said),
        }

    def _modifiers(self, rng, index, style):
        """Up to two modifiers of colour and light, and the one that says which strokes this painting has."""
        chosen = []
        if rng.random() < MODIFIED:
            # Pencil is grey: what can be asked of its colour is to be warm or cool, and in 8,000 steps at the others' share it did not learn that.
            shares = [0.1, 0.65, 0.25] if style == "pencil-sketch" else [0.42, 0.29, 0.29]
            for group in rng.choice(3, size=1 if rng.random() < 0.75 else 2, replace=False, p=shares):
                chosen.append(str(rng.choice(MODIFIER_GROUPS[group])))
        strokes = data.SCALES[self.scale[index][STYLES.index(style)]]
        if strokes != 1:
            chosen.append("bold" if strokes > 1 else "fine")
        return chosen

    def teacher(self, style, index):
        """What the style's preset should give, uint8 [H, W, 3]."""
        return modify(np.array(self.paintings[style][index]), prompts.PRESET_MODIFIERS.get(style, ()))


def all_channels(noise, rng, channels=LATENT_CHANNELS):
    """The teachers' noise [8, h, w] with as many more channels, float32, as a model's latents have."""
    more = rng.standard_normal((channels - len(noise), *noise.shape[1:]), dtype=np.float32)
    return np.concatenate([noise.astype(np.float32), more])


def modify(painting, modifiers):
    """A painting, uint8 RGB, with modifiers of colour and light applied in CIE Lab; bold and fine are the painter's."""
    if not set(modifiers) - {"bold", "fine"}:
        return painting
    lab = cv2.cvtColor(painting.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    for name in modifiers:
        if name in ("vibrant", "muted", "monochrome"):
            lab[..., 1:] *= {"vibrant": 1.3, "muted": 0.5, "monochrome": 0.0}[name]
        elif name in ("warm", "cool"):
            lab[..., 1:] += (5.0, 14.0) if name == "warm" else (-4.0, -16.0)
        elif name == "dark":
            lab[..., 0] *= 0.68
        elif name == "bright":
            lab[..., 0] = 100 - 0.66 * (100 - lab[..., 0])
    return (np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB), 0, 1) * 255 + 0.5).astype(np.uint8)


def squash(image):
    """The whole frame as the text encoder sees it, uint8 [128, 128, 3]."""
    return cv2.resize(np.asarray(image), (VISION_SIDE, VISION_SIDE), interpolation=cv2.INTER_AREA)


def to_float(pictures):
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [-1, 1]."""
    return pictures.permute(0, 3, 1, 2).float() / 127.5 - 1


def luminance(picture):
    """[B, 3, H, W] in [-1, 1] -> [B, 1, H, W]."""
    return (picture * picture.new_tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=1, keepdim=True)


def picture_loss(y, target, levels=4):
    """L1 plus 1.5 times L1 on four Laplacian levels, so that strokes count as much as colour. Per sample [B]."""
    difference = y - target
    loss = difference.abs().mean(dim=(1, 2, 3))
    for _ in range(levels):
        low = F.avg_pool2d(difference, 2)
        loss = loss + 1.5 * (difference - F.interpolate(low, scale_factor=2.0, mode="nearest")).abs().mean(dim=(1, 2, 3))
        difference = low
    return loss


def texture_energy(picture, window=16):
    """Mean |derivative| in windows of 16 pixels: first derivatives in four directions and d2/dxdy, at two scales, and d2/dx2 and d2/dy2 at the first.

    Those two are of waves of two to four pixels, which is what HF-FFT measures and a decoder of blocks of four is the last to learn.
    """
    curved = (picture[..., 2:] + picture[..., :-2] - 2 * picture[..., 1:-1], picture[..., 2:, :] + picture[..., :-2, :] - 2 * picture[..., 1:-1, :])
    energies = [F.avg_pool2d(d.abs(), window, ceil_mode=True) for d in curved]
    for _ in range(2):
        dx, dy = picture[..., :, 1:] - picture[..., :, :-1], picture[..., 1:, :] - picture[..., :-1, :]
        falling = picture[..., 1:, 1:] - picture[..., :-1, :-1]
        rising = picture[..., 1:, :-1] - picture[..., :-1, 1:]
        twice = dx[..., 1:, :] - dx[..., :-1, :]
        energies += [F.avg_pool2d(d.abs(), window, ceil_mode=True) for d in (dx, dy, falling, rising, twice)]
        picture, window = F.avg_pool2d(picture, 2), window // 2
    return energies


def texture_loss(y, target, floor=0.02):
    """How far the texture's strength is from the target's, as a share of it: regression alone loses up to half of it."""
    share = lambda a, b: ((a - b).abs().mean(dim=(1, 2, 3)) / (b.mean(dim=(1, 2, 3)) + floor)).mean()
    shares = [share(a, b) for a, b in zip(texture_energy(y), texture_energy(target))]
    weights = [CURVED] * 2 + [1.0] * (len(shares) - 2)
    return sum(a * b for a, b in zip(weights, shares)) / sum(weights)


def grid_loss(y, target, period=8, blocks=6):
    """What of the error repeats every 8 pixels within windows of 48: seams of the decoder's blocks, and halftone dots where none belong.

    The comic's screen is the cheapest texture a network that knows its place on the paper can draw, and without this it draws
    it into oil and van Gogh.
    """
    window = period * blocks
    d = y - target
    d = d[..., : d.shape[-2] // window * window, : d.shape[-1] // window * window]
    d = d.reshape(d.shape[0] * 3, d.shape[-2] // window, blocks, period, d.shape[-1] // window, blocks, period).mean(dim=(2, 5))
    return (d - d.mean(dim=(2, 4), keepdim=True)).abs().mean()


def autoencoder_loss(model, batch, texture):
    """Paintings through encoder and decoder alone, details from the source: what a painting can't be sharper than."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16):
        latents, _ = model.encoder(batch["target"])
        decoded = model.decoder(latents, model.encoder(batch["source"])[1])
    decoded, latents = decoded.float(), latents.float()
    again, felt = picture_loss(decoded, batch["target"]).mean(), texture_loss(decoded[::TEXTURED], batch["target"][::TEXTURED])
    spread = (latents.std(dim=(0, 2, 3)) - 1).square().mean() + latents.mean(dim=(0, 2, 3)).square().mean()
    error = (decoded - batch["target"]).square().mean().item() / 4
    parts = {"paint": 0.0, "autoencode": again.item(), "latent": 0.0, "texture": felt.item(), "psnr": -10 * math.log10(error + 1e-9)}
    return again + texture * felt + 0.02 * spread, parts


def losses(model, batch, rng, real=1, texture=0.0, frozen=False):
    """(loss, parts, prompt). frozen: the text encoder learns nothing. The last `real` samples also go through the autoencoder, and one of them may start at t < 1."""
    # No cache: a weight first cast inside no_grad would be reused without its gradient.
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16, cache_enabled=False):
        decoded, x0, target_latents, prompt, source_latents = _forward(model, batch, rng, real, frozen)
    decoded, x0, target_latents = decoded.float(), x0.float(), target_latents.float()
    grey = model.unet.form.grey(source_latents.detach().float())
    form = (grey - F.avg_pool2d(luminance(batch["source"]), 4)).abs().mean()
    size = batch["source"].shape[0]
    painted = picture_loss(decoded[:size], batch["target"]).mean()
    again = picture_loss(decoded[size:], batch["target"][-real:]).mean()
    near = (x0[-real:] - target_latents.detach()).abs().mean()
    spread = (target_latents.std(dim=(0, 2, 3)) - 1).square().mean() + target_latents.mean(dim=(0, 2, 3)).square().mean()
    loss = painted + 0.5 * again + 0.05 * near + 0.01 * spread + form
    picked = slice(int(rng.integers(TEXTURED)), None, TEXTURED)
    felt = texture_loss(decoded[picked], torch.cat([batch["target"], batch["target"][-real:]])[picked])
    if texture:
        loss = loss + texture * felt + GRID * grid_loss(decoded[:size], batch["target"])
    with torch.no_grad():
        error = (decoded[: size - 1] - batch["target"][: size - 1]).square().mean() / 4
    parts = {"paint": painted.item(), "autoencode": again.item(), "latent": near.item(), "texture": felt.item(), "psnr": -10 * math.log10(error.item() + 1e-9)}
    return loss, parts, prompt.float()


def _forward(model, batch, rng, real, frozen):
    with torch.set_grad_enabled(not frozen):
        prompt = model.prompt(batch["input_ids"], batch["attention_mask"], batch["squashed"])
    source_latents, details = model.encoder(batch["source"])
    target_latents, _ = model.encoder(batch["target"][-real:])
    size = batch["source"].shape[0]
    times = torch.ones(size)
    if rng.random() < 0.5:
        times[-1] = float(rng.choice(LATER_TIMES)) * float(rng.uniform(0.9, 1.1))
    t = times[-1:, None, None, None]
    start = target_latents[-1:].detach()
    if times[-1] < 1 and rng.random() < 0.7:
        # Schedules of several steps continue from the model's own painting, not from the teacher's.
        with torch.no_grad():
            start = model.unet.predict(batch["noise"][-1:], torch.full((1,), 1000.0), prompt[-1:], source_latents[-1:])
    started = (1 - t) * start + t * batch["noise"][-1:]
    sample = torch.cat([batch["noise"][:-1], started])
    x0 = model.unet.predict(sample, 1000 * times, prompt, source_latents)
    # One decoder call for both: paintings from the denoiser and from the autoencoder.
    decoded = model.decoder(torch.cat([x0, target_latents]), torch.cat([details, details[-real:]]))
    return decoded, x0, target_latents, prompt, source_latents


class Reader(torch.nn.Module):
    """Used in training only: tells from prompt_embeds [B, 16, 192] which style and which modifiers the sentence asked for.

    Paintings alone teach the text encoder slowly that eight styles differ: after 1000 steps six of them still looked alike.
    """

    def __init__(self):
        super().__init__()
        self.styles = torch.nn.Linear(WIDTH, len(STYLES) + 1)
        self.modifiers = torch.nn.Linear(WIDTH, len(prompts.MODIFIERS))

    def loss(self, prompt, style, named):
        mean = prompt.mean(dim=1)
        named_or_not = F.binary_cross_entropy_with_logits(self.modifiers(mean), named)
        return F.cross_entropy(self.styles(mean), style) + len(prompts.MODIFIERS) * named_or_not


def average_gradients(model, world):
    """One all-reduce over all gradients, flattened."""
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([g.flatten() for g in grads])
    dist.all_reduce(flat)
    flat /= world
    offset = 0
    for g in grads:
        g.copy_(flat[offset : offset + g.numel()].view_as(g))
        offset += g.numel()


def rate(step, steps, cooldown, warmup=300, floor=0.02):
    """Learning-rate factor: linear warm-up, constant, and linear down to the floor over the last `cooldown` steps."""
    left = min(1.0, max(0.0, (steps - step) / max(1, cooldown)))
    return min(1.0, (step + 1) / warmup) * (floor + (1 - floor) * left)


def autoencoder_rate(step, steps):
    """Learning-rate factor while encoder and decoder learn alone: warm-up, and down to their later share along a cosine."""
    down = (1 + math.cos(math.pi * step / max(1, steps))) / 2
    return min(1.0, (step + 1) / 100) * (AUTOENCODER_RATE + (AUTOENCODER_START - AUTOENCODER_RATE) * down)


def paint_whole(model, source, noise, text, tokenize):
    """One whole frame, uint8 in and out, T = 1."""
    ids, mask = tokenize(text)
    with torch.no_grad():
        picture = to_float(torch.from_numpy(np.array(source))[None])
        prompt = model.prompt(torch.tensor([ids]), torch.tensor([mask]), to_float(torch.from_numpy(squash(source))[None]))
        y = model.paint(picture, torch.from_numpy(all_channels(np.asarray(noise), np.random.default_rng(0)))[None], prompt)
    return ((y[0].permute(1, 2, 0) + 1) * 127.5).clamp(0, 255).round().byte().numpy()


def contact_sheet(model, held, path, rows=(0, 9), every=None):
    """Source, teacher and student of each style on pictures held out; returns mean PSNR to the teacher per style."""
    lines, scores = [], {style: [] for style in STYLES}
    for index in every or rows:
        line = [held.sources[index]]
        for style in STYLES:
            painted = paint_whole(model, held.sources[index], held.noise[index], prompts.PRESETS[style], held.tokenize)
            teacher = held.teacher(style, index)
            error = np.square(painted.astype(np.float32) - teacher).mean()
            scores[style].append(10 * np.log10(255**2 / (error + 1e-9)))
            line += [teacher, painted]
        if index in rows:
            lines.append(np.hstack(line))
    cv2.imwrite(str(path), cv2.cvtColor(np.vstack(lines), cv2.COLOR_RGB2BGR))
    return {style: float(np.mean(values)) for style, values in scores.items()}


class Trainer:
    def __init__(self, pictures, learning_rate=8e-4, batch=6, seed=0, rank=0, world=1, texture=0.0, frozen=False):
        torch.manual_seed(seed)
        self.texture, self.frozen = texture, frozen
        self.pictures, self.batch_size, self.rank, self.world, self.learning_rate = pictures, batch, rank, world, learning_rate
        self.model = Lite(len(prompts.vocabulary())).to(memory_format=torch.channels_last)
        self.ema = copy.deepcopy(self.model).requires_grad_(False)
        slow = [*self.model.encoder.parameters(), *self.model.decoder.parameters()]
        rest = [*self.model.unet.parameters()]
        groups = [{"params": rest, "share": 1.0}, {"params": slow, "share": AUTOENCODER_RATE}]
        if not frozen:
            groups.append({"params": [*self.model.te_vision.parameters(), *self.model.te_text.parameters()], "share": ENCODER_RATE})
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01, foreach=True)
        self.reader = Reader()
        self.reader_optimizer = torch.optim.AdamW(self.reader.parameters(), lr=3e-3)
        self.step = 0
        self.rng = np.random.default_rng([seed, rank])

    def start_from(self, path):
        """Takes the averaged weights of an older checkpoint where the shapes fit, and the embeddings of the words both know."""
        old, mine = torch.load(path, map_location="cpu"), self.model.state_dict()
        words = old.get("vocabulary")
        for name, value in old["ema"].items():
            if name == "te_text.tokens.weight" and words:
                for word, row in prompts.vocabulary().items():
                    if word in words:
                        mine[name][row] = value[words[word]]
            elif name in mine and mine[name].shape == value.shape:
                mine[name] = value
            elif name == "unet.enter.weight":
                # [noise, source latents]: an older model has fewer of both. New channels start silent.
                had, has = value.shape[1] // 2, mine[name].shape[1] // 2
                mine[name].zero_()
                mine[name][:, :had], mine[name][:, has : has + had] = value[:, :had], value[:, had:]
            elif name.startswith("encoder.details"):
                mine[name][:] = value[len(value) - len(mine[name]) :]
            elif name in mine and mine[name].dim() == value.dim() and name.split(".")[1] in ("latents", "leave"):
                mine[name][: len(value)] = value
        self.model.load_state_dict(mine)
        self.ema.load_state_dict(mine)

    def teach_words(self, steps, kept, size=48, learning_rate=6e-4):
        """Teaches the text encoder and the reader alone, on sentences, what is asked for: paintings have no need to say it first.

        kept: embeddings stay about where they are, as what the denoiser has learned goes on from them. Every worker does the same.
        """
        text, rng = self.model.te_text, np.random.default_rng(7)
        old = copy.deepcopy(text).requires_grad_(False)
        optimizer = torch.optim.AdamW([*text.parameters(), *self.reader.parameters()], lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01)
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = learning_rate * rate(step, steps, steps // 2, warmup=30)
            batch = self.pictures.sentences(rng, size)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=BFLOAT16, cache_enabled=False):
                with torch.no_grad():
                    seen = self.model.te_vision(batch["squashed"])
                    before = old(batch["input_ids"], batch["attention_mask"], seen)
                prompt = text(batch["input_ids"], batch["attention_mask"], seen)
            loss = read = self.reader.loss(prompt.float(), batch["style"], batch["named"])
            if kept:
                moved = (prompt - before).float().square().mean(dim=(1, 2))
                loss = loss + (moved * torch.where(batch["named"].sum(1) > 0, KEPT_MODIFIED, KEPT)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if step % 50 == 0 and self.rank == 0:
                print(f"words: step {step}, read {read.item():.3f}", flush=True)
        self.ema.te_text.load_state_dict(text.state_dict())

    def advance(self, factor=1.0, autoencoder=False):
        """One optimisation step at this share of the peak learning rate, of all or the autoencoder only; returns the loss parts."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate * factor * (1.0 if autoencoder else group["share"])
        if self.step % 100 == 0:
            self.pictures.refresh()
        batch = self.pictures.batch(self.rng, self.batch_size)
        if autoencoder:
            loss, parts = autoencoder_loss(self.model, batch, self.texture)
            read = torch.zeros((), requires_grad=True)
        else:
            loss, parts, prompt = losses(self.model, batch, self.rng, texture=self.texture, frozen=self.frozen)
            read = self.reader.loss(prompt, batch["style"], batch["named"])
        self.optimizer.zero_grad(set_to_none=True)
        self.reader_optimizer.zero_grad(set_to_none=False)
        (loss + 0.1 * read).backward()
        if self.world > 1:
            average_gradients(self.model, self.world)
            if not autoencoder:
                average_gradients(self.reader, self.world)
        if not autoencoder:
            self.reader_optimizer.step()
        torch.nn.utils.clip_grad_norm_([p for group in self.optimizer.param_groups for p in group["params"]], 1.0)
        self.optimizer.step()
        decay = min(0.998, (self.step + 1) / (self.step + 20))
        with torch.no_grad():
            for average, value in zip(self.ema.parameters(), self.model.parameters()):
                if not self.frozen or value.grad is not None:
                    average.lerp_(value, 1 - decay)
        self.step += 1
        return {"loss": loss.item(), **parts, "read": read.item()}

    def save(self, path, elapsed):
        state = {
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "optimizer": self.optimizer.state_dict(), "step": self.step, "elapsed": elapsed,
            "vocabulary": prompts.vocabulary(), "reader": self.reader.state_dict(), "reader_optimizer": self.reader_optimizer.state_dict(),
        }
        torch.save(state, f"{path}.part")
        os.replace(f"{path}.part", path)

    def load(self, path):
        state = torch.load(path, map_location="cpu")
        self.model.load_state_dict(state["model"])
        self.ema.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        if "reader" in state:
            self.reader.load_state_dict(state["reader"])
            self.reader_optimizer.load_state_dict(state["reader_optimizer"])
        self.step = state["step"]
        self.rng = np.random.default_rng([self.step, self.rank])
        return state["elapsed"]


def run(rank, args):
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    if args.workers > 1:
        os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
        os.environ.setdefault("MASTER_PORT", str(args.port))
        # The job may be stopped for as long as somebody needs the machine.
        dist.init_process_group("gloo", rank=rank, world_size=args.workers, timeout=timedelta(days=7))
    out = Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(Pictures(Path(args.pictures) / "train"), learning_rate=args.rate, batch=args.batch, rank=rank, world=args.workers, texture=args.texture, frozen=args.frozen_encoder)
    held = Pictures(Path(args.pictures) / "held") if rank == 0 else None
    before = 0.0
    if (out / "last.pt").exists():
        before = trainer.load(out / "last.pt")
    else:
        if args.start:
            trainer.start_from(args.start)
        if not args.frozen_encoder:
            trainer.teach_words(args.encoder_steps, kept=bool(args.start))
    log = open(out / "log.csv", "a", newline="") if rank == 0 else None
    writer = csv.writer(log) if log else None
    keys = ("loss", "paint", "autoencode", "latent", "texture", "read")
    if writer and trainer.step == 0:
        writer.writerow(["step", "minutes", *keys, "psnr_train", *[f"psnr_held_{style}" for style in STYLES]])
    started, saved, window = time.time(), time.time(), []
    minutes = lambda: (before + time.time() - started) / 60
    while trainer.step < args.steps:
        alone = trainer.step < args.autoencoder_steps
        factor = autoencoder_rate(trainer.step, args.autoencoder_steps) if alone else rate(trainer.step - args.autoencoder_steps, args.steps - args.autoencoder_steps, args.cooldown)
        window.append(trainer.advance(factor, autoencoder=alone))
        if rank == 0 and trainer.step % 100 == 0:
            mean = {key: float(np.mean([part[key] for part in window])) for key in window[0]}
            window, scores = [], {}
            if trainer.step % args.sheet_every == 0 and trainer.step > args.autoencoder_steps:
                scores = contact_sheet(trainer.ema, held, out / "sheet.png")
                trainer.save(out / "base.pt", 60 * minutes())
            writer.writerow([
                trainer.step, f"{minutes():.2f}", *[f"{mean[k]:.4f}" for k in keys], f"{mean['psnr']:.2f}",
                *[f"{scores[style]:.2f}" if scores else "" for style in STYLES],
            ])
            log.flush()
            if time.time() - saved > 90:
                trainer.save(out / "last.pt", 60 * minutes())
                saved = time.time()
    if rank == 0:
        trainer.save(out / "last.pt", 60 * minutes())
        trainer.save(out / "base.pt", 60 * minutes())
        scores = contact_sheet(trainer.ema, held, out / "sheet.png", every=range(min(12, len(held))))
        print("held out, PSNR to the teacher:", {style: round(score, 2) for style, score in scores.items()}, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="training/.cache/pictures")
    parser.add_argument("--out", default="training/.cache/run")
    parser.add_argument("--steps", type=int, default=40000)
    parser.add_argument("--autoencoder-steps", type=int, default=2000, help="steps at the start that train encoder and decoder alone")
    parser.add_argument("--encoder-steps", type=int, default=600, help="steps before all others that teach the text encoder words alone")
    parser.add_argument("--cooldown", type=int, default=8000, help="steps at the end over which the learning rate falls")
    parser.add_argument("--start", help="an older checkpoint to take weights from where there is nothing to resume")
    parser.add_argument("--frozen-encoder", action="store_true", help="text and vision encoder stay as --start has them")
    parser.add_argument("--batch", type=int, default=6, help="pictures per worker and step")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rate", type=float, default=8e-4, help="peak learning rate")
    parser.add_argument("--texture", type=float, default=0.3, help="weight of the texture loss")
    parser.add_argument("--sheet-every", type=int, default=1000, help="steps between contact sheets")
    parser.add_argument("--port", type=int, default=29613)
    args = parser.parse_args()
    if args.workers == 1:
        run(0, args)
    else:
        torch.multiprocessing.spawn(run, (args,), nprocs=args.workers)


if __name__ == "__main__":
    main()
