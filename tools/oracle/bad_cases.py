#!/usr/bin/env python3
"""Nodes that are wrong, or at the edge of what is right: valid ones of random_cases.py with one thing changed (an input 0-d, empty, of
another rank or type, NaN and infinity in it; an attribute negative, 0, far off, too long, a wrong word).

usage: bad_cases.py FOLDER CALQUE OUT [--only OPERATOR,...] [--each N]      FOLDER: of random_cases.py make

Runs each in the reference evaluator, ONNX Runtime and calque. Prints what a person has to judge: crashes; answers that differ from
both; refusals of what both compute the same; answers to what both refuse. The rest, where calque is with one of them, is stored in
OUT in the form of test_stored_operators.c, at most N (6) an operator: with the answer, or `error` where it is refused.
"""
import argparse
import collections
import os
import pickle
import random
import re
import signal
import subprocess
import tempfile
import warnings

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from dtype_pairs import bases
from stored_cases import attribute, tensor

warnings.filterwarnings("ignore")
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.log_severity_level = 4
PLAIN = {np.dtype(t) for t in (np.float32, np.float64, np.int64, np.int32, np.int8, np.uint8, np.bool_, np.int16, np.uint16, np.uint32, np.uint64)}


def inputs_changed(node, inputs):
    for name, x in inputs.items():
        if x.dtype not in PLAIN:
            continue
        rest = dict(inputs)
        flat = x.reshape(-1)
        yield f"{name} 0-d", node, rest | {name: (flat[:1] if flat.size else np.zeros(1, x.dtype)).reshape(())}
        yield f"{name} of rank 1 more", node, rest | {name: x[None]}
        if x.ndim:
            yield f"{name} empty", node, rest | {name: x[:0]}
            yield f"{name} empty behind", node, rest | {name: x[..., :0]}
            yield f"{name} longer", node, rest | {name: np.concatenate([x, x])}
        yield f"{name} of another type", node, rest | {name: x.astype(np.int64 if x.dtype.kind == "f" else np.float32)}
        if x.dtype.kind == "f" and flat.size:
            strange = flat.copy()
            strange[::3], strange[1::3] = np.nan, np.inf
            strange[2::5] = -np.inf
            yield f"{name} not finite", node, rest | {name: strange.reshape(x.shape)}
        elif x.dtype.kind == "i" and flat.size:
            for v in (-99, 99):
                yield f"{name} of {v}", node, rest | {name: np.full(x.shape, v, x.dtype)}


def attributes_changed(node, inputs):
    for k, a in enumerate(node.attribute):
        values = []
        if a.type == a.INT and a.name not in ("to", "dtype", "stash_type", "output_dtype", "saturate"):
            values = [-1, 0, 99, -99]
        elif a.type == a.INTS:
            values = [[-v - 1 for v in a.ints], [0] * len(a.ints), list(a.ints) + [1], []]
        elif a.type == a.STRING:
            values = ["nonsense"]
        elif a.type == a.FLOAT:
            values = [-2.0, float("nan")]
        for v in values:
            if v == []:
                continue
            other = onnx.NodeProto()
            other.CopyFrom(node)
            other.attribute[k].CopyFrom(helper.make_attribute(a.name, v))
            yield f"{a.name} = {v}", other, inputs


def model_of(node, inputs, opset):
    tensors = [numpy_helper.from_array(x, k) for k, x in inputs.items()]
    values = [helper.make_tensor_value_info(k, t.data_type, t.dims) for k, t in zip(inputs, tensors)]
    outs = [helper.make_empty_tensor_value_info(y) for y in node.output if y]
    return helper.make_model(helper.make_graph([node], "g", values, outs), opset_imports=[helper.make_opsetid("", opset)],
                             ir_version=10 if opset < 24 else 11 if opset < 26 else 13)


def by_reference(model, inputs):
    try:
        with np.errstate(all="ignore"):
            return [np.asarray(y) for y in ReferenceEvaluator(model).run(None, inputs)]
    except Exception:
        return None


def by_runtime(model, inputs):
    try:
        return [np.asarray(y) for y in onnxruntime.InferenceSession(model.SerializeToString(), OPTIONS).run(None, inputs)]
    except Exception:
        return None


def apart(answer, *given):
    """In a process of its own: some nodes end it, or take for ever."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        signal.alarm(5)
        os.close(read)
        with os.fdopen(write, "wb") as f:
            pickle.dump(answer(*given), f)
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as f:
        data = f.read()
    os.waitpid(child, 0)
    return pickle.loads(data) if data else None


def by_calque(calque, model, inputs, outs):
    with tempfile.TemporaryDirectory() as d:
        onnx.save(model, os.path.join(d, "m.onnx"))
        np.savez(os.path.join(d, "x.npz"), **inputs)
        run = subprocess.run([calque, "run", os.path.join(d, "m.onnx"), "--inputs", os.path.join(d, "x.npz"), "--precision", "f32", "-q", "-o",
                              os.path.join(d, "y.npz")], capture_output=True, text=True)
        if run.returncode == 0:
            found = dict(np.load(os.path.join(d, "y.npz")))
            return [found[y] for y in outs], ""
    text = (run.stderr.strip().splitlines() or [""])[-1]
    if run.returncode not in (2, 3, 4) or (run.returncode != 2 and "node" not in text):
        text = f"CRASH {run.returncode} {text}"
    return None, text


def same(a, b):
    if a is None or b is None:
        return a is None and b is None
    return len(a) == len(b) and all(x.shape == y.shape and np.allclose(x.astype(np.float64), y.astype(np.float64), 1e-3, 1e-5, equal_nan=True)
                                    if x.dtype.kind in "fiub" and y.dtype.kind in "fiub" else x.shape == y.shape for x, y in zip(a, b))


def write(out, name, node, inputs, found):
    print("case", name, node.op_type, "-", file=out)
    for a in node.attribute:
        v = helper.get_attribute_value(a)
        v = v.decode() if isinstance(v, bytes) else [u.decode() if isinstance(u, bytes) else u for u in v] if isinstance(v, (list, tuple)) else v
        print("attr", attribute(a.name, list(v) if isinstance(v, (list, tuple)) else v), file=out)
    for x in node.input:
        print("in", tensor(inputs[x]) if x else "-", file=out)
    for y in found or []:
        print("out", tensor(y), file=out)
    if found is None:
        print("error", file=out)
    print("end", file=out)


def storable(node, inputs, found):
    plain = all(a.type in (a.INT, a.INTS, a.FLOAT, a.STRING, a.FLOATS) for a in node.attribute) and all(node.output)
    small = sum(x.size for x in inputs.values()) + sum(y.size for y in found or []) < 250
    return plain and small and all(y.dtype in PLAIN for y in (found or []) + list(inputs.values()))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("folder")
    p.add_argument("calque")
    p.add_argument("out")
    p.add_argument("--only", default="")
    p.add_argument("--each", type=int, default=6)
    p.add_argument("--set", type=int, default=22)
    a = p.parse_args()
    counts, out, draw = collections.Counter(), open(a.out, "w"), random.Random(3)
    for op, nodes in sorted(bases(a.folder).items()):
        if a.only and op not in a.only.split(",") or "Random" in op:
            continue
        agreed, opset = [], onnx.defs.get_schema(op, 27, "").since_version
        opset = max(a.set, opset)
        for _, node, inputs in nodes[:1]:
            if node.op_type == "Dropout" or any(x.dtype not in PLAIN for x in inputs.values()):
                continue
            for what, changed, given in list(inputs_changed(node, inputs)) + list(attributes_changed(node, inputs)):
                model = model_of(changed, given, opset)
                ref, ort = apart(by_reference, model, given), apart(by_runtime, model, given)
                found, text = by_calque(a.calque, model, given, [y for y in node.output if y])
                counts["nodes"] += 1
                if text.startswith("CRASH"):
                    kind = "crash"
                elif found is not None and ref is None and ort is None:
                    kind = "answered alone"
                elif found is None and ref is not None and same(ref, ort):
                    kind = "refused alone"
                elif found is not None and not same(found, ref) and not same(found, ort):
                    kind = "different"
                else:
                    kind = "agreed"
                    if storable(changed, given, found):
                        agreed.append((changed, given, found))
                counts[kind] += 1
                if kind != "agreed":
                    show = [re.sub(r"\s+", " ", str(v))[:90] for v in (found, ref, ort)]
                    print(kind, op, opset, what, "|", *(show if found is not None else [text[-150:], *show[1:]]), sep=" ; ")
        for k, (node, inputs, found) in enumerate(draw.sample(agreed, min(a.each, len(agreed)))):
            write(out, f"{op}_{k}", node, inputs, found)
    print(dict(counts))


main()
