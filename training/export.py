"""Writes models/lite: six ONNX graphs (weights as fp16 with casts that fold at load), tokenizer, manifest, parity fixture.

    python3 -m training.export --checkpoint CACHE/base.pt [--adapter CACHE/adapter.pt] [--out models/lite]
"""

import argparse
import base64
import hashlib
import io
import json
import sys
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from training import graphs, prompts
from training.adapter import Adapter
from training.model import LATENT_CHANNELS, TOKENS, VISION_SIDE, Lite

OPSET = 17
HALF_FROM = 64  # Initialisers with fewer values stay fp32.


def half_weights(model):
    """Stores float initialisers as fp16 behind a Cast; onnxruntime folds the Cast when it loads the graph."""
    casts = []
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT or np.prod(initializer.dims) < HALF_FROM:
            continue
        values = numpy_helper.to_array(initializer).astype(np.float16)
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(values, name + ".half"))
        casts.append(helper.make_node("Cast", [name + ".half"], [name], name=f"cast.{name}", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(casts + nodes)


def name_dims(values, tensors):
    """Writes the manifest's shapes into the graph's inputs or outputs."""
    if [v.name for v in values] != [t[0] for t in tensors]:
        raise ValueError(f"graph has {[v.name for v in values]}, expected {[t[0] for t in tensors]}")
    for value, (_, _, shape) in zip(values, tensors):
        tensor = value.type.tensor_type
        tensor.shape.Clear()
        for size in shape:
            dim = tensor.shape.dim.add()
            if isinstance(size, int):
                dim.dim_value = size
            else:
                dim.dim_param = size


def export_graph(role, module, path, tensors=graphs.TENSORS):
    inputs, outputs = tensors[role]
    axes = {name: {i: f"{name}_{i}" for i, s in enumerate(shape) if not isinstance(s, int)} for name, _, shape in inputs + outputs}
    buffer = io.BytesIO()
    with torch.no_grad():
        torch.onnx.export(
            module.eval(), tuple(graphs.example(inputs)), buffer, opset_version=OPSET, do_constant_folding=True,
            input_names=[t[0] for t in inputs], output_names=[t[0] for t in outputs], dynamic_axes={k: v for k, v in axes.items() if v},
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    name_dims(model.graph.input, inputs)
    name_dims(model.graph.output, outputs)
    del model.graph.value_info[:]
    half_weights(model)
    model.producer_name, model.producer_version, model.doc_string = "training.export", "", f"lite {role}"
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return {"file": path.name, "sha256": sha256(path), "inputs": _specs(inputs), "outputs": _specs(outputs)}


def _specs(tensors):
    return [{"name": name, "type": kind, "shape": shape} for name, kind, shape in tensors]


def sha256(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def half_rounded(module):
    """The module with its larger weights rounded to fp16, as the graphs hold them."""
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.numel() >= HALF_FROM:
                parameter.copy_(parameter.half().float())
    return module


def manifest(entries, tokenizer_hash):
    return {
        "format": "allaprima-model", "formatVersion": 1, "name": "lite", "version": "0.6.0", "title": "Lite", "family": "edit-unet", "licence": "MIT",
        "size": {"multipleOf": 32, "min": [64, 64], "max": [1920, 1088], "default": [512, 288]},
        "latents": {"channels": LATENT_CHANNELS, "scale": 4},
        "scheduler": {"type": "flow-match-euler", "baseShift": 0.5, "maxShift": 1.15, "baseSeqLen": 256, "maxSeqLen": 4096},
        "steps": {"default": 1, "supported": [1, 2, 4]},
        "textEncoder": {
            "tokenizer": "tokenizer.json", "tokenizerSha256": tokenizer_hash, "template": "{prompt}", "maxLength": TOKENS, "dropTokens": 0,
            "padTokenId": 0, "neutralPrompt": prompts.NEUTRAL_PROMPT, "image": {"width": VISION_SIDE, "height": VISION_SIDE},
        },
        "temporalAdapter": {"multiplier": 1.0, "condRefreshEvery": 8, "outputBlend": 0.3},
        "tuning": {"batchSize": 1, "steps": 1, "noise": "fixed", "teRefreshEvery": 8, "teBatchOne": True, "precision": "fp32"},
        "styles": list(prompts.PRESETS),
        "modifiers": prompts.offered_modifiers(),
        "graphs": entries,
    }


def _packed(tensor):
    array = np.ascontiguousarray(tensor.detach().numpy())
    return {"type": str(array.dtype), "shape": list(array.shape), "data": base64.b64encode(array.tobytes()).decode()}


def parity(roles, height=64, width=64):
    """What torch gives for one frame through all six graphs, so that a test of another runtime can compare."""
    ids, mask = prompts.WordPiece()(prompts.PRESETS["oil-painting"])
    generator = torch.Generator().manual_seed(42)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = torch.stack([x * 4 % 256, y * 4 % 256, (x + y) * 2 % 256], dim=-1).to(torch.uint8)[None]
    small = image.permute(0, 3, 1, 2).float()
    small = torch.nn.functional.interpolate(small, (VISION_SIDE, VISION_SIDE), mode="nearest").to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    with torch.no_grad():
        features = roles["te_vision"](small)
        ids, mask = torch.tensor([ids]), torch.tensor([mask])
        prompt = roles["te_text"](ids, mask, features)
        latents, details = roles["vae_encoder"](image)
        cond = roles["lllite_cond"](image.flip(1).contiguous())
        noise = torch.randn(1, LATENT_CHANNELS, height // 4, width // 4, generator=generator)
        last = torch.randn(noise.shape, generator=generator), torch.rand(1, 2, *noise.shape[2:], generator=generator) - 0.5
        time = torch.full((1,), 1000.0)
        plain = roles["unet"](noise, time, prompt, latents, *cond, *last, torch.zeros(1))
        adapted = roles["unet"](noise, time, prompt, latents, *cond, *last, torch.ones(1))
        painting = roles["vae_decoder"](noise - plain, details)
    tensors = {
        "image": image, "te_image": small, "input_ids": ids, "attention_mask": mask, "cond_image": image.flip(1), "sample": noise, "last_latents": last[0], "last_offsets": last[1],
        "prompt_embeds": prompt, "source_latents": latents, "velocity": plain, "velocity_adapted": adapted, "painting": painting,
    }
    packed = {name: _packed(tensor) for name, tensor in tensors.items()}
    return {"prompt": prompts.PRESETS["oil-painting"], "timestep": 1000.0, "tensors": packed}


def export(base, adapter, out):
    """Writes everything into the folder out and returns the manifest."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    roles = graphs.modules(half_rounded(base).eval(), half_rounded(adapter).eval())
    entries = {role: export_graph(role, module, out / f"{role}.onnx") for role, module in roles.items()}
    (out / "tokenizer.json").write_text(prompts.tokenizer_json() + "\n", encoding="utf-8")
    made = manifest(entries, sha256(out / "tokenizer.json"))
    (out / "model.json").write_text(json.dumps(made, indent=2) + "\n")
    (out / "parity.json").write_text(json.dumps(parity(roles)) + "\n")
    return made


def load(checkpoint=None, adapter_checkpoint=None):
    """(base, adapter) from checkpoints; untrained where none is given."""
    torch.manual_seed(0)
    base, adapter = Lite(len(prompts.vocabulary())), Adapter()
    if checkpoint:
        base.load_state_dict(torch.load(checkpoint, map_location="cpu")["ema"])
    if adapter_checkpoint:
        adapter.load_state_dict(torch.load(adapter_checkpoint, map_location="cpu")["ema"])
    return base, adapter


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="base checkpoint of training.train; untrained weights without it")
    parser.add_argument("--adapter", help="checkpoint of training.train_adapter; the adapter is zero without it")
    parser.add_argument("--out", default="models/lite")
    args = parser.parse_args()
    made = export(*load(args.checkpoint, args.adapter), args.out)
    total = sum((Path(args.out) / g["file"]).stat().st_size for g in made["graphs"].values())
    print(f"{args.out}: {len(made['graphs'])} graphs, {total / 1e6:.1f} MB", file=sys.stderr)


if __name__ == "__main__":
    main()
