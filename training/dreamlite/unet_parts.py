"""The U-Net in parts, one a layer, for export: what torch.onnx takes for a graph grows with the square of its nodes.

Parts pass values to each other by name; `UNet.forward` is the plain form of the same.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.dreamlite.lllite import beside_source
from training.dreamlite.parts import Part
from training.dreamlite.unet import sinusoid


class Head(nn.Module):
    """Noise beside source, and what all layers read: time, prompt, mask. The picture's size is a constant."""

    def __init__(self, unet, size):
        super().__init__()
        self.conv_in, self.time_embedding, self.encoder_hid_proj = unet.conv_in, unet.time_embedding, unet.encoder_hid_proj
        self.channels = unet.config["block_out_channels"][0]
        sizes = sinusoid(torch.tensor(size, dtype=torch.float32), unet.config["addition_time_embed_dim"]).reshape(1, -1)
        self.register_buffer("size_embedding", unet.add_embedding(sizes).detach())

    def forward(self, sample, timestep, prompt_embeds, encoder_attention_mask, source_latents):
        temb = self.time_embedding(sinusoid(timestep, self.channels)) + self.size_embedding
        mask = (1 - encoder_attention_mask.to(torch.float32))[:, None] * -10000.0
        return self.conv_in(torch.cat([sample, source_latents], dim=3)), temb, self.encoder_hid_proj(prompt_embeds), mask


class Layer(nn.Module):
    """A resnet and its transformer; with a skip connection in front on the way up, with the adapter's hooks on the way down."""

    def __init__(self, stage, i, adapter=None, level=None, prefix=None):
        super().__init__()
        self.resnet = stage.resnets[i]
        self.attention = stage.attentions[i] if len(stage.attentions) else None
        own = [name for name, at in adapter.targets.items() if at == level] if adapter else []
        self.hooks = {name: index for index, name in enumerate(own) if name.startswith(f"{prefix}.attentions.{i}.")}
        # The adapter is no module of this one: its hooks would be weights of every layer.
        self.adapter = (adapter,)
        if self.hooks:
            self.adapter_hooks = nn.ModuleList([adapter.modules_dict[name.replace(".", "__")] for name in self.hooks])

    def forward(self, x, temb, context, mask, *more):
        if self.hooks:
            cond_embeds, multiplier = more
            self.adapter[0].bind({name: beside_source(cond_embeds[:, index]) for name, index in self.hooks.items()}, multiplier)
        elif more:
            x = torch.cat([x, more[0]], dim=1)
        x = self.resnet(x, temb)
        return x if self.attention is None else self.attention(x, context, mask)


class Plain(nn.Module):
    """A resnet alone, with a skip connection in front."""

    def __init__(self, stage, i):
        super().__init__()
        self.resnet = stage.resnets[i]

    def forward(self, x, temb, skip):
        return self.resnet(torch.cat([x, skip], dim=1), temb)


class Middle(nn.Module):
    def __init__(self, unet):
        super().__init__()
        self.net = unet.mid_block

    def forward(self, x, temb, context, mask):
        return self.net(x, temb, context, mask)


class Tail(nn.Module):
    def __init__(self, unet, width):
        super().__init__()
        self.norm, self.conv, self.width = unet.conv_norm_out, unet.conv_out, width

    def forward(self, x):
        return self.conv(F.silu(self.norm(x)))[..., : self.width]


def unet_parts(unet, adapter, size, latent_scale=8):
    """The adapter must be attached to the U-Net. size (width, height) in pixels."""
    ambient = ["temb", "context", "mask"]
    parts = [Part("head", Head(unet, size), ["sample", "timestep", "prompt_embeds", "encoder_attention_mask", "source_latents"], ["x", *ambient])]
    skips, x = ["x"], "x"

    def add(name, module, *more):
        nonlocal x
        parts.append(Part(name, module, [x, *more], [f"{name}.x"]))
        x = f"{name}.x"

    for level, stage in enumerate(unet.down_blocks):
        for i in range(len(stage.resnets)):
            layer = Layer(stage, i, adapter, level, f"down_blocks.{level}")
            add(f"down{level}.{i}", layer, *ambient, *([f"cond_embeds_{level}", "multiplier"] if layer.hooks else []))
            skips.append(x)
        if hasattr(stage, "downsamplers"):
            add(f"down{level}.sampler", stage.downsamplers[0])
            skips.append(x)
    add("mid", Middle(unet), *ambient)
    for level, stage in enumerate(unet.up_blocks):
        for i in range(len(stage.resnets)):
            own = ambient if len(stage.attentions) else ambient[:1]
            module = Layer(stage, i) if len(stage.attentions) else Plain(stage, i)
            add(f"up{level}.{i}", module, *own, skips.pop())
        if hasattr(stage, "upsamplers"):
            add(f"up{level}.sampler", stage.upsamplers[0])
    parts.append(Part("tail", Tail(unet, size[0] // latent_scale), [x], ["velocity"]))
    return parts
