#!/usr/bin/env python3
"""Every element type that the specification allows every operator of ai.onnx: which does calque run, which does it refuse?

usage: dtype_pairs.py FOLDER CALQUE [--set N] [--only OPERATOR,...]     FOLDER: of random_cases.py make

One node of FOLDER an operator, with the inputs of one type parameter at a time turned into each type that the schema of
operator set N (27) allows, as a model of constants that the program runs. Prints the pairs that it refuses and those whose
result the reference evaluator contradicts, then the counts. The last line is the summary.
"""
import argparse
import collections
import glob
import os
import subprocess
import tempfile
import warnings

import ml_dtypes
import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

warnings.filterwarnings("ignore")
NUMBERS = {f"tensor({k})": v for k, v in {
    "float": np.float32, "double": np.float64, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "int8": np.int8, "int16": np.int16,
    "int32": np.int32, "int64": np.int64, "uint8": np.uint8, "uint16": np.uint16, "uint32": np.uint32, "uint64": np.uint64, "bool": np.bool_,
    "float8e4m3fn": ml_dtypes.float8_e4m3fn, "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz, "float8e5m2": ml_dtypes.float8_e5m2,
    "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz, "float8e8m0": ml_dtypes.float8_e8m0fnu, "float4e2m1": ml_dtypes.float4_e2m1fn,
    "int4": ml_dtypes.int4, "uint4": ml_dtypes.uint4, "int2": ml_dtypes.int2, "uint2": ml_dtypes.uint2, "complex64": np.complex64,
    "complex128": np.complex128, "string": np.object_}.items()}


def cast(x, name):
    """Contents that every type has: whole numbers, as far as the type goes."""
    if name == "tensor(string)":
        return np.array([f"{v}" for v in x.reshape(-1)], dtype=object).reshape(x.shape)
    if x.dtype == object:
        x = np.arange(x.size).reshape(x.shape) % 3
    x = np.real(np.asarray(x, np.complex128 if x.dtype.kind == "c" else np.float64))
    kind = NUMBERS[name]
    low, high = {"tensor(int2)": (-2, 1), "tensor(uint2)": (0, 3), "tensor(int4)": (-8, 7), "tensor(uint4)": (0, 15)}.get(name, (-100, 100))
    if name.startswith(("tensor(uint", "tensor(bool", "tensor(float8e8")):
        low, x = 1 if "float8" in name else 0, np.abs(x)
    if np.dtype(kind).kind in "iub" or "int" in name:
        x = np.round(x)
    return np.clip(np.nan_to_num(x), low, high).astype(kind)


def bases(folder):
    """The first nodes of each operator of ai.onnx with tensors only, at the newest set."""
    found = collections.defaultdict(list)
    for path in sorted(glob.glob(os.path.join(folder, "node", "*", "model.onnx"))):
        model = onnx.load(path)
        node = model.graph.node[0]
        if len(model.graph.node) != 1 or node.domain or any(not v.type.HasField("tensor_type") for v in model.graph.input):
            continue
        data = os.path.join(os.path.dirname(path), "test_data_set_0")
        inputs = {}
        for i, v in enumerate(model.graph.input):
            t = onnx.TensorProto()
            with open(os.path.join(data, f"input_{i}.pb"), "rb") as f:
                t.ParseFromString(f.read())
            inputs[v.name] = numpy_helper.to_array(t)
        opset = max(o.version for o in model.opset_import if not o.domain)
        found[node.op_type].append((opset, node, inputs))
    return {op: sorted(v, key=lambda b: -b[0]) for op, v in found.items()}


def formal(schema, i):
    return schema.inputs[min(i, len(schema.inputs) - 1)]


def variants(schema, node, inputs):
    """(type parameter, type, inputs by name) of every allowed type."""
    for c in schema.type_constraints:
        mine = [n for i, n in enumerate(node.input) if n and formal(schema, i).type_str == c.type_param_str]
        for name in sorted(c.allowed_type_strs):
            if mine and name in NUMBERS:
                yield c.type_param_str, name, {k: cast(x, name) if k in mine else x for k, x in inputs.items()}


def bits(name):
    """Of an element."""
    return 4 if name in ("tensor(int4)", "tensor(uint4)", "tensor(float4e2m1)") else 2 if name in ("tensor(int2)", "tensor(uint2)") else \
        8 * np.dtype(NUMBERS[name]).itemsize


def model_of(node, inputs, opset):
    tensors = []
    if node.op_type == "BitCast":  # into a type of as many bits
        of = {2: "UINT2", 4: "UINT4", 8: "UINT8", 16: "FLOAT16", 32: "FLOAT", 64: "INT64", 128: "COMPLEX128"}
        x = list(inputs.values())[0].dtype
        node = helper.make_node("BitCast", node.input, node.output,
                                to=getattr(onnx.TensorProto, of[next(bits(k) for k, v in NUMBERS.items() if np.dtype(v) == x)]))
    for k, x in inputs.items():
        if x.dtype == object:
            tensors.append(helper.make_tensor(k, onnx.TensorProto.STRING, x.shape, [str(v).encode() for v in x.reshape(-1)]))
        else:
            tensors.append(numpy_helper.from_array(x, k))
    outs = [helper.make_empty_tensor_value_info(y) for y in node.output if y]
    return helper.make_model(helper.make_graph([node], "g", [], outs, tensors), opset_imports=[helper.make_opsetid("", opset)], ir_version=13)


def wide(y):
    y = np.asarray(y)
    if y.dtype.kind in "OUSc":
        return y
    return y.astype(np.float64)


def disagrees(model, found, node):
    """What the reference evaluator says otherwise; None when it says the same or nothing."""
    try:
        with np.errstate(all="ignore"):
            want = ReferenceEvaluator(model).run(None, {})
    except Exception:  # it has no such type
        return None
    for name, y in zip([o for o in node.output if o], want):
        if name not in found:
            continue
        have, y = found[name], np.asarray(y)
        if y.shape != have.shape:
            return f"shape {have.shape}, expected {y.shape}"
        a, b = wide(have), wide(y)
        if y.dtype.kind in "OUS":
            same = [str(v) for v in a.reshape(-1)] == [v.decode() if isinstance(v, bytes) else str(v) for v in b.reshape(-1)]
        else:
            same = np.allclose(a, b, rtol=0.02, atol=0.02, equal_nan=True)
        if not same:
            return f"{a.reshape(-1)[:4]}, expected {b.reshape(-1)[:4]}"
    return None


def answer(calque, model, node):
    with tempfile.TemporaryDirectory() as d:
        onnx.save(model, os.path.join(d, "m.onnx"))
        run = subprocess.run([calque, "run", os.path.join(d, "m.onnx"), "--precision", "f32", "-q", "-o", os.path.join(d, "y.npz")],
                             capture_output=True, text=True)
        found = dict(np.load(os.path.join(d, "y.npz"))) if run.returncode == 0 else {}
    if run.returncode:
        return f"refused {run.returncode} " + (run.stderr.strip().splitlines() or [""])[-1][-160:]
    other = disagrees(model, found, node)
    return f"contradicted {other}" if other else "ran"


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("calque")
    p.add_argument("--set", type=int, default=27)
    p.add_argument("--only", default="")
    a = p.parse_args()
    counts = collections.Counter()
    listed = bases(a.folder)
    schemas = {s.name for s in onnx.defs.get_all_schemas_with_history() if not s.domain and s.since_version <= a.set}
    for op in sorted(schemas):
        schema = onnx.defs.get_schema(op, a.set, "")
        if schema.deprecated or (a.only and op not in a.only.split(",")):
            continue
        if op not in listed:
            print("no node of", op)
            counts["operators without a node"] += 1
            continue
        pairs = {}
        for _, node, inputs in listed[op]:  # a type may fit another node's attributes only
            for parameter, name, given in variants(schema, node, inputs):
                if pairs.get((parameter, name), "refused").startswith("refused"):
                    pairs[parameter, name] = answer(a.calque, model_of(node, given, a.set), node)
        for (parameter, name), what in pairs.items():
            counts["pairs"] += 1
            if what != "ran":
                counts[what.split()[0]] += 1
                print(what.split()[0], op, parameter, name, what.partition(" ")[2])
    print(", ".join(f"{v} {k}" for k, v in counts.items()))


if __name__ == "__main__":
    main()
