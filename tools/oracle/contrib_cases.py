#!/usr/bin/env python3
"""Writes test/ops/contrib_cases.txt: com.microsoft's operators on random shapes and attributes with ONNX Runtime's answers,
or, where its CPU build has no kernel, those of the definition that its schema states.

usage: contrib_cases.py OUT [CASES_EACH]      needs numpy, onnx, onnxruntime (requirements-onnx.txt)
"""
import math
import sys

import numpy as np

from stored_cases import MS, Writer

writer = Writer(sys.argv[1], 23)
rng, real = writer.rng, writer.real
F = np.float32


def case(op, inputs, n_out=1, **attrs):
    writer.case(op, inputs, n_out, MS, **attrs)


def given(op, inputs, outputs, **attrs):
    writer.given(op, inputs, [np.asarray(y, F) for y in outputs], **attrs)


def side(least=1, most=6):
    return int(rng.integers(least, most))


def i64(*v):
    return np.array(v, np.int64)


def doubles():
    x = real(side(), side(), side())
    case("ExpandDims", [x, np.array(rng.integers(-4, 4), np.int32)])
    case("GatherND", [x, i64([0, 0], [x.shape[0] - 1, -1])])
    for mode in ("bilinear", "nearest", "bicubic"):
        case("GridSample", [real(2, 3, 4, 5), rng.uniform(-1.1, 1.1, (2, 3, 2, 2)).astype(F)], mode=mode, align_corners=side(0, 2),
             padding_mode=["zeros", "border", "reflection"][side(0, 3)])
    k = side(2, 4)
    case("NhwcMaxPool", [rng.integers(-128, 128, (2, side(4, 8), side(4, 8), side())).astype(np.int8)], kernel_shape=[k, k],
         strides=[side(1, 3)] * 2, pads=[side(0, 2) for _ in range(4)])
    case("Pad", [x, i64(1, 0, 2, 0, 3, 1), np.array([1.5], F)])
    case("Pad", [x, i64(0, -1 if x.shape[1] > 2 else 0, 0, 1, 0, 2)], mode="edge")
    case("Range", [np.array(1.5, F), np.array(7, F), np.array(0.75, F)])
    case("Range", [i64(3), i64(9)])
    case("TransposeMatMul", [real(2, 4, 3), real(2, 5, 4)], transA=1, transB=1, alpha=0.5)
    case("Trilu", [real(2, 4, 5), np.array(rng.integers(-2, 3), np.int64)], upper=side(0, 2))
    case("Unique", [np.round(rng.uniform(0, 3, 9)).astype(F)], 3)


def products():
    case("MatMulInteger16", [rng.integers(-300, 300, (2, 3, 4)).astype(np.int16), rng.integers(-300, 300, (4, 5)).astype(np.int16)])
    for metric in ("euclidean", "sqeuclidean"):
        case("CDist", [real(side(), 4), real(side(), 4)], metric=metric)
    x, w = real(2, 3, 4, 4), real(3, 4, 3, 3)
    case("ConvTransposeWithDynamicPads", [x, w, i64(1, 0, 1, 1), real(4)], strides=[2, 1])
    m = real(2, 3, 3) + 3 * np.eye(3, dtype=F)
    case("Inverse", [m])
    n, k, block = side(3, 7), 32, 16
    for kind in (0, 1):
        case("MatMulBnb4", [real(2, k), rng.integers(0, 256, n * k // 2).astype(np.uint8), np.abs(real(n * k // block))], K=k, N=n,
             block_size=block, quant_type=kind)
    for bits in (4, 8):
        per = 8 // bits
        data = rng.integers(0, 256, (7, 32 // per)).astype(np.uint8)
        for zeros in ([], [rng.integers(0, 256, (7, 2 // per or 1)).astype(np.uint8)]):
            case("GatherBlockQuantized", [data, i64([1, -1], [6, 0]), np.abs(real(7, 2))] + zeros, bits=bits, block_size=16)


def tokens():
    ids = rng.integers(0, 3, (3, 9)).astype(np.int64)
    case("NGramRepeatBlock", [ids, real(3, 4)], ngram_size=side(1, 4))
    for x in (np.array(["a", "bc", "abc", "abcd", "déjà-vu!!"], dtype=object), i64(-1, 0, 1 << 40), np.array([7, -9], np.int32),
              real(3), np.round(rng.standard_normal(3), 3), np.array([1, 1 << 31], np.uint32), np.array([1, 1 << 63], np.uint64)):
        case("MurmurHash3", [x], positive=side(0, 2), seed=side(0, 99))


def quantized():
    for kind, low in ((np.uint8, 0), (np.int8, -128)):
        heads, size, width = side(1, 3), side(2, 4), side(4, 9)
        columns = 3 * heads * size
        x, w = rng.integers(0, 256, (2, 3, width)).astype(np.uint8), rng.integers(low, low + 256, (width, columns)).astype(kind)
        common = [np.array(0.02, F), np.array(0.011, F)]
        zeros = [np.array(119, np.uint8), np.array(low + 131, kind)]
        case("QAttention", [x, w, real(columns)] + common + [None] + zeros, num_heads=heads)
        mask, past = np.array([2, 3], np.int32), real(2, 2, heads, 2, size)
        case("QAttention", [x, w, real(columns)] + common + [mask] + zeros, num_heads=heads, unidirectional=1)
        case("QAttention", [x, w, real(columns)] + common + [None] + zeros + [past], 2, num_heads=heads, unidirectional=1)

        def table(*shape):
            return rng.integers(low, low + 256, shape).astype(kind)
        ids = rng.integers(0, 5, (2, 3)).astype(np.int32)
        parts = [table(5, 8), table(4, 8), table(2, 8), table(8), table(8)]
        scales = [np.array([0.01 + 0.002 * i], F) for i in range(5)]
        offsets = [np.array([low + 100 + 9 * i], kind) for i in range(5)]
        if kind == np.uint8:
            case("QEmbedLayerNormalization", [ids, ids % 2] + parts + [(ids > 0).astype(np.int32)] + scales + offsets, 2, epsilon=1e-5)
        for direction in ("forward", "reverse", "bidirectional"):
            n = 2 if direction[0] == "b" else 1
            inputs, hidden = side(2, 6), side(2, 6)
            weights = [rng.integers(low, low + 256, (n, k, 4 * hidden)).astype(kind) for k in (inputs, hidden)]
            middle = [np.full((n,), 0.004 + 0.003 * i, F) for i in range(2)], [np.full((n,), low + 128, kind) for _ in range(2)]
            case("DynamicQuantizeLSTM", [real(4, 1, inputs)] + weights + [real(n, 8 * hidden), None, real(n, 1, hidden), real(n, 1, hidden), None,
                                                                        middle[0][0], middle[1][0], middle[0][1], middle[1][1]], 3,
                 hidden_size=hidden, direction=direction)
        x, axes = rng.integers(low, low + 256, (2, 3, 4)).astype(kind), [1]
        reals = (x.astype(np.float64) - (low + 120)) * F(0.02)
        y = np.round(reals.mean(1, keepdims=True) / F(0.013)) + low + 125
        writer.given("QLinearReduceMean", [x, np.array(0.02, F), np.array(low + 120, kind), np.array(0.013, F), np.array(low + 125, kind)],
                     [np.clip(y, low, low + 255).astype(kind)], axes=axes, keepdims=1)


def grouped(packed, rotary, past, bias, sink=False, **attrs):
    """GroupQueryAttention: a prompt, or one token more, of a batch of sequences of other lengths."""
    batch, kv_heads, size = side(1, 3), side(1, 3), 16
    heads, length = kv_heads * side(1, 3), 1 if past else side(2, 5)
    held = side(2, 5) if past else 0
    total = held + length
    widths = [heads * size, kv_heads * size, kv_heads * size]
    qkv = [real(batch, length, sum(widths)), None, None] if packed else [real(batch, length, w) for w in widths]
    # What tokens behind the end of a padded prompt attend to is ONNX Runtime's own; with a past the lengths differ.
    valid = rng.integers(2 if past else total, total, size=batch, endpoint=True).astype(np.int32)
    valid[0] = total
    room = total + 1
    caches = [real(batch, kv_heads, held, size) for _ in range(2)] if past else [None, None]
    tables = [np.cos(angles := rng.uniform(0, 3, (room, size // 2))).astype(F), np.sin(angles).astype(F)] if rotary else [None, None]
    inputs = qkv + caches + [valid - 1, np.array(total, np.int32)] + tables
    if bias:
        inputs += [None, real(1, heads, length, total)]
    if sink:
        inputs += [None, None, real(heads)]
    case("GroupQueryAttention", inputs, 3, num_heads=heads, kv_num_heads=kv_heads, **({"do_rotary": 1} if rotary else {}), **attrs)


def grouped_attention():
    for packed in (0, 1):
        for past in (0, 1):
            grouped(packed, side(0, 2), past, 0)
            grouped(packed, 1, past, 0, rotary_interleaved=1, scale=0.3)
            grouped(packed, 0, past, 0, local_window_size=2)
            grouped(packed, 0, past, 0, softcap=1.5)
            grouped(packed, 0, past, 1)
            grouped(packed, 0, past, 0, smooth_softmax=1)
            grouped(packed, 0, past, 0, causal=0)
            grouped(packed, 0, past, 0, sink=True)


def experts():
    tokens, n, hidden, inner = side(2, 5), side(2, 5), side(3, 7), side(2, 6)
    for kind in ("relu", "gelu", "silu", "identity", "swiglu"):
        fused = 2 if kind == "swiglu" else 1
        extra = {"swiglu_fusion": 1, "activation_alpha": 1.7, "activation_beta": 1.0, "swiglu_limit": 1.5} if fused == 2 else {}
        case("MoE", [real(tokens, hidden), real(tokens, n), real(n, fused * inner, hidden), real(n, fused * inner), real(n, hidden, inner),
                     real(n, hidden)], k=side(1, 3), normalize_routing_weights=side(0, 2), activation_type=kind, **extra)
    case("MoE", [real(2, 3, hidden), real(6, n), real(n, inner, hidden), None, real(n, hidden, inner)], activation_type="silu")


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def group_norm(x, gamma, beta, groups, epsilon, activation):
    """Channels last."""
    n, c = x.shape[0], x.shape[-1]
    g = np.float64(x).reshape(n, -1, groups, c // groups)
    y = (g - g.mean((1, 3), keepdims=True)) / np.sqrt(g.var((1, 3), keepdims=True) + epsilon)
    y = y.reshape(x.shape) * gamma + beta
    return y * sigmoid(y) if activation else y


def fusions():
    x, bias = real(2, 3, 6), real(6)
    given("BiasAdd", [x, bias, real_skip := real(2, 3, 6)], [x + bias + real_skip])
    given("BiasDropout", [x, bias, real_skip], [x + bias + real_skip])
    s = np.float64(x) + bias
    gelu = s / 2 * (1 + np.vectorize(math.erf)(s / math.sqrt(2)))
    given("BiasSplitGelu", [x, bias], [s[..., :3] * gelu[..., 3:]])
    pairs = real(2, 3, 2), real(2, 3, 2)
    a, b = (np.float64(p)[..., 0] + 1j * np.float64(p)[..., 1] for p in pairs)
    for op, c in (("ComplexMul", a * b), ("ComplexMulConj", a * np.conj(b))):
        given(op, list(pairs), [np.stack([c.real, c.imag], -1)])
    image, gamma, beta, skip, shift = real(2, 3, 4, 6), real(6), real(6), real(2, 6), real(6)
    for activation in (0, 1):
        y = group_norm(image, gamma, beta, 3, 1e-5, activation)
        given("GroupNorm", [image, gamma, beta], [y], groups=3, activation=activation)
        given("GroupNorm", [image.transpose(0, 3, 1, 2), gamma, beta], [y.transpose(0, 3, 1, 2)], groups=3, activation=activation, channels_last=0)
        total = np.float64(image) + skip[:, None, None, :] + shift
        given("SkipGroupNorm", [image, gamma, beta, skip, shift], [group_norm(total, gamma, beta, 2, 1e-5, activation), total], groups=2,
              activation=activation)


for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 2):
    doubles()
    products()
    tokens()
    quantized()
    fusions()
    grouped_attention()
    experts()
print(writer.count, "cases")
