"""From a DreamLite-mobile checkpoint to a model folder for each size: six ONNX graphs, tokenizer, model.json, parity.json.

    training/export-dreamlite CHECKPOINT --out FOLDER [--adapter temporal_lllite.safetensors] [--size 512x512] [--size 512x288] [--half] [--any-size]

CHECKPOINT is in diffusers' layout (checkpoint.py). Then: allaprima models import FOLDER/dreamlite-mobile
"""

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

from training.dreamlite import lllite, parity
from training.dreamlite.checkpoint import Checkpoint
from training.dreamlite.errors import CheckpointError
from training.dreamlite.graphs import LATENT_CHANNELS, LATENT_SCALE, Graphs
from training.dreamlite.onnx_file import sha256
from training.dreamlite.safetensors import SafeTensors
from training.dreamlite.text_parts import FRAMES, MERGE, PATCH, VISION_SIDE
from training.dreamlite.tokenizer import MAX_LENGTH, TEMPLATE

SIZES = ((512, 512), (512, 288))
DROPPED = 64  # tokens of the system prompt with the published tokenizer
STYLES = ["oil-painting", "watercolor", "pencil-sketch", "anime", "render-3d", "van-gogh", "ukiyo-e", "comic-halftone"]
LICENCE = "CC BY-NC 4.0"
LICENCE_NOTICE = (
    "The weights of DreamLite-mobile and of its temporal adapter are under Creative Commons Attribution-NonCommercial 4.0 "
    "(https://creativecommons.org/licenses/by-nc/4.0/) and the use policy that comes with them. They may not be used commercially."
)


def name_of(size):
    return "dreamlite-mobile" if size == SIZES[0] else f"dreamlite-mobile-{size[0]}x{size[1]}"


def manifest(size, entries, tokenizer_hash, checkpoint, drop):
    scheduler, tokens = checkpoint.configs["scheduler"], checkpoint.tokenizer.added
    return {
        "format": "allaprima-model", "formatVersion": 1, "name": name_of(size), "version": "1.0.0", "title": f"DreamLite-mobile {size[0]}x{size[1]}",
        "family": "edit-unet", "licence": LICENCE, "licenceNotice": LICENCE_NOTICE, "size": {"fixed": list(size)},
        "latents": {"channels": LATENT_CHANNELS, "scale": LATENT_SCALE},
        "scheduler": {
            "type": "flow-match-euler", "baseShift": scheduler["base_shift"], "maxShift": scheduler["max_shift"],
            "baseSeqLen": scheduler["base_image_seq_len"], "maxSeqLen": scheduler["max_image_seq_len"],
        },
        "steps": {"default": 1, "supported": [1, 2, 4]},
        "textEncoder": {
            "tokenizer": "tokenizer.json", "tokenizerSha256": tokenizer_hash, "template": TEMPLATE, "maxLength": MAX_LENGTH, "dropTokens": drop,
            "padTokenId": tokens["<|endoftext|>"], "neutralPrompt": "no changes",
            "image": {"width": VISION_SIDE, "height": VISION_SIDE, "patches": {"patch": PATCH, "merge": MERGE, "frames": FRAMES}},
        },
        "temporalAdapter": {"multiplier": 1.0, "condRefreshEvery": 8},
        "tuning": {"batchSize": 8, "steps": 1, "noise": "fixed", "teRefreshEvery": 16, "teBatchOne": True, "precision": "fp32"},
        "styles": STYLES,
        "graphs": entries,
    }


class Networks:
    """The networks of a checkpoint, the adapter attached. Errors: CheckpointError."""

    def __init__(self, folder, adapter_file=None, any_size=False):
        self.checkpoint = Checkpoint(folder, any_size)
        self.unet, self.vae, self.text_encoder = map(self.checkpoint.module, ("unet", "vae", "text_encoder"))
        # An adapter that was not given is silent: its last layers are zero.
        self.adapter = lllite.load(self.unet, SafeTensors(adapter_file)) if adapter_file else lllite.Adapter(self.unet).requires_grad_(False)
        self.adapter.attach(self.unet)


class Exporter:
    """Writes networks (`Networks`, or others with the same fields) at any number of sizes. Errors: CheckpointError."""

    def __init__(self, networks):
        self.checkpoint, self.networks = networks.checkpoint, (networks.unet, networks.vae, networks.text_encoder, networks.adapter)
        self.ids, _ = self.checkpoint.tokenizer.padded(parity.PROMPT)

    def write(self, size, out, half=False):
        """Writes the model folder `out`, which must not exist, whole or not at all; returns its manifest."""
        if out.exists():
            raise CheckpointError(f"{out} is there already. Remove it, or name another folder with --out.")
        graphs = Graphs(*self.networks, self.ids, size)
        if graphs.drop != DROPPED:
            raise CheckpointError(f"The system prompt has {graphs.drop} tokens with {self.checkpoint.tokenizer_path}, expected {DROPPED}.")
        draft = out.with_name(f".{out.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            entries = {role: graphs.export(role, draft / f"{role}.onnx", half) for role in graphs.tensors}
            shutil.copyfile(self.checkpoint.tokenizer_path, draft / "tokenizer.json")
            made = manifest(size, entries, sha256(draft / "tokenizer.json"), self.checkpoint, graphs.drop)
            truth = parity.fixture(*self.networks, self.checkpoint.tokenizer, size)
            (draft / "parity.json").write_text(json.dumps(truth) + "\n")
            (draft / "model.json").write_text(json.dumps(made, indent=2) + "\n")
            draft.rename(out)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
        return made


def parse_size(text):
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", text)
    size = tuple(map(int, match.groups())) if match else (0, 0)
    if not all(side and side % 32 == 0 for side in size):
        raise argparse.ArgumentTypeError(f"expected WIDTHxHEIGHT in multiples of 32, got {text}")
    return size


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="export-dreamlite", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", help="folder in diffusers' layout")
    parser.add_argument("--out", required=True, help="where the model folders are made")
    parser.add_argument("--adapter", help="the temporal adapter's safetensors file; without it the adapter is silent")
    parser.add_argument("--size", type=parse_size, action="append", help="painted size; may be given again (default: 512x512 and 512x288)")
    parser.add_argument("--half", action="store_true", help="half floats where they are safe, for a GPU: half the size, and faster there")
    parser.add_argument("--any-size", action="store_true", help="take networks of other widths and depths than the published ones")
    args = parser.parse_args(arguments)
    say = lambda text: print(f"export-dreamlite: {text}", file=sys.stderr)
    try:
        exporter = Exporter(Networks(args.checkpoint, args.adapter, args.any_size))
        for line in exporter.checkpoint.differences:
            say(f"differs from what was published: {line}")
        if not args.adapter:
            say("no --adapter: the painting will not be steadied by the one before it")
        for size in dict.fromkeys(args.size or SIZES):
            out = Path(args.out) / name_of(size)
            made = exporter.write(size, out, args.half)
            total = sum(file.stat().st_size for file in out.iterdir())
            say(f"{out}: {len(made['graphs'])} graphs, {total / 1e6:.1f} MB, {LICENCE}")
    except CheckpointError as error:
        say(str(error))
        return 2
    except OSError as error:
        say(f"{error.filename or args.out} could not be written ({error.strerror or error}). Nothing was left of the model that was being made.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
