"""DreamLite-mobile's U-Net (arXiv 2606.05981), with the state-dict names of diffusers' DreamLiteUNetModel.

0.39 B parameters at full size. Depthwise separable convolutions, one key and value head for all query heads, RMSNorm on queries and keys,
self-attention on the lowest level alone. A block without it replaces its input by the first LayerNorm of it, without a residual.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

NORM_EPS = 1e-5
ENTRY_NORM_EPS = 1e-6  # of the GroupNorm in front of the transformer blocks


class RMSNorm(nn.Module):
    def __init__(self, channels, eps):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.eps = eps

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.weight


def sinusoid(values, channels):
    """Cosines, then sines, of numbers [N] -> [N, channels] (diffusers' Timesteps: flip_sin_to_cos, no shift)."""
    half = channels // 2
    frequencies = torch.exp(-math.log(10000) * torch.arange(half, dtype=torch.float32, device=values.device) / half)
    angles = values[:, None] * frequencies
    return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class TimestepEmbedding(nn.Module):
    def __init__(self, into, out):
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(into, out), nn.Linear(out, out)

    def forward(self, x):
        return self.linear_2(F.silu(self.linear_1(x)))


class SeparableConv(nn.Module):
    def __init__(self, into, out):
        super().__init__()
        self.depthwise = nn.Conv2d(into, into, 3, padding=1, groups=into, bias=False)
        self.pointwise = nn.Conv2d(into, out, 1, bias=False)

    def forward(self, x):
        return self.pointwise(self.depthwise(x))


class Resnet(nn.Module):
    def __init__(self, into, out, time_channels, groups):
        super().__init__()
        self.norm1, self.norm2 = nn.GroupNorm(groups, into, eps=NORM_EPS), nn.GroupNorm(groups, 2 * out, eps=NORM_EPS)
        self.conv1, self.conv2 = SeparableConv(into, 2 * out), SeparableConv(2 * out, out)
        self.time_emb_proj = nn.Linear(time_channels, 2 * out)
        self.conv_shortcut = nn.Conv2d(into, out, 1) if into != out else None

    def forward(self, x, temb):
        h = self.conv1(F.silu(self.norm1(x))) + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return (x if self.conv_shortcut is None else self.conv_shortcut(x)) + h


class Attention(nn.Module):
    """Multi-query attention: `heads` of queries, `kv_heads` of keys and values, each of `head_dim`."""

    def __init__(self, channels, context_channels, heads, kv_heads):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, channels // heads
        self.to_q = nn.Linear(channels, channels, bias=False)
        self.to_k = nn.Linear(context_channels, kv_heads * self.head_dim, bias=False)
        self.to_v = nn.Linear(context_channels, kv_heads * self.head_dim, bias=False)
        self.norm_q, self.norm_k = RMSNorm(self.head_dim, NORM_EPS), RMSNorm(self.head_dim, NORM_EPS)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels), nn.Identity()])

    def forward(self, x, context=None, mask=None):
        """x [B, N, C], context [B, L, D], mask additive [B, 1, L]. Grouped queries meet their key head by broadcasting: no copies of it."""
        source = x if context is None else context
        length, tokens = int(x.shape[1]), int(source.shape[1])
        group = self.heads // self.kv_heads
        q = self.norm_q(self.to_q(x).reshape(-1, length, self.kv_heads, group, self.head_dim))
        k = self.norm_k(self.to_k(source).reshape(-1, tokens, self.kv_heads, self.head_dim))
        v = self.to_v(source).reshape(-1, tokens, self.kv_heads, self.head_dim).permute(0, 2, 1, 3)
        q = q.permute(0, 2, 3, 1, 4).reshape(-1, self.kv_heads, group * length, self.head_dim)
        scores = torch.matmul(q * self.head_dim**-0.5, k.permute(0, 2, 3, 1))
        if mask is not None:
            scores = scores + mask[:, None]
        mixed = torch.matmul(torch.softmax(scores, dim=-1), v).reshape(-1, self.heads, length, self.head_dim)
        return self.to_out[0](mixed.permute(0, 2, 1, 3).reshape(-1, length, self.heads * self.head_dim))


class Gate(nn.Module):
    def __init__(self, channels, inner):
        super().__init__()
        self.proj = nn.Linear(channels, 2 * inner)

    def forward(self, x):
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    def __init__(self, channels, mult):
        super().__init__()
        self.net = nn.ModuleList([Gate(channels, mult * channels), nn.Identity(), nn.Linear(mult * channels, channels)])

    def forward(self, x):
        return self.net[2](self.net[0](x))


class TransformerBlock(nn.Module):
    def __init__(self, channels, context_channels, heads, config, self_attention):
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(channels, eps=NORM_EPS) for _ in range(3))
        self.attn1 = Attention(channels, channels, heads, config["num_kv_heads"]) if self_attention else None
        self.attn2 = Attention(channels, context_channels, heads, config["num_kv_heads"])
        self.ff = FeedForward(channels, config["ff_mult"])

    def forward(self, x, context, mask):
        x = self.norm1(x) if self.attn1 is None else x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context, mask)
        return x + self.ff(self.norm3(x))


class Transformer(nn.Module):
    def __init__(self, channels, heads, depth, config, self_attention):
        super().__init__()
        self.norm = nn.GroupNorm(config["norm_num_groups"], channels, eps=ENTRY_NORM_EPS)
        self.proj_in, self.proj_out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        block = lambda: TransformerBlock(channels, config["cross_attention_dim"], heads, config, self_attention)
        self.transformer_blocks = nn.ModuleList([block() for _ in range(depth)])

    def forward(self, x, context, mask):
        channels, height, width = map(int, x.shape[1:])
        h = self.proj_in(self.norm(x).permute(0, 2, 3, 1).reshape(-1, height * width, channels))
        for block in self.transformer_blocks:
            h = block(h, context, mask)
        return self.proj_out(h).reshape(-1, height, width, channels).permute(0, 3, 1, 2) + x


class Sampler(nn.Module):
    """A stride of 2, or nearest x2 and a convolution."""

    def __init__(self, channels, up):
        super().__init__()
        self.up = up
        self.conv = nn.Conv2d(channels, channels, 3, padding=1, stride=1 if up else 2)

    def forward(self, x):
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest") if self.up else x)


class Stage(nn.Module):
    """One down or up block: resnets, each with a transformer where `depth` is not 0, then a sampler where there is one."""

    def __init__(self, widths, channels, level, depth, config, self_attention, sampler=None):
        super().__init__()
        time_channels, groups = 4 * config["block_out_channels"][0], config["norm_num_groups"]
        heads = config["attention_head_dim"][level]  # diffusers calls the number of heads so
        self.resnets = nn.ModuleList([Resnet(width, channels, time_channels, groups) for width in widths])
        self.attentions = nn.ModuleList([Transformer(channels, heads, depth, config, self_attention) for _ in widths if depth])
        if sampler:
            setattr(self, sampler, nn.ModuleList([Sampler(channels, up=sampler == "upsamplers")]))

    def layer(self, i, x, temb, context, mask):
        x = self.resnets[i](x, temb)
        return self.attentions[i](x, context, mask) if len(self.attentions) else x


class MidStage(nn.Module):
    def __init__(self, config):
        super().__init__()
        channels, level = config["block_out_channels"][-1], len(config["block_out_channels"]) - 1
        time_channels, groups = 4 * config["block_out_channels"][0], config["norm_num_groups"]
        self.resnets = nn.ModuleList([Resnet(channels, channels, time_channels, groups) for _ in range(2)])
        depth = config["transformer_layers_per_block"][-1]
        self.attentions = nn.ModuleList([Transformer(channels, config["attention_head_dim"][level], depth, config, True)])

    def forward(self, x, temb, context, mask):
        return self.resnets[1](self.attentions[0](self.resnets[0](x, temb), context, mask), temb)


class UNet(nn.Module):
    """sample [B, 4, h, 2w] (left half painted, right half the source), timestep [B] in 0..1000 -> velocity [B, 4, h, 2w]."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        widths, layers, depths = config["block_out_channels"], config["layers_per_block"], config["transformer_layers_per_block"]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.time_embedding = TimestepEmbedding(widths[0], 4 * widths[0])
        self.add_embedding = TimestepEmbedding(config["projection_class_embeddings_input_dim"], 4 * widths[0])
        context = config["cross_attention_dim"]
        self.encoder_hid_proj = nn.Sequential(nn.Linear(config["encoder_hid_dim"], context), RMSNorm(context, NORM_EPS))
        skips, down = [widths[0]], []
        for level, channels in enumerate(widths):
            into = [widths[max(level - 1, 0)]] + [channels] * (layers - 1)
            sampler = "downsamplers" if level < last else None
            down.append(Stage(into, channels, level, depths[level], config, level == last, sampler))
            skips += [channels] * (layers + (level < last))
        up, before = [], widths[-1]
        for level in range(last, -1, -1):
            into = [(before if i == 0 else widths[level]) + skips.pop() for i in range(layers + 1)]
            depth = depths[level] if level else 0
            up.append(Stage(into, widths[level], level, depth, config, level == last, "upsamplers" if level else None))
            before = widths[level]
        self.down_blocks, self.up_blocks, self.mid_block = nn.ModuleList(down), nn.ModuleList(up), MidStage(config)
        self.conv_norm_out = nn.GroupNorm(config["norm_num_groups"], widths[0], eps=NORM_EPS)
        self.conv_out = nn.Conv2d(widths[0], config["out_channels"], 3, padding=1)

    def forward(self, sample, timestep, encoder_hidden_states, encoder_attention_mask, time_ids):
        """encoder_hidden_states [B, L, D], encoder_attention_mask int64 [B, L], time_ids [B, 2] = width and height of the picture in pixels."""
        temb = self.time_embedding(sinusoid(timestep, self.config["block_out_channels"][0]))
        sizes = sinusoid(time_ids.reshape(-1), self.config["addition_time_embed_dim"])
        temb = temb + self.add_embedding(sizes.reshape(-1, 2 * self.config["addition_time_embed_dim"]))
        context = self.encoder_hid_proj(encoder_hidden_states)
        mask = (1 - encoder_attention_mask.to(torch.float32))[:, None] * -10000.0
        x = self.conv_in(sample)
        skips = [x]
        for block in self.down_blocks:
            for i in range(len(block.resnets)):
                x = block.layer(i, x, temb, context, mask)
                skips.append(x)
            if hasattr(block, "downsamplers"):
                x = block.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block(x, temb, context, mask)
        for block in self.up_blocks:
            for i in range(len(block.resnets)):
                x = block.layer(i, torch.cat([x, skips.pop()], dim=1), temb, context, mask)
            if hasattr(block, "upsamplers"):
                x = block.upsamplers[0](x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))
