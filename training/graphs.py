"""The six graphs as modules with the exact inputs and outputs of models/lite/model.json, bytes in and bytes out."""

import torch
from torch import nn

from training.model import DETAIL_CHANNELS, LATENT_CHANNELS, QUERIES, TOKENS, VISION_SIDE, VISION_TOKENS, WIDTH
from training.adapter import GIVES


def picture_in(image):
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in [-1, 1]."""
    return image.permute(0, 3, 1, 2).to(torch.float32) * (1 / 127.5) - 1


def picture_out(picture):
    """float [B, 3, H, W] in [-1, 1] -> uint8 [B, H, W, 3]."""
    return ((picture + 1) * 127.5).clamp(0, 255).round().to(torch.uint8).permute(0, 2, 3, 1)


class TeVision(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.net = base.te_vision

    def forward(self, image):
        return self.net(picture_in(image))


class TeText(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.net = base.te_text

    def forward(self, input_ids, attention_mask, vision_features):
        return self.net(input_ids, attention_mask, vision_features)


class VaeEncoder(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.net = base.encoder

    def forward(self, image):
        return self.net(picture_in(image))


class LlliteCond(nn.Module):
    def __init__(self, adapter):
        super().__init__()
        self.net = adapter.condition

    def forward(self, image):
        given = self.net(picture_in(image))
        return tuple(given[name] for name in GIVES)


class Unet(nn.Module):
    def __init__(self, base, adapter):
        super().__init__()
        self.net, self.adapter = base.unet, adapter

    def forward(self, sample, timestep, prompt_embeds, source_latents, *conditions):
        *given, last_latents, last_offsets, multiplier = conditions
        hooks = self.adapter.bind(dict(zip(GIVES, given)), last_latents, last_offsets, multiplier)
        return self.net(sample, timestep, prompt_embeds, source_latents, hooks)


class VaeDecoder(nn.Module):
    def __init__(self, base):
        super().__init__()
        self.net = base.decoder

    def forward(self, latents, details):
        return picture_out(self.net(latents, details))


IMAGE = ("image", "uint8", ["batch", "height", "width", 3])


def _map(name, channels, divisor):
    return (name, "float32", ["batch", channels, f"height/{divisor}", f"width/{divisor}"])


COND = [_map(f"cond_embeds_{name}", channels, 4 << level) for name, (level, channels) in GIVES.items()]
FEATURES = ("vision_features", "float32", ["batch", VISION_TOKENS, WIDTH])
PROMPT = ("prompt_embeds", "float32", ["batch", QUERIES, WIDTH])
SOURCE = _map("source_latents", LATENT_CHANNELS, 4)
# Those that the last frame was decoded from, moved onto this frame by whole cells, and the rest of the motion.
LAST = [_map("last_latents", LATENT_CHANNELS, 4), _map("last_offsets", 2, 4)]


def base_tensors(latents, details):
    """Role -> (inputs, outputs), each a list of (name, type, shape), of the graphs that other families have too."""
    detail_map = _map("details", details, 4)
    return {
        "te_vision": ([("image", "uint8", ["batch", VISION_SIDE, VISION_SIDE, 3])], [FEATURES]),
        "te_text": ([("input_ids", "int64", ["batch", TOKENS]), ("attention_mask", "int64", ["batch", TOKENS]), FEATURES], [PROMPT]),
        "vae_encoder": ([IMAGE], [_map("source_latents", latents, 4), detail_map]),
        "vae_decoder": ([_map("latents", latents, 4), detail_map], [IMAGE]),
    }


TENSORS = {
    **base_tensors(LATENT_CHANNELS, DETAIL_CHANNELS),
    "lllite_cond": ([IMAGE], COND),
    "unet": (
        [_map("sample", LATENT_CHANNELS, 4), ("timestep", "float32", ["batch"]), PROMPT, SOURCE, *COND, *LAST, ("multiplier", "float32", [1])],
        [_map("velocity", LATENT_CHANNELS, 4)],
    ),
}


def modules(base, adapter):
    """Role -> module, in the order in which a frame meets them."""
    return {
        "te_vision": TeVision(base),
        "te_text": TeText(base),
        "vae_encoder": VaeEncoder(base),
        "lllite_cond": LlliteCond(adapter),
        "unet": Unet(base, adapter),
        "vae_decoder": VaeDecoder(base),
    }


def example(inputs, batch=2, height=64, width=96, seed=0):
    """A graph's inputs as tensors, for tracing."""
    generator = torch.Generator().manual_seed(seed)
    sizes = {"batch": batch, "height": height, "width": width}
    for divisor in (4, 8, 16):
        sizes[f"height/{divisor}"], sizes[f"width/{divisor}"] = height // divisor, width // divisor
    tensors = []
    for name, kind, shape in inputs:
        shape = [sizes.get(s, s) for s in shape]
        if kind == "uint8":
            tensors.append(torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))
        elif name == "input_ids":
            tensors.append(torch.randint(4, 200, shape, generator=generator))
        elif name == "attention_mask":
            tensors.append((torch.arange(shape[1]) < 9).long().expand(shape).contiguous())
        elif name == "timestep":
            tensors.append(torch.linspace(1000.0, 600.0, shape[0]))
        elif name == "multiplier":
            tensors.append(torch.ones(1))
        else:
            tensors.append(torch.randn(shape, generator=generator))
    return tensors
