#!/usr/bin/env python3
"""Do files that calque wrote still load elsewhere? (requirements-onnx.txt)

usage: check_onnx_write.py FOLDER

Each .onnx file of FOLDER is given to onnx.checker and to ONNX Runtime. Make such a folder with
    CALQUE_KEEP=/some/folder build/test/test_onnx_write
Its files hold one random change each, so some are rightly refused for what the change means (an attribute out of
range, shapes that do not fit); a file that cannot be *parsed* or breaks the form of a graph is a fault of the writer.
"""
import collections
import pathlib
import sys

import onnx
import onnxruntime

# What a changed attribute, constant or operand rightly leads to.
MEANING = ("ShapeInferenceError", "TypeInferenceError", "Mismatch", "incompatible", "Incompatible", "axis", "dimension",
           "Type Error", "Unrecognized attribute", "has input size", "should be", "must", "rank", "invalid for",
           "is not a registered function/op", "Required attribute", "Exception during initialization",
           "NOT_IMPLEMENTED", "ValidateOpset", "Invalid rank", "shape", "Number of inputs", "input arg")


def refusal(path):
    try:
        onnx.checker.check_model(str(path))
    except Exception as e:  # the checker's errors have no common base
        return "checker", str(e)
    try:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as e:
        return "runtime", str(e)
    return None


def main():
    counts = collections.Counter()
    faults = 0
    for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
        kind = path.name.rsplit("-", 1)[0]
        why = refusal(path)
        if why is None:
            counts[kind, "loads"] += 1
            continue
        explained = any(word in why[1] for word in MEANING)
        counts[kind, "refused for its meaning" if explained else "REFUSED"] += 1
        if not explained:
            faults += 1
            print(f"{path.name}: {why[0]}: {why[1][:300]}")
    for (kind, what), n in sorted(counts.items()):
        print(f"{kind:14} {what:24} {n}")
    return 1 if faults or not counts else 0


if __name__ == "__main__":
    sys.exit(main())
