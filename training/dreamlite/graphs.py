"""The six graphs of DreamLite-mobile as modules, pictures as bytes in and out (but for `te_vision`, which takes pixel_values), at one painted size.

What differs from the plain networks: positions and the picture's size are constants, keys and values of the system prompt were computed once,
the adapter's conditioning comes packed by level, and the source is put beside the noise here.
"""

import torch
from torch import nn

from training.dreamlite.lllite import SCALES, PackedConditioning
from training.dreamlite.parts import Part
from training.dreamlite.text_parts import PIXEL_VALUES, text_parts, vision_parts
from training.dreamlite.tokenizer import IMAGE_TOKENS, MAX_LENGTH
from training.dreamlite.unet_parts import unet_parts
from training.graphs import picture_in, picture_out

LATENT_CHANNELS, LATENT_SCALE = 4, 8
# What half floats are used for, by role; the U-Net's head has the prompt's projection, whose inputs are large.
HALF = {
    "te_vision": ("products",), "te_text": ("weights",), "vae_encoder": ("products",), "lllite_cond": ("products",), "unet": ("products", ["head/"]),
    "vae_decoder": ("products",),
}


class VaeEncoder(nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.net = vae.encoder

    def forward(self, image):
        return self.net(picture_in(image))


class LlliteCond(nn.Module):
    def __init__(self, adapter):
        super().__init__()
        self.net = PackedConditioning(adapter)

    def forward(self, image):
        return tuple(self.net(picture_in(image)))


class VaeDecoder(nn.Module):
    def __init__(self, vae):
        super().__init__()
        self.net = vae.decoder

    def forward(self, latents):
        return picture_out(self.net(latents))


class Graphs:
    """Parts and tensors of the six roles at a size (width, height), multiples of 32. The adapter must be attached to the U-Net."""

    def __init__(self, unet, vae, text_encoder, adapter, token_ids, size):
        width, height = size
        self.size = size
        text, self.drop = text_parts(text_encoder, token_ids)
        cond = LlliteCond(adapter)
        embeds = text_encoder.config["text_config"]["hidden_size"]
        taps = len(text_encoder.config["vision_config"]["deepstack_visual_indexes"])
        tensor = lambda name, *shape, kind="float32": (name, kind, ["batch", *shape])
        image = tensor("image", height, width, 3, kind="uint8")
        latents = lambda name: tensor(name, LATENT_CHANNELS, height // LATENT_SCALE, width // LATENT_SCALE)
        features = [tensor(name, IMAGE_TOKENS, embeds) for name in ("vision_features", *(f"deepstack_{i}" for i in range(taps)))]
        ids = [tensor(name, MAX_LENGTH, kind="int64") for name in ("input_ids", "attention_mask")]
        prompt = tensor("prompt_embeds", MAX_LENGTH - self.drop, embeds)
        mask = tensor("encoder_attention_mask", MAX_LENGTH - self.drop, kind="int64")
        hooks, channels = cond.net.hooks, next(iter(adapter.modules_dict.values())).conditioning1[-1].out_channels
        embeds_of = [tensor(f"cond_embeds_{i}", hooks[i], height // scale, width // scale, channels) for i, scale in enumerate(SCALES)]
        steps = [("timestep", "float32", ["batch"])]
        self.tensors = {
            "te_vision": ([tensor("pixel_values", *PIXEL_VALUES)], features),
            "te_text": (ids + features, [prompt]),
            "vae_encoder": ([image], [latents("source_latents")]),
            "lllite_cond": ([image], embeds_of),
            "unet": ([latents("sample"), *steps, prompt, mask, latents("source_latents"), *embeds_of, ("multiplier", "float32", [1])], [latents("velocity")]),
            "vae_decoder": ([latents("latents")], [image]),
        }
        whole = lambda role, module: [Part(role, module, *([name for name, _, _ in own] for own in self.tensors[role]))]
        self.parts = {
            "te_vision": vision_parts(text_encoder), "te_text": text, "vae_encoder": whole("vae_encoder", VaeEncoder(vae)),
            "lllite_cond": whole("lllite_cond", cond), "unet": unet_parts(unet, adapter, size, LATENT_SCALE),
            "vae_decoder": whole("vae_decoder", VaeDecoder(vae)),
        }

    def export(self, role, path, half=False):
        """Writes the graph and its weights; returns the manifest's entry."""
        from training.dreamlite.onnx_file import export  # a torch without onnx runs the parts all the same

        description = f"DreamLite-mobile {role}"
        return export(self.parts[role], self.example(role), self.tensors[role], path, description, HALF[role] if half else None)

    def example(self, role, batch=2, seed=0):
        """Inputs of a role, for tracing."""
        generator = torch.Generator().manual_seed(seed)
        made = []
        for name, kind, shape in self.tensors[role][0]:
            sides = [batch if side == "batch" else side for side in shape]
            if kind == "uint8":
                made.append(torch.randint(0, 256, sides, generator=generator, dtype=torch.uint8))
            elif kind == "int64":
                made.append(torch.ones(sides, dtype=torch.int64))
            elif name == "timestep":
                made.append(torch.linspace(1000.0, 600.0, batch))
            else:
                made.append(torch.randn(sides, generator=generator))
        return made
