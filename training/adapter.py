"""The temporal adapter, a ControlNet-LLLite (kohya-ss/sd-scripts, networks/control_net_lllite.py) on the lite U-Net.

Per hook: y = org(x + multiplier * up(relu(cx + mid(relu(down(x)))))), 1x1 convolutions, `up` zero at the start. cx comes from one small network
on the last painting warped onto this frame, [-1, 1]. Where LLLite has mid(cat[cx, down(x)]), mid's half for cx is in that network here: it runs
when the condition is refreshed, not for each frame, and what a frame would have to cut apart and join is added.

The gate is ours: plain LLLite learned next to nothing here, because what it must add, the difference of two nearly
equal paintings, is far smaller than what a new network gets wrong about either. At the output x0 + multiplier * tanh(gate) * (w - x0), gate zero at the
start, decides place by place how much of the last painting to keep. w are the latents that the last frame was decoded from, moved along the input's flow with every frame, by
whole cells and then by `Shift`: they are there before the painting is, and they are exactly the decoder's.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.model import CHANNELS, LATENT_CHANNELS, Residual

HIDDEN, GATED = 32, 16
# U-Net block -> its level. Hooks in the down blocks of the two larger levels, trained like these, did nothing: the distance to the warped painting
# was 0.868 of the base's with them and 0.869 without. With them, joining what they read as LLLite does, denoiser and decoder took 17.7 ms; without, 15.9.
HOOKS = {"down2a": 2, "down2b": 2}
WIDTHS = (32, 48, 64)  # Channels of the condition network's levels.
# What the condition network gives, cond_embeds_<name> -> (level, channels): something for each hook and for the gate.
GIVES = {**{name: (level, HIDDEN) for name, level in HOOKS.items()}, "gate": (0, GATED)}


class Condition(nn.Module):
    """Warped last painting [B, 3, H, W] -> name -> [B, channels, H / (4 << level), W / (4 << level)], as GIVES says."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 48, 4, stride=4)
        self.mix = nn.Conv2d(48, WIDTHS[0], 3, padding=1)
        self.block = Residual(WIDTHS[0])
        self.to1 = nn.Conv2d(WIDTHS[0], WIDTHS[1], 2, stride=2)
        self.to2 = nn.Conv2d(WIDTHS[1], WIDTHS[2], 2, stride=2)
        self.out = nn.ModuleDict({name: nn.Conv2d(WIDTHS[level], channels, 1) for name, (level, channels) in GIVES.items()})

    def start_from(self, encoder):
        """Copies the weights of the base's encoder."""
        for name in ("patch", "mix", "block"):
            getattr(self, name).load_state_dict(getattr(encoder, name).state_dict())

    def forward(self, picture):
        levels = [F.relu(self.block(self.mix(F.relu(self.patch(picture)))))]
        for down in (self.to1, self.to2):
            levels.append(F.relu(down(levels[-1])))
        return {name: out(levels[GIVES[name][0]]) for name, out in self.out.items()}


class Hook(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv2d(channels, HIDDEN, 1)
        self.mid = nn.Conv2d(HIDDEN, HIDDEN, 1, bias=False)
        self.up = nn.Conv2d(HIDDEN, channels, 1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x, cx, multiplier):
        return x + multiplier * self.up(F.relu(self.mid(F.relu(self.down(x))) + cx))


class Shift(nn.Module):
    """Latents moved by the part of a cell that is left: [B, 2, h, w] in cells, x then y. What does not move stays as it is.

    A cell is four pixels wide, and half of one cell's latents and half of the next one's paint both halves over each other. What
    moves inside a cell moves between its channels.
    """

    def __init__(self):
        super().__init__()
        self.by = nn.Conv2d(2 * LATENT_CHANNELS, LATENT_CHANNELS, 3, padding=1, bias=False)
        nn.init.zeros_(self.by.weight)

    def forward(self, latents, offsets):
        x, y = offsets.split(1, dim=1)
        return latents + self.by(torch.cat([x * latents, y * latents], dim=1))


class Gate(nn.Module):
    """x0 moved towards the last latents, as far as the place allows."""

    def __init__(self):
        super().__init__()
        self.read = nn.Conv2d(CHANNELS[0] + GATED + 2 * LATENT_CHANNELS, 24, 1)
        self.gate = nn.Conv2d(24, LATENT_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, features, x0, cx, last, multiplier):
        apart = last - x0
        gate = torch.tanh(self.gate(F.relu(self.read(torch.cat([features, cx, apart, apart.abs()], dim=1)))))
        return x0 + multiplier * (gate * apart)


class Adapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.condition = Condition()
        self.hooks = nn.ModuleDict({name: Hook(CHANNELS[level]) for name, level in HOOKS.items()})
        self.shift = Shift()
        self.gate = Gate()

    def bind(self, given, latents, offsets, multiplier):
        """Functions for UNet.predict(hooks=...), from what the condition network gave, the last latents moved by whole cells, the rest of their motion, and the multiplier."""
        last = self.shift(latents, offsets)
        bound_hooks = {name: lambda x, hook=hook, cx=given[name]: hook(x, cx, multiplier) for name, hook in self.hooks.items()}
        return {**bound_hooks, "leave": lambda features, x0: self.gate(features, x0, given["gate"], last, multiplier)}
