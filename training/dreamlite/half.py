"""Half floats where they are safe: in products of matrices and in convolutions, or in the stored weights alone.

Norms, softmax and residuals stay in fp32. Qwen3-VL's residual reaches values that overflow the sum of squares of a norm in fp16
(onnxruntime issue 29034), so of the text encoder only the weights are halved.
"""

from collections import defaultdict

import torch
from onnx import TensorProto, helper

PRODUCTS = {"MatMul", "Gemm", "Conv"}
MODES = ("weights", "products")


def halve(graph, weights, mode, keep=()):
    """Changes the nodes of a graph and its weights (name -> fp32). keep: beginnings of the names of nodes that stay as they are."""
    readers = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    is_product = lambda node: node.op_type in PRODUCTS and not node.name.startswith(tuple(keep))
    nodes, halves = [], {}

    def cast(source, target, kind):
        nodes.append(helper.make_node("Cast", [source], [target], name=f"cast/{target}", to=kind))

    for name, value in list(weights.items()):
        if value.dtype != torch.float32:
            continue
        if mode == "products" and all(map(is_product, readers[name])):
            weights[name] = value.half()
            halves[name] = name
        elif mode == "weights" and value.dim() > 1:
            weights[f"{name}/half"] = weights.pop(name).half()
            cast(f"{name}/half", name, TensorProto.FLOAT)
    for node in graph.node:
        if mode == "weights" or not is_product(node):
            nodes.append(node)
            continue
        for i, name in enumerate(node.input):
            if name and name not in halves:
                halves[name] = f"{name}/half"
                cast(name, halves[name], TensorProto.FLOAT16)
            node.input[i] = halves.get(name, "")
        out = node.output[0]
        node.output[0] = f"{out}/product"
        nodes.append(node)
        cast(f"{out}/product", out, TensorProto.FLOAT)
    del graph.node[:]
    graph.node.extend(nodes)
