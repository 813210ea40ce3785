"""Operators that move elements or make shapes."""
import numpy as np
from onnx import numpy_helper
from random_ops import *


@op("Reshape")
def reshape(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r)
    n = int(np.prod(dims))
    out, rest = [], n
    while rest > 1 and len(out) < 4:
        d = pick(r, [k for k in range(1, rest + 1) if rest % k == 0])
        out.append(d)
        rest //= d
    out.append(rest)
    if n and flag(r):
        out[ri(r, 0, len(out) - 1)] = -1
    if flag(r, 0.2) and dims and out[0] == dims[0]:
        out[0] = 0
    return case([data(r, t, dims), i64(out)], allowzero=1 if n == 0 and 0 in out and -1 not in out else None)


@op("Flatten")
def flatten(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4)
    return case([data(r, t, dims)], axis=maybe(r, ri(r, -len(dims), len(dims)), 0.8))


@op("Squeeze")
def squeeze(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, one=0.6)
    axes = [a - (len(dims) if flag(r) else 0) for a, d in enumerate(dims) if d == 1 and flag(r, 0.7)]
    x = data(r, t, dims)
    if flag(r, 0.2):
        return case([x])
    if flag(r, 0.2) and t.name != "bfloat16" and t.itemsize > 0 and t.kind in "fiub":
        return case([x], opset=11, axes=axes) if axes else None
    return case([x, i64(axes)])


@op("Unsqueeze")
def unsqueeze(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 0, 3)
    n = ri(r, 0, 2)
    rank = len(dims) + n
    axes = [int(a) - (rank if flag(r) else 0) for a in r.permutation(rank)[:n]]
    return case([data(r, t, dims), i64(axes)])


@op("Transpose")
def transpose(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 0, 5, 3)
    return case([data(r, t, dims)], perm=maybe(r, [int(p) for p in r.permutation(len(dims))], 0.8) if dims else None)


@op("Expand")
def expand(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r)
    part = broadcastable(r, dims)
    return case([data(r, t, part), i64([1 if flag(r, 0.2) else d for d in dims])])


@op("Tile")
def tile(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 0, 3, 3)
    return case([data(r, t, dims), i64([ri(r, 0 if flag(r, 0.1) else 1, 3) for _ in dims])])


@op("Concat")
def concat(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, 3)
    axis = axis_of(r, len(dims))
    inputs = []
    for _ in range(ri(r, 1, 4)):
        d = list(dims)
        d[axis] = ri(r, 0, 3)
        inputs.append(data(r, t, d))
    return case(inputs, axis=axis)


@op("Split")
def split(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 6, zero=0)
    axis = axis_of(r, len(dims))
    parts = ri(r, 1, 3)
    x = data(r, t, dims)
    if flag(r):
        cuts = sorted(ri(r, 0, dims[axis]) for _ in range(parts - 1))
        sizes = np.diff([0] + cuts + [dims[axis]])
        return case([x, i64(sizes)], parts, axis=axis)
    return case([x], parts, axis=axis, num_outputs=parts)


@op("Slice")
def slice_(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, 5)
    axes = [int(a) for a in r.permutation(len(dims))[:ri(r, 1, len(dims))]]
    u = pick(r, [np.int32, np.int64])
    big = np.iinfo(u).max
    starts = [pick(r, [ri(r, -7, 7), ri(r, -2, 2), big, -big]) if flag(r, 0.9) else 0 for _ in axes]
    ends = [pick(r, [ri(r, -7, 7), big, -big - 1]) for _ in axes]
    steps = [pick(r, [1, 1, 2, 3, -1, -2, big, -big]) for _ in axes]
    if flag(r, 0.2):
        axes = list(range(len(axes)))
        return case([data(r, t, dims), np.array(starts, u), np.array(ends, u)])
    named = np.array([a - (len(dims) if flag(r) else 0) for a in axes], u)
    return case([data(r, t, dims), np.array(starts, u), np.array(ends, u), named] + ([np.array(steps, u)] if flag(r, 0.8) else []))


@op("Pad")
def pad(r, name):
    t = pick(r, types(name, "T"))
    mode = pick(r, ["constant", "constant", "reflect", "edge", "wrap"])
    dims = shape(r, 1, 4, 5, zero=0)
    given = flag(r)
    axes = [int(a) for a in r.permutation(len(dims))[:ri(r, 1, len(dims))]] if given else list(range(len(dims)))
    lim = lambda a: max(0, dims[a] - 1) if mode == "reflect" else min(3, dims[a])
    pads = [ri(r, -1 if mode == "constant" and dims[a] > 2 else 0, lim(a)) for a in axes] + \
           [ri(r, -1 if mode == "constant" and dims[a] > 2 else 0, lim(a)) for a in axes]
    inputs = [data(r, t, dims), i64(pads)]
    value = data(r, t, [])
    if given:
        inputs += [value if mode == "constant" and flag(r) else None,
                   np.array([a - (len(dims) if flag(r) else 0) for a in axes], pick(r, [np.int32, np.int64]))]
    elif mode == "constant" and flag(r):
        inputs.append(value)
    return case(inputs, mode=mode if mode != "constant" or flag(r) else None)


def indices(r, dims, n, u=None):
    u = u or pick(r, [np.int32, np.int64])
    return np.asarray(r.integers(-n, n, dims)).astype(u)


@op("Gather")
def gather(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    axis = axis_of(r, len(dims))
    return case([data(r, t, dims), indices(r, shape(r, 0, 2, 3), dims[axis])], axis=maybe(r, axis, 1.0))


@op("GatherElements")
def gather_elements(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    axis = axis_of(r, len(dims))
    shape_ = [ri(r, 1, d) for d in dims]
    shape_[axis] = ri(r, 1, 5)
    return case([data(r, t, dims), indices(r, shape_, dims[axis])], axis=axis)


@op("GatherND")
def gather_nd(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, 3, zero=0)
    batch = ri(r, 0, len(dims) - 1) if flag(r, 0.4) else 0
    k = ri(r, 1, len(dims) - batch)
    lead = dims[:batch] + shape(r, 0 if batch else 1, 2, 3, zero=0)
    if len(lead) <= batch and batch == 0:
        lead = [2]
    at = np.stack([r.integers(-d, d, lead) for d in dims[batch:batch + k]], -1)
    return case([data(r, t, dims), at.astype(np.int64)], batch_dims=maybe(r, batch, 1.0 if batch else 0.5))


@op("ScatterElements", "Scatter")
def scatter_elements(r, name):
    t = pick(r, types("ScatterElements", "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    axis = axis_of(r, len(dims))
    part = [ri(r, 1, d) for d in dims]
    reduction = pick(r, ["none", "add", "mul", "max", "min"]) if name != "Scatter" and t.kind in "fiu" else "none"
    at = np.argsort(r.random(dims), axis=axis)[tuple(slice(0, p) for p in part)]
    if reduction != "none" and flag(r):
        at = r.integers(-dims[axis], dims[axis], part)
    at = np.asarray(at).astype(pick(r, [np.int32, np.int64]))
    x, u = data(r, t, dims, 0, 2), data(r, t, part, 0, 2)
    if name == "Scatter":
        return case([x, at, u], opset=10, axis=axis) if t.name != "bfloat16" else None
    return case([x, at, u], axis=axis, reduction=reduction if reduction != "none" else None)


@op("ScatterND")
def scatter_nd(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    k = ri(r, 1, len(dims))
    reduction = pick(r, ["none", "add", "mul", "max", "min"]) if t.kind in "fiu" else "none"
    space = int(np.prod(dims[:k]))
    n = ri(r, 1, min(space, 4))
    flat = r.permutation(space)[:n] if reduction == "none" or flag(r) else r.integers(0, space, n)
    at = np.stack(np.unravel_index(flat, dims[:k]), -1)
    at = np.where(r.random(at.shape) < 0.3, at - np.array(dims[:k]), at)
    return case([data(r, t, dims, 0, 2), at.astype(np.int64), data(r, t, [n] + dims[k:], 0, 2)],
                reduction=reduction if reduction != "none" else None)


@op("TensorScatter")
def tensor_scatter(r, name):
    t = pick(r, types(name, "T"))
    batch, most = ri(r, 1, 3), ri(r, 3, 5)
    rest = shape(r, 1, 2, 3, zero=0)
    axis = ri(r, 1, len(rest))
    past, up = [batch] + rest, [batch] + rest
    past[axis] = most
    up = list(past)
    up[axis] = ri(r, 1, most - 1)
    mode = pick(r, ["linear", "circular"])
    at = r.integers(0, most - up[axis] + 1 if mode == "linear" else most, batch)
    return case([data(r, t, past), data(r, t, up), maybe(r, i64(at), 0.8)], axis=axis - len(past) if flag(r) else axis,
                mode=mode)


@op("DepthToSpace", "SpaceToDepth")
def depth(r, name):
    t = pick(r, types(name, "T"))
    b = ri(r, 1, 3)
    n, c, h, w = ri(r, 1, 2), ri(r, 1, 2), ri(r, 1, 3), ri(r, 1, 3)
    if name == "DepthToSpace":
        return case([data(r, t, [n, c * b * b, h, w])], blocksize=b, mode=maybe(r, pick(r, ["DCR", "CRD"])))
    return case([data(r, t, [n, c, h * b, w * b])], blocksize=b)


@op("Trilu")
def trilu(r, name):
    t = pick(r, types(name, "T"))
    return case([data(r, t, shape(r, 2, 4)), maybe(r, np.array(ri(r, -4, 4), np.int64))], upper=maybe(r, ri(r, 0, 1)))


@op("ReverseSequence")
def reverse_sequence(r, name):
    t = pick(r, types(name, "T"))
    n, s = ri(r, 1, 4), ri(r, 1, 4)
    axes = pick(r, [(0, 1), (1, 0)])
    dims = [0, 0] + shape(r, 0, 2, 3, zero=0)
    dims[axes[0]], dims[axes[1]] = n, s
    return case([data(r, t, dims), i64(r.integers(1, s + 1, n))], batch_axis=axes[0], time_axis=axes[1])


@op("EyeLike")
def eye_like(r, name):
    t = pick(r, types(name, "T1"))
    u = pick(r, types(name, "T2"))
    return case([data(r, t, [ri(r, 1, 5), ri(r, 1, 5)])], k=maybe(r, ri(r, -4, 4)),
                dtype=maybe(r, helper.np_dtype_to_tensor_dtype(u)))


@op("OneHot")
def one_hot(r, name):
    t1, t2, t3 = (pick(r, types(name, p)) for p in ("T1", "T2", "T3"))
    dims = shape(r, 0, 3, 3)
    d = ri(r, 1, 5)
    low = 0 if t1.kind == "u" else -d - 1
    x = np.asarray(r.integers(low, d + 2, dims)).astype(t1)
    depth_ = np.array(d).astype(t2)
    return case([x, depth_.reshape([1]) if flag(r) else depth_, data(r, t3, [2])], axis=maybe(r, axis_of(r, len(dims) + 1)))


@op("ConstantOfShape")
def constant_of_shape(r, name):
    t = pick(r, types(name, "T2"))
    value = numpy_helper.from_array(data(r, t, [1])) if flag(r, 0.8) and t.kind not in "OU" else None
    return case([i64(shape(r))], value=value)


@op("Shape")
def shape_(r, name):
    t = pick(r, types(name, "T"))
    return case([data(r, t, shape(r))], start=maybe(r, ri(r, -5, 5)), end=maybe(r, ri(r, -5, 5)))


@op("Compress")
def compress(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    axis = maybe(r, axis_of(r, len(dims)), 0.7)
    n = int(np.prod(dims)) if axis is None else dims[axis]
    return case([data(r, t, dims), data(r, np.bool_, [ri(r, 1, n)])], axis=axis)


@op("CenterCropPad")
def center(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, 5, zero=0)
    axes = [int(a) for a in r.permutation(len(dims))[:ri(r, 1, len(dims))]] if flag(r) else None
    n = len(dims) if axes is None else len(axes)
    if axes is not None:
        axes = [a - (len(dims) if flag(r) else 0) for a in axes]
    return case([data(r, t, dims), np.array([ri(r, 1, 7) for _ in range(n)], pick(r, [np.int32, np.int64]))], axes=axes)


@op("NonMaxSuppression")
def nms(r, name):
    b, n, c = ri(r, 1, 2), ri(r, 1, 6), ri(r, 1, 2)
    center_ = ri(r, 0, 1)
    at = r.uniform(0, 1, [b, n, 2]).round(2)
    size = r.uniform(0.2, 0.8, [b, n, 2]).round(2)
    boxes = np.concatenate([at, size if center_ else at + size], -1)
    if not center_ and flag(r, 0.3):
        boxes = boxes[:, :, [2, 3, 0, 1]]
    scores = r.permutation(b * c * n).reshape(b, c, n) / 20.0
    inputs = [boxes.astype(np.float32), scores.astype(np.float32), maybe(r, i64([ri(r, 0, n)]), 0.9),
              maybe(r, np.array([0.3], np.float32), 0.8), maybe(r, np.array([0.2], np.float32))]
    return case(inputs, center_point_box=maybe(r, center_, 1.0 if center_ else 0.5))
