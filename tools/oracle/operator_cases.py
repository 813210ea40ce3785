#!/usr/bin/env python3
"""Writes test/ops/operator_cases.txt: operators that the specification's suite does not hold, with ONNX Runtime's answers,
data layouts against the same convolution in the default layout, and nodes that must be refused.

usage: operator_cases.py OUT      needs numpy, onnx, onnxruntime (requirements-onnx.txt)
"""
import sys

import numpy as np
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

rng = np.random.default_rng(7)
out = open(sys.argv[1], "w")
MS = "com.microsoft"


def real(*shape):
    return np.round(rng.standard_normal(shape), 3).astype(np.float32)


def ints(values, dtype=np.int32):
    return np.array(values, dtype)


def tensor(a):
    """Complex elements as pairs."""
    if a.dtype.kind == "c":
        pairs = " ".join(f"{v.real:.7g} {v.imag:.7g}" for v in a.reshape(-1))
        return " ".join([a.dtype.name, str(a.ndim), *map(str, a.shape), pairs])
    number = (lambda v: f"{float(v):.7g}") if a.dtype.kind == "f" else str if a.dtype.kind == "O" else (lambda v: str(int(v)))
    return " ".join(["string" if a.dtype.kind == "O" else a.dtype.name, str(a.ndim), *map(str, a.shape), *map(number, a.reshape(-1))])


def attribute(name, v):
    if isinstance(v, str):
        return f"{name} s {v}"
    if isinstance(v, int):
        return f"{name} i {v}"
    if isinstance(v, float):
        return f"{name} f {float(np.float32(v))!r}"
    kind = "F" if any(isinstance(x, float) for x in v) else "I"
    return " ".join([name, kind, str(len(v)), *map(str, v)])


def write(name, op, domain, inputs, outputs, attrs, error=None):
    print("case", name, op, domain or "-", file=out)
    for k, v in attrs.items():
        print("attr", attribute(k, v), file=out)
    for x in inputs:
        print("in", "-" if x is None else tensor(x), file=out)
    for y in outputs:
        print("out", tensor(y), file=out)
    if error:
        print("error", error, file=out)
    print("end", file=out)


def answers(op, inputs, n_out, domain, opset, attrs):
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    node = helper.make_node(op, names, [f"y{i}" for i in range(n_out)], domain=domain, **attrs)
    given = {k: x for k, x in zip(names, inputs) if x is not None}
    values = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for k, x in given.items()]
    graph = helper.make_graph([node], "g", values, [helper.make_empty_tensor_value_info(f"y{i}") for i in range(n_out)])
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset), helper.make_opsetid(MS, 1)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, given)


count = 0


def case(op, inputs, n_out=1, domain="", opset=21, **attrs):
    global count
    count += 1
    write(f"{op}_{count}", op, domain, inputs, answers(op, inputs, n_out, domain, opset, attrs), attrs)


def refused(op, inputs, error, domain="", **attrs):
    global count
    count += 1
    write(f"refused_{op}_{count}", op, domain, inputs, [], attrs, error)


def fused():
    conv = [real(1, 2, 4, 4), real(3, 2, 3, 3), real(3)]
    for act, params in [("Relu", None), ("Tanh", None), ("Sigmoid", None), ("LeakyRelu", [0.3]), ("Clip", [-0.5, 0.6]),
                        ("HardSigmoid", [0.3, 0.4])]:
        extra = {} if params is None else {"activation_params": params}
        case("FusedConv", conv, domain=MS, activation=act, pads=[1, 1, 1, 1], kernel_shape=[3, 3], **extra)
    case("FusedConv", conv + [real(1, 3, 4, 4)], domain=MS, activation="Relu", pads=[1, 1, 1, 1], kernel_shape=[3, 3])
    case("FusedGemm", [real(3, 4), real(4, 5), real(5)], domain=MS, activation="LeakyRelu", activation_alpha=0.2, alpha=2.0,
         beta=0.5)
    for a in (0, 1):
        for b in (0, 1):
            case("FusedMatMul", [real(2, 4, 3) if a else real(2, 3, 4), real(2, 5, 4) if b else real(2, 4, 5)], domain=MS,
                 alpha=0.7, transA=a, transB=b)
    x, w, b = real(2, 3, 4), real(4, 5), real(5)
    z = x @ w + b  # ONNX Runtime has this one for GPUs only: the definition
    y = 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z ** 3)))
    write("GemmFastGelu", "GemmFastGelu", MS, [x, w, b], [y.astype(np.float32)], {})


def norms():
    x, skip = real(2, 3, 8), real(2, 3, 8)
    for rest in ([real(8), real(8), real(8)], [real(8), real(8)], [real(8)], [real(8), None, real(8)]):
        case("SkipLayerNormalization", [x, skip] + rest, domain=MS, epsilon=1e-3)
    case("SkipLayerNormalization", [x, real(3, 8), real(8), real(8)], domain=MS)
    case("SkipSimplifiedLayerNormalization", [x, skip, real(8), real(8)], domain=MS)
    case("SimplifiedLayerNormalization", [x, real(8)], axis=-1, epsilon=1e-4)
    ids, segments, mask = ints([[1, 4, 0], [2, 2, 3]]), ints([[0, 1, 1], [0, 0, 1]]), ints([[1, 1, 0], [1, 0, 0]])
    tables = [real(5, 8), real(6, 8), real(2, 8), real(8), real(8)]
    case("EmbedLayerNormalization", [ids, segments] + tables + [mask], 2, MS)
    case("EmbedLayerNormalization", [ids, None, tables[0], tables[1], None, tables[3], tables[4]], 2, MS)
    case("EmbedLayerNormalization", [ids, segments] + tables + [mask, ints([[5, 0, 1], [2, 2, 2]])], 3, MS)


def attention():
    x, w, b = real(2, 4, 8), real(8, 24) * np.float32(0.5), real(24)
    for mask in (None, ints([2, 4]), ints([3, 4, 1, 0]), ints([[1, 1, 0, 0], [1, 1, 1, 0]])):
        case("Attention", [x, w, b, mask], domain=MS, num_heads=2)
    case("Attention", [x, w, b], domain=MS, num_heads=2, unidirectional=1)
    case("Attention", [x, w, b, None, real(2, 2, 2, 3, 4)], 2, MS, num_heads=2, unidirectional=1)
    case("Attention", [x, w, b, None, None, real(2, 2, 4, 4)], domain=MS, num_heads=2)
    case("Attention", [x, real(8, 28), real(28)], domain=MS, num_heads=2, qkv_hidden_sizes=[8, 8, 12])
    q, k, v = real(2, 3, 8), real(2, 5, 8), real(2, 5, 12)
    case("MultiHeadAttention", [q, k, v], domain=MS, num_heads=2)
    case("MultiHeadAttention", [q, k, v, real(28)], domain=MS, num_heads=2, scale=0.3)
    case("MultiHeadAttention", [q, k, v, None, ints([[1, 1, 0, 1, 0], [1, 1, 1, 1, 1]])], domain=MS, num_heads=2)
    case("MultiHeadAttention", [q, k, v, None, None, real(1, 2, 3, 5)], domain=MS, num_heads=2)
    past = [real(2, 2, 4, 4), real(2, 2, 4, 4)]
    case("MultiHeadAttention", [q, real(2, 3, 8), real(2, 3, 8), None, None, None] + past, 3, MS, num_heads=2)
    case("MultiHeadAttention", [q, real(2, 2, 5, 4), real(2, 2, 5, 4)], domain=MS, num_heads=2)
    angle = np.arange(12)[:, None] * 0.1 * np.arange(1, 9)
    caches = [np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)]
    heads = {"num_heads": 2, "kv_num_heads": 1}
    first = [real(2, 4, 32), real(2, 4, 16), real(2, 4, 16), None, None, ints([3, 3]), ints(4)]
    step = [real(2, 1, 32), real(2, 1, 16), real(2, 1, 16), real(2, 1, 6, 16), real(2, 1, 6, 16), ints([6, 4]), ints(7)]
    for inputs in (first, step):
        case("GroupQueryAttention", inputs, 3, MS, **heads)
        case("GroupQueryAttention", inputs + caches, 3, MS, do_rotary=1, **heads)
    case("GroupQueryAttention", first, 3, MS, local_window_size=2, **heads)
    case("GroupQueryAttention", first, 3, MS, softcap=2.0, scale=0.5, **heads)
    case("GroupQueryAttention", first, 3, MS, smooth_softmax=1, **heads)
    case("RotaryEmbedding", [real(2, 4, 32), ints(np.arange(8).reshape(2, 4), np.int64)] + caches, domain=MS, num_heads=2)
    case("RotaryEmbedding", [real(2, 4, 32), ints([3], np.int64)] + caches, domain=MS, interleaved=1)


def layouts():
    """The same convolution in every layout; the answer is that of the default one."""
    to = {"OIHW": (0, 1, 2, 3), "OHWI": (0, 2, 3, 1), "HWIO": (2, 3, 1, 0), "HWOI": (2, 3, 0, 1)}
    for groups in (1, 2):
        x, w, b = real(2, 4, 5, 6), real(6, 4 // groups, 3, 2), real(6)
        attrs = {"strides": [2, 1], "pads": [1, 0, 1, 1], "dilations": [1, 2], "group": groups}
        y, = answers("Conv", [x, w, b], 1, "", 21, attrs)
        for name, order in to.items():
            write(f"layout_{name}_{groups}", "Conv", "", [x.transpose(0, 2, 3, 1), w.transpose(order), b],
                  [y.transpose(0, 2, 3, 1)], {**attrs, "layout": "NHWC", "kernel_layout": name})
    x, w = real(1, 3, 5, 6), real(6, 1, 3, 2)
    attrs = {"auto_pad": "SAME_UPPER", "strides": [2, 2], "group": 3}
    y, = answers("Conv", [x, w], 1, "", 21, attrs)
    last = [y.transpose(0, 2, 3, 1)]
    write("layout_IHWO", "Conv", "", [x.transpose(0, 2, 3, 1), w.transpose(1, 2, 3, 0)], last,
          {**attrs, "layout": "NHWC", "kernel_layout": "IHWO"})
    write("layout_HWIM", "Conv", "", [x.transpose(0, 2, 3, 1), w.reshape(3, 2, 3, 2).transpose(2, 3, 0, 1)], last,
          {**attrs, "layout": "NHWC", "kernel_layout": "HWIM"})
    x, w = real(2, 4, 3, 4), real(4, 3, 3, 2)
    attrs = {"strides": [2, 2], "pads": [1, 0, 0, 1], "output_padding": [1, 0]}
    y, = answers("ConvTranspose", [x, w], 1, "", 21, attrs)
    for name, order in {"IOHW": (0, 1, 2, 3), "OHWI": (1, 2, 3, 0), "HWOI": (2, 3, 1, 0)}.items():
        write(f"transpose_{name}", "ConvTranspose", "", [x.transpose(0, 2, 3, 1), w.transpose(order)], [y.transpose(0, 2, 3, 1)],
              {**attrs, "layout": "NHWC", "kernel_layout": name})
    x = real(1, 2, 5, 6)
    for op, attrs in [("MaxPool", {"kernel_shape": [3, 2], "strides": [2, 2], "ceil_mode": 1}),
                      ("AveragePool", {"kernel_shape": [2, 3], "pads": [1, 1, 0, 1], "count_include_pad": 1}),
                      ("LpPool", {"kernel_shape": [2, 2], "p": 3}), ("GlobalLpPool", {"p": 3}), ("GlobalLpPool", {"p": 1}),
                      ("GlobalMaxPool", {}), ("GlobalAveragePool", {}), ("LRN", {"size": 3, "alpha": 0.5})]:
        y, = answers(op, [x], 1, "", 21, attrs)
        write(f"layout_{op}_{len(attrs)}_{attrs.get('p')}", op, "", [x.transpose(0, 2, 3, 1)], [y.transpose(0, 2, 3, 1)],
              {**attrs, "layout": "NHWC"})


def rest():
    for mode in ("linear", "nearest", "cubic"):
        for pad in ("zeros", "border", "reflection"):
            for corners in (0, 1):
                case("GridSample", [real(1, 2, 4, 5), real(1, 2, 3, 2) * np.float32(1.3)], mode=mode, padding_mode=pad,
                     align_corners=corners)
    regions = np.array([[0, 0, 0, 5, 5], [0, 1, 1, 9, 7], [0, -2, 0, 30, 4]], np.float32)
    case("MaxRoiPool", [real(1, 2, 7, 8), regions], pooled_shape=[3, 2], spatial_scale=0.7)
    for mode in ("avg", "max"):
        for at in ("half_pixel", "output_half_pixel"):
            case("RoiAlign", [real(1, 2, 7, 8), regions[:, 1:].copy(), ints([0, 0, 0], np.int64)], mode=mode,
                 coordinate_transformation_mode=at, sampling_ratio=2 if mode == "max" else 0, output_height=3, output_width=2,
                 spatial_scale=0.8)
    for equation, shapes in [("ij,jk->ik", [(3, 4), (4, 2)]), ("...ij,...jk->...ik", [(1, 3, 4), (2, 4, 2)]), ("ii->i", [(4, 4)]),
                             ("iij->j", [(3, 3, 2)]), ("ab,bc,cd->ad", [(2, 3), (3, 4), (4, 2)]), ("b...a,ac->b...c", [(2, 2, 3, 4), (4, 2)]),
                             ("ij->", [(2, 3)]), ("bA,Ac", [(2, 3), (3, 2)])]:
        inputs = [real(*s) for s in shapes]
        write(f"Einsum_{len(equation)}_{len(shapes)}_{shapes[0][0]}", "Einsum", "", inputs,
              [np.asarray(np.einsum(equation, *inputs), np.float32)], {"equation": equation})
    # Batches and spatial axes without elements.
    write("Conv_no_batch", "Conv", "", [real(0, 2, 4, 4), real(3, 2, 3, 3)], [real(0, 3, 2, 2)], {})
    write("MatMul_no_inner", "MatMul", "", [real(2, 0), real(0, 3)], [np.zeros((2, 3), np.float32)], {})
    write("Gemm_no_inner", "Gemm", "", [real(2, 0), real(0, 3), np.ones(3, np.float32)], [np.ones((2, 3), np.float32)], {})
    write("MaxPool_no_batch", "MaxPool", "", [real(0, 2, 4)], [real(0, 2, 3)], {"kernel_shape": [2]})
    write("LayerNormalization_no_rows", "LayerNormalization", "", [real(0, 4), real(4)], [real(0, 4)], {})
    # Not a number and infinity.
    odd = np.array([[[1, np.nan, 3, np.inf, -np.inf, 2]]], np.float32)
    write("MaxPool_nan", "MaxPool", "", [odd], [np.array([[[np.nan, np.nan, np.inf, np.inf, 2]]], np.float32)], {"kernel_shape": [2]})
    write("AveragePool_nan", "AveragePool", "", [odd], [np.array([[[np.nan, np.nan, np.inf, np.nan, -np.inf]]], np.float32)],
          {"kernel_shape": [2]})
    # A pad that reads nothing is not multiplied: infinite weights do not meet it.
    write("Conv_infinite_weight", "Conv", "", [np.ones((1, 1, 2), np.float32), np.array([[[np.inf, 1, 1]]], np.float32)],
          [np.array([[[2, np.inf]]], np.float32)], {"pads": [1, 1]})


def refusals():
    x, w = real(1, 4, 5, 5), real(6, 2, 3, 3)
    refused("Conv", [x, w], "group", group=0)
    refused("Conv", [x, w], "input channels", group=1)
    refused("Conv", [x, real(5, 2, 3, 3)], "divided", group=2)
    refused("Conv", [x, w], "strides", group=2, strides=[1])
    refused("Conv", [x, w], "strides", group=2, strides=[0, 1])
    refused("Conv", [x, w], "dilations", group=2, dilations=[1, -1])
    refused("Conv", [x, w], "pads", group=2, pads=[1, 1])
    refused("Conv", [x, w], "pads", group=2, pads=[-1, 0, 0, 0])
    refused("Conv", [x, w], "kernel_shape", group=2, kernel_shape=[2, 3])
    refused("Conv", [x, w], "auto_pad", group=2, auto_pad="SAME")
    refused("Conv", [x, w], "layout", group=2, layout="NCWH")
    refused("Conv", [x, w], "kernel_layout", group=2, kernel_layout="IOWH")
    refused("Conv", [x, real(6, 2, 9, 9)], "reaches", group=2)
    refused("Conv", [x, real(6, 2, 3)], "rank", group=2)
    refused("Conv", [x, w, real(5)], "elements", group=2)
    refused("Conv", [ints([[[1, 2, 3]]]), ints([[[1]]])], "float")
    refused("ConvTranspose", [x, real(4, 3, 3, 3)], "output_shape", output_shape=[3])
    refused("ConvTranspose", [x, real(4, 3, 3, 3)], "HWIM", kernel_layout="HWIM")
    refused("ConvTranspose", [x, real(3, 3, 3, 3)], "input channels")
    refused("MaxPool", [x], "kernel_shape")
    refused("MaxPool", [x], "kernel_shape", kernel_shape=[0, 2])
    refused("MaxPool", [x], "kernel_shape", kernel_shape=[-2, 2])
    refused("MaxPool", [x], "kernel_shape", kernel_shape=[2])
    refused("LpPool", [x], "'p'", kernel_shape=[2, 2], p=0)
    refused("MaxUnpool", [real(1, 1, 2, 2), ints([[[[0, 1], [2, 99]]]], np.int64)], "99", kernel_shape=[2, 2], strides=[2, 2])
    refused("BatchNormalization", [x] + [real(4)] * 3 + [real(3)], "elements")
    refused("LayerNormalization", [x, real(5)], "axis", axis=4)
    refused("LayerNormalization", [x, real(7)], "broadcast")
    refused("GroupNormalization", [x, real(4), real(4)], "divided", num_groups=3)
    refused("GroupNormalization", [x, real(4), real(4)], "num_groups", num_groups=0)
    refused("LpNormalization", [x], "only 1 and 2", p=3)
    refused("LRN", [x], "size", size=0)
    refused("MatMul", [real(2, 3), real(4, 2)], "do not fit")
    refused("MatMul", [real(2, 3), real()], "scalars")
    refused("MatMul", [real(2, 2, 3), real(3, 3, 2)], "broadcast")
    refused("Gemm", [real(2, 3), real(3, 2), real(3)], "broadcast")
    refused("Gemm", [real(2, 3, 1), real(3, 2)], "rank")
    refused("Einsum", [real(2, 3), real(3, 2)], "operands", equation="ij->i")
    refused("Einsum", [real(2, 3)], "rank", equation="ijk->i")
    refused("Einsum", [real(2, 3)], "no operand", equation="ij->k")
    refused("Einsum", [real(2, 3), real(2, 2)], "elements", equation="ij,jk->ik")
    refused("Det", [real(2, 3)], "square")
    refused("Resize", [x], "neither")
    refused("Resize", [x, None, real(4), ints([1, 4, 2, 2], np.int64)], "both")
    refused("Resize", [x, None, np.array([1, 1, -1, 2], np.float32)], "scale")
    refused("Resize", [x, None, np.array([1, 1, 2], np.float32)], "3 scales")
    refused("Resize", [x, None, None, ints([1, 4, 2, 2], np.int64)], "mode", mode="area")
    refused("GridSample", [x, real(1, 2, 2, 3)], "vectors")
    refused("RoiAlign", [x, real(2, 4), ints([0, 7], np.int64)], "region 1")
    refused("CenterCropPad", [x, ints([3, 3], np.int64)], "shape")
    refused("Col2Im", [real(1, 8, 5), ints([4, 5], np.int64), ints([2, 2], np.int64)], "blocks")
    refused("DeformConv", [x, real(6, 4, 3, 3), real(1, 18, 3, 3)], "offset", offset_group=3)
    refused("DFT", [real(1, 4, 3)], "1 or 2")
    refused("DFT", [real(1, 4, 2)], "real", onesided=1)
    refused("STFT", [real(1, 4, 1), ints(0, np.int64)], "frame_step")
    refused("HannWindow", [ints(-1, np.int64)], "-1")
    refused("MelWeightMatrix", [ints(4, np.int64), ints(8, np.int64), ints(0, np.int64), real(), real()], "input 2")
    refused("Attention", [real(1, 2, 6), real(1, 2, 6), real(1, 2, 6)], "q_num_heads")
    refused("Attention", [real(1, 3, 2, 4), real(1, 2, 2, 4), real(1, 2, 2, 4)], "query heads")
    refused("RotaryEmbedding", [real(1, 2, 2, 4), real(3, 2), real(3, 2), ints([[0, 3]], np.int64)], "outside")
    refused("LinearAttention", [real(1, 2, 4)] * 3, "update_rule", q_num_heads=2, kv_num_heads=2, update_rule="gated")
    refused("CausalConvWithState", [real(1, 2, 4), real(2, 1, 3)], "activation", activation="relu")
    refused("FusedConv", [x, w], "activation", MS, group=2, activation="Swoosh")
    refused("GroupQueryAttention", [real(1, 1, 6), None, None, None, None, ints([0]), ints(1)], "rows of 6", MS, num_heads=2,
            kv_num_heads=1)
    refused("FusedMatMul", [real(2, 2), real(4, 1)], "do not fit", MS, transBatchA=1)


def integers():
    case("Shrink", [ints([-7, -3, -2, 0, 2, 3, 9])], opset=9, lambd=1.5, bias=1.25)
    case("Shrink", [ints([0, 1, 2, 3, 200], np.uint8)], opset=9, lambd=1.5, bias=1.25)
    # ONNX Runtime samples floats only; the nearest of integers is the nearest of the same floats.
    x, grid = rng.integers(-100, 100, size=(1, 2, 4, 5)).astype(np.int32), real(1, 3, 3, 2)
    for pad in ("zeros", "border"):
        y, = answers("GridSample", [x.astype(np.float32), grid], 1, "", 20, {"mode": "nearest", "padding_mode": pad})
        for kind in (np.int32, np.bool_):
            write(f"GridSample_{pad}_{kind.__name__}", "GridSample", "", [x.astype(kind), grid], [y.astype(kind)],
                  {"mode": "nearest", "padding_mode": pad})
    refused("GridSample", [x, grid], "only mode 'nearest'", mode="linear")
    refused("Resize", [x > 0, None, np.array([1, 1, 2, 2], np.float32)], "which mode 'nearest' takes", mode="linear")


def newest():
    """Operators that ONNX Runtime does not have yet: the specification's own evaluator answers."""
    for k, attrs in enumerate(({}, {"alpha": 1.7})):
        a, b = real(2, 3, 4) * 3, real(2, 3, 4)
        node = helper.make_node("SwiGLU", ["a", "b"], ["y"], **attrs)
        y, = ReferenceEvaluator(helper.make_model(helper.make_graph(
            [node], "g", [helper.make_tensor_value_info(n, 1, [2, 3, 4]) for n in "ab"], [helper.make_tensor_value_info("y", 1, [2, 3, 4])]),
            opset_imports=[helper.make_opsetid("", 28)])).run(None, {"a": a, "b": b})
        write(f"SwiGLU_{k}", "SwiGLU", "", [a, b], [y], attrs)
    refused("SwiGLU", [real(2, 3), real(3)], "different shapes")


def complex_numbers():
    """What is linear is so in the real and the imaginary part."""
    def both(op, parts, rest, opset, **attrs):
        y, z = (answers(op, [x] + rest, 1, "", opset, attrs)[0] for x in parts)
        x = (parts[0] + 1j * parts[1]).astype(np.complex64)
        write(f"{op}_complex", op, "", [x] + rest, [(y + 1j * z).astype(np.complex64)], attrs)

    both("Resize", [real(1, 2, 3, 4), real(1, 2, 3, 4)], [None, None, ints([1, 2, 5, 3], np.int64)], 19, mode="linear")
    both("Resize", [real(1, 1, 4, 4), real(1, 1, 4, 4)], [None, None, ints([1, 1, 3, 7], np.int64)], 19, mode="cubic")
    both("GridSample", [real(1, 2, 3, 4), real(1, 2, 3, 4)], [real(1, 2, 2, 2)], 20, mode="linear", padding_mode="border")
    both("Col2Im", [real(1, 8, 9), real(1, 8, 9)], [ints([4, 4], np.int64), ints([2, 2], np.int64)], 18)
    refused("Col2Im", [np.array([[["1"]]], object), ints([1], np.int64), ints([1], np.int64)], "Col2Im of string")


def turned():
    """FusedMatMul with the batch axis of either operand behind its rows."""
    for ta, tb, ba, bb in ((0, 0, 1, 1), (1, 1, 1, 0), (0, 1, 0, 1)):
        case("FusedMatMul", [real(2, 2, 2, 2), real(2, 2, 2, 2)], domain=MS, alpha=0.5, transA=ta, transB=tb, transBatchA=ba,
             transBatchB=bb)
        case("FusedMatMul", [real(3, 2, 4), real(2, 4, 3)] if not bb else [real(2, 3, 4), real(4, 2, 3)], domain=MS, transBatchA=1 - bb,
             transBatchB=bb)


for part in (fused, norms, attention, layouts, rest, refusals, integers, newest, complex_numbers, turned):
    part()
out.close()
