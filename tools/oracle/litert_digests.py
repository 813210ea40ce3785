"""Writes what LiteRT's default run of a float network gives: test/data/litert/digests.tsv.

    python litert_digests.py CORPUS OUT.tsv        needs ai-edge-litert (requirements.txt)

One row a value: network, operator, value, SHA-256 of its float32 elements. The values are the outputs of convolutions,
depthwise convolutions and fully connected layers, and the network's outputs. The result of an operator whose function LiteRT
approximates (APPROXIMATED, with the kernels of XNNPACK that a default run takes) is replaced in both by numbers made like an input's;
its row says so instead of a digest. Inputs are made from element numbers: test/exec/test_litert_bits.c makes the same.
"""
import glob
import hashlib
import os
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import interpreter
from ai_edge_litert import schema_py_generated as schema

from made import made_as

OPERATORS = {v: k for k, v in vars(schema.BuiltinOperator).items() if not k.startswith("_")}
PRODUCTS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"}
# Rational and polynomial forms; means, which are sums times a rounded reciprocal; interpolation
# by differences; transposed convolutions with padding, which sum up columns of products.
APPROXIMATED = {"LOGISTIC", "TANH", "SOFTMAX", "LOG_SOFTMAX", "EXP", "LOG", "SIN", "COS", "RSQRT", "GELU", "ELU", "HARD_SWISH",
                "POW", "L2_NORMALIZATION", "CUSTOM", "AVERAGE_POOL_2D", "MEAN",
                "RESIZE_BILINEAR", "TRANSPOSE_CONV"}


def names_of(model, graph):
    return [(OPERATORS[max(c.builtinCode, c.deprecatedBuiltinCode)], o)
            for o in graph.operators for c in [model.operatorCodes[o.opcodeIndex]]]


def wanted(model, graph):
    """Values to compare in order with the operator that makes them, and those of approximated functions."""
    rows, cut = {}, []
    for name, o in names_of(model, graph):
        if name in APPROXIMATED:
            cut += [(t, name) for t in o.outputs]
        elif name in PRODUCTS:
            rows[o.outputs[0]] = name
    for t in graph.outputs:
        if t not in dict(cut):
            rows.setdefault(t, "output")
    return {t: n for t, n in rows.items() if graph.tensors[t].type == schema.TensorType.FLOAT32}, cut


def digests(path):
    with open(path, "rb") as f:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(f.read(), 0))
    graph = model.subgraphs[0]
    kinds = {graph.tensors[i].type for name, o in names_of(model, graph) if name in PRODUCTS for i in o.inputs if i >= 0}
    convolves = any(name in ("CONV_2D", "DEPTHWISE_CONV_2D") for name, _ in names_of(model, graph))
    if len(model.subgraphs) != 1 or not convolves or kinds != {schema.TensorType.FLOAT32}:
        return
    rows, cut = wanted(model, graph)
    names = [t.name for t in graph.tensors]
    rows = {t: n for t, n in rows.items() if names.count(names[t]) == 1}
    if any(names.count(names[t]) != 1 or graph.tensors[t].type != schema.TensorType.FLOAT32 for t, _ in cut):
        return
    graph.outputs = list(rows)
    graph.inputs = list(graph.inputs) + [t for t, _ in cut]
    graph.operators = [o for name, o in names_of(model, graph) if name not in APPROXIMATED]
    model.signatureDefs = []
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    run = interpreter.Interpreter(model_content=bytes(builder.Output()), num_threads=1)
    run.allocate_tensors()
    for k, d in enumerate(run.get_input_details()):
        if d["dtype"] not in (np.float32, np.int32):
            return
        run.set_tensor(d["index"], made_as(k, d["shape"], d["dtype"]))
    run.invoke()
    for (t, operator), d in zip(rows.items(), run.get_output_details()):
        value = np.ascontiguousarray(run.get_tensor(d["index"]), dtype="<f4")
        yield operator, names[t].decode(), hashlib.sha256(value.tobytes()).hexdigest()
    for k, (t, name) in enumerate(cut):
        yield name, names[t].decode(), f"made {len(graph.inputs) - len(cut) + k}"


def main():
    corpus, out = sys.argv[1:]
    with open(out, "w") as f:
        f.write("# What LiteRT's default run gives, by tools/oracle/litert_digests.py: network, operator, value, SHA-256.\n")
        for path in sorted(glob.glob(os.path.join(corpus, "**", "*.tflite"), recursive=True)):
            network = os.path.relpath(path, corpus)
            try:
                rows = list(digests(path))
            except (RuntimeError, ValueError) as e:
                print(f"{network}: {str(e).splitlines()[0]}", file=sys.stderr)
                continue
            for row in rows:
                f.write("\t".join((network, *row)) + "\n")


main()
