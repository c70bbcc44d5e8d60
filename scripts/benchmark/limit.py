"""What the graphs of a model have to do, and convolutions that do nothing else: what a machine can do at the most.

    python3 limit.py probe GRAPH FILE                  what a run of FILE has to tell to count the multiply-adds of GRAPH
    python3 limit.py convolutions FILE fp32|int8       a chain of 3x3 convolutions of 64 channels at 128x72, as ONNX
"""

import json
import sys
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

LAYERS, CHANNELS, WIDTH, HEIGHT = 8, 64, 128, 72


def is_transposed(node):
    return any(attribute.name == "transB" and attribute.i for attribute in node.attribute)


def probe(path, target):
    """
    Writes the graph with what its convolutions and products give as outputs, whose sizes a run then tells, and gives
    [{"of": OUTPUT, "each": multiply-adds for each of its numbers}]; "row" in place of "each" names a tensor whose last side they are.
    """
    model = onnx.load(path)
    weights = {tensor.name: list(tensor.dims) for tensor in model.graph.initializer}
    for node in model.graph.node:  # weights that are stored smaller than they are used
        if node.op_type in ("Cast", "DequantizeLinear") and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    counts = []
    for node in model.graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            of = node.output[0] if node.op_type == "Conv" else node.input[0]
            counts.append({"of": of, "each": prod(weights[node.input[1]][1:])})
        elif node.op_type in ("MatMul", "Gemm"):
            if node.input[1] in weights:
                counts.append({"of": node.output[0], "each": weights[node.input[1]][-1 if is_transposed(node) else -2]})
            else:
                counts.append({"of": node.output[0], "row": node.input[0]})
    have = {value.name for value in [*model.graph.input, *model.graph.output]}
    for name in {count[key] for count in counts for key in ("of", "row") if key in count} - have - set(weights):
        model.graph.output.append(onnx.ValueInfoProto(name=name))
    onnx.save(model, target)
    return counts


def convolutions(precision):
    """u8 and symmetric s8 weights for each channel where `int8`, as training/quantize.py makes them."""
    rng = np.random.default_rng(1)
    shape = [1, CHANNELS, HEIGHT, WIDTH]
    nodes, initializers = [], []

    def constant(name, array):
        initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    scale, zero = constant("scale", np.float32(0.02)), constant("zero", np.uint8(128))
    last = "x"
    for layer in range(LAYERS):
        values = rng.normal(0, 0.05, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
        if precision == "int8":
            for step, source in (("q", last), ("d", f"q{layer}")):
                kind = "QuantizeLinear" if step == "q" else "DequantizeLinear"
                nodes.append(helper.make_node(kind, [source, scale, zero], [f"{step}{layer}"]))
            weights = constant(f"w{layer}", np.clip(values * 500, -127, 127).astype(np.int8))
            scales = constant(f"s{layer}", np.full(CHANNELS, 0.002, np.float32))
            zeros = constant(f"z{layer}", np.zeros(CHANNELS, np.int8))
            nodes.append(
                helper.make_node("DequantizeLinear", [weights, scales, zeros], [f"W{layer}"], axis=0)
            )
            given, kernel = f"d{layer}", f"W{layer}"
        else:
            given, kernel = last, constant(f"W{layer}", values)
        last = "y" if layer == LAYERS - 1 and precision == "fp32" else f"c{layer}"
        nodes.append(helper.make_node("Conv", [given, kernel], [last], pads=[1, 1, 1, 1]))
    if precision == "int8":  # onnxruntime fuses a convolution only with the pair behind it, the last one too
        nodes.append(helper.make_node("QuantizeLinear", [last, scale, zero], ["q"]))
        nodes.append(helper.make_node("DequantizeLinear", ["q", scale, zero], ["y"]))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "probe":
        print(json.dumps(probe(*arguments)))
    else:
        onnx.save(convolutions(arguments[1]), arguments[0])
        macs = LAYERS * CHANNELS * CHANNELS * 9 * WIDTH * HEIGHT
        print(json.dumps({"macs": macs, "shape": [1, CHANNELS, HEIGHT, WIDTH]}))
