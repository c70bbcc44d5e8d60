"""Breaks the denoiser of a copy of models/lite so that it loads: break_model.py FOLDER nan|memory|shape|throws[-later].

What is `later` is so for all noise but zeros, which it is warmed up with; nan is no error to who warms it up, and memory is short later.
"""

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


def where_noise_is_not_zero():
    """0 for zeros, 1 for any other noise: [1], int64."""
    graph.node.extend([
        helper.make_node("Abs", ["sample"], ["size"]),
        helper.make_node("ReduceMax", ["size"], ["largest"], keepdims=0),
        helper.make_node("Greater", ["largest", constant("zero", np.array(0, np.float32))], ["is_noise"]),
        helper.make_node("Cast", ["is_noise"], ["one"], to=onnx.TensorProto.INT64),
        helper.make_node("Reshape", ["one", constant("flat", np.array([1], np.int64))], ["later"]),
    ])
    return "later"


if how == "nan":
    node = helper.make_node("Mul", ["sound", constant("broken", np.array(np.nan, np.float32))], [name])
elif how == "throws-later":
    # There is one element, number 0.
    index = where_noise_is_not_zero()
    graph.node.append(helper.make_node("Gather", [constant("broken", np.array([1], np.float32)), index], ["factor"]))
    node = helper.make_node("Mul", ["sound", "factor"], [name])
elif how == "shape-later":
    more = [constant("begin", np.array([0], np.int64)), where_noise_is_not_zero(), constant("axis", np.array([1], np.int64))]
    graph.node.append(helper.make_node("Slice", ["sound", *more], ["more"]))
    node = helper.make_node("Concat", ["sound", "more"], [name], axis=1)
elif how == "memory":
    # One number while it is warmed up, and more than any machine has room for when it paints.
    shape = helper.make_node("Mul", [where_noise_is_not_zero(), constant("many", np.array([10**15], np.int64))], ["more"])
    count = helper.make_node("Add", ["more", constant("once", np.array([1], np.int64))], ["count"])
    large = helper.make_node("ConstantOfShape", ["count"], ["large"], value=numpy_helper.from_array(np.array([0], np.float32)))
    small = helper.make_node("Slice", ["large", constant("first", np.array([0], np.int64)), "once"], ["small"])
    graph.node.extend([shape, count, large, small])
    node = helper.make_node("Add", ["sound", "small"], [name])
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
