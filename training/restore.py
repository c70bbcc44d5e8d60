"""Reads the weights of a published model back, so that training goes on from it where its checkpoint is gone.

    python3 -m training.restore --model models/lite --out CACHE/lite.pt

The file is one for `--start` of training.train, which takes what fits of an older shape. Weights come as the graphs hold them, in fp16 precision.
"""

import argparse
from pathlib import Path

import onnx
import torch
from onnx import numpy_helper

from training import prompts

# Role -> the part of training.model.Lite that its graph holds.
PARTS = {"te_vision": "te_vision", "te_text": "te_text", "vae_encoder": "encoder", "unet": "unet", "vae_decoder": "decoder"}


def weights(path):
    """Parameter's name -> tensor, of a graph that training.export wrote.

    The exporter keeps the names of biases and of convolutions. A linear layer's weight is an operand without a name: it has that of the bias that is added to
    the product. A group norm is taken apart, into nodes named after it.
    """
    graph = onnx.load(str(path)).graph
    values = {}
    for initializer in graph.initializer:
        value = numpy_helper.to_array(initializer)
        if value.dtype.kind == "f":
            values[initializer.name.removesuffix(".half")] = torch.from_numpy(value.astype("float32"))
    added = {name: node for node in graph.node if node.op_type == "Add" for name in node.input}
    found = {name: value for name, value in values.items() if name.startswith("net.")}
    for node in graph.node:
        if node.name.endswith(("/Mul", "/Add")) and node.name.split("/")[-2].startswith("norm") and node.input[1] in values:
            kind = "weight" if node.op_type == "Mul" else "bias"
            found[".".join([*node.name.split("/")[1:-1], kind])] = values[node.input[1]].flatten()
        if node.op_type != "MatMul" or node.input[1] not in values or node.output[0] not in added:
            continue
        bias = next((name for name in added[node.output[0]].input if name.startswith("net.") and name.endswith(".bias")), None)
        if bias:
            found[bias.removesuffix("bias") + "weight"] = values[node.input[1]].T.contiguous()
    return {name.removeprefix("net."): value for name, value in found.items()}


def restore(folder):
    """A checkpoint: {"ema": the state of training.model.Lite in the graphs' shapes, "vocabulary"}."""
    state = {}
    for role, part in PARTS.items():
        path = Path(folder) / f"{role}.onnx"
        if path.exists():
            state.update({f"{part}.{name}": value for name, value in weights(path).items()})
    if not state:
        raise SystemExit(f"{folder} has none of {', '.join(f'{role}.onnx' for role in PARTS)}: name the folder of a model")
    return {"ema": state, "vocabulary": prompts.vocabulary()}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="models/lite")
    parser.add_argument("--out", required=True)
    args = parser.parse_args()
    torch.save(restore(args.model), args.out)


if __name__ == "__main__":
    main()
