"""The graphs of the transformer, of static shapes; docs/causal-dit.md has their table.

Keys and values of the past are inputs, one of each a layer, and the frame's own are outputs: who runs the graphs keeps them.
"""

import torch
from torch import nn

from training.causal_dit.model import LATENT_CHANNELS, PATCH, Made, place_angles, velocity
from training.model import QUERIES
from training.model import WIDTH as PROMPT_WIDTH

# Constants that stay fp32 where weights are stored as fp16: angles of half precision would be another model.
FULL = ("cos", "sin")


class _OnGrid(nn.Module):
    """A part of the model at one size of latents, with the angles of its places as constants."""

    def __init__(self, model, grid):
        super().__init__()
        self.model = model
        cos, sin = place_angles(model.size.head, *grid)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    @property
    def places(self):
        return self.cos, self.sin


class Prompt(nn.Module):
    """prompt_embeds -> keys and values of all layers, [layers, heads, 16, head]."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, prompt_embeds):
        words = self.model.words(prompt_embeds)
        return torch.cat([key for key, _ in words]), torch.cat([value for _, value in words])


class Reference(_OnGrid):
    """Latents of the reference -> key_0, value_0, key_1, ..."""

    def forward(self, reference_latents):
        return tuple(part for pair in self.model.anchor(reference_latents, self.places) for part in pair)


class Step(_OnGrid):
    """One pass over one frame: its velocity, and its keys and values. At timestep 0 the keys and values are those to keep."""

    def forward(self, sample, timestep, source_latents, prompt_keys, prompt_values, attention_bias, *past):
        return self._step(sample, timestep, source_latents, prompt_keys, prompt_values, attention_bias, past)

    def _step(self, sample, timestep, source_latents, prompt_keys, prompt_values, attention_bias, past, kept=None, own=None):
        words = [(prompt_keys[i : i + 1], prompt_values[i : i + 1]) for i in range(len(self.model.blocks))]
        time = timestep * 0.001
        x0, made = self.model.step(sample, source_latents, time, words, _by_layer(past), attention_bias, self.places, kept, own)
        return (velocity(sample, x0, time), made.hidden, *(part for pair in made.layers for part in pair))


class StepKept(Step):
    """The same for some tokens; own_hidden, own_key_n, own_value_n are the frame's before, and what is given has theirs where nothing was painted."""

    def forward(self, sample, timestep, source_latents, prompt_keys, prompt_values, attention_bias, kept, own_hidden, *past_and_own):
        half = len(past_and_own) // 2
        own = Made(_by_layer(past_and_own[half:]), own_hidden)
        return self._step(sample, timestep, source_latents, prompt_keys, prompt_values, attention_bias, past_and_own[:half], kept, own)


class Buffer(_OnGrid):
    """One pass over a moving buffer of B frames: the velocity of each at its own timestep. reference_shown is 0 where there is no reference."""

    def forward(self, sample, timestep, source_latents, prompt_keys, prompt_values, reference_shown, *reference):
        words = [(prompt_keys[i : i + 1], prompt_values[i : i + 1]) for i in range(len(self.model.blocks))]
        time = timestep * 0.001
        mask = torch.ones(sample.shape[0], sample.shape[0], dtype=torch.bool)
        x0 = self.model(sample[None], source_latents[None], time[None], words, mask, None, _by_layer(reference), reference_shown)[0]
        return velocity(sample, x0, time)


def _by_layer(tensors):
    return list(zip(tensors[::2], tensors[1::2]))


def modules(model, grid):
    """Role -> module; grid: rows and columns of tokens."""
    return {
        "dit_prompt": Prompt(model), "dit_reference": Reference(model, grid), "dit_step": Step(model, grid), "dit_step_kept": StepKept(model, grid),
        "dit_buffer": Buffer(model, grid),
    }


def _pairs(prefix, layers, shape):
    return [(f"{prefix}{kind}_{i}", "float32", shape) for i in range(layers) for kind in ("key", "value")]


def tensors(size, grid, frames, kept, chunk=1):
    """Role -> (inputs, outputs), each a list of (name, type, shape).

    frames: how many the window has; kept: how many tokens `dit_step_kept` paints; chunk: frames that leave `dit_buffer` in a pass, half of those in it.
    """
    rows, columns = grid
    own = rows * columns
    past = (1 + frames) * own  # A reference is as large as a frame.
    latents = [1, LATENT_CHANNELS, rows * PATCH, columns * PATCH]
    heads = lambda count: [1, size.heads, count, size.head]
    words = [(name, "float32", [size.layers, size.heads, QUERIES, size.head]) for name in ("prompt_keys", "prompt_values")]
    conditions = [
        ("sample", "float32", latents), ("timestep", "float32", [1]), ("source_latents", "float32", latents), *words,
        ("attention_bias", "float32", [1, 1, 1, past + own]),
    ]
    held, before = _pairs("past_", size.layers, heads(past)), _pairs("own_", size.layers, heads(own))
    film = [2 * chunk, *latents[1:]]
    buffer = [
        ("sample", "float32", film), ("timestep", "float32", film[:1]), ("source_latents", "float32", film), *words,
        ("reference_shown", "float32", [1]), *_pairs("reference_", size.layers, heads(own)),
    ]
    hidden = lambda name: (name, "float32", [1, own, size.width])
    step = [("velocity", "float32", latents), hidden("hidden"), *_pairs("", size.layers, heads(own))]
    return {
        "dit_prompt": ([("prompt_embeds", "float32", [1, QUERIES, PROMPT_WIDTH])], words),
        "dit_reference": ([("reference_latents", "float32", latents)], _pairs("", size.layers, heads(own))),
        "dit_step": ([*conditions, *held], step),
        "dit_step_kept": ([*conditions, ("kept", "int64", [kept]), hidden("own_hidden"), *held, *before], step),
        "dit_buffer": (buffer, [("velocity", "float32", film)]),
    }


def example(inputs, seed=0):
    """Inputs of a graph, for tracing."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for name, _, shape in inputs:
        if name == "timestep":
            made.append(torch.full(shape, 1000.0))
        elif name == "reference_shown":
            made.append(torch.ones(shape))
        elif name == "kept":
            made.append(torch.arange(shape[0]))
        else:
            made.append(torch.zeros(shape) if name == "attention_bias" else torch.randn(shape, generator=generator))
    return tuple(made)
