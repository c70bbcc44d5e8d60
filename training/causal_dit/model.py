"""A small causal video transformer: paints frames from their noise, their sources, a prompt and a painting that shows the style.

One set of weights, three ways to run it: `CausalDit.forward` on all frames at once under a mask (training.causal_dit.masks: both ways for the
teacher, backwards for the student), `step` on one frame with the keys and values of those before it, `anchor` on a reference picture.

As in training.model: z_t = (1 - t) x0 + t noise, v = noise - x0, latents [.., 12, H/4, W/4], and the network predicts x0. After RTR-DiT (arXiv
2604.13509), LiveEdit (2606.26740) and Self-Forcing; what they leave open is ours, and docs/causal-dit.md says which.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from training.model import LATENT_CHANNELS, bound, wave
from training.model import WIDTH as PROMPT_WIDTH

RATE_BASE = 100.0
REFERENCE_DISTANCE = 32  # Frames: as far back as no frame of a window ever is.
BLOCKED = -1e4
RATE_MIN = 0.05  # of t in (sample - x0) / t, as in training.model.


@dataclass(frozen=True)
class Size:
    layers: int = 8
    width: int = 256
    heads: int = 4
    hidden: int = 768
    patch: int = 4  # Cells of the latents that a token is wide and high.

    @property
    def head(self):
        return self.width // self.heads


TINY = Size(layers=2, width=32, heads=2, hidden=48, patch=2)


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


def frame_bias(mask, tokens):
    """bool [F, F], a row may read a column -> float [F * tokens, F * tokens] to add to scores."""
    frames = mask.shape[0]
    wide = mask[:, None, :, None].expand(frames, tokens, frames, tokens).reshape(frames * tokens, frames * tokens)
    return (wide.to(torch.float32) - 1) * -BLOCKED


class Block(nn.Module):
    """Self-attention, attention to the prompt, feed-forward. The first and the last are modulated by the timestep of each frame (adaLN-single, PixArt-alpha)."""

    def __init__(self, size):
        super().__init__()
        width = size.width
        self.heads, self.scale = size.heads, size.head**-0.5
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(width), nn.LayerNorm(width), nn.LayerNorm(width)
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


class CausalDit(nn.Module):
    def __init__(self, size=Size()):
        super().__init__()
        self.size = size
        cells = size.patch**2
        self.enter = nn.Conv2d(2 * LATENT_CHANNELS, size.width, size.patch, stride=size.patch)
        self.enter_reference = nn.Conv2d(LATENT_CHANNELS, size.width, size.patch, stride=size.patch)
        self.time = nn.Sequential(nn.Linear(64, size.width), nn.SiLU(), nn.Linear(size.width, 6 * size.width))
        self.blocks = nn.ModuleList([Block(size) for _ in range(size.layers)])
        self.norm, self.leave = nn.LayerNorm(size.width), nn.Linear(size.width, LATENT_CHANNELS * cells)
        nn.init.zeros_(self.time[2].bias)
        nn.init.zeros_(self.leave.bias)
        with torch.no_grad():
            self.time[2].weight.mul_(0.3)
            self.leave.weight.mul_(0.1)

    def places(self, latents):
        """place_angles of latents [.., H, W], on their device."""
        rows, columns = latents.shape[-2] // self.size.patch, latents.shape[-1] // self.size.patch
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
        x = self._tokens(self.enter_reference, reference[:, None])
        time = self._modulate(torch.zeros(reference.shape[0], 1, device=reference.device))
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
        x = self._tokens(self.enter, torch.cat([sample, source], dim=2))
        tokens = x.shape[2]
        places = tuple(a.repeat(frames, 1) for a in self.places(sample))
        positions = torch.arange(frames) if positions is None else positions
        moved = tuple(a.to(device) for a in time_angles(self.size.head, positions.repeat_interleave(tokens)))
        bias = frame_bias(mask.to(device), tokens)
        shown = 0.0 if anchored is None else (anchored.to(torch.float32)[:, None, None, None] - 1) * -BLOCKED
        time = self._modulate(times)
        for i, block in enumerate(self.blocks):
            modulation = block.modulation(time)
            q, k, v = block.project(x, modulation[0], modulation[1], places)
            scores = (turn(q, moved) * block.scale) @ turn(k, moved).transpose(-1, -2) + bias
            if anchors is not None:
                # A reference is as far from every frame: its keys meet queries that are not turned in time.
                far, value = anchors[i]
                scores = torch.cat([(q * block.scale) @ far.transpose(-1, -2) + shown, scores], dim=-1)
                v = torch.cat([value, v], dim=2)
            x = block.finish(x, scores.softmax(-1) @ v, modulation, words[i])
        return self._latents(x, sample)

    def step(self, sample, source, time, words, past=None, bias=None, places=None, kept=None, own=None):
        """One frame after others: (x0 [B, 12, H, W], its own keys and values, one pair a layer, as at distance 0).

        sample, source [B, 12, H, W]; time [B], 0..1; past: keys and values [B, heads, P, head], one pair a layer, keys turned to how far back they
        are; bias [.., P + N] to add to the scores; kept int64 [M]: the tokens that go through the layers, all if left out. The others have the keys
        and values `own`, one pair a layer, and an x0 that means nothing.
        """
        places = self.places(sample) if places is None else places
        x = self._tokens(self.enter, torch.cat([sample, source], dim=1)[:, None])
        tokens = x.shape[2]
        if kept is not None:
            x, places = x.index_select(2, kept), tuple(a.index_select(0, kept) for a in places)
        time = self._modulate(time[:, None])
        made = []
        for i, block in enumerate(self.blocks):
            modulation = block.modulation(time)
            q, k, v = block.project(x, modulation[0], modulation[1], places)
            if kept is not None:
                k, v = scattered(own[i][0], kept, k), scattered(own[i][1], kept, v)
            made.append((k, v))
            if past is not None:
                k, v = torch.cat([past[i][0], k], dim=2), torch.cat([past[i][1], v], dim=2)
            x = block.finish(x, block.attend(q, k, v, bias), modulation, words[i])
        if kept is not None:
            # The norm and the last layer work on each token alone, so those left out may be anything.
            x = scattered(x.new_zeros(x.shape[0], 1, tokens, x.shape[3]), kept, x)
        return self._latents(x, sample[:, None])[:, 0], made

    def _modulate(self, times):
        """times [B, F] -> [B, F, 6, width]."""
        return self.time(wave(1000 * times.flatten())).reshape(times.shape[0], times.shape[1], 6, -1)

    def _tokens(self, enter, latents):
        """[B, F, C, H, W] -> [B, F, N, width], row by row."""
        x = enter(latents.flatten(0, 1)).flatten(2).transpose(1, 2)
        return x.reshape(latents.shape[0], latents.shape[1], -1, self.size.width)

    def _latents(self, x, like):
        """[B, F, N, width] -> x0 of the shape of `like`."""
        patch = self.size.patch
        y = self.leave(self.norm(x)).flatten(0, 1).transpose(1, 2)
        y = y.reshape(y.shape[0], -1, like.shape[-2] // patch, like.shape[-1] // patch)
        return bound(F.pixel_shuffle(y, patch)).reshape(like.shape)


def velocity(sample, x0, time):
    """(sample - x0) / t; sample and x0 [B, 12, H, W], time [B]."""
    return (sample - x0) / time.clamp(min=RATE_MIN)[:, None, None, None]


def multiply_adds(size, frame_tokens, past_tokens, prompt_tokens=16, kept=None):
    """Of one `step` over all tokens or `kept` of them, counted by hand: linear layers, products of attention, patches."""
    width, queries = size.width, frame_tokens if kept is None else kept
    linear = queries * (4 * width**2 + 2 * width**2 + 2 * width * size.hidden)
    attention = 2 * queries * (past_tokens + frame_tokens + prompt_tokens) * width
    patches = frame_tokens * width * 3 * LATENT_CHANNELS * size.patch**2
    time = 64 * width + 6 * width**2
    return size.layers * (linear + attention) + patches + time
