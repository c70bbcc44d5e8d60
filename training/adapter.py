"""The temporal adapter, a ControlNet-LLLite (kohya-ss/sd-scripts, networks/control_net_lllite.py) on the lite U-Net.

Per hook: y = org(x + multiplier * up(mid(cat[cx, down(x)]))), 1x1 convolutions, `up` zero at the start. cx comes from
one small network on the last painting warped onto this frame, [-1, 1], packed as one tensor per level.

The last hook is ours: plain LLLite learned next to nothing here, because what it must add, the difference of two nearly
equal paintings, is far smaller than what a new network gets wrong about either. So the condition network starts as the base's own
encoder, learns to invert the decoder and gives the warped painting's latents w, and at the output x0 + multiplier * tanh(gate) * (w - x0), gate zero at the
start, decides place by place how much of the last painting to keep.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.model import CHANNELS, HOOK_CHANNELS, LATENT_CHANNELS, Residual, bound

# Level -> the U-Net blocks hooked there, in the order of their channels in cond_embeds_<level>.
HOOKS = {0: ("down0", "leave"), 1: ("down1a", "down1b"), 2: ("down2a", "down2b")}
HIDDEN = 32


class Condition(nn.Module):
    """Warped last painting [B, 3, H, W] -> cond_embeds of levels /4, /8, /16: [B, 48, H/4, W/4] and so on.

    The last 32 channels of level 0 are 16 for the gate and the 16 latents of the warped painting.
    """

    def __init__(self):
        super().__init__()
        self.patch = nn.Conv2d(3, 48, 4, stride=4)
        self.mix = nn.Conv2d(48, 32, 3, padding=1)
        self.block = Residual(32)
        self.latents = nn.Conv2d(32, LATENT_CHANNELS, 1)
        self.to1 = nn.Conv2d(32, 48, 2, stride=2)
        self.to2 = nn.Conv2d(48, 64, 2, stride=2)
        widths = (HOOK_CHANNELS + LATENT_CHANNELS, *(HOOK_CHANNELS * len(HOOKS[level]) for level in (1, 2)))
        self.out = nn.ModuleList([nn.Conv2d(c, width, 1) for c, width in zip((32, 48, 64), widths)])

    def start_from(self, encoder):
        """Copies the weights of the base's encoder."""
        for name in ("patch", "mix", "block", "latents"):
            getattr(self, name).load_state_dict(getattr(encoder, name).state_dict())

    def _level0(self, picture):
        return self.block(self.mix(F.relu(self.patch(picture))))

    def invert(self, picture):
        """The latents that a painting was decoded from, as far as the painting tells."""
        return bound(self.latents(self._level0(picture)))

    def forward(self, picture):
        level0 = self._level0(picture)
        level1 = F.relu(self.to1(F.relu(level0)))
        level2 = F.relu(self.to2(level1))
        first = torch.cat([self.out[0](F.relu(level0)), bound(self.latents(level0))], dim=1)
        return [first, self.out[1](level1), self.out[2](level2)]


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


class Gate(nn.Module):
    """x0 moved towards the latents of the warped last painting, as far as the place allows."""

    def __init__(self):
        super().__init__()
        self.read = nn.Conv2d(CHANNELS[0] + 3 * LATENT_CHANNELS, 24, 1)
        self.gate = nn.Conv2d(24, LATENT_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def forward(self, features, x0, cx, multiplier):
        apart = cx[:, LATENT_CHANNELS:] - x0
        gate = torch.tanh(self.gate(F.relu(self.read(torch.cat([features, cx[:, :LATENT_CHANNELS], apart, apart.abs()], dim=1)))))
        return x0 + multiplier * (gate * apart)


class Adapter(nn.Module):
    def __init__(self):
        super().__init__()
        self.condition = Condition()
        self.hooks = nn.ModuleDict({name: Hook(CHANNELS[level]) for level, names in HOOKS.items() for name in names if name != "leave"})
        self.gate = Gate()

    def bind(self, cond_embeds, multiplier):
        """Functions for UNet.predict(hooks=...), from cond_embeds per level and the multiplier."""
        bound_hooks = {}
        for level, names in HOOKS.items():
            for i, name in enumerate(names):
                width = 2 * LATENT_CHANNELS if name == "leave" else HOOK_CHANNELS
                cx = cond_embeds[level][:, i * HOOK_CHANNELS : i * HOOK_CHANNELS + width]
                if name == "leave":
                    bound_hooks[name] = lambda features, x0, cx=cx: self.gate(features, x0, cx, multiplier)
                else:
                    bound_hooks[name] = lambda x, hook=self.hooks[name], cx=cx: hook(x, cx, multiplier)
        return bound_hooks
