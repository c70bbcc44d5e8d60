"""Painting frame after frame with a window of keys and values, as sidecar/inference/causal does it; the loop of Self-Forcing."""

import math

import torch

from training.causal_dit.model import BLOCKED, PATCH, time_angles, turn


def sigmas(steps, height, width):
    """Noise levels of a frame of height x width pixels, 1 .. 0: the schedule of `lite` (sidecar/inference/noise-schedule.ts)."""
    length = (width / 8) * (height / 8) / 4
    shift = math.exp(0.5 + (1.15 - 0.5) / (4096 - 256) * (length - 256))
    linear = [1 + (i / max(1, steps - 1)) * (1 / steps - 1) for i in range(steps)]
    return [shift / (shift + (1 / s - 1)) for s in linear] + [0.0]


class Window:
    """Keys and values of the last frames. The first `sinks` after the start or a switch stay; of the rest the oldest makes way.

    Kept as they were made, and turned when they are read: the engine turns them as they grow older, and must come to the same.
    anchored bool [B]: which samples have a reference, all if left out.
    """

    def __init__(self, model, frames, sinks=0, anchors=None, anchored=None):
        self.head, self.frames, self.sinks, self.anchors, self.anchored = model.size.head, frames, sinks, anchors, anchored
        self.held = []  # (is a sink, Made), oldest first

    def past(self):
        """Keys and values, one pair a layer: the reference, then the frames, oldest first; None where there are none."""
        parts = [self.anchors] if self.anchors else []
        for i, (_, made) in enumerate(self.held):
            back = tuple(a.to(made.hidden.device) for a in time_angles(self.head, torch.tensor([i - len(self.held)])))
            parts.append([(turn(key, back), value) for key, value in made.layers])
        if not parts:
            return None
        return [tuple(torch.cat(column, dim=2) for column in zip(*layer)) for layer in zip(*parts)]

    def bias(self, own):
        """[B, 1, 1, P + own] for `past` and a frame's own tokens, which hides a reference from samples without one; None if all have it."""
        if self.anchored is None or not self.anchors:
            return None
        rest = sum(made.hidden.shape[1] for _, made in self.held) + own
        shown = self.anchored.to(torch.float32)[:, None]
        ones = torch.ones(len(shown), rest, device=shown.device)
        seen = torch.cat([shown.expand(-1, self.anchors[0][0].shape[2]), ones], dim=1)
        return ((seen - 1) * -BLOCKED)[:, None, None]

    def write(self, made):
        """Takes in what `CausalDit.step` made of a frame."""
        is_sink = sum(sink for sink, _ in self.held) < self.sinks
        rolling = [i for i, (sink, _) in enumerate(self.held) if not sink]
        if not is_sink and len(rolling) == self.frames - self.sinks:
            del self.held[rolling[0]]
        self.held.append((is_sink, made))

    def switch(self, anchors=None):
        """Another style: its reference is anchored, of the frames the last one stays, and is no sink (RTR-DiT, rule 3)."""
        self.anchors = anchors
        self.held = [(False, made) for _, made in self.held[-1:]]


def merged(painting, rest, kept):
    """Latents [B, 12, H, W]: the painting in the tokens `kept`, `rest` in the others."""
    rows, columns = painting.shape[-2] // PATCH, painting.shape[-1] // PATCH
    inside = torch.zeros(rows * columns, dtype=torch.bool, device=painting.device)
    inside[kept] = True
    inside = inside.reshape(rows, columns).repeat_interleave(PATCH, 0).repeat_interleave(PATCH, 1)
    return torch.where(inside, painting, rest)


def paint_frame(model, noise, source, words, levels, window, exit_step=None, kept=None, rest=None):
    """x0 [B, 12, H, W] of the next frame, by Euler steps from its noise; then the clean write.

    exit_step: the step whose prediction is the painting and alone has a gradient (Self-Forcing); left out, the last one, without.
    kept int64 [M]: the tokens that are painted; the others stay as `rest`, and what was made of them in the frame before.
    """
    own = None if kept is None else window.held[-1][1]
    past, batch = window.past(), noise.shape[0]
    bias = window.bias(noise.shape[-2] * noise.shape[-1] // PATCH**2)
    last = len(levels) - 2 if exit_step is None else exit_step
    z = noise
    for i, (level, next_level) in enumerate(zip(levels, levels[1:])):
        with torch.set_grad_enabled(exit_step is not None and i == last):
            x0, _ = model.step(z, source, torch.full((batch,), level, device=z.device), words, past, bias, None, kept, own)
        if i == last:
            break
        # The frame's own noise all the way: it is the brush.
        z = x0 + (next_level / level) * (z - x0)
    if kept is not None:
        x0 = merged(x0, rest, kept)
    with torch.no_grad():
        clean = torch.zeros(batch, device=z.device)
        window.write(model.step(x0.detach(), source, clean, words, past, bias, None, kept, own)[1])
    return x0


def roll_out(model, noise, source, words, levels, window, exit_steps=None):
    """Paints noise and source [B, F, 12, H, W] frame after frame, each from its own paintings before: x0 [B, F, 12, H, W]."""
    exits = [None] * noise.shape[1] if exit_steps is None else exit_steps
    painted = [paint_frame(model, noise[:, f], source[:, f], words, levels, window, exits[f]) for f in range(noise.shape[1])]
    return torch.stack(painted, dim=1)


class Buffer:
    """A moving buffer of two chunks of `chunk` frames (StreamDiT, arXiv 2507.03745): a pass takes all of them one step on, the older chunk to its end.

    All its frames read all, and the reference; nothing else of the past is kept.
    """

    def __init__(self, model, levels, chunk=1):
        if len(levels) != 3:
            raise ValueError(f"levels are {levels}, expected those of two steps")
        self.model, self.levels, self.chunk, self.begun, self.finished = model, levels, chunk, None, False

    def push(self, noise, source, words, anchors=None, anchored=None):
        """noise, source [B, chunk, 12, H, W] of the next frames -> x0 of those pushed before, None at first and where they are finished."""
        first, second, _ = self.levels
        entering, done = (noise, source, first), self.finished or self.begun is None
        # The first chunk stands in for the one after it.
        older = entering if self.begun is None else (*self.begun[:2], second)
        made = self._pass(older, entering, words, anchors, anchored)
        x0 = made[0 if self.begun is None else 1]
        self.begun, self.finished = (x0 + (second / first) * (noise - x0), source, noise), False
        return None if done else made[0]

    def finish(self, words, anchors=None, anchored=None):
        """x0 of what was pushed last, with itself for the chunk after it; what is pushed next is painted beside it all the same."""
        first, second, _ = self.levels
        moved, source, noise = self.begun
        self.finished = True
        return self._pass((moved, source, second), (noise, source, first), words, anchors, anchored)[0]

    def _pass(self, older, newer, words, anchors, anchored):
        sample, source = (torch.cat([a, b], dim=1) for a, b in zip(older[:2], newer[:2]))
        level = lambda chunk: torch.full(chunk[0].shape[:2], chunk[2], device=sample.device)
        times = torch.cat([level(older), level(newer)], dim=1)
        mask = torch.ones(2 * self.chunk, 2 * self.chunk, dtype=torch.bool)
        x0 = self.model(sample, source, times, words, mask, anchors=anchors, anchored=anchored)
        return x0[:, : self.chunk], x0[:, self.chunk :]
