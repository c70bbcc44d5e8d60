"""Qwen3-VL in parts, one a layer, for export (`unet_parts.py` says why): the picture of 256x256 at its fixed place in the template.

Positions are constants. Keys and values of the system prompt, which is the same for every picture and prompt, were computed once, so that a run
computes what lies behind it: <|vision_start|>, the picture, <|vision_end|>, the prompt.
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.dreamlite.parts import Part
from training.dreamlite.qwen3vl import MASKED, rotation, token_positions
from training.dreamlite.tokenizer import IMAGE_TOKENS, MAX_LENGTH

VISION_SIDE, PATCH, MERGE, FRAMES = 256, 16, 2, 2
GRID = (VISION_SIDE // PATCH, VISION_SIDE // PATCH)
PIXEL_VALUES = (GRID[0] * GRID[1], 3 * FRAMES * PATCH**2)


class Patches(nn.Module):
    def __init__(self, vision):
        super().__init__()
        self.embed = vision.patch_embed
        self.register_buffer("positions", vision.positions(GRID).detach())

    def forward(self, pixel_values):
        return self.embed(pixel_values) + self.positions


class Block(nn.Module):
    def __init__(self, block, cos, sin):
        super().__init__()
        self.net = block
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, x):
        return self.net(x, self.cos, self.sin)


def vision_parts(model):
    """pixel_values [B, 256, 1536], as `qwen3vl.patches` makes them -> vision_features and deepstack_0.. [B, 64, D]."""
    vision = model.model.visual
    cos, sin = vision.rotation(GRID)
    taps = vision.config["deepstack_visual_indexes"]
    parts, x = [Part("patches", Patches(vision), ["pixel_values"], ["patches.x"])], "patches.x"
    for i, block in enumerate(vision.blocks):
        parts.append(Part(f"block{i}", Block(block, cos, sin), [x], [f"block{i}.x"]))
        x = f"block{i}.x"
        if i in taps:
            tap = taps.index(i)
            parts.append(Part(f"tap{tap}", vision.deepstack_merger_list[tap], [x], [f"deepstack_{tap}"]))
    return [*parts, Part("merger", vision.merger, [x], ["vision_features"])]


class Words(nn.Module):
    """Embeddings with the picture in its place, and what each token may see: everything before it that is no padding."""

    def __init__(self, embed_tokens, drop):
        super().__init__()
        self.embed_tokens, self.drop = embed_tokens, drop
        self.register_buffer("unseen", _unseen()[None, drop:].contiguous())

    def forward(self, input_ids, attention_mask, vision_features):
        words = self.embed_tokens(input_ids[:, self.drop :])
        x = torch.cat([words[:, :1], vision_features, words[:, 1 + IMAGE_TOKENS :]], dim=1)
        return x, (self.unseen + (1 - attention_mask.to(torch.float32))[:, None] * MASKED)[:, None]


class Layer(nn.Module):
    def __init__(self, layer, cos, sin, past, drop):
        super().__init__()
        self.net, self.behind = layer, MAX_LENGTH - drop - 1 - IMAGE_TOKENS
        for name, constant in (("cos", cos), ("sin", sin), ("keys", past[0]), ("values", past[1])):
            self.register_buffer(name, constant)

    def forward(self, x, mask, *deepstack):
        x, _, _ = self.net(x, self.cos, self.sin, mask, (self.keys, self.values))
        for features in deepstack:
            x = x + F.pad(features, (0, 0, 1, self.behind))
        return x


def _unseen():
    return (1 - torch.tril(torch.ones(MAX_LENGTH, MAX_LENGTH))) * MASKED


def text_parts(model, token_ids):
    """(parts, tokens of the system prompt). token_ids: MAX_LENGTH of the template with any prompt.

    input_ids, attention_mask int64 [B, 256], vision_features, deepstack_0.. [B, 64, D] -> prompt_embeds [B, 256 - dropped, D].
    """
    text, config = model.model.language_model, model.config
    drop = token_ids.index(config["vision_start_token_id"])
    ids = torch.tensor(token_ids)
    cos, sin = rotation(token_positions(ids, config["image_token_id"], (GRID[0] // 2, GRID[1] // 2)), config["text_config"])
    taps = len(config["vision_config"]["deepstack_visual_indexes"])
    parts = [Part("words", Words(text.embed_tokens, drop), ["input_ids", "attention_mask", "vision_features"], ["words.x", "mask"])]
    x = "words.x"
    with torch.no_grad():
        prompt = text.embed_tokens(ids[None, :drop])
        for i, layer in enumerate(text.layers):
            prompt, *past = layer(prompt, cos[:drop], sin[:drop], _unseen()[None, None, :drop, :drop])
            module = Layer(layer, cos[drop:].contiguous(), sin[drop:].contiguous(), past, drop)
            out = "prompt_embeds" if i == len(text.layers) - 1 else f"layer{i}.x"
            parts.append(Part(f"layer{i}", module, [x, "mask", *([f"deepstack_{i}"] if i < taps else [])], [out]))
            x = out
    return parts, drop
