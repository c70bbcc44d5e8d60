"""Traced modules as an ONNX file and a file of its weights beside it (external data), written one tensor at a time."""

import hashlib
import io
import warnings
from collections import Counter

import onnx
import torch
from onnx import TensorProto, helper, mapping, numpy_helper

from training.dreamlite.half import halve
from training.dreamlite.parts import run

OPSET = 17
INLINE_BYTES = 1024  # smaller weights stay in the graph
ALIGNMENT = 4096  # lets onnxruntime map the file


def sha256(path):
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 22):
            found.update(block)
    return found.hexdigest()


def export(parts, example, tensors, path, description, half=None):
    """Writes `path` and, where weights are large, `path`.data; returns the manifest's entry of the graph.

    example: tensors of the graph's inputs, for tracing. tensors: (inputs, outputs), each a list of (name, type, shape). half: (mode, keep) of `halve`.
    """
    inputs, outputs = tensors
    values = {name: value for (name, _, _), value in zip(inputs, example)}
    fixed = {name for name, _, shape in inputs if "batch" not in shape}
    graph = onnx.GraphProto(name=description)
    weights = {}
    for part in parts:
        model, part_weights = _trace(part, values, fixed)
        graph.node.extend(model.graph.node)
        weights.update(part_weights)
    if half:
        halve(graph, weights, *half)
    kinds = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64, "uint8": TensorProto.UINT8}
    info = lambda own: [helper.make_tensor_value_info(name, kinds[kind], shape) for name, kind, shape in own]
    graph.input.extend(info(inputs))
    graph.output.extend(info(outputs))
    data = path.with_name(path.name + ".data")
    with data.open("wb") as file:
        for name, value in weights.items():
            graph.initializer.append(_initializer(name, value, file, data.name))
        written = file.tell()
    if not written:
        data.unlink()
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="training.dreamlite")
    path.write_bytes(made.SerializeToString())
    onnx.checker.check_model(str(path))
    specs = lambda own: [{"name": name, "type": kind, "shape": shape} for name, kind, shape in own]
    entry = {"file": path.name, "sha256": sha256(path)}
    if written:
        entry["externalData"] = [{"file": data.name, "sha256": sha256(data)}]
    return {**entry, "inputs": specs(inputs), "outputs": specs(outputs)}


def _trace(part, values, fixed):
    """The part's graph with its weights as inputs, and the weights; adds what it gives to `values`. All other names get the part's in front."""
    arguments = tuple(values[name] for name in part.inputs)
    axes = {name: {0: "batch"} for name in (*part.inputs, *part.outputs) if name not in fixed}
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # sides of tensors are constants on purpose, all but the batch
        part.module.eval()
        run([part], values)
        torch.onnx.export(
            part.module, arguments, buffer, opset_version=OPSET, export_params=False, do_constant_folding=False,
            input_names=part.inputs, output_names=part.outputs, dynamic_axes=axes,
        )
    model = onnx.load_model_from_string(buffer.getvalue())
    weights = _take_weights(model.graph, part.module.state_dict(), part.inputs)
    shared = {*part.inputs, *part.outputs, ""}
    renamed = lambda name: name if name in shared else f"{part.name}/{name}"
    for node in model.graph.node:
        node.name = f"{part.name}/{node.name}"
        node.input[:], node.output[:] = map(renamed, node.input), map(renamed, node.output)
    return model, {renamed(name): value for name, value in weights.items()}


def _take_weights(graph, state, names):
    """The graph's inputs that are weights, by name, those of linear layers transposed already."""
    weights = {value.name: state[value.name] for value in graph.input if value.name not in names}
    readers = Counter(name for node in graph.node for name in node.input)
    nodes = []
    for node in graph.node:
        read = node.input[0] if node.op_type == "Transpose" else None
        if read in weights and readers[read] == 1 and weights[read].dim() == 2:
            weights[node.output[0]] = weights.pop(read).t()
        else:
            nodes.append(node)
    del graph.node[:]
    graph.node.extend(nodes)
    return weights


def _initializer(name, values, file, location):
    stored = values.detach().contiguous().numpy()
    if stored.nbytes < INLINE_BYTES:
        return numpy_helper.from_array(stored, name)
    file.write(b"\0" * (-file.tell() % ALIGNMENT))
    offset = file.tell()
    stored.tofile(file)
    tensor = TensorProto(name=name, data_type=mapping.NP_TYPE_TO_TENSOR_TYPE[stored.dtype], dims=stored.shape, data_location=TensorProto.EXTERNAL)
    for key, value in (("location", location), ("offset", offset), ("length", stored.nbytes)):
        tensor.external_data.add(key=key, value=str(value))
    return tensor
