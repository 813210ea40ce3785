"""Older versions of operators, whose meaning the reader translates: attributes that became inputs, other defaults."""
import numpy as np
from random_ops import *
from random_numeric import window

F = np.dtype(np.float32)


def old(name, **versions):
    """Registers a generator under NAME@OLD: f(r, version) for one of the versions."""
    def add(f):
        def generate(r):
            found = f(r, pick(r, versions["of"]))
            if found:
                found["op"] = name
            return found
        table.append((name + "Old", "", generate))
        return f
    return add


def at(version, inputs, n_out=1, **attrs):
    return case(inputs, n_out, opset=version, **attrs)


@old("Pad", of=[7, 10, 11, 13, 18, 19])
def pad(r, v):
    mode = pick(r, ["constant", "reflect", "edge"])
    dims = shape(r, 1, 4, 5, zero=0)
    pads = [ri(r, 0, max(0, d - 1)) for d in dims * 2]
    x = data(r, F, dims)
    if v < 11:
        return at(v, [x], mode=mode, pads=pads, value=maybe(r, 1.5))
    return at(v, [x, i64(pads)] + ([data(r, F, [])] if mode == "constant" and flag(r) else []), mode=mode)


@old("Slice", of=[7, 9, 10, 11])
def slice_(r, v):
    dims = shape(r, 1, 4, 5)
    axes = [int(a) for a in r.permutation(len(dims))[:ri(r, 1, len(dims))]]
    starts, ends = [ri(r, -6, 6) for _ in axes], [pick(r, [ri(r, -6, 6), 2 ** 31 - 1]) for _ in axes]
    x = data(r, F, dims)
    if v < 10:
        axes.sort()
        return at(v, [x], starts=starts, ends=ends, axes=axes)
    return at(v, [x, i64(starts), i64(ends), i64(axes)])


@old("TopK", of=[7, 10, 11])
def topk(r, v):
    dims = shape(r, 1, 3, 5, zero=0)
    axis = ri(r, 0, len(dims) - 1)
    k = ri(r, 1, dims[axis])
    x = r.permutation(int(np.prod(dims))).reshape(dims).astype(F)
    if v < 10:
        return at(v, [x], 2, axis=axis, k=k)
    return at(v, [x, i64([k])], 2, axis=axis, **({"largest": ri(r, 0, 1)} if v >= 11 else {}))


@old("Clip", of=[7, 10, 11, 12])
def clip(r, v):
    x = data(r, F, shape(r), odd=True)
    if v < 11:
        return at(v, [x], min=maybe(r, -0.5), max=maybe(r, 1.0))
    return at(v, [x, maybe(r, np.array(-0.5, F)), maybe(r, np.array(1.0, F))])


@old("Dropout", of=[7, 10, 12])
def dropout(r, v):
    x = data(r, F, shape(r))
    return at(v, [x], ratio=maybe(r, 0.3)) if v < 12 else at(v, [x, maybe(r, np.array(0.3, F))], ri(r, 1, 2))


@old("BatchNormalization", of=[7, 9, 14])
def batch_norm(r, v):
    c = ri(r, 1, 3)
    x = data(r, F, [ri(r, 1, 2), c] + shape(r, 1, 2, 3, zero=0))
    return at(v, [x, data(r, F, [c]), data(r, F, [c]), data(r, F, [c]), data(r, F, [c], 0.5, 2)], epsilon=maybe(r, 0.01))


@old("Resize", of=[10, 11, 13, 18])
def resize(r, v):
    dims = [1, ri(r, 1, 2), ri(r, 2, 5), ri(r, 2, 5)]
    x = data(r, F, dims)
    scales = np.array([1, 1, pick(r, [0.5, 1.5, 2.0]), pick(r, [0.5, 1.0, 2.0, 3.0])], F)
    mode = pick(r, ["nearest", "linear"])
    if v == 10:
        return at(v, [x, scales], mode=mode)
    how = pick(r, ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    extra = {"nearest_mode": pick(r, ["floor", "ceil", "round_prefer_floor"])} if mode == "nearest" else {}
    mode = pick(r, [mode, "cubic"]) if not extra else mode
    roi = np.zeros([0], F) if v < 13 or flag(r) else None
    if flag(r):
        return at(v, [x, roi, scales], mode=mode, coordinate_transformation_mode=how, **extra)
    sizes = i64(dims[:2] + [ri(r, 1, 7), ri(r, 1, 7)])
    none = np.zeros([0], F) if v < 13 else None
    return at(v, [x, roi, none, sizes], mode=mode, coordinate_transformation_mode=how, **extra)


@old("Gemm", of=[7, 9, 11])
def gemm(r, v):
    m, k, n = ri(r, 1, 3), ri(r, 1, 3), ri(r, 1, 3)
    ta, tb = ri(r, 0, 1), ri(r, 0, 1)
    c = data(r, F, pick(r, [[m, n], [n], [1, n], [m, 1]]))
    return at(v, [data(r, F, [k, m] if ta else [m, k]), data(r, F, [n, k] if tb else [k, n])] + ([c] if v < 11 or flag(r) else []),
              transA=ta, transB=tb, alpha=0.5, beta=1.5)


@old("Split", of=[7, 11, 13])
def split(r, v):
    dims = shape(r, 1, 3, 6, zero=0)
    axis = ri(r, 0, len(dims) - 1)
    cut = ri(r, 0, dims[axis])
    x, sizes = data(r, F, dims), [cut, dims[axis] - cut]
    if flag(r, 0.3):
        dims[axis] = 4
        return at(v, [data(r, F, dims)], 2, axis=axis)
    return at(v, [x], 2, axis=axis, split=sizes) if v < 13 else at(v, [x, i64(sizes)], 2, axis=axis)


@old("Unsqueeze", of=[7, 11])
def unsqueeze(r, v):
    dims = shape(r, 0, 3)
    axes = sorted(int(a) for a in r.permutation(len(dims) + 2)[:2])
    return at(v, [data(r, F, dims)], axes=axes)


@old("AveragePool", of=[7, 10, 11, 19])
def average_pool(r, v):
    axes = ri(r, 1, 2)
    attrs, reach = window(r, None, axes, dilations=v >= 19)
    if "pads" in attrs:
        attrs["pads"] = [min(p, k - 1) for p, k in zip(attrs["pads"], attrs["kernel_shape"] * 2)]
    if v >= 10 and flag(r) and "auto_pad" not in attrs:
        attrs["ceil_mode"] = 1
    return at(v, [data(r, F, [1, 2] + [ri(r, e, e + 4) for e in reach])], count_include_pad=maybe(r, 1), **attrs)


@old("MaxPool", of=[7, 8, 10, 11])
def max_pool(r, v):
    axes = ri(r, 1, 2)
    attrs, reach = window(r, None, axes, dilations=v >= 10)
    if "pads" in attrs:
        attrs["pads"] = [min(p, k - 1) for p, k in zip(attrs["pads"], attrs["kernel_shape"] * 2)]
    if v >= 10 and flag(r) and "auto_pad" not in attrs:
        attrs["ceil_mode"] = 1
    return at(v, [data(r, F, [1, 2] + [ri(r, e, e + 4) for e in reach])], 2 if v >= 8 and flag(r) else 1, **attrs)


@old("LpPool", of=[7, 11])
def lp_pool(r, v):
    axes = ri(r, 1, 2)
    attrs, reach = window(r, None, axes, dilations=False)
    if "pads" in attrs:
        attrs["pads"] = [min(p, k - 1) for p, k in zip(attrs["pads"], attrs["kernel_shape"] * 2)]
    return at(v, [data(r, F, [1, 2] + [ri(r, e, e + 4) for e in reach])], p=maybe(r, ri(r, 1, 3)), **attrs)


@old("Sum", of=[7, 8])
def total(r, v):
    dims = shape(r)
    return at(v, [data(r, F, dims), data(r, F, dims if v < 8 else broadcastable(r, dims))])


@old("Flatten", of=[7, 9, 11])
def flatten(r, v):
    dims = shape(r, 1, 4)
    return at(v, [data(r, F, dims)], axis=maybe(r, ri(r, 0 if v < 11 else -len(dims), len(dims))))


@old("Hardmax", of=[7, 11, 12])
def hardmax(r, v):
    dims = shape(r, 1, 4, 4, zero=0)
    return at(v, [r.permutation(int(np.prod(dims))).reshape(dims).astype(F)], axis=maybe(r, ri(r, 0, len(dims) - 1), 0.6))


@old("LogSoftmax", of=[7, 11, 13])
def log_softmax(r, v):
    dims = shape(r, 1, 4, 4, zero=0)
    return at(v, [data(r, F, dims)], axis=maybe(r, ri(r, 0, len(dims) - 1), 0.6))


@old("ReduceMax", of=[7, 11, 12, 13])
def reduce_max(r, v):
    dims = shape(r, 1, 4, 3, zero=0)
    axes = [int(a) for a in r.permutation(len(dims))[:ri(r, 1, len(dims))]]
    return at(v, [data(r, F, dims)], axes=maybe(r, axes), keepdims=maybe(r, ri(r, 0, 1)))


@old("ArgMax", of=[7, 11])
def arg_max(r, v):
    dims = shape(r, 1, 4, 3, zero=0)
    return at(v, [data(r, F, dims)], axis=maybe(r, ri(r, 0, len(dims) - 1)), keepdims=maybe(r, ri(r, 0, 1)))


@old("OneHot", of=[9])
def one_hot(r, v):
    d = ri(r, 1, 4)
    return at(v, [np.asarray(r.integers(0, d, shape(r, 1, 2, 3))).astype(np.int64), i64(d).reshape([1]) if flag(r) else i64(d), data(r, F, [2])],
              axis=maybe(r, pick(r, [0, -1])))


@old("GridSample", of=[16])
def grid_sample(r, v):
    return at(v, [data(r, F, [1, 2, ri(r, 1, 4), ri(r, 1, 4)]), data(r, F, [1, 2, 3, 2], -1.3, 1.3)],
              mode=maybe(r, pick(r, ["bilinear", "nearest", "bicubic"])), padding_mode=maybe(r, pick(r, ["zeros", "border", "reflection"])),
              align_corners=maybe(r, ri(r, 0, 1)))


@old("RoiAlign", of=[10, 16])
def roi_align(r, v):
    at_ = r.uniform(0, 3, [2, 2]).round(1)
    rois = np.concatenate([at_, at_ + r.uniform(0.5, 4, [2, 2]).round(1)], 1).astype(F)
    return at(v, [data(r, F, [1, 2, 5, 6]), rois, i64([0, 0])], output_height=2, output_width=2, sampling_ratio=ri(r, 0, 2),
              mode=maybe(r, pick(r, ["avg", "max"])))


@old("QuantizeLinear", of=[10, 13, 19])
def quantize(r, v):
    dims = shape(r, 1, 3, 4, zero=0)
    many = v >= 13 and flag(r)
    axis = ri(r, 0, len(dims) - 1)
    n = [dims[axis]] if many else []
    u = pick(r, [np.uint8, np.int8])
    return at(v, [data(r, F, dims, -20, 20), (0.25 + 0.25 * np.arange(int(np.prod(n)))).reshape(n).astype(F), data(r, u, n, 0, 0.5)],
              **({"axis": axis} if many else {}))


@old("DequantizeLinear", of=[10, 13, 19])
def dequantize(r, v):
    dims = shape(r, 1, 3, 4, zero=0)
    many = v >= 13 and flag(r)
    axis = ri(r, 0, len(dims) - 1)
    n = [dims[axis]] if many else []
    u = pick(r, [np.uint8, np.int8])
    return at(v, [data(r, u, dims), (0.25 + 0.25 * np.arange(int(np.prod(n)))).reshape(n).astype(F), data(r, u, n, 0, 0.5)],
              **({"axis": axis} if many else {}))


@old("LSTM", of=[7])
def lstm(r, v):
    s, b, i, h = ri(r, 1, 4), ri(r, 1, 3), ri(r, 1, 3), ri(r, 1, 3)
    return at(v, [data(r, F, [s, b, i], -1, 1), data(r, F, [1, 4 * h, i], -1, 1), data(r, F, [1, 4 * h, h], -1, 1),
                  maybe(r, data(r, F, [1, 8 * h], -1, 1))], 3, hidden_size=h)


@old("GRU", of=[7])
def gru(r, v):
    s, b, i, h = ri(r, 1, 4), ri(r, 1, 3), ri(r, 1, 3), ri(r, 1, 3)
    return at(v, [data(r, F, [s, b, i], -1, 1), data(r, F, [1, 3 * h, i], -1, 1), data(r, F, [1, 3 * h, h], -1, 1),
                  maybe(r, data(r, F, [1, 6 * h], -1, 1))], 2, hidden_size=h, linear_before_reset=ri(r, 0, 1))


@old("GatherElements", of=[11])
def gather_elements(r, v):
    dims = shape(r, 1, 3, 4, zero=0)
    axis = ri(r, 0, len(dims) - 1)
    return at(v, [data(r, F, dims), np.asarray(r.integers(-dims[axis], dims[axis], dims)).astype(np.int64)], axis=axis)


@old("ScatterElements", of=[11, 16])
def scatter_elements(r, v):
    dims = shape(r, 1, 3, 4, zero=0)
    axis = ri(r, 0, len(dims) - 1)
    spots = np.argsort(r.random(dims), axis=axis).astype(np.int64)
    return at(v, [data(r, F, dims), spots, data(r, F, dims)], axis=axis, **({"reduction": pick(r, ["none", "add", "mul"])} if v >= 16 else {}))


@old("GatherND", of=[11, 12])
def gather_nd(r, v):
    dims = shape(r, 2, 4, 3, zero=0)
    k = ri(r, 1, len(dims))
    spots = np.stack([r.integers(0, d, [2]) for d in dims[:k]], -1)
    return at(v, [data(r, F, dims), spots.astype(np.int64)])


@old("Cast", of=[7, 9, 13])
def cast(r, v):
    t, u = pick(r, [F, np.dtype(np.int32), np.dtype(np.bool_), np.dtype(np.float64)]), pick(r, [F, np.dtype(np.int64), np.dtype(np.bool_), np.dtype(np.float16)])
    return at(v, [data(r, t, shape(r))], to=helper.np_dtype_to_tensor_dtype(u))


@old("Mod", of=[10, 13])
def mod(r, v):
    t = pick(r, [F, np.dtype(np.int32), np.dtype(np.int64)])
    dims = shape(r)
    b = data(r, t, dims)
    return at(v, [data(r, t, dims), np.where(b == 0, np.ones_like(b), b).astype(t).reshape(dims)], fmod=1 if t == F else ri(r, 0, 1))


@old("CumSum", of=[11])
def cumsum(r, v):
    dims = shape(r, 1, 3)
    return at(v, [data(r, F, dims), np.array(ri(r, 0, len(dims) - 1), np.int32)], exclusive=ri(r, 0, 1), reverse=ri(r, 0, 1))


@old("Upsample", of=[7, 8, 9])
def upsample(r, v):
    dims = [1, ri(r, 1, 2), ri(r, 1, 4), ri(r, 1, 4)]
    scales = [1.0, 1.0] + [pick(r, [1.0, 1.5, 2.0, 3.0]) for _ in range(2)]
    mode = pick(r, ["nearest", "linear"])
    return at(v, [data(r, F, dims)], scales=scales, mode=mode) if v < 9 else at(v, [data(r, F, dims), np.array(scales, F)], mode=mode)


@old("Scatter", of=[9, 10])
def scatter(r, v):
    dims = shape(r, 1, 3, 4, zero=0)
    axis = ri(r, 0, len(dims) - 1)
    return at(v, [data(r, F, dims), np.argsort(r.random(dims), axis=axis).astype(np.int64), data(r, F, dims)], axis=axis)


@old("PRelu", of=[7, 9])
def prelu(r, v):
    dims = [1, 3, 2]
    return at(v, [data(r, F, dims), data(r, F, pick(r, [[3, 1], [1], [2], [3, 2]]))])


@old("Gather", of=[7, 11])
def gather(r, v):
    dims = shape(r, 1, 3, 4, zero=0)
    axis = ri(r, 0, len(dims) - 1)
    return at(v, [data(r, F, dims), np.asarray(r.integers(0, dims[axis], shape(r, 0, 2, 3))).astype(np.int64)], axis=maybe(r, axis, 1.0))


@old("ConvTranspose", of=[7, 11])
def conv_transpose(r, v):
    axes = ri(r, 1, 2)
    attrs, _ = window(r, None, axes, True)
    attrs.pop("auto_pad", None)
    return at(v, [data(r, F, [1, 2] + [ri(r, 2, 4) for _ in range(axes)]), data(r, F, [2, 2] + attrs["kernel_shape"])], **attrs)
