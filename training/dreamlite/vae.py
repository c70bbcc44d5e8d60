"""TAESDXL: diffusers' AutoencoderTiny, 8 pixels a side to one latent of 4 channels, with its state-dict names.

Latents need no scale and no shift (scaling_factor 1). Pictures are [-1, 1] outside and [0, 1] inside.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, channels):
        super().__init__()
        conv = lambda: nn.Conv2d(channels, channels, 3, padding=1)
        self.conv = nn.Sequential(conv(), nn.ReLU(), conv(), nn.ReLU(), conv())

    def forward(self, x):
        return F.relu(self.conv(x) + x)


class Encoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        layers = []
        for level, (channels, blocks) in enumerate(zip(config["encoder_block_out_channels"], config["num_encoder_blocks"])):
            if level == 0:
                layers.append(nn.Conv2d(config["in_channels"], channels, 3, padding=1))
            else:
                layers.append(nn.Conv2d(channels, channels, 3, padding=1, stride=2, bias=False))
            layers += [Block(channels) for _ in range(blocks)]
        layers.append(nn.Conv2d(channels, config["latent_channels"], 3, padding=1))
        self.layers = nn.Sequential(*layers)

    def forward(self, picture):
        return self.layers((picture + 1) / 2)


class Decoder(nn.Module):
    def __init__(self, config):
        super().__init__()
        widths, counts = config["decoder_block_out_channels"], config["num_decoder_blocks"]
        layers = [nn.Conv2d(config["latent_channels"], widths[0], 3, padding=1), nn.ReLU()]
        for level, (channels, blocks) in enumerate(zip(widths, counts)):
            last = level == len(widths) - 1
            layers += [Block(channels) for _ in range(blocks)]
            if not last:
                layers.append(nn.Upsample(scale_factor=2))
            layers.append(nn.Conv2d(channels, config["out_channels"] if last else channels, 3, padding=1, bias=last))
        self.layers = nn.Sequential(*layers)

    def forward(self, latents):
        return self.layers(torch.tanh(latents / 3) * 3) * 2 - 1


class AutoencoderTiny(nn.Module):
    """`encode` [B, 3, H, W] in [-1, 1] -> latents [B, 4, H/8, W/8]; `decode` back."""

    def __init__(self, config):
        super().__init__()
        self.encoder, self.decoder = Encoder(config), Decoder(config)

    def encode(self, picture):
        return self.encoder(picture)

    def decode(self, latents):
        return self.decoder(latents)
