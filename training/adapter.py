"""The temporal adapter, a ControlNet-LLLite (kohya-ss/sd-scripts, networks/control_net_lllite.py) on the lite U-Net.

Per hook: y = org(x + multiplier * up(mid(cat[cx, down(x)]))), 1x1 convolutions, `up` zero at the start. cx comes from
one small network on the last painting warped onto this frame, [-1, 1], packed as one tensor per level.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.model import CHANNELS, HOOK_CHANNELS

# Level -> the U-Net blocks hooked there, in the order of their channels in cond_embeds_<level>.
HOOKS = {0: ("down0", "up0"), 1: ("down1a", "down1b"), 2: ("down2a", "down2b")}
HIDDEN = 32


class Condition(nn.Module):
    """Warped last painting [B, 3, H, W] -> cond_embeds of levels /4, /8, /16: [B, 32, H/4, W/4] and so on."""

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 32, 4, stride=4)
        self.mix = nn.Conv2d(32, 32, 3, padding=1)
        self.to1 = nn.Conv2d(32, 48, 2, stride=2)
        self.to2 = nn.Conv2d(48, 64, 2, stride=2)
        self.out = nn.ModuleList([nn.Conv2d(c, HOOK_CHANNELS * len(HOOKS[level]), 1) for level, c in enumerate((32, 48, 64))])

    def forward(self, picture):
        level0 = F.silu(self.mix(F.silu(self.patch(picture))))
        level1 = F.silu(self.to1(level0))
        level2 = F.silu(self.to2(level1))
        return [head(x) for head, x in zip(self.out, (level0, level1, level2))]


class Hook(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.down = nn.Conv2d(channels, HIDDEN, 1)
        self.mid = nn.Conv2d(HOOK_CHANNELS + HIDDEN, HIDDEN, 1)
        self.up = nn.Conv2d(HIDDEN, channels, 1)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x, cx, multiplier):
        h = F.relu(self.mid(torch.cat([cx, F.relu(self.down(x))], dim=1)))
        return x + multiplier * self.up(h)


class Adapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.condition = Condition()
        self.hooks = nn.ModuleDict({name: Hook(CHANNELS[level]) for level, names in HOOKS.items() for name in names})

    def bind(self, cond_embeds, multiplier):
        """Functions for UNet.predict(hooks=...), from cond_embeds per level and the multiplier."""
        bound = {}
        for level, names in HOOKS.items():
            for i, name in enumerate(names):
                cx = cond_embeds[level][:, i * HOOK_CHANNELS : (i + 1) * HOOK_CHANNELS]
                bound[name] = lambda x, hook=self.hooks[name], cx=cx: hook(x, cx, multiplier)
        return bound
