"""A small causal video transformer: paints frames from their noise, their sources, a prompt and a painting that shows the style.

Convolutions at the latents' own and at half their resolution around a transformer on tokens of 4 x 4 cells (UViT of "simple diffusion", arXiv 2301.11093):
strokes are drawn where they are seen, and what is drawn is decided by the tokens. One set of weights, three ways to run it: `CausalDit.forward` on all
frames at once under a mask (training.causal_dit.masks: both ways for the teacher, backwards for the student), `step` on one frame with the keys and
values of those before it, `anchor` on a reference picture.

As in training.model: z_t = (1 - t) x0 + t noise, v = noise - x0, latents [.., 12, H/4, W/4], and the network predicts x0. After RTR-DiT (arXiv
2604.13509), LiveEdit (2606.26740) and Self-Forcing; what they leave open is ours, and docs/causal-dit.md says which.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.model import bound, wave
from training.model import WIDTH as PROMPT_WIDTH

RATE_BASE = 100.0
REFERENCE_DISTANCE = 32  # Frames: as far back as no frame of a window ever is.
BLOCKED = -1e4
RATE_MIN = 0.05  # of t in (sample - x0) / t, as in training.model.


@dataclass(frozen=True)
class Size:
    layers: int = 6
    width: int = 256
    heads: int = 4
    hidden: int = 768
    fine: int = 32  # Channels at the latents' resolution.
    coarse: int = 64  # At half of it.

    @property
    def head(self):
        return self.width // self.heads


LATENT_CHANNELS = 12  # Of the autoencoder in base.py, which is not that of `lite`.
PATCH = 4  # Cells of the latents that a token is wide and high.
TINY = Size(layers=2, width=32, heads=2, hidden=48, fine=8, coarse=16)


def rates(count):
    """Radians that pair i is turned by for one frame, row or column: 100^(-i / count)."""
    return RATE_BASE ** (-torch.arange(count, dtype=torch.float32) / count)


def pairs(head):
    """How many pairs of a head turn with time, with rows and with columns."""
    time = head // 8
    rows = (head // 2 - time) // 2
    return time, rows, head // 2 - time - rows


def place_angles(head, rows, columns):
    """(cos, sin), each [rows * columns, head / 2]: where a token lies in its picture. Time's pairs stay as they are."""
    time, high, wide = pairs(head)
    y, x = torch.meshgrid(torch.arange(rows, dtype=torch.float32), torch.arange(columns, dtype=torch.float32), indexing="ij")
    still = torch.zeros(rows * columns, time)
    angles = torch.cat([still, y.reshape(-1, 1) * rates(high), x.reshape(-1, 1) * rates(wide)], dim=1)
    return angles.cos(), angles.sin()


def time_angles(head, times):
    """(cos, sin), each [T, head / 2], for tokens at times [T] in frames."""
    time, high, wide = pairs(head)
    still = torch.zeros(len(times), high + wide)
    angles = torch.cat([times.to(torch.float32)[:, None] * rates(time), still], dim=1)
    return angles.cos(), angles.sin()


def turn(x, angles):
    """Rotary embedding of x [.., T, head]: the pair (i, i + head / 2) is turned by its angle."""
    cos, sin = angles
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cos - b * sin, a * sin + b * cos], dim=-1)


def join(y):
    """Heads side by side again: [B, heads, T, head] -> [B, T, width]."""
    return y.transpose(1, 2).flatten(2)


def scattered(whole, kept, part):
    """whole [B, heads, N, head] with `part` [B, heads, M, head] in the places `kept` [M]."""
    return whole.scatter(2, kept[None, None, :, None].expand_as(part), part)


@dataclass
class Made:
    """What a pass over a frame made: keys and values [B, heads, N, head], one pair a layer, and the tokens after the last, [B, N, width]."""

    layers: list
    hidden: torch.Tensor


def attend_frames(block, q, k, v, mask, tokens, far=None):
    """[B, heads, F * tokens, head] of queries, keys and values of F frames, of which a row of mask bool [F, F] may read a column.

    far: (queries that are not turned in time, keys and values of a reference, what is added to its scores or None): a reference is as far from every frame.
    """
    frames = lambda x: x.split(tokens, dim=2)
    take = lambda parts, which: torch.cat([parts[i] for i in which], dim=2)
    queries, keys, values = frames(q), frames(k), frames(v)
    turned, key, value, hidden = (None, None, None, None) if far is None else (frames(far[0]), *far[1:])
    rows = {}
    for row in range(len(mask)):
        rows.setdefault(tuple(mask[row].nonzero().flatten().tolist()), []).append(row)
    made = [None] * len(mask)
    for seen, who in rows.items():
        scores = (take(queries, who) * block.scale) @ take(keys, seen).transpose(-1, -2)
        read = take(values, seen)
        if far is not None:
            beyond = (take(turned, who) * block.scale) @ key.transpose(-1, -2)
            scores = torch.cat([beyond if hidden is None else beyond + hidden, scores], dim=-1)
            read = torch.cat([value, read], dim=2)
        for row, part in zip(who, (scores.softmax(-1) @ read).chunk(len(who), dim=2)):
            made[row] = part
    return torch.cat(made, dim=2)


class Norm(nn.LayerNorm):
    """In fp32 whatever comes in."""

    def forward(self, x):
        return super().forward(x.float())


class Block(nn.Module):
    """Self-attention, attention to the prompt, feed-forward. The first and the last are modulated by the timestep of each frame (adaLN-single, PixArt-alpha)."""

    def __init__(self, size):
        super().__init__()
        width = size.width
        self.heads, self.scale = size.heads, size.head**-0.5
        self.norm1, self.norm2, self.norm3 = Norm(width), Norm(width), Norm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.query, self.prompt, self.read = nn.Linear(width, width), nn.Linear(PROMPT_WIDTH, 2 * width), nn.Linear(width, width)
        self.wide, self.narrow = nn.Linear(width, size.hidden), nn.Linear(size.hidden, width)
        # Shift, scale and gate of the attention, then of the feed-forward.
        self.table = nn.Parameter(torch.zeros(6, width))
        with torch.no_grad():
            self.table[2] = self.table[5] = 0.3
            self.read.weight.mul_(0.3)

    def modulation(self, time):
        """[B, F, 6, width] -> six of [B, F, 1, width]."""
        return (time + self.table).unsqueeze(3).unbind(2)

    def split(self, x, parts):
        """[B, T, parts * width] -> [parts, B, heads, T, head]."""
        return x.reshape(x.shape[0], x.shape[1], parts, self.heads, -1).permute(2, 0, 3, 1, 4)

    def project(self, x, shift, scale, places):
        """Queries, keys, values [B, heads, F * N, head] of x [B, F, N, width], turned for their places and not for their times."""
        h = self.norm1(x) * (1 + scale) + shift
        parts = self.split(self.qkv(h.flatten(1, 2)), 3)
        turned = turn(parts[:2], places)
        return turned[0], turned[1], parts[2]

    def attend(self, q, k, v, bias=None):
        scores = (q * self.scale) @ k.transpose(-1, -2)
        if bias is not None:
            scores = scores + bias
        return scores.softmax(-1) @ v

    def words(self, prompt_embeds):
        """Keys and values [B, heads, 16, head] of the prompt."""
        parts = self.split(self.prompt(prompt_embeds), 2)
        return parts[0], parts[1]

    def finish(self, x, attended, modulation, words=None):
        """What comes after the self-attention; words: of `words`, where the tokens read a prompt."""
        _, _, gate, shift, scale, last_gate = modulation
        x = x + gate * self.out(join(attended)).reshape(x.shape)
        if words is not None:
            q = self.split(self.query(self.norm2(x).flatten(1, 2)), 1)[0]
            x = x + self.read(join(self.attend(q, *words))).reshape(x.shape)
        h = self.norm3(x) * (1 + scale) + shift
        return x + last_gate * self.narrow(F.silu(self.wide(h)))


class Convolutions(nn.Module):
    """x + conv(silu(film(conv(silu(x))))): channels are scaled and shifted by what a vector says that each place has."""

    def __init__(self, channels, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(width, 2 * channels)
        nn.init.zeros_(self.second.bias)
        nn.init.zeros_(self.film.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.3)
            self.film.weight.mul_(0.3)

    def forward(self, x, said):
        """x [B, C, h, w]; said [B, rows, columns, width], of which h and w are multiples."""
        film = self.film(said).permute(0, 3, 1, 2)
        factor = x.shape[-1] // film.shape[-1]
        if factor > 1 and film.shape[-1] > 1:
            film = F.interpolate(film, scale_factor=float(factor), mode="nearest")
        scale, shift = film.chunk(2, dim=1)
        h = self.first(F.silu(x)) * (1 + scale) + shift
        return x + self.second(F.silu(h))


class CausalDit(nn.Module):
    def __init__(self, size=Size()):
        super().__init__()
        self.size = size
        width, fine, coarse = size.width, size.fine, size.coarse
        self.enter = nn.Conv2d(2 * LATENT_CHANNELS, fine, 3, padding=1)
        self.down0, self.to1 = Convolutions(fine, width), nn.Conv2d(fine, coarse, 2, stride=2)
        self.down1, self.to2 = Convolutions(coarse, width), nn.Conv2d(coarse, width, 2, stride=2)
        self.reference = nn.Parameter(torch.randn(width) * 0.5)  # What tells its tokens from a frame's.
        self.time = nn.Sequential(nn.Linear(64, width), nn.SiLU())
        self.modulate = nn.Linear(width, 6 * width)
        self.blocks = nn.ModuleList([Block(size) for _ in range(size.layers)])
        self.norm = Norm(width)
        self.from2, self.up1 = nn.Conv2d(width, 4 * coarse, 1), Convolutions(coarse, width)
        self.from1, self.up0 = nn.Conv2d(coarse, 4 * fine, 1), Convolutions(fine, width)
        self.leave = nn.Conv2d(fine, LATENT_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.modulate.bias)
        nn.init.zeros_(self.leave.bias)
        with torch.no_grad():
            self.modulate.weight.mul_(0.3)
            self.leave.weight.mul_(0.1)

    def places(self, latents):
        """place_angles of latents [.., H, W], on their device."""
        rows, columns = latents.shape[-2] // PATCH, latents.shape[-1] // PATCH
        return tuple(a.to(latents.device) for a in place_angles(self.size.head, rows, columns))

    def words(self, prompt_embeds):
        """Keys and values of prompt_embeds [B, 16, 192], one pair a layer."""
        return [block.words(prompt_embeds) for block in self.blocks]

    def anchor(self, reference, places=None):
        """Keys and values of a reference's latents [B, 12, H, W], one pair a layer, the keys turned to REFERENCE_DISTANCE frames back.

        Its tokens read each other and nothing else, neither frames nor the prompt, so they are computed once.
        """
        places = self.places(reference) if places is None else places
        far = tuple(a.to(reference.device) for a in time_angles(self.size.head, torch.tensor([-REFERENCE_DISTANCE])))
        # It goes in like a painting that is finished and has no source.
        said = self._times(torch.zeros(reference.shape[0], 1, device=reference.device))
        x = self._tokens(reference[:, None], torch.zeros_like(reference)[:, None], said)[0] + self.reference
        time = self._modulation(said)
        made = []
        for block in self.blocks:
            modulation = block.modulation(time)
            q, k, v = block.project(x, modulation[0], modulation[1], places)
            made.append((turn(k, far), v))
            if len(made) < len(self.blocks):
                x = block.finish(x, block.attend(q, k, v), modulation)
        return made

    def forward(self, sample, source, times, words, mask, positions=None, anchors=None, anchored=None):
        """x0 [B, F, 12, H, W] of all frames at once.

        sample, source [B, F, 12, H, W]; times [B, F], 0..1; words of `words`; mask bool [F, F]; positions [F] in frames, 0, 1, 2, .. if left out;
        anchors of `anchor`; anchored bool [B]: which samples have a reference, all if left out.
        """
        frames, device = sample.shape[1], sample.device
        said = self._times(times)
        x, skips = self._tokens(sample, source, said)
        tokens = x.shape[2]
        places = tuple(a.repeat(frames, 1) for a in self.places(sample))
        positions = torch.arange(frames) if positions is None else positions
        moved = tuple(a.to(device) for a in time_angles(self.size.head, positions.repeat_interleave(tokens)))
        shown = None if anchored is None else (anchored.to(torch.float32)[:, None, None, None] - 1) * -BLOCKED
        time = self._modulation(said)
        for i, block in enumerate(self.blocks):
            modulation = block.modulation(time)
            q, k, v = block.project(x, modulation[0], modulation[1], places)
            far = None if anchors is None else (q, *anchors[i], shown)
            attended = attend_frames(block, turn(q, moved), turn(k, moved), v, mask, tokens, far)
            x = block.finish(x, attended, modulation, words[i])
        return self._latents(x, skips, said).reshape(sample.shape)

    def step(self, sample, source, time, words, past=None, bias=None, places=None, kept=None, own=None):
        """One frame after others: (x0 [B, 12, H, W], Made: its own keys and values as at distance 0, and the tokens after the last layer).

        sample, source [B, 12, H, W]; time [B], 0..1; past: keys and values [B, heads, P, head], one pair a layer, keys turned to how far back they
        are; bias [.., P + N] to add to the scores; kept int64 [M]: the tokens that go through the layers, all if left out. The others are as they
        were made in `own`, and their x0 means nothing.
        """
        places = self.places(sample) if places is None else places
        said = self._times(time[:, None])
        x, skips = self._tokens(sample[:, None], source[:, None], said)
        if kept is not None:
            x, places = x.index_select(2, kept), tuple(a.index_select(0, kept) for a in places)
        modulations, made = self._modulation(said), []
        for i, block in enumerate(self.blocks):
            modulation = block.modulation(modulations)
            q, k, v = block.project(x, modulation[0], modulation[1], places)
            if kept is not None:
                k, v = scattered(own.layers[i][0], kept, k), scattered(own.layers[i][1], kept, v)
            made.append((k, v))
            if past is not None:
                k, v = torch.cat([past[i][0], k], dim=2), torch.cat([past[i][1], v], dim=2)
            x = block.finish(x, block.attend(q, k, v, bias), modulation, words[i])
        if kept is not None:
            x = scattered(own.hidden[:, None], kept, x)
        return self._latents(x, skips, said), Made(made, x[:, 0])

    def _times(self, times):
        """times [B, F] -> [B, F, width]."""
        return self.time(wave(1000 * times.flatten())).reshape(times.shape[0], times.shape[1], -1)

    def _modulation(self, said):
        """[B, F, 6, width]"""
        return self.modulate(said).reshape(said.shape[0], said.shape[1], 6, -1)

    def _tokens(self, sample, source, said):
        """[B, F, C, H, W] twice -> tokens [B, F, N, width] row by row, and what the convolutions made on the way, [B * F, ..]."""
        said = said.flatten(0, 1)[:, None, None]
        x = fine = self.down0(self.enter(torch.cat([sample, source], dim=2).flatten(0, 1)), said)
        x = coarse = self.down1(self.to1(x), said)
        x = self.to2(F.silu(x)).flatten(2).transpose(1, 2)
        return x.reshape(sample.shape[0], sample.shape[1], -1, self.size.width), (fine, coarse)

    def _latents(self, x, skips, said):
        """[B, F, N, width] -> x0 [B * F, 12, H, W]."""
        fine, coarse = skips
        rows, columns = fine.shape[-2] // PATCH, fine.shape[-1] // PATCH
        x = self.norm(x).flatten(0, 1)
        grid = x.reshape(x.shape[0], rows, columns, -1)
        told = F.silu(grid + said.flatten(0, 1)[:, None, None])
        y = self.up1(F.pixel_shuffle(self.from2(grid.permute(0, 3, 1, 2)), 2) + coarse, told)
        y = self.up0(F.pixel_shuffle(self.from1(y), 2) + fine, told)
        return bound(self.leave(F.silu(y)))


def velocity(sample, x0, time):
    """(sample - x0) / t; sample and x0 [B, 12, H, W], time [B]."""
    return (sample - x0) / time.clamp(min=RATE_MIN)[:, None, None, None]


def multiply_adds(size, frame_tokens, past_tokens, prompt_tokens=16, kept=None):
    """Of one `step` over all tokens or `kept` of them, counted by hand: linear layers, products of attention, convolutions."""
    width, queries = size.width, frame_tokens if kept is None else kept
    linear = queries * (4 * width**2 + 2 * width**2 + 2 * width * size.hidden)
    attention = 2 * queries * (past_tokens + frame_tokens + prompt_tokens) * width
    cells, half = frame_tokens * PATCH**2, frame_tokens * PATCH**2 // 4
    fine = cells * 9 * size.fine * (3 * LATENT_CHANNELS + 4 * size.fine)
    coarse = half * (9 * 4 * size.coarse**2 + 8 * size.fine * size.coarse) + frame_tokens * 8 * size.coarse * width
    said = 64 * width + 6 * width**2 + 2 * (frame_tokens + 1) * width * (size.fine + size.coarse)
    return size.layers * (linear + attention) + fine + coarse + said
