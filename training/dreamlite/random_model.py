"""Writes a model folder with random weights, at the published size or at a tenth of every width: for measurements, it paints nothing sensible.

    python3 -m training.dreamlite.random_model FOLDER [--tenth] [--size 512x512] [--half] [--seed N]

By reckoning, the published size takes 20 GB of memory and gives 10 GB of files, 5 GB with --half.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch

from training.dreamlite import tenth
from training.dreamlite.checkpoint import TABLE
from training.dreamlite.lllite import Adapter
from training.dreamlite.qwen3vl import Qwen3VL
from training.dreamlite.tokenizer import Tokenizer, byte_level
from training.dreamlite.unet import UNet
from training.dreamlite.vae import AutoencoderTiny

NAME = "random-weights"


def published(part):
    """The config of the published model, nested as config.json is."""
    config = {}
    for dotted, value in {**TABLE[part]["kind"], **TABLE[part]["size"]}.items():
        *path, last = dotted.split(".")
        at = config
        for step in path:
            at = at.setdefault(step, {})
        at[last] = value
    return config


def configs(tokenizer_json, is_tenth):
    """By part; the numbers of tokens are those of the tokenizer, which has no vocabulary of Qwen's."""
    small = tenth.configs(tokenizer_json)
    if is_tenth:
        text = small["text_encoder"]["text_config"]
        text["mrope_section"] = text["rope_scaling"]["mrope_section"]
        return small
    made = {part: published(part) for part in TABLE}
    for key in ("image_token_id", "vision_start_token_id", "vision_end_token_id"):
        made["text_encoder"][key] = small["text_encoder"][key]
    return made


class RandomNetworks:
    """U-Net with its adapter, autoencoder and text encoder with random weights, and the tokenizer that goes with them."""

    def __init__(self, folder, is_tenth=False, seed=0):
        """folder: where tokenizer.json is written."""
        tokenizer_json = byte_level(tenth.WORDS_KNOWN)
        path = Path(folder) / "tokenizer.json"
        path.write_text(json.dumps(tokenizer_json, ensure_ascii=False) + "\n", encoding="utf-8")
        made = configs(tokenizer_json, is_tenth)
        # As much of a checkpoint as the exporter asks for.
        self.checkpoint = SimpleNamespace(configs=made, tokenizer_path=path, tokenizer=Tokenizer(path))
        networks = UNet(made["unet"]), AutoencoderTiny(made["vae"]), Qwen3VL(made["text_encoder"])
        self.unet, self.vae, self.text_encoder = (
            tenth.random_weights(network, seed + i).eval().requires_grad_(False) for i, network in enumerate(networks)
        )
        cond_dim, mlp_dim = (4, 8) if is_tenth else (32, 64)
        adapter = Adapter(self.unet, cond_dim, mlp_dim)
        self.adapter = tenth.random_weights(adapter, seed + len(networks)).eval().requires_grad_(False)
        self.adapter.attach(self.unet)


def write(out, size, is_tenth=False, half=False, seed=0):
    """Writes the model folder `out`, which must not exist; returns its manifest. Errors: CheckpointError."""
    from training.dreamlite.export import Exporter  # needs onnx, which the networks do without

    with tempfile.TemporaryDirectory() as folder:
        made = Exporter(RandomNetworks(folder, is_tenth, seed)).write(size, out, half)
    del made["licenceNotice"]
    made.update(name=NAME, title=f"Random weights {size[0]}x{size[1]}", licence="none: random numbers")
    (out / "model.json").write_text(json.dumps(made, indent=2) + "\n")
    return made


def main(arguments=None):
    from training.dreamlite.export import CheckpointError, parse_size

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tenth", action="store_true", help="a tenth of every width")
    parser.add_argument("--size", type=parse_size, default=(512, 512), help="painted size (default: 512x512)")
    parser.add_argument("--half", action="store_true", help="half floats where they are safe")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args(arguments)
    try:
        with torch.no_grad():
            write(args.folder, args.size, args.tenth, args.half, args.seed)
    except CheckpointError as error:
        print(f"random_model: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
