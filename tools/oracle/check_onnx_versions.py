#!/usr/bin/env python3
"""Operators of older operator sets, against ONNX Runtime (requirements-onnx.txt).

usage: check_onnx_versions.py [PROGRAM]        PROGRAM: default build/calque

Each case is one node in a model of an old operator set; calque reads it as the newest meaning and must compute what
ONNX Runtime computes for the old one. Where ONNX Runtime is not the specification the case is not here.
"""
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

rng = np.random.RandomState(7)


def floats(*shape):
    return rng.uniform(-2, 2, shape).astype(np.float32)


X4 = floats(2, 3, 4, 5)
X2 = floats(4, 6)
I64 = np.int64


def case(op, version, inputs, n_out=1, constants=(), domain="", name="", **attributes):
    """inputs: arrays; those whose place is in `constants` are initializers; None is left out."""
    return op, version, inputs, n_out, constants, domain, name, attributes


CASES = [
    *(case(op, v, [X4], axis=a) for op in ("Softmax", "LogSoftmax", "Hardmax") for v in (7, 11, 12) for a in (0, 1, 2, 3)),
    *(case(op, 9, [X4]) for op in ("Softmax", "LogSoftmax", "Hardmax")),
    *(case(op, 11, [X4], axis=-2) for op in ("Softmax", "LogSoftmax", "Hardmax")),
    case("Clip", 7, [X4], min=-0.5, max=0.75), case("Clip", 7, [X4], max=0.75), case("Clip", 10, [X4], min=0.1), case("Clip", 7, [X4]),
    case("Clip", 11, [X4, np.float32(-0.5), np.float32(0.5)], constants=(1, 2)), case("Clip", 12, [X4, None, np.float32(0.5)], constants=(2,)),
    *(case("Pad", 7, [X4], mode=m, pads=[0, 0, 1, 2, 0, 0, 2, 1]) for m in ("constant", "reflect", "edge")),
    case("Pad", 10, [X4], pads=[0, 1, 0, 0, 1, 0, 0, 2], value=1.5), case("Pad", 9, [X4], pads=[0, 0, -1, 0, 0, 0, 0, -2]),
    case("Slice", 7, [X4], starts=[1, 0], ends=[3, -1], axes=[1, 3]), case("Slice", 9, [X4], starts=[0, 1], ends=[1, 100]),
    case("Split", 7, [X4], n_out=2, axis=3, split=[2, 3]), case("Split", 11, [X4], n_out=2, axis=2), case("Split", 13, [X4], n_out=3, axis=1),
    case("Split", 7, [X4], n_out=2),
    case("Squeeze", 7, [floats(1, 3, 1, 2)], axes=[0, 2]), case("Squeeze", 11, [floats(1, 3, 1, 2)], axes=[-2]), case("Squeeze", 9, [floats(1, 3, 1, 2)]),
    case("Unsqueeze", 7, [X2], axes=[0, 2]), case("Unsqueeze", 11, [X2], axes=[-1, 1]),
    *(case(op, v, [np.abs(X4) + np.float32(0.1)], axes=[1, 3], keepdims=k)
      for op in ("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
                 "ReduceSum", "ReduceSumSquare") for v, k in ((7, 1), (11, 0), (12, 1))),
    *(case(op, 13, [X4], axes=[-1], keepdims=0) for op in ("ReduceMax", "ReduceMean", "ReduceL2")), case("ReduceMean", 9, [X4]),
    case("TopK", 7, [X2], n_out=2, k=3, axis=1), case("TopK", 7, [X2], n_out=2, k=2), case("TopK", 10, [X2, np.array([2], I64)], n_out=2, constants=(1,)),
    case("Upsample", 7, [X4], mode="nearest", scales=[1.0, 1.0, 2.0, 3.0]), case("Upsample", 7, [X4], mode="linear", scales=[1.0, 1.0, 2.0, 2.0]),
    case("Upsample", 9, [X4, np.array([1, 1, 1.5, 2], np.float32)], constants=(1,), mode="nearest"),
    case("Upsample", 9, [X4, np.array([1, 1, 2.5, 1.5], np.float32)], constants=(1,), mode="linear"),
    *(case("Resize", 10, [X4, np.array(s, np.float32)], constants=(1,), mode=m)
      for m in ("nearest", "linear") for s in ([1, 1, 2, 3], [1, 1, 1.5, 1], [1, 1, 0.5, 0.6], [1, 1, 0.8, 0.8])),
    *(case("Resize", 11, [X4, np.zeros(0, np.float32), np.array([1, 1, 1.75, 0.6], np.float32)], constants=(1, 2), mode="nearest",
           coordinate_transformation_mode=c, nearest_mode=n)
      for c in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel", "tf_half_pixel_for_nn")
      for n in ("floor", "round_prefer_floor")),
    case("Resize", 11, [X4, np.zeros(0, np.float32), np.zeros(0, np.float32), np.array([2, 3, 7, 8], I64)], constants=(1, 2, 3), mode="linear"),
    case("Dropout", 7, [X4], n_out=1, ratio=0.3), case("Dropout", 10, [X4], ratio=0.3), case("Dropout", 12, [X4, np.float32(0.3)], n_out=2, constants=(1,)),
    *(case("BatchNormalization", v, [X4, floats(3), floats(3), floats(3), np.abs(floats(3)) + np.float32(0.2)], constants=(1, 2, 3, 4), epsilon=1e-3)
      for v in (7, 9, 14)),
    case("BatchNormalization", 8, [X4, floats(3), floats(3), floats(3), np.abs(floats(3)) + np.float32(0.2)], constants=(1, 2, 3, 4), spatial=1),
    case("DFT", 17, [floats(2, 6, 1)], axis=1), case("DFT", 17, [floats(2, 6, 5, 2)], axis=2, inverse=1), case("DFT", 17, [floats(2, 6, 1)], onesided=1),
    case("RoiAlign", 10, [X4, np.array([[0, 0, 3, 3], [1, 1, 4, 3]], np.float32), np.array([0, 1], I64)], constants=(2,), output_height=2, output_width=2,
         sampling_ratio=2),
    case("RoiAlign", 16, [X4, np.array([[0, 0, 3, 3], [1, 1, 4, 3]], np.float32), np.array([0, 1], I64)], constants=(2,), output_height=2, output_width=2,
         sampling_ratio=2),
    *(case("GridSample", 16, [X4, floats(2, 3, 3, 2) / np.float32(2)], mode=m, padding_mode=p, align_corners=a)
      for m in ("bilinear", "nearest", "bicubic") for p in ("zeros", "border", "reflection") for a in (0, 1)),
    case("Scatter", 9, [X2, np.array([[0, 1], [2, 3]], I64), floats(2, 2)], constants=(1,), axis=0), case("Scatter", 10, [X2, np.array([[5], [0]], I64), floats(2, 1)], constants=(1,), axis=1),
    case("Gemm", 7, [X2, floats(6, 3), floats(3)], constants=(1, 2)), case("Gemm", 9, [X2, floats(3, 6), floats(4, 1)], transB=1, alpha=0.5, beta=2.0),
    case("Cast", 7, [X2], to=TensorProto.INT32), case("Cast", 9, [X2], to=TensorProto.FLOAT16),
    case("ArgMax", 7, [X4], axis=2, keepdims=0), case("ArgMin", 11, [X4], axis=-1), case("Flatten", 7, [X4], axis=2), case("Flatten", 11, [X4], axis=-1),
    case("AveragePool", 7, [X4], kernel_shape=[2, 2], pads=[1, 1, 0, 0], count_include_pad=1), case("AveragePool", 10, [X4], kernel_shape=[2, 3], strides=[2, 2], ceil_mode=1),
    case("AveragePool", 7, [X4], kernel_shape=[2, 2], auto_pad="SAME_UPPER"), case("MaxPool", 7, [X4], kernel_shape=[2, 2], auto_pad="SAME_LOWER", strides=[2, 2]),
    case("MaxPool", 8, [X4], n_out=2, kernel_shape=[2, 2]), case("MaxPool", 10, [X4], kernel_shape=[2, 2], dilations=[2, 2], ceil_mode=1),
    case("LpPool", 7, [X4], kernel_shape=[2, 2], p=2), case("PRelu", 7, [X4, floats(3, 1, 1)], constants=(1,)), case("Selu", 7, [X4]),
    case("DepthToSpace", 7, [floats(1, 8, 2, 3)], blocksize=2), case("Concat", 7, [X2, X2], axis=1), case("Sum", 7, [X4, X4, X4]), case("Max", 8, [X4, floats(5)]),
    case("Gather", 7, [X2, np.array([0, 3], I64)], constants=(1,), axis=1), case("InstanceNormalization", 7, [X4, floats(3), floats(3)], constants=(1, 2)),
    case("LabelEncoder", 1, [np.array(["b", "a", "z"], object)], domain="ai.onnx.ml", classes_strings=["a", "b"], default_int64=-7),
    case("LabelEncoder", 1, [np.array([1, 0, 9], I64)], domain="ai.onnx.ml", classes_strings=["a", "b"], default_string="none"),
]


def tensor_type(a):
    return TensorProto.STRING if a.dtype == object else helper.np_dtype_to_tensor_dtype(a.dtype)


def build(c, stated):
    op, version, inputs, n_out, constants, domain, _, attributes = c
    names = ["" if a is None else f"x{i}" for i, a in enumerate(inputs)]
    feeds = {names[i]: a for i, a in enumerate(inputs) if a is not None and i not in constants}
    outs = [f"y{i}" for i in range(n_out)]
    node = helper.make_node(op, names, outs, name="old", domain=domain, **attributes)
    # Without the shape of the input the reader has to do with what the node says.
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info(k, tensor_type(a), a.shape if stated else None) for k, a in feeds.items()],
                              [helper.make_empty_tensor_value_info(o) for o in outs],
                              [numpy_helper.from_array(np.asarray(inputs[i]), names[i]) for i in constants])
    opsets = [helper.make_opsetid(domain, version)] + ([helper.make_opsetid("", 9)] if domain else [])
    return helper.make_model(graph, opset_imports=opsets, ir_version=8), feeds, outs


def main():
    program = sys.argv[1] if len(sys.argv) > 1 else "build/calque"
    failed = skipped = 0
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for c in CASES:
            for stated in (True, False):
                model, feeds, outs = build(c, stated)
                label = f"{c[0]}-{c[1]} {c[7]} {'shapes stated' if stated else 'no shapes'}"
                options = onnxruntime.SessionOptions()
                options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
                options.log_severity_level = 4
                try:
                    # ONNX Runtime wants types of outputs that onnx cannot infer without them.
                    typed = onnx.shape_inference.infer_shapes(model)
                    session = onnxruntime.InferenceSession(typed.SerializeToString(), options, providers=["CPUExecutionProvider"])
                    want = session.run(outs, feeds)
                except Exception as e:
                    print(f"skipped {label}: ONNX Runtime: {str(e)[:140]}")
                    skipped += 1
                    continue
                onnx.save(model, folder / "m.onnx")
                np.savez(folder / "x.npz", **{k: a.astype(str) if a.dtype == object else a for k, a in feeds.items()})
                run = subprocess.run([program, "run", folder / "m.onnx", "--inputs", folder / "x.npz", "-o", folder / "y.npz"],
                                     capture_output=True, text=True)
                if run.returncode:
                    print(f"FAILED {label}: {(run.stderr or run.stdout).strip()[:300]}")
                    failed += 1
                    continue
                have = np.load(folder / "y.npz")
                for o, w in zip(outs, want):
                    h = have[o]
                    same = h.shape == w.shape and (np.array_equal(h.astype(str), w.astype(str)) if w.dtype == object else np.allclose(h, w, 1e-3, 1e-5))
                    if not same:
                        print(f"FAILED {label}: output {o}: {h.ravel()[:6]} {h.shape}, expected {w.ravel()[:6]} {w.shape}")
                        failed += 1
                (folder / "y.npz").unlink()
    print(f"cases: {2 * len(CASES) - failed - skipped} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
