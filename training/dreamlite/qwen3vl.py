"""Qwen3-VL as DreamLite's text encoder, with the state-dict names of transformers 4.57's Qwen3VLForConditionalGeneration.

This is the plain form: positions from the token ids, every token computed. `graphs.py` has the form that is exported. The embeddings are the
last decoder layer's output before the final norm, which is what transformers 4.57 gives as hidden_states[-1].
"""

import torch
import torch.nn.functional as F
from torch import nn

from training.dreamlite.unet import RMSNorm

VISION_NORM_EPS = 1e-6
VISION_ROPE_THETA = 10000.0
MASKED = -10000.0  # added to scores; safe in fp16


def rotate_half(x):
    half = int(x.shape[-1]) // 2
    return torch.cat([-x[..., half:], x[..., :half]], dim=-1)


def rotated(x, cos, sin):
    return x * cos + rotate_half(x) * sin


# -- Vision ---------------------------------------------------------------------------------------------


def patches(image, patch=16, merge=2, frames=2):
    """uint8 [B, H, W, 3] -> pixel_values [B, (H/16) (W/16), 3 * 2 * 16 * 16], (x / 255 - 0.5) / 0.5.

    The rows of four patches that are merged later follow each other; a column is (channel, frame, y, x), the picture being both frames.
    """
    height, width, channels = map(int, image.shape[1:])
    x = image.to(torch.float32) * (1 / 127.5) - 1
    x = x.reshape(-1, height // patch // merge, merge, patch, width // patch // merge, merge, patch, channels)
    x = x.permute(0, 1, 4, 2, 5, 7, 3, 6).reshape(-1, height * width // patch**2, channels, 1, patch * patch)
    return torch.cat([x] * frames, dim=3).flatten(2)


def merge_grouped(grid, merge=2):
    """Rows and columns of the patches of a grid of (height, width) in the order of `patches`: two int64 [N]."""
    height, width = grid
    index = torch.arange(height * width).reshape(height // merge, merge, width // merge, merge).permute(0, 2, 1, 3).reshape(-1)
    return torch.div(index, width, rounding_mode="floor"), index % width


class VisionAttention(nn.Module):
    def __init__(self, channels, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(channels, 3 * channels), nn.Linear(channels, channels)

    def forward(self, x, cos, sin):
        length, channels = map(int, x.shape[1:])
        q, k, v = self.qkv(x).reshape(-1, length, 3, self.heads, channels // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        scores = torch.matmul(rotated(q, cos, sin) * (channels // self.heads) ** -0.5, rotated(k, cos, sin).transpose(2, 3))
        return self.proj(torch.matmul(torch.softmax(scores, dim=-1), v).permute(0, 2, 1, 3).reshape(-1, length, channels))


class VisionMlp(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.linear_fc1, self.linear_fc2 = nn.Linear(channels, inner), nn.Linear(inner, channels)

    def forward(self, x):
        return self.linear_fc2(F.gelu(self.linear_fc1(x), approximate="tanh"))


class VisionBlock(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels = config["hidden_size"]
        self.norm1, self.norm2 = nn.LayerNorm(channels, eps=VISION_NORM_EPS), nn.LayerNorm(channels, eps=VISION_NORM_EPS)
        self.attn, self.mlp = VisionAttention(channels, config["num_heads"]), VisionMlp(channels, config["intermediate_size"])

    def forward(self, x, cos, sin):
        x = x + self.attn(self.norm1(x), cos, sin)
        return x + self.mlp(self.norm2(x))


class Merger(nn.Module):
    """Four patches -> one token. DeepStack's mergers normalise over the four, the last one over each."""

    def __init__(self, config, over_four):
        super().__init__()
        self.inner = config["hidden_size"] * config["spatial_merge_size"] ** 2
        self.over_four = over_four
        self.norm = nn.LayerNorm(self.inner if over_four else config["hidden_size"], eps=VISION_NORM_EPS)
        self.linear_fc1, self.linear_fc2 = nn.Linear(self.inner, self.inner), nn.Linear(self.inner, config["out_hidden_size"])

    def forward(self, x):
        if not self.over_four:
            x = self.norm(x)
        x = x.reshape(-1, int(x.shape[1] * x.shape[2]) // self.inner, self.inner)
        return self.linear_fc2(F.gelu(self.linear_fc1(self.norm(x) if self.over_four else x)))


class PatchEmbed(nn.Module):
    def __init__(self, config):
        super().__init__()
        kernel = (config["temporal_patch_size"], config["patch_size"], config["patch_size"])
        self.proj = nn.Conv3d(config["in_channels"], config["hidden_size"], kernel, stride=kernel)

    def forward(self, rows):
        """Each row is one window of the convolution: a product with the flattened kernel."""
        return F.linear(rows, self.proj.weight.flatten(1), self.proj.bias)


class Vision(nn.Module):
    """pixel_values [B, N, 1536] of one grid -> features [B, N/4, D] and one more map of that shape for each tapped layer (DeepStack)."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.patch_embed = PatchEmbed(config)
        self.pos_embed = nn.Embedding(config["num_position_embeddings"], config["hidden_size"])
        self.blocks = nn.ModuleList([VisionBlock(config) for _ in range(config["depth"])])
        self.merger = Merger(config, over_four=False)
        self.deepstack_merger_list = nn.ModuleList([Merger(config, over_four=True) for _ in config["deepstack_visual_indexes"]])

    def positions(self, grid):
        """The learned table, read between its points: corner to corner, bilinear, then merge-grouped [N, C]."""
        side = round(self.config["num_position_embeddings"] ** 0.5)
        table = self.pos_embed.weight.reshape(side, side, -1)
        rows, columns = merge_grouped(grid, self.config["spatial_merge_size"])
        axes = []
        for count, index in zip(grid, (rows, columns)):
            at = torch.linspace(0, side - 1, count)[index]
            low = at.floor().long()
            axes.append((low, (low + 1).clamp(max=side - 1), (at - low)[:, None]))
        (y0, y1, fy), (x0, x1, fx) = axes
        return table[y0, x0] * (1 - fy) * (1 - fx) + table[y0, x1] * (1 - fy) * fx + table[y1, x0] * fy * (1 - fx) + table[y1, x1] * fy * fx

    def rotation(self, grid):
        """cos and sin [N, head_dim]: half of the frequencies for the row, half for the column."""
        quarter = self.config["hidden_size"] // self.config["num_heads"] // 4
        frequencies = VISION_ROPE_THETA ** -(torch.arange(quarter, dtype=torch.float32) / quarter)
        angles = torch.cat([index[:, None] * frequencies for index in merge_grouped(grid, self.config["spatial_merge_size"])], dim=-1)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()

    def forward(self, pixel_values, positions, cos, sin):
        x = self.patch_embed(pixel_values) + positions
        taps = []
        for i, block in enumerate(self.blocks):
            x = block(x, cos, sin)
            if i in self.config["deepstack_visual_indexes"]:
                taps.append(self.deepstack_merger_list[self.config["deepstack_visual_indexes"].index(i)](x))
        return (self.merger(x), *taps)


# -- Text -----------------------------------------------------------------------------------------------


class TextAttention(nn.Module):
    def __init__(self, config):
        super().__init__()
        hidden, self.heads, self.kv_heads = config["hidden_size"], config["num_attention_heads"], config["num_key_value_heads"]
        self.head_dim = config["head_dim"]
        linear = lambda into, out: nn.Linear(into, out, bias=False)
        self.q_proj, self.o_proj = linear(hidden, self.heads * self.head_dim), linear(self.heads * self.head_dim, hidden)
        self.k_proj, self.v_proj = linear(hidden, self.kv_heads * self.head_dim), linear(hidden, self.kv_heads * self.head_dim)
        self.q_norm, self.k_norm = (RMSNorm(self.head_dim, config["rms_norm_eps"]) for _ in range(2))

    def forward(self, x, cos, sin, mask, past=None):
        """mask additive [B, 1, N, all keys]; past: keys and values of the tokens before these [1, kv_heads, P, head_dim] -> (out, keys, values)."""
        length = int(x.shape[1])
        split = lambda y, heads: y.reshape(-1, length, heads, self.head_dim)
        q = rotated(self.q_norm(split(self.q_proj(x), self.heads)).permute(0, 2, 1, 3), cos, sin)
        k = rotated(self.k_norm(split(self.k_proj(x), self.kv_heads)).permute(0, 2, 1, 3), cos, sin)
        v = split(self.v_proj(x), self.kv_heads).permute(0, 2, 1, 3)
        keys, values = k, v
        if past is not None:
            keys, values = (torch.cat([old.expand(x.shape[0], -1, -1, -1), new], dim=2) for old, new in zip(past, (k, v)))
        # Queries of one key head stand one below the other: each meets its keys without copies of them.
        group = self.heads // self.kv_heads
        q = q.reshape(-1, self.kv_heads, group, length, self.head_dim)
        scores = torch.matmul(q * self.head_dim**-0.5, keys[:, :, None].transpose(3, 4)) + mask[:, None]
        mixed = torch.matmul(torch.softmax(scores, dim=-1), values[:, :, None])
        out = mixed.permute(0, 3, 1, 2, 4).reshape(-1, length, self.heads * self.head_dim)
        return self.o_proj(out), k, v


class TextMlp(nn.Module):
    def __init__(self, hidden, inner):
        super().__init__()
        self.gate_proj, self.up_proj = nn.Linear(hidden, inner, bias=False), nn.Linear(hidden, inner, bias=False)
        self.down_proj = nn.Linear(inner, hidden, bias=False)

    def forward(self, x):
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class TextLayer(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.self_attn, self.mlp = TextAttention(config), TextMlp(config["hidden_size"], config["intermediate_size"])
        norm = lambda: RMSNorm(config["hidden_size"], config["rms_norm_eps"])
        self.input_layernorm, self.post_attention_layernorm = norm(), norm()

    def forward(self, x, cos, sin, mask, past=None):
        attended, k, v = self.self_attn(self.input_layernorm(x), cos, sin, mask, past)
        x = x + attended
        return x + self.mlp(self.post_attention_layernorm(x)), k, v


def rotation(positions, config):
    """Interleaved M-RoPE: positions int64 [3, N] (time, row, column) -> cos and sin [N, head_dim]."""
    half, sections = config["head_dim"] // 2, config["mrope_section"]
    frequencies = config["rope_theta"] ** -(torch.arange(half, dtype=torch.float32) / half)
    angles = positions[..., None].to(torch.float32) * frequencies  # [3, N, half]
    mixed = angles[0].clone()
    for axis in (1, 2):
        mixed[:, axis : 3 * sections[axis] : 3] = angles[axis][:, axis : 3 * sections[axis] : 3]
    mixed = torch.cat([mixed, mixed], dim=-1)
    return mixed.cos(), mixed.sin()


def token_positions(input_ids, image_token, grid):
    """M-RoPE positions [3, N] of one row of ids with one image of grid (rows, columns) after merging."""
    ids = input_ids.tolist()
    start, count = ids.index(image_token), grid[0] * grid[1]
    positions = torch.arange(len(ids)).expand(3, -1).clone()
    index = torch.arange(count)
    positions[0, start : start + count] = start
    positions[1, start : start + count] = start + torch.div(index, grid[1], rounding_mode="floor")
    positions[2, start : start + count] = start + index % grid[1]
    positions[:, start + count :] -= count - max(grid)
    return positions


class Text(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.embed_tokens = nn.Embedding(config["vocab_size"], config["hidden_size"])
        self.layers = nn.ModuleList([TextLayer(config) for _ in range(config["num_hidden_layers"])])
        self.norm = RMSNorm(config["hidden_size"], config["rms_norm_eps"])  # in the checkpoint, behind what is used here


class Model(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.visual, self.language_model = Vision(config["vision_config"]), Text(config["text_config"])


class Qwen3VL(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.model = Model(config)

    def forward(self, input_ids, attention_mask, pixel_values, grid):
        """input_ids and attention_mask int64 [B, N], one image each of `grid` patches -> embeddings [B, N, D] of every token."""
        vision, text, config = self.model.visual, self.model.language_model, self.config
        features, *taps = vision(pixel_values, vision.positions(grid), *vision.rotation(grid))
        merge = config["vision_config"]["spatial_merge_size"]
        rows = []
        for ids, present, own, *deep in zip(input_ids, attention_mask, features, *taps):
            cos, sin = rotation(token_positions(ids, config["image_token_id"], (grid[0] // merge, grid[1] // merge)), config["text_config"])
            seen = torch.tril(torch.ones(len(ids), len(ids))) * present
            mask = ((1 - seen) * MASKED)[None, None]
            is_image = ids == config["image_token_id"]
            x = text.embed_tokens(ids)[None]
            x[0, is_image] = own
            for i, layer in enumerate(text.layers):
                x, _, _ = layer(x, cos, sin, mask)
                if i < len(deep):
                    x[0, is_image] += deep[i]
            rows.append(x)
        return torch.cat(rows)
