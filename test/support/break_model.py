"""Breaks the denoiser of a copy of models/lite so that it loads, and fails when it paints: break_model.py FOLDER nan|shape|throws."""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

folder, how = Path(sys.argv[1]), sys.argv[2]
path = folder / "unet.onnx"
model = onnx.load(path)
graph = model.graph
name = graph.output[0].name
for node in graph.node:
    node.output[:] = ["sound" if output == name else output for output in node.output]


def constant(label, values):
    graph.initializer.append(numpy_helper.from_array(values, label))
    return label


if how == "nan":
    node = helper.make_node("Mul", ["sound", constant("broken", np.array(np.nan, np.float32))], [name])
elif how == "shape":
    node = helper.make_node("Concat", ["sound", "sound"], [name], axis=1)
else:
    node = helper.make_node("Reshape", ["sound", constant("broken", np.array([7, 11, 13], np.int64))], [name])
graph.node.append(node)
del graph.value_info[:]
onnx.save(model, path)

manifest = json.loads((folder / "model.json").read_text())
manifest["name"] = "broken"
manifest["graphs"]["unet"]["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
manifest.pop("int8")
manifest["tuning"]["precision"] = "fp32"
(folder / "model.json").write_text(json.dumps(manifest))
