"""The lite model: an instruction-conditioned edit U-Net with a vision-language encoder, all small enough for a CPU.

Conventions: flow matching, z_t = (1 - t) x0 + t noise, v = noise - x0, timestep = 1000 t. Pictures inside are float
[B, 3, H, W] in [-1, 1]; latents [B, 16, H/4, W/4]; prompt_embeds [B, 16, 192].
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

LATENT_CHANNELS = 16
DETAIL_CHANNELS = 16
WIDTH = 192
QUERIES = 16
TOKENS = 32
VISION_SIDE = 128
VISION_TOKENS = 64
CHANNELS = (32, 64, 96, 128)
EMBED = 128
SMEARED, DIRECTIONS, REACH = 4, 8, 4  # Channels of the noise that are smeared, along how many directions, how many cells each way.


def bound(x):
    """TAESD's soft clamp to +-3."""
    return 3 * torch.tanh(x / 3)


class Norm(nn.GroupNorm):
    """GroupNorm of 8 groups, in fp32 whatever comes in."""

    def __init__(self, channels):
        super().__init__(8, channels)

    def forward(self, x):
        return super().forward(x.float())


class Residual(nn.Module):
    """x + conv(relu(conv(relu(film(x))))). hook(h), when given, changes the first convolution's input.

    Nothing but a Relu stands between the two convolutions, so that in int8 they follow each other without a float between them.
    """

    def __init__(self, channels, film=False, activation=F.relu):
        super().__init__()
        self.activation = activation
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.film = nn.Linear(EMBED, 2 * channels) if film else None
        nn.init.zeros_(self.second.bias)
        with torch.no_grad():
            self.second.weight.mul_(0.3)
        if film:
            nn.init.zeros_(self.film.bias)
            with torch.no_grad():
                self.film.weight.mul_(0.3)

    def forward(self, x, embed=None, hook=None):
        h = x
        if self.film is not None:
            scale, shift = self.film(embed)[:, :, None, None].chunk(2, dim=1)
            h = h * (1 + scale) + shift
        h = self.activation(h)
        if hook is not None:
            h = hook(h)
        return x + self.second(self.activation(self.first(h)))


class Screen(nn.Module):
    """Adds to a map at a quarter of the picture's size which cells of the paper are even and which odd, like a chessboard.

    Convolutions don't know that, and a halftone screen is fixed to the paper. Starts as nothing. On the details, where it is one
    addition to 16 channels, it costs 0.1 ms; on the decoder's features it cost 0.5.
    """

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x):
        sign = lambda size: 1.0 - 2.0 * (torch.arange(size, device=x.device) % 2).to(torch.float32)
        return x + self.weight * (sign(x.shape[2])[:, None] * sign(x.shape[3])[None, :])


class Encoder(nn.Module):
    """Picture -> (latents [B, 16, H/4, W/4], details [B, 16, H/4, W/4] for the decoder)."""

    def __init__(self, latents=LATENT_CHANNELS, details=DETAIL_CHANNELS, activation=F.relu):
        super().__init__()
        self.activation = activation
        self.patch = nn.Conv2d(3, 48, 4, stride=4)
        self.mix = nn.Conv2d(48, 32, 3, padding=1)
        self.block = Residual(32, activation=activation)
        self.latents = nn.Conv2d(32, latents, 1)
        self.details = nn.Conv2d(48 + 32, details, 1)
        self.screen = Screen(details)

    def forward(self, picture):
        patches = self.patch(picture)
        h = self.block(self.mix(self.activation(patches)))
        return bound(self.latents(h)), self.screen(self.details(torch.cat([patches, h], dim=1)))


class Decoder(nn.Module):
    """(latents, details) -> picture [B, 3, H, W], about [-1, 1], not clamped."""

    def __init__(self, latents=LATENT_CHANNELS, details=DETAIL_CHANNELS, activation=F.relu):
        super().__init__()
        self.activation = activation
        self.enter = nn.Conv2d(latents + details, 32, 3, padding=1)
        self.block = Residual(32, activation=activation)
        self.leave = nn.Conv2d(32, 48, 3, padding=1)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)

    def forward(self, latents, details):
        h = self.block(self.enter(torch.cat([latents, details], dim=1)))
        return F.pixel_shuffle(self.leave(self.activation(h)), 4)


class Attention(nn.Module):
    """Multi-head attention with plain matrix products (they export to MatMul and Softmax)."""

    def __init__(self, width, context, heads):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(context, width)
        self.value = nn.Linear(context, width)
        self.out = nn.Linear(width, width)

    def forward(self, x, context, mask=None):
        split = lambda y: y.reshape(y.shape[0], y.shape[1], self.heads, -1).transpose(1, 2)
        q, k, v = split(self.query(x)), split(self.key(context)), split(self.value(context))
        scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5)
        if mask is not None:
            scores = scores + mask
        y = scores.softmax(-1) @ v
        return self.out(y.transpose(1, 2).reshape(x.shape[0], x.shape[1], -1))


class Layer(nn.Module):
    """A pre-norm transformer layer."""

    def __init__(self, width=WIDTH, heads=6):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, width, heads)
        self.wide, self.narrow = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x, mask=None):
        h = self.norm1(x)
        x = x + self.attention(h, h, mask)
        return x + self.narrow(F.silu(self.wide(self.norm2(x))))


class VisionEncoder(nn.Module):
    """The whole frame squashed to [B, 3, 128, 128] -> vision_features [B, 64, 192]."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 48, 4, stride=4), nn.SiLU(), nn.Conv2d(48, 96, 2, stride=2), nn.SiLU(), nn.Conv2d(96, WIDTH, 2, stride=2)
        )
        self.position = nn.Parameter(torch.randn(1, VISION_TOKENS, WIDTH) * 0.02)
        self.layers = nn.ModuleList([Layer(), Layer()])

    def forward(self, picture):
        x = self.stem(picture).flatten(2).transpose(1, 2) + self.position
        for layer in self.layers:
            x = layer(x)
        return x


class TextEncoder(nn.Module):
    """Token ids, mask [B, 32] and vision features -> prompt_embeds [B, 16, 192]: learned queries that read both."""

    def __init__(self, vocabulary):
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, WIDTH)
        self.position = nn.Parameter(torch.randn(1, TOKENS, WIDTH) * 0.02)
        self.queries = nn.Parameter(torch.randn(1, QUERIES, WIDTH) * 0.5)
        self.layers = nn.ModuleList([Layer() for _ in range(4)])
        self.norm = nn.LayerNorm(WIDTH)
        nn.init.normal_(self.tokens.weight, std=0.3)

    def forward(self, input_ids, attention_mask, vision_features):
        text = self.tokens(input_ids) + self.position
        queries = self.queries.expand(text.shape[0], -1, -1)
        x = torch.cat([queries, text, vision_features], dim=1)
        seen = attention_mask.to(x.dtype)
        ones = lambda like: torch.ones_like(like[:, :, 0])
        mask = torch.cat([ones(queries), seen, ones(vision_features)], dim=1)
        mask = (mask - 1)[:, None, None, :] * 10000.0
        for layer in self.layers:
            x = layer(x, mask)
        return self.norm(x[:, :QUERIES])


class CrossAttention(nn.Module):
    """Adds what the prompt says to each place of a feature map."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.attention = Attention(channels, WIDTH, channels // 32)

    def forward(self, x, prompt):
        y = x.flatten(2).transpose(1, 2)
        y = self.attention(self.norm(y), prompt)
        return x + y.transpose(1, 2).reshape(x.shape)


def wave(timestep, size=64):
    """Sinusoidal embedding [B, size] of a raw timestep 0..1000."""
    rate = torch.exp(torch.arange(size // 2, dtype=torch.float32, device=timestep.device) * (-math.log(10000.0) / (size // 2)))
    phase = timestep[:, None] * rate[None]
    return torch.cat([phase.cos(), phase.sin()], dim=1)


class Strokes(nn.Module):
    """Noise [B, C, h, w] -> its first channels smeared along straight lines of every direction, [B, 32, h, w], of unit variance. Nothing is learned.

    A bristle, a dash and a hatch are noise smeared along a direction (teachers/orientation.py). What the picture says of the direction is
    multiplied with these; convolutions alone would have to learn such products from sums.
    """

    def __init__(self):
        super().__init__()
        y, x = torch.meshgrid(*[torch.arange(-REACH, REACH + 1, dtype=torch.float32)] * 2, indexing="ij")
        lines = []
        for i in range(DIRECTIONS):
            angle = math.pi * i / DIRECTIONS
            along, across = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
            line = torch.exp(-0.5 * (across / 0.6) ** 2) * torch.exp(-((along / (0.9 * REACH)) ** 4))
            lines.append(line / line.square().sum().sqrt())
        count = SMEARED * DIRECTIONS
        self.lines = nn.Conv2d(count, count, 2 * REACH + 1, padding=REACH, groups=count, bias=False).requires_grad_(False)
        with torch.no_grad():
            self.lines.weight.copy_(torch.stack(lines).repeat_interleave(SMEARED, dim=0)[:, None])

    def forward(self, noise):
        return self.lines(torch.cat([noise[:, :SMEARED]] * DIRECTIONS, dim=1))


class Form(nn.Module):
    """Source latents [B, 16, h, w] -> smeared noise [B, 32, h, w] -> the same along the picture's edges, [B, 4, h, w].

    The direction is that of a structure tensor of two scales, so that flat places take it from their neighbours (teachers/orientation.py,
    after Kyprianidis and Kang 2011). It is made of squares and of a quotient, which convolutions don't find: without it strokes lay level
    over flat ground and followed no form. Learned are the greys that it is of, and the direction where there is none.
    """

    def __init__(self, near=3, far=4):
        super().__init__()
        self.near, self.far = near, far
        self.grey = nn.Conv2d(LATENT_CHANNELS, 1, 1)
        self.rest = nn.Parameter(torch.tensor([2e-3, 8e-4])[:, None, None])
        fixed = lambda *shape: nn.Conv2d(*shape, bias=False).requires_grad_(False)
        self.slopes, self.agree, self.join = fixed(1, 2, 3), fixed(2, SMEARED * DIRECTIONS, 1), fixed(SMEARED * DIRECTIONS, SMEARED, 1)
        angles = torch.arange(DIRECTIONS) * (2 * math.pi / DIRECTIONS)
        scharr = torch.tensor([[-3.0, 0, 3], [-10, 0, 10], [-3, 0, 3]]) / 32
        with torch.no_grad():
            self.slopes.weight.copy_(torch.stack([scharr, scharr.T])[:, None])
            self.agree.weight.copy_(torch.stack([angles.cos(), angles.sin()], dim=1).repeat_interleave(SMEARED, dim=0)[:, :, None, None])
            self.join.weight.copy_(torch.eye(SMEARED).repeat(1, DIRECTIONS)[:, :, None, None])

    def direction(self, latents):
        """The double angle of the edges as a unit vector [B, 2, h, w]."""
        grey = self.grey(latents)
        # Its border repeated, which the exporter can't fold as F.pad.
        grey = torch.cat([grey[:, :, :1], grey, grey[:, :, -1:]], dim=2)
        grey = torch.cat([grey[..., :1], grey, grey[..., -1:]], dim=3)
        slopes = self.slopes(grey)
        x, y = slopes[:, :1], slopes[:, 1:]
        around = lambda map: F.avg_pool2d(map, self.near, 1, self.near // 2, count_include_pad=False)
        near = around(torch.cat([y * y - x * x, -2 * x * y], dim=1))
        far = around(around(F.avg_pool2d(near, self.far, count_include_pad=False)))
        both = near + F.interpolate(far, scale_factor=float(self.far), mode="bilinear", align_corners=False)
        both = both + self.rest
        return both / (both.square().sum(dim=1, keepdim=True) + 1e-10).sqrt()

    def forward(self, latents, smeared):
        agree = F.relu(self.agree(self.direction(latents))).square().square()
        return self.join(agree * smeared)


class UNet(nn.Module):
    """Predicts x0 from (sample, source_latents, prompt, t) and returns the velocity (sample - x0) / t."""

    def __init__(self):
        super().__init__()
        c0, c1, c2, c3 = CHANNELS
        block = lambda channels: Residual(channels, film=True)
        self.time = nn.Sequential(nn.Linear(64, EMBED), nn.SiLU(), nn.Linear(EMBED, EMBED))
        self.pool = nn.Linear(WIDTH, 1)
        self.prompt = nn.Linear(WIDTH, EMBED)
        self.enter = nn.Conv2d(2 * LATENT_CHANNELS, c0, 3, padding=1)
        self.down0 = block(c0)
        self.to1, self.norm1 = nn.Conv2d(c0, c1, 2, stride=2), Norm(c1)
        self.down1a, self.down1b = block(c1), block(c1)
        self.to2, self.norm2 = nn.Conv2d(c1, c2, 2, stride=2), Norm(c2)
        self.down2a, self.down2b, self.read2 = block(c2), block(c2), CrossAttention(c2)
        self.to3, self.norm3 = nn.Conv2d(c2, c3, 2, stride=2), Norm(c3)
        self.read3, self.mid = CrossAttention(c3), block(c3)
        self.from3 = nn.Conv2d(c3, c2, 1)
        self.up2 = block(c2)
        self.from2 = nn.Conv2d(c2, c1, 1)
        self.up1 = block(c1)
        self.from1 = nn.Conv2d(c1, c0, 1)
        self.strokes = Strokes()
        self.direct, self.brush = nn.Conv2d(c1, SMEARED * DIRECTIONS, 1), nn.Conv2d(SMEARED * DIRECTIONS, c0, 1, bias=False)
        # Along the form: the smeared noise, and how strong it is whatever its sign, which is where a groove or a ridge lies.
        self.form = Form()
        self.amount, self.follow = nn.Conv2d(c1, 4 * SMEARED, 1), nn.Conv2d(4 * SMEARED, c0, 1, bias=False)
        self.up0 = block(c0)
        self.leave = nn.Conv2d(c0, LATENT_CHANNELS, 3, padding=1)
        nn.init.zeros_(self.leave.bias)
        with torch.no_grad():
            self.leave.weight.mul_(0.1)
            self.brush.weight.mul_(0.3)
            self.follow.weight.mul_(0.5)

    def embed(self, timestep, prompt):
        """FiLM embedding [B, 128] of the time and of the prompt's learned mean."""
        weights = self.pool(prompt).softmax(dim=1)
        return F.silu(self.time(wave(timestep)) + self.prompt((weights * prompt).sum(dim=1)))

    def predict(self, sample, timestep, prompt, source_latents, hooks=None):
        """x0 [B, 16, H/4, W/4]. hooks maps a block's name to the adapter's function on its input (on features and x0 for `leave`)."""
        hooks = hooks or {}
        e = self.embed(timestep, prompt)
        run = lambda name, x: getattr(self, name)(x, e, hooks.get(name))
        double = lambda x: F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.enter(torch.cat([sample, source_latents], dim=1))
        skip0 = x = run("down0", x)
        x = run("down1b", run("down1a", self.norm1(self.to1(x))))
        skip1 = x
        x = run("down2b", run("down2a", self.norm2(self.to2(x))))
        skip2 = x = self.read2(x, prompt)
        x = run("mid", self.read3(self.norm3(self.to3(x)), prompt))
        x = run("up2", double(self.from3(x)) + skip2)
        x = run("up1", double(self.from2(x)) + skip1)
        smeared = self.strokes(sample)
        along = self.form(source_latents, smeared)
        laid = self.brush(double(self.direct(x)) * smeared)
        laid = laid + self.follow(double(self.amount(x)) * torch.cat([along, along.abs()] * 2, dim=1))
        x = run("up0", double(self.from1(x)) + skip0 + laid)
        features = F.relu(x)
        x0 = bound(self.leave(features))
        return hooks["leave"](features, x0) if "leave" in hooks else x0

    def forward(self, sample, timestep, prompt, source_latents, hooks=None):
        x0 = self.predict(sample, timestep, prompt, source_latents, hooks)
        t = (timestep / 1000).clamp(min=0.05)[:, None, None, None]
        return (sample - x0) / t


class Lite(nn.Module):
    """Everything but the temporal adapter, so that one state dict holds the base."""

    def __init__(self, vocabulary):
        super().__init__()
        self.te_vision = VisionEncoder()
        self.te_text = TextEncoder(vocabulary)
        self.encoder = Encoder()
        self.unet = UNet()
        self.decoder = Decoder()

    def prompt(self, input_ids, attention_mask, squashed):
        return self.te_text(input_ids, attention_mask, self.te_vision(squashed))

    def paint(self, picture, noise, prompt, hooks=None):
        """One step, T = 1: picture [B, 3, H, W] and noise [B, 16, H/4, W/4] -> painting [B, 3, H, W]."""
        return self.decoder(*self.paint_latents(picture, noise, prompt, hooks))

    def paint_latents(self, picture, noise, prompt, hooks=None):
        """As paint; what the decoder is given: latents [B, 16, H/4, W/4], and the picture's details."""
        source_latents, details = self.encoder(picture)
        full = torch.full((picture.shape[0],), 1000.0, device=picture.device)
        return self.unet.predict(noise, full, prompt, source_latents, hooks), details
