#!/usr/bin/env python3
"""Writes test/ops/quantized_cases.txt: ONNX's and ONNX Runtime's quantized operators on random shapes, scales and zero
points, with ONNX Runtime's answers, which a run in native precision must give within one step.

usage: quantized_cases.py OUT [CASES_EACH] [SEED]      needs numpy, onnx, onnxruntime (requirements-onnx.txt)
"""
import sys

import numpy as np

from stored_cases import MS, Writer

each = int(sys.argv[2]) if len(sys.argv) > 2 else 2
writer = Writer(sys.argv[1], int(sys.argv[3]) if len(sys.argv) > 3 else 5)
rng, case = writer.rng, writer.case
F = np.float32


def values(kind, *shape):
    low = np.iinfo(kind).min
    return rng.integers(low, low + 256, size=shape).astype(kind)


def scale(low, high, *shape):
    """Log-uniform, three digits."""
    return np.float32([float(f"{v:.3g}") for v in np.exp(rng.uniform(np.log(low), np.log(high), int(np.prod(shape))))]).reshape(shape)


def zero(kind, *shape):
    middle = np.iinfo(kind).min + 128
    return rng.integers(middle - 40, middle + 40, size=shape).astype(kind)


def side(least=1, most=7):
    return int(rng.integers(least, most))


def operand(kind, shape, low=0.01, high=0.1):
    return [values(kind, *shape), scale(low, high), zero(kind)]


def result(kind, low, high):
    return [scale(low, high), zero(kind)]


def convolutions(kind, weights):
    group = side(1, 3)
    cin, cout, k = group * side(1, 4), group * side(1, 4), side(1, 4)
    x, w = operand(kind, (side(1, 3), cin, side(4, 8), side(4, 8))), values(weights, cout, cin // group, k, k)
    attrs = {"group": group, "kernel_shape": [k, k], "strides": [side(1, 3), side(1, 3)], "pads": [int(rng.integers(0, k)) for _ in range(4)],
             "dilations": [1, side(1, 3) if k == 1 else 1]}
    wide = bool(rng.integers(2))
    w_scale = scale(0.002, 0.02, cout) if wide else scale(0.002, 0.02)
    w_zero = np.zeros(cout, weights) if wide and weights == np.int8 else zero(weights)
    y_scale = scale(0.05, 0.5)
    bias = None if rng.integers(2) else rng.integers(-9000, 9000, size=cout).astype(np.int32)
    case("QLinearConv", x + [w, w_scale, w_zero, y_scale, zero(kind), bias], domain="", **attrs)
    if kind == np.uint8:
        case("ConvInteger", [x[0], w, x[2], zero(weights)], domain="", **attrs)


def matrices(kind, weights):
    m, k, n = side(), side(2, 40), side()
    a, b = operand(kind, (side(1, 3), m, k)), [values(weights, k, n), scale(0.002, 0.02), zero(weights)]
    case("QLinearMatMul", a + b + result(kind, 0.05, 0.5), domain="")
    per_column = [values(weights, k, n), scale(0.002, 0.02, n), np.zeros(n, weights)]
    if weights == np.int8:
        case("QLinearMatMul", a + per_column + result(kind, 0.05, 0.5), domain="")
    if kind == np.uint8:
        case("MatMulInteger", [a[0], b[0], a[2], b[2]], domain="")
        case("MatMulIntegerToFloat", [a[0], b[0], a[1], b[1], a[2], b[2], writer.real(n)], domain=MS)
        case("DynamicQuantizeMatMul", [writer.real(m, k) * F(3), b[0], b[1], b[2], writer.real(n)], domain=MS)
        case("DynamicQuantizeLinear", [writer.real(m, k) * F(9)], 3, domain="")
    for ta in (0, 1):
        tb, bias = int(rng.integers(2)), None if rng.integers(2) else rng.integers(-3000, 3000, size=n).astype(np.int32)
        left, right = values(kind, *((k, m) if ta else (m, k))), values(weights, *((n, k) if tb else (k, n)))
        attrs = {"transA": ta, "transB": tb, "alpha": float(F(rng.choice([0.5, 1, 1.25])))}
        parameters = per_column[1:] if weights == np.int8 and rng.integers(2) else b[1:]
        for end in (result(kind, 0.05, 0.5), []):
            case("QGemm", [left, a[1], a[2], right] + parameters + [bias] + end, domain=MS, **attrs)


def elements(kind):
    shape = (side(2), side(2), side(2, 12))  # ONNX Runtime gives the softmax of one element as 0
    a, b = operand(kind, shape), operand(kind, shape[1:] if rng.integers(2) else shape)
    case("QLinearAdd", a + b + result(kind, 0.03, 0.2), domain=MS)
    case("QLinearMul", a + b + result(kind, 0.05, 0.5), domain=MS)
    case("QLinearWhere", [rng.integers(0, 2, size=shape).astype(bool)] + a + b + result(kind, 0.02, 0.1), domain=MS)
    case("QLinearSigmoid", a + [np.array(1 / 256, F), np.array(np.iinfo(kind).min, kind)], domain=MS)
    case("QLinearLeakyRelu", a + result(kind, 0.01, 0.1), domain=MS, alpha=float(scale(0.01, 0.9)))
    for opset in (12, 13):
        case("QLinearSoftmax", a + [np.array(1 / 256, F), np.array(np.iinfo(kind).min, kind)], domain=MS, opset=opset,
             axis=int(rng.integers(-1, 3)))
    joined = sum((operand(kind, (shape[0], side(), shape[2])) for _ in range(3)), [])
    case("QLinearConcat", result(kind, 0.02, 0.1) + joined, domain=MS, axis=1)


def pools(kind):
    k = side(2, 4)
    for last in (0, 1):
        x = operand(kind, (side(1, 3), side(5, 9), side(5, 9), side(1, 4)) if last else (side(1, 3), side(1, 4), side(5, 9), side(5, 9)))
        case("QLinearGlobalAveragePool", x + result(kind, 0.01, 0.1), domain=MS, channels_last=last)
        case("QLinearAveragePool", x + result(kind, 0.01, 0.1), domain=MS, channels_last=last, kernel_shape=[k, k],
             strides=[side(1, 3), side(1, 3)], pads=[side(0, k) for _ in range(4)], count_include_pad=int(rng.integers(2)),
             ceil_mode=int(rng.integers(2)))


for _ in range(each):
    for kind, weights in ((np.uint8, np.uint8), (np.uint8, np.int8), (np.int8, np.int8)):
        convolutions(kind, weights)
        matrices(kind, weights)
    for kind in (np.uint8, np.int8):
        elements(kind)
        pools(kind)
print(writer.count, "cases")
