"""What the plain networks give for one picture and one prompt, so that a test of the graphs in another runtime can compare.

The plain form takes none of the short cuts of `graphs.py`: every token is computed, positions come from the ids, and every hook of the adapter
runs its own convolutions on the conditioning picture.
"""

import base64

import numpy as np
import torch

from training.dreamlite.graphs import LATENT_CHANNELS, LATENT_SCALE
from training.dreamlite.qwen3vl import patches
from training.dreamlite.text_parts import GRID, VISION_SIDE
from training.graphs import picture_in, picture_out

PROMPT = "transfer this to oil painting style, vibrant colors"
TIMESTEP = 1000.0
PROMPTS = (PROMPT, "anime", "Zażółć gęślą jaźń, 42 brush-strokes\n(it's 2 o'clock) 🎨")


def gradient(width, height):
    """A picture that no two patches of which are alike: uint8 [1, height, width, 3]."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x * 255 // (width - 1), y * 255 // (height - 1), (x * 3 + y * 5) % 256], dim=-1).to(torch.uint8)[None]


def packed(tensor):
    array = np.ascontiguousarray(tensor.detach().numpy())
    return {"type": str(array.dtype), "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def fixture(unet, vae, text_encoder, adapter, tokenizer, size):
    """Tensors by name, packed; the adapter must be attached to the U-Net."""
    width, height = size
    ids, mask = (torch.tensor([row]) for row in tokenizer.padded(PROMPT))
    drop = int((ids[0] == text_encoder.config["vision_start_token_id"]).nonzero()[0])
    image, te_image = gradient(width, height), gradient(VISION_SIDE, VISION_SIDE)
    cond_image = image.flip(1)
    generator = torch.Generator().manual_seed(42)
    noise = torch.randn(1, LATENT_CHANNELS, height // LATENT_SCALE, width // LATENT_SCALE, generator=generator)
    with torch.no_grad():
        prompt_embeds, kept = text_encoder(ids, mask, patches(te_image), GRID)[:, drop:], mask[:, drop:]
        latents = vae.encode(picture_in(image))
        sample, times = torch.cat([noise, latents], dim=3), torch.tensor([[width, height]], dtype=torch.float32)
        velocity = lambda: unet(sample, torch.tensor([TIMESTEP]), prompt_embeds, kept, times)[..., : noise.shape[3]]
        adapter.bind({}, None)
        plain = velocity()
        adapter.bind_image(picture_in(cond_image), 1.0)
        adapted = velocity()
        adapter.bind({}, None)
        painting = picture_out(vae.decode(noise - plain))
    tensors = {
        "image": image, "te_image": te_image, "input_ids": ids, "attention_mask": mask, "cond_image": cond_image, "sample": noise,
        "prompt_embeds": prompt_embeds, "source_latents": latents, "velocity": plain, "velocity_adapted": adapted, "painting": painting,
    }
    tokens = [{"prompt": prompt, "ids": tokenizer.padded(prompt)[0]} for prompt in PROMPTS]
    return {"prompt": PROMPT, "timestep": TIMESTEP, "tokens": tokens, "tensors": {name: packed(tensor) for name, tensor in tensors.items()}}
