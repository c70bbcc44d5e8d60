"""The temporal adapter: a ControlNet-LLLite (kohya-ss/sd-scripts, networks/control_net_lllite.py) on the U-Net's down blocks.

At each query of a transformer block, and at key and value of self-attention: y = org(x + multiplier * up(mid(cat[cx, down(x)]))). cx comes
from the conditioning picture, the last painting warped, through convolutions of the hook's own. The U-Net sees painting and source side by
side; cx stands for the left half and is zero in the right one, padded in the grid before it is flattened. What the hook adds is not masked
there: it was trained so.
"""

import re

import torch
import torch.nn.functional as F
from torch import nn

from training.dreamlite.errors import CheckpointError

SCALES = (8, 16, 32)  # pixels a token, by level


def strides(scale):
    """Of a hook's convolutions: /8 is 4, 2; /16 is 4, 4; /32 is 4, 4, 2."""
    found = []
    while scale > 1:
        found.append(4 if scale % 4 == 0 else 2)
        scale //= found[-1]
    return found


class Hook(nn.Module):
    def __init__(self, channels, scale, cond_dim, mlp_dim):
        super().__init__()
        steps, layers, into = strides(scale), [], 3
        for i, stride in enumerate(steps):
            out = cond_dim if i == len(steps) - 1 else cond_dim // 2
            layers += [nn.Conv2d(into, out, stride, stride=stride), nn.ReLU()]
            into = out
        self.conditioning1 = nn.Sequential(*layers[:-1])  # nothing behind the last convolution
        self.down = nn.Sequential(nn.Linear(channels, mlp_dim), nn.ReLU())
        self.mid = nn.Sequential(nn.Linear(mlp_dim + cond_dim, mlp_dim), nn.ReLU())
        self.up = nn.Sequential(nn.Linear(mlp_dim, channels))
        nn.init.zeros_(self.up[0].weight)
        nn.init.zeros_(self.up[0].bias)

    def delta(self, cx, x):
        return self.up(self.mid(torch.cat([cx, self.down(x)], dim=-1)))


def targets(unet):
    """Names of the hooked layers in the down blocks -> their level, in the order of the packed conditioning: 38 at full depth."""
    found = {}
    for name, module in unet.named_modules():
        match = re.match(r"down_blocks\.(\d+)\..*\.(attn1\.to_[qkv]|attn2\.to_q)$", name)
        if match:
            found[name] = int(match.group(1))
    return found


def beside_source(cx):
    """Embeddings of the painting's half [B, h, w, C] -> tokens of painting and source [B, h * 2w, C], row by row."""
    height, width, channels = map(int, cx.shape[1:])
    return F.pad(cx, (0, 0, 0, width)).reshape(-1, height * 2 * width, channels)


class Adapter(nn.Module):
    """Hooks by the state keys of the checkpoint; `attach` puts them into a U-Net, and the cx bound last serves until others are."""

    def __init__(self, unet, cond_dim=32, mlp_dim=64):
        super().__init__()
        self.targets = targets(unet)
        hook = lambda name, level: Hook(unet.get_submodule(name).in_features, SCALES[level], cond_dim, mlp_dim)
        self.modules_dict = nn.ModuleDict({key(name): hook(name, level) for name, level in self.targets.items()})
        self._bound, self._multiplier = {}, None

    def attach(self, unet):
        for name in self.targets:
            layer, hook = unet.get_submodule(name), self.modules_dict[key(name)]
            layer.forward = self._hooked(name, layer.forward, hook)

    def _hooked(self, name, original, hook):
        def forward(x):
            cx = self._bound.get(name)
            if cx is None:
                return original(x)
            if not torch.jit.is_tracing() and cx.shape[1] != x.shape[1]:
                raise ValueError(f"{name} has {x.shape[1]} tokens, and its conditioning {cx.shape[1]}")
            return original(x + self._multiplier * hook.delta(cx, x))

        return forward

    def bind(self, tokens, multiplier):
        """tokens: name -> cx [B, N, C]."""
        self._bound, self._multiplier = tokens, multiplier

    def bind_image(self, image, multiplier):
        """As it was trained: every hook's own convolutions on the picture [B, 3, H, W] in [-1, 1]."""
        cx = lambda name: beside_source(self.modules_dict[key(name)].conditioning1(image).permute(0, 2, 3, 1))
        self.bind({name: cx(name) for name in self.targets}, multiplier)

    def bind_packed(self, packed, multiplier):
        """packed: one tensor a level [B, hooks, h, w, C], of the painting's half."""
        names = [[name for name, at in self.targets.items() if at == level] for level in range(len(packed))]
        cx = {name: beside_source(tensor[:, i]) for own, tensor in zip(names, packed) for i, name in enumerate(own)}
        self.bind(cx, multiplier)


class PackedConditioning(nn.Module):
    """All hooks of a level as one chain of grouped convolutions: picture [B, 3, H, W] -> one tensor a level [B, hooks, h, w, C]."""

    def __init__(self, adapter):
        super().__init__()
        self.levels = nn.ModuleList()
        for level, scale in enumerate(SCALES):
            hooks = [adapter.modules_dict[key(name)] for name, at in adapter.targets.items() if at == level]
            chain = nn.ModuleList()
            for i, stride in enumerate(strides(scale)):
                own = [hook.conditioning1[2 * i] for hook in hooks]
                weight = torch.cat([conv.weight for conv in own])
                fused = nn.Conv2d(3 if i == 0 else weight.shape[1] * len(own), len(weight), stride, stride=stride, groups=1 if i == 0 else len(own))
                fused.weight, fused.bias = nn.Parameter(weight.detach()), nn.Parameter(torch.cat([conv.bias for conv in own]).detach())
                chain.append(fused)
            self.levels.append(chain)
        self.hooks = [sum(at == level for at in adapter.targets.values()) for level in range(len(SCALES))]

    def forward(self, image):
        packed = []
        for chain, hooks in zip(self.levels, self.hooks):
            x = image
            for i, conv in enumerate(chain):
                x = conv(x if i == 0 else F.relu(x))
            channels, height, width = map(int, x.shape[1:])
            packed.append(x.reshape(-1, hooks, channels // hooks, height, width).permute(0, 1, 3, 4, 2))
        return packed


def key(name):
    return name.replace(".", "__")


def load(unet, file):
    """The hooks of a checkpoint's file (SafeTensors) for the down blocks; those of other blocks are left out. Errors: CheckpointError."""
    names = file.names()
    if any(re.search(r"lora_(A|B|up|down|unet|te)", name) for name in names):
        raise CheckpointError(f"{file.path} is a LoRA, expected a ControlNet-LLLite adapter (modules_dict.*). Give the temporal adapter's file.")
    prefix = f"modules_dict.{key(next(iter(targets(unet))))}."
    try:
        mlp_dim = file.shape(prefix + "down.0.weight")[0]
        cond_dim = file.shape(prefix + "mid.0.weight")[1] - mlp_dim
        if not (0 < mlp_dim <= 4096 and 0 < cond_dim <= 4096):
            raise IndexError
    except (KeyError, IndexError):
        raise CheckpointError(
            f"{file.path} has no {prefix}down.0.weight of two sides: it is no ControlNet-LLLite adapter of this U-Net. Give the temporal adapter's file."
        ) from None
    adapter = Adapter(unet, cond_dim, mlp_dim)
    wanted = adapter.state_dict()
    for name, parameter in wanted.items():
        found = file.shape(name) if name in names else None
        if found != tuple(parameter.shape):
            raise CheckpointError(f"{file.path}: {name} is {found and list(found) or 'missing'}, expected {list(parameter.shape)}.")
    adapter.load_state_dict({name: file.tensor(name) for name in wanted})
    return adapter
