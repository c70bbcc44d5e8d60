"""Which frame may read which: bool [F, F], rows read columns."""

import torch


def bidirectional(frames):
    """The teacher: every frame reads all."""
    return torch.ones(frames, frames, dtype=torch.bool)


def _distance(frames):
    at = torch.arange(frames)
    return at[:, None] - at[None]


def causal(frames, window):
    """A stream: a frame reads itself and the `window` frames before it."""
    back = _distance(frames)
    return (back >= 0) & (back <= window)


def teacher_forcing(frames, window):
    """[2F, 2F] for clean frames followed by the same frames noised (LiveEdit, stage 2).

    A clean frame reads what a stream would write to the cache with it; a noised one reads itself and the clean frames before it, as in a stream.
    """
    back = _distance(frames)
    before = (back >= 1) & (back <= window)
    nothing = torch.zeros(frames, frames, dtype=torch.bool)
    return torch.cat([torch.cat([causal(frames, window), nothing], dim=1), torch.cat([before, torch.eye(frames, dtype=torch.bool)], dim=1)])
