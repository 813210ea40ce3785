#!/usr/bin/env python3
"""Random one-node models for every operator, with the answers of the specification's reference evaluator and of ONNX Runtime,
in the folders of the specification's own suite: the conformance program runs them.

usage: random_cases.py make FOLDER [--seed N] [--each N] [--only OPERATOR,...]
       random_cases.py judge FOLDER CONFORMANCE [--f32]
       random_cases.py store FOLDER OUT [--each N]

make    writes FOLDER/node/<operator>_<number>[_ref|_ort]: one folder where the two agree or only one answers, two where they differ.
judge   runs the conformance program and prints per case that calque fails who says otherwise: both, ref, ort.
store   writes the cases that both precisions passed and no reference contradicts, at most N an operator, in the form of
        test_stored_operators.c.

What differs is for a person to judge by the specification: both references have faults of their own.
"""
import argparse
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

OPSET, RUNTIME_OPSET = 27, 26


def typed(x):
    return helper.np_dtype_to_tensor_dtype(x.dtype)


def model_of(case, opset):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(case["inputs"])]
    outs = [f"y{i}" if i not in case.get("skip", ()) else "" for i in range(case["n_out"])]
    node = helper.make_node(case["op"], names, outs, domain=case["domain"], **case["attrs"])
    values = [helper.make_tensor_value_info(k, typed(x), x.shape) for k, x in zip(names, case["inputs"]) if k]
    graph = helper.make_graph([node], "g", values, [helper.make_empty_tensor_value_info(y) for y in outs if y])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=imports, ir_version=13 if opset > 25 else 11 if opset > 23 else 10)


def feeds_of(case):
    return {f"x{i}": x for i, x in enumerate(case["inputs"]) if x is not None}


def by_reference(case):
    if case["domain"] == "com.microsoft":
        return None
    try:
        with np.errstate(all="ignore"):
            found = ReferenceEvaluator(model_of(case, case["opset"])).run(None, feeds_of(case))
        return [np.asarray(y) for y in found]
    except Exception as e:
        case["ref_error"] = str(e)[:200]
        return None


def by_runtime(case):
    """ONNX Runtime's answer; where it has no kernel for the newest version, that of an older one on the same node."""
    for opset in [min(case["opset"], RUNTIME_OPSET)] + ([21, 17, 13] if case["opset"] == OPSET else []):
        found = by_runtime_of(case, opset)
        if found is not None or "NOT_IMPLEMENTED" not in case["ort_error"]:
            return found
    return None


def by_runtime_of(case, opset):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model_of(case, opset).SerializeToString(), options,
                                               providers=["CPUExecutionProvider"])
        feeds = {}
        for k, x in feeds_of(case).items():
            plain = x.dtype.kind in "fiubOU" and x.dtype.names is None
            feeds[k] = onnxruntime.OrtValue.ortvalue_from_numpy(x) if plain and x.dtype.kind not in "OU" else None
        if any(v is None for v in feeds.values()):
            return [np.asarray(y) for y in session.run(None, feeds_of(case))]
        return [np.asarray(y.numpy()) for y in session.run_with_ort_values(None, feeds)]
    except Exception as e:
        case["ort_error"] = str(e)[:200]
        return None


def wide(x):
    return x.astype(np.float32) if x is not None and x.dtype.name in ("float16", "bfloat16", "float64") else x


def by_runtime_in_float32(case):
    """ONNX Runtime has many kernels for float32 only: its answer on widened inputs, in the inputs' type."""
    narrow = [x.dtype for x in case["inputs"] if x is not None and wide(x) is not x]
    if not narrow or any("type" in k or k == "to" for k in case["attrs"]):
        return by_runtime(case)
    found = by_runtime({**case, "inputs": [wide(x) for x in case["inputs"]]})
    first = case["inputs"][0].dtype
    return found and [y.astype(first) if y.dtype == np.float32 and first in narrow else y for y in found]


def apart(answer, case):
    """In a process of its own: a reference that crashes does not answer."""
    back, to = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(back)
        signal.alarm(20)
        with os.fdopen(to, "wb") as f:
            pickle.dump((answer(case), case.get("ref_error"), case.get("ort_error")), f)
        os._exit(0)
    os.close(to)
    with os.fdopen(back, "rb") as f:
        bytes_ = f.read()
    os.waitpid(child, 0)
    if not bytes_:
        case.setdefault("ort_error", "crashed")
        return None
    found, ref, ort = pickle.loads(bytes_)
    if ref:
        case["ref_error"] = ref
    if ort:
        case["ort_error"] = ort
    return found


def same(a, b):
    if len(a) != len(b):
        return False
    for x, y in zip(a, b):
        if x.dtype != y.dtype and not (x.dtype.kind in "OU" and y.dtype.kind in "OU") or x.shape != y.shape:
            return False
        if x.dtype.kind in "OUiub":
            if not np.array_equal(x, y):
                return False
        else:
            wide = np.complex128 if x.dtype.kind == "c" else np.float64
            rtol = {"float16": 2e-3, "bfloat16": 2e-2}.get(x.dtype.name, 1e-3)
            if not np.allclose(x.astype(wide), y.astype(wide), rtol=rtol, atol=1e-5, equal_nan=True):
                return False
    return True


def proto(x):
    if x.dtype.kind in "OU":
        return numpy_helper.from_array(np.asarray(x, dtype=object))
    return numpy_helper.from_array(np.ascontiguousarray(x).reshape(x.shape))


def write_folder(path, case, outputs):
    data = os.path.join(path, "test_data_set_0")
    os.makedirs(data)
    model = model_of(case, case["opset"])
    for value, y in zip(model.graph.output, outputs):
        value.type.tensor_type.elem_type = typed(y) if y.dtype.kind not in "OU" else onnx.TensorProto.STRING
    with open(os.path.join(path, "model.onnx"), "wb") as f:
        f.write(model.SerializeToString())
    given = [x for x in case["inputs"] if x is not None]
    for kind, tensors in (("input", given), ("output", outputs)):
        for i, x in enumerate(tensors):
            with open(os.path.join(data, f"{kind}_{i}.pb"), "wb") as f:
                f.write(proto(x).SerializeToString())


def make(o):
    import random_ops
    shutil.rmtree(o.folder, ignore_errors=True)
    facts, only = {}, o.only.split(",") if o.only else None
    for op, domain, generate in random_ops.generators():
        if only and op not in only:
            continue
        rng = np.random.default_rng([o.seed, sum(map(ord, op))])
        silent = 0
        for k in range(o.each):
            case = generate(rng)
            if case is None:
                continue
            case.setdefault("op", op)
            case.setdefault("domain", domain)
            case.setdefault("n_out", 1)
            case.setdefault("opset", OPSET)
            case.setdefault("attrs", {})
            ref, ort = apart(by_reference, case), apart(by_runtime, case)
            name = f"{op}_{k}"
            if ort is None:
                ort = apart(by_runtime_in_float32, case)
            both = ref is not None and ort is not None
            if not both and ref is None and ort is None:
                silent += 1
                facts[name] = {"silent": True, "ref": case.get("ref_error"), "ort": case.get("ort_error")}
                write_folder(os.path.join(o.folder, "silent", name), case, [])
                continue
            agree = both and same(ref, ort)
            for who, outputs in (("ref", ref), ("ort", ort)):
                if outputs is None or (agree and who == "ort"):
                    continue
                full = name if agree else f"{name}_{who}"
                facts[full] = {"who": "both" if agree else who, "other": "differs" if both else "silent",
                               "error": case.get("ort_error" if who == "ref" else "ref_error")}
                try:
                    write_folder(os.path.join(o.folder, "node", full), case, outputs)
                except Exception as e:
                    facts.pop(full)
                    shutil.rmtree(os.path.join(o.folder, "node", full))
                    print("not written", full, e, file=sys.stderr)
        if silent:
            print(f"{op}: neither answers {silent} of {o.each}", file=sys.stderr)
    with open(os.path.join(o.folder, "facts.json"), "w") as f:
        json.dump(facts, f, indent=1)


def describe(path):
    m = onnx.load(os.path.join(path, "model.onnx"))
    n = m.graph.node[0]
    short = lambda a: f"{a.name}={str(helper.get_attribute_value(a))[:60]}"
    shapes = []
    for v in m.graph.input:
        t = v.type.tensor_type
        shapes.append(onnx.TensorProto.DataType.Name(t.elem_type).lower() + str([d.dim_value for d in t.shape.dim]).replace(" ", ""))
    return f"{n.op_type}-{m.opset_import[0].version}({', '.join(shapes)}; {' '.join(map(short, n.attribute))})"


def off_by_rounding(path, reason):
    """A narrow type's result differs as rounding of intermediate values may."""
    found = re.search(r"first \[\d+\]: ([^,]+), expected (\S+)", reason)
    if not found or not re.search("float16", describe(path)):
        return False
    have, want = float(found[1]), float(found[2])
    return abs(have - want) <= 0.03 * max(abs(have), abs(want), 0.3)


def judge(o):
    with open(os.path.join(o.folder, "facts.json")) as f:
        facts = json.load(f)
    out = subprocess.run([o.conformance, o.folder, "--group", "node", "--passed", "--f32" if o.f32 else "--f64"],
                         capture_output=True, text=True).stdout
    why = {}
    passed = set()
    for line in out.splitlines():
        word = line.split(" ", 2)
        if word[0] == "FAILED":
            name, reason = word[2].split(": ", 1)
            why[name.split("/")[1]] = reason
        elif word[0] == "passed":
            passed.add(word[2].split("/")[1])
    rounded = {n for n in why if off_by_rounding(os.path.join(o.folder, "node", n), why[n])}
    why = {n: w for n, w in why.items() if n not in rounded}
    passed |= rounded
    both = sorted(n for n in why if facts[n]["who"] == "both")
    alone = sorted(n for n in why if facts[n]["who"] != "both" and facts[n]["other"] == "silent")
    pairs = sorted({n[:-4] for n in why if facts[n]["other"] == "differs" and facts[n]["who"] != "both"})
    show = lambda n, text: print(f"{n}: {describe(os.path.join(o.folder, 'node', n))}\n    {text}")
    print("== calque differs from both")
    for n in both:
        show(n, why[n])
    print("== calque differs from the only one that answers")
    for n in alone:
        show(n, f"{why[n]}   [other: {str(facts[n]['error'])[:120]!r}]")
    print("== the two differ, calque differs from both")
    for n in pairs:
        if n + "_ref" in why and n + "_ort" in why:
            show(n + "_ref", f"ref: {why[n + '_ref']} | ort: {why[n + '_ort']}")
    print("== the two differ, calque goes with one")
    for n in pairs:
        if not (n + "_ref" in why and n + "_ort" in why):
            k = n + ("_ref" if n + "_ref" in why else "_ort")
            show(k, why[k])
    print(f"{len(passed)} passed, {len(why)} differ: {len(both)} from both, {len(alone)} from the only one, {len(pairs)} where they differ")
    with open(os.path.join(o.folder, "passed_f32.json" if o.f32 else "passed_f64.json"), "w") as f:
        json.dump(sorted(passed - rounded), f)


def texts(x):
    """The elements of a tensor as words, or None when a text cannot be one."""
    if x.dtype.kind in "OU":
        words = [v.decode() if isinstance(v, bytes) else str(v) for v in x.reshape(-1)]
        return words if all(w and " " not in w and "\n" not in w for w in words) else None
    if x.dtype.kind == "c":
        return [f"{float(p):.9g}" for v in x.reshape(-1) for p in (v.real, v.imag)]
    if x.dtype.kind in "iub" or x.dtype.name.startswith(("int", "uint")):
        return [str(int(v)) for v in x.reshape(-1)]
    narrow = x.dtype.name.startswith("float8")  # exact: a rounded number may be another one
    return [repr(float(v)) if narrow else f"{float(v):.9g}" for v in x.reshape(-1)]


def tensor_line(word, x):
    name = "string" if x.dtype.kind in "OU" else x.dtype.name
    words = texts(x)
    return None if words is None else " ".join([word, name, str(x.ndim), *map(str, x.shape), *words])


def attribute_line(a):
    v = helper.get_attribute_value(a)
    kinds = {onnx.AttributeProto.INT: "i", onnx.AttributeProto.FLOAT: "f", onnx.AttributeProto.STRING: "s",
             onnx.AttributeProto.INTS: "I", onnx.AttributeProto.FLOATS: "F", onnx.AttributeProto.STRINGS: "S"}
    kind = kinds.get(a.type)
    plain = lambda x: x.decode() if isinstance(x, bytes) else f"{x:.9g}" if isinstance(x, float) else str(x)
    if kind is None or kind in "sS" and any(not plain(x) or " " in plain(x) for x in ([v] if kind == "s" else v)):
        return None
    words = [plain(v)] if kind.islower() else [str(len(v)), *map(plain, v)]
    return " ".join(["attr", a.name, kind, *words])


def stored_case(path, name):
    """The case in the form of test_stored_operators.c and what it is about; None when it has no such form."""
    model = onnx.load(os.path.join(path, "model.onnx"))
    node = model.graph.node[0]
    number = {a.name: a.i for a in node.attribute}
    # The reference evaluator leaves out the clip of recurrent networks and computes LRN for as many channels as there are
    # images: what agrees with it does so by chance.
    if "clip" in number or node.op_type == "LRN":
        return None
    if model.opset_import[0].version < 26 or "" in node.output:
        return None
    read = lambda kind, i: numpy_helper.to_array(onnx.load_tensor(os.path.join(path, "test_data_set_0", f"{kind}_{i}.pb")))
    given = [read("input", i) for i in range(len(model.graph.input))]
    out = [read("output", i) for i in range(len(model.graph.output))]
    if sum(x.size for x in given + out) > 90:
        return None
    at = iter(given)
    lines = [f"case {name} {node.op_type} {node.domain or '-'}"] + [attribute_line(a) for a in node.attribute]
    lines += ["in -" if not k else tensor_line("in", next(at)) for k in node.input]
    lines += [tensor_line("out", y) for y in out] + ["end"]
    about = (node.op_type, tuple(x.dtype.name for x in given), tuple(sorted(
        (a.name, str(helper.get_attribute_value(a)) if a.type in (2, 3) else "") for a in node.attribute)))
    return None if None in lines else ("\n".join(lines), about)


def store(o):
    with open(os.path.join(o.folder, "facts.json")) as f:
        facts = json.load(f)
    passed = None
    for which in ("passed_f64.json", "passed_f32.json"):
        with open(os.path.join(o.folder, which)) as f:
            passed = set(json.load(f)) if passed is None else passed & set(json.load(f))
    seen, count = set(), {}
    with open(o.conformance, "w") as out:
        for name in sorted(passed, key=lambda n: (n.split("_")[0], int(n.split("_")[1]))):
            if name not in facts or facts[name]["who"] != "both" and facts[name]["other"] != "silent":
                continue
            found = stored_case(os.path.join(o.folder, "node", name), name)
            if not found or found[1] in seen or count.get(found[1][0], 0) >= o.each:
                continue
            seen.add(found[1])
            count[found[1][0]] = count.get(found[1][0], 0) + 1
            print(found[0], file=out)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("verb", choices=["make", "judge", "store"])
    p.add_argument("folder")
    p.add_argument("conformance", nargs="?")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--each", type=int, default=20)
    p.add_argument("--only")
    p.add_argument("--f32", action="store_true")
    o = p.parse_args()
    {"make": make, "judge": judge, "store": store}[o.verb](o)


if __name__ == "__main__":
    main()
