"""Convolutions, pooling, normalisations, resampling, recurrent networks, attention, transforms."""
import numpy as np
from random_ops import *

F32 = np.dtype(np.float32)


def window(r, spatial, n_axes, transposed=False, dilations=True):
    """kernel_shape and the attributes around it, such that at least one window fits."""
    kernel = [ri(r, 1, 3) for _ in range(n_axes)]
    attrs = {"kernel_shape": kernel}
    if flag(r):
        attrs["strides"] = [ri(r, 1, 3) for _ in kernel]
    if dilations and flag(r, 0.4):
        attrs["dilations"] = [ri(r, 1, 2) for _ in kernel]
    d = attrs.get("dilations", [1] * n_axes)
    mode = pick(r, ["none", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"])
    if mode == "pads":
        attrs["pads"] = [ri(r, 0, (k - 1) * e if k > 1 else 0) if not transposed else ri(r, 0, 1) for k, e in zip(kernel * 2, d * 2)]
    elif mode != "none":
        attrs["auto_pad"] = mode
    return attrs, [(k - 1) * e + 1 for k, e in zip(kernel, d)]


@op("Conv", "ConvTranspose", "ConvInteger")
def conv(r, name):
    integer = name == "ConvInteger"
    t = pick(r, [np.dtype(np.uint8), np.dtype(np.int8)]) if integer else pick(r, types(name, "T"))
    axes = ri(r, 1, 3)
    group = pick(r, [1, 1, 2, 3])
    attrs, reach = window(r, None, axes, name == "ConvTranspose")
    spatial = [ri(r, 1, 4) if name == "ConvTranspose" else ri(r, e, e + 4) for e in reach]
    cin, cout = group * ri(r, 1, 2), group * ri(r, 1, 2)
    kernel = attrs["kernel_shape"]
    if flag(r, 0.3):
        attrs.pop("kernel_shape")
    if group > 1:
        attrs["group"] = group
    x = data(r, t, [ri(r, 1, 2), cin] + spatial)
    if name == "ConvTranspose":
        s = attrs.get("strides", [1] * axes)
        if flag(r, 0.4):
            attrs["output_padding"] = [ri(r, 0, k - 1) for k in s]
        w = data(r, t, [cin, cout // group] + kernel)
    else:
        w = data(r, t if not integer else pick(r, [np.dtype(np.uint8), np.dtype(np.int8)]), [cout, cin // group] + kernel)
    if integer:
        w0 = data(r, w.dtype, [cout] if flag(r, 0.3) else [], 0, 1)
        return case([x, w, maybe(r, data(r, t, [], 0, 1)), maybe(r, w0)], **attrs)
    return case([x, w, maybe(r, data(r, t, [cout]))], **attrs)


@op("QLinearConv")
def qconv(r, name):
    t, u = np.dtype(np.uint8), pick(r, [np.dtype(np.uint8), np.dtype(np.int8)])
    axes = ri(r, 1, 2)
    attrs, reach = window(r, None, axes)
    cin, cout = ri(r, 1, 2), ri(r, 1, 3)
    x = data(r, t, [1, cin] + [ri(r, e, e + 3) for e in reach], 0, 8)
    w = data(r, u, [cout, cin] + attrs["kernel_shape"])
    many = flag(r)
    ws = (0.25 + 0.25 * np.arange(cout)).astype(np.float32) if many else np.array(0.5, np.float32)
    wz = data(r, u, [cout] if many else [], 0, 1)
    bias = r.integers(-9, 9, cout).astype(np.int32)
    return case([x, np.array(0.5, np.float32), np.array(3, t), w, ws, wz, np.array(1.03, np.float32), np.array(5, t), maybe(r, bias)], **attrs)


@op("QLinearMatMul")
def qmatmul(r, name):
    t, u = pick(r, [np.dtype(np.uint8), np.dtype(np.int8)]), pick(r, [np.dtype(np.uint8), np.dtype(np.int8)])
    m, k, n = ri(r, 1, 3), ri(r, 1, 4), ri(r, 1, 3)
    lead = shape(r, 0, 1, 2, zero=0)
    f = np.float32
    return case([data(r, t, lead + [m, k]), np.array(0.5, f), data(r, t, [], 0, 1), data(r, u, lead + [k, n]), np.array(0.25, f), data(r, u, [], 0, 1),
                 np.array(0.51, f), data(r, t, [], 0, 1)])


@op("MatMulInteger")
def matmul_integer(r, name):
    t, u = pick(r, [np.dtype(np.uint8), np.dtype(np.int8)]), pick(r, [np.dtype(np.uint8), np.dtype(np.int8)])
    m, k, n = ri(r, 1, 3), ri(r, 1, 4), ri(r, 1, 3)
    lead = shape(r, 0, 2, 2, zero=0)
    az = data(r, t, [m] if flag(r, 0.3) and not lead else [], 0, 1)
    bz = data(r, u, [n] if flag(r, 0.3) else [], 0, 1)
    return case([data(r, t, lead + [m, k]), data(r, u, [k, n]), maybe(r, az), maybe(r, bz)])


@op("MatMul")
def matmul(r, name):
    t = pick(r, types(name, "T"))
    m, k, n = ri(r, 1, 3), ri(r, 0 if flag(r, 0.1) else 1, 4), ri(r, 1, 3)
    lead = shape(r, 0, 2, 3, zero=0)
    a = [k] if flag(r, 0.15) else lead + [m, k]
    b = [k] if flag(r, 0.15) else broadcastable(r, lead) + [k, n]
    return case([data(r, t, a), data(r, t, b)])


@op("Gemm")
def gemm(r, name):
    t = pick(r, types(name, "T"))
    m, k, n = ri(r, 1, 3), ri(r, 1, 4), ri(r, 1, 3)
    ta, tb = ri(r, 0, 1), ri(r, 0, 1)
    c = pick(r, [[m, n], [n], [1, n], [m, 1], [1], []])
    attrs = {"transA": maybe(r, ta, 1.0 if ta else 0.3), "transB": maybe(r, tb, 1.0 if tb else 0.3)}
    if is_real(t):
        attrs |= {"alpha": maybe(r, small_float(r)), "beta": maybe(r, small_float(r))}
    return case([data(r, t, [k, m] if ta else [m, k]), data(r, t, [n, k] if tb else [k, n]), maybe(r, data(r, t, c), 0.8)], **attrs)


@op("MaxPool", "AveragePool", "LpPool")
def pool(r, name):
    t = pick(r, types(name, "T"))
    axes = ri(r, 1, 3)
    attrs, reach = window(r, None, axes)
    spatial = [ri(r, e, e + 5) for e in reach]
    if flag(r, 0.4):
        attrs["ceil_mode"] = 1
    if "pads" in attrs:  # pads below the kernel
        attrs["pads"] = [min(p, k - 1) for p, k in zip(attrs["pads"], attrs["kernel_shape"] * 2)]
    n_out = 1
    if name == "AveragePool" and flag(r):
        attrs["count_include_pad"] = ri(r, 0, 1)
    if name == "LpPool":
        attrs["p"] = ri(r, 1, 3)
    if name == "MaxPool":
        n_out = ri(r, 1, 2)
        if flag(r, 0.2):
            attrs["storage_order"] = ri(r, 0, 1)
    return case([data(r, t, [ri(r, 1, 2), ri(r, 1, 2)] + spatial)], n_out, **attrs)


@op("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(r, name):
    t = pick(r, types(name, "T"))
    return case([data(r, t, [ri(r, 1, 2), ri(r, 1, 3)] + shape(r, 1, 3, 4, zero=0))], p=maybe(r, ri(r, 1, 3)) if "Lp" in name else None)


@op("MaxUnpool")
def unpool(r, name):
    t = pick(r, types(name, "T1"))
    axes = ri(r, 1, 2)
    n, c = ri(r, 1, 2), ri(r, 1, 2)
    spatial = [ri(r, 1, 3) for _ in range(axes)]
    out = [2 * s for s in spatial]
    count = int(np.prod(spatial))
    cells = np.stack([r.permutation(int(np.prod(out)))[:count] for _ in range(n * c)]) + (np.arange(n * c) * int(np.prod(out)))[:, None]
    return case([data(r, t, [n, c] + spatial), cells.reshape([n, c] + spatial).astype(np.int64)], kernel_shape=[2] * axes, strides=[2] * axes)


@op("BatchNormalization")
def batch_norm(r, name):
    t, u, v = (pick(r, types(name, p)) for p in ("T", "T1", "T2"))
    if flag(r, 0.7):
        u = v = t
    c = ri(r, 1, 3)
    train = flag(r, 0.3)
    x = data(r, t, [ri(r, 1, 3), c] + shape(r, 0, 3, 3, zero=0))
    return case([x, data(r, u, [c]), data(r, u, [c]), data(r, v, [c]), data(r, v, [c], 0.5, 2)], 3 if train else 1,
                training_mode=1 if train else None, epsilon=maybe(r, 0.01), momentum=maybe(r, 0.7))


@op("InstanceNormalization")
def instance_norm(r, name):
    t = pick(r, types(name, "T"))
    c = ri(r, 1, 3)
    return case([data(r, t, [ri(r, 1, 2), c] + shape(r, 1, 2, 4, zero=0)), data(r, t, [c]), data(r, t, [c])], epsilon=maybe(r, 0.01))


@op("GroupNormalization")
def group_norm(r, name):
    t = pick(r, types(name, "T"))
    g = ri(r, 1, 3)
    c = g * ri(r, 1, 2)
    return case([data(r, t, [ri(r, 1, 2), c] + shape(r, 1, 2, 4, zero=0)), data(r, t, [c]), data(r, t, [c])], num_groups=g,
                epsilon=maybe(r, 0.01))


@op("LayerNormalization", "RMSNormalization")
def layer_norm(r, name):
    t = pick(r, types(name, "T"))
    u = pick(r, types(name, "U" if name[0] == "L" else "V")) if flag(r, 0.2) and name[0] == "R" else t
    dims = shape(r, 1, 4, 4, zero=0)
    axis = axis_of(r, len(dims))
    part = dims[axis % len(dims):]
    scale = broadcastable(r, part) if flag(r, 0.3) else part
    if name == "RMSNormalization":
        return case([data(r, t, dims), data(r, u, scale)], axis=maybe(r, axis, 1.0), epsilon=maybe(r, 0.01))
    return case([data(r, t, dims), data(r, t, scale), maybe(r, data(r, t, part))], ri(r, 1, 3), axis=axis, epsilon=maybe(r, 0.01))


@op("LpNormalization")
def lp_norm(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    return case([data(r, t, dims, 0.1, 3)], axis=maybe(r, axis_of(r, len(dims))), p=maybe(r, ri(r, 1, 2)))


@op("LRN")
def lrn(r, name):
    t = pick(r, types(name, "T"))
    return case([data(r, t, [ri(r, 1, 2), ri(r, 1, 5)] + shape(r, 0, 2, 3, zero=0))], size=ri(r, 1, 5), alpha=maybe(r, 0.3), beta=maybe(r, 0.6), bias=maybe(r, 1.5))


@op("MeanVarianceNormalization")
def mvn(r, name):
    t = pick(r, types(name, "T"))
    return case([data(r, t, [ri(r, 2, 3), ri(r, 1, 3), ri(r, 2, 3), ri(r, 2, 3)])], axes=maybe(r, pick(r, [[0, 2, 3], [1], [2, 3], [0, 1, 2, 3]])))


@op("Resize")
def resize(r, name):
    t = pick(r, [v for v in types(name, "T1") if v.kind not in "OUbc"])
    mode = pick(r, ["nearest", "linear", "cubic"])
    spatial = ri(r, 1, 3 if mode != "cubic" else 2)
    lead = ri(r, 0, 2)
    dims = [ri(r, 1, 2) for _ in range(lead)] + [ri(r, 1, 6) for _ in range(spatial)]
    rank = len(dims)
    at = list(range(lead, rank))
    attrs = {"mode": mode}
    how = pick(r, ["half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_crop_and_resize"])
    if flag(r, 0.8):
        attrs["coordinate_transformation_mode"] = how
    else:
        how = "half_pixel"
    if mode == "nearest" and flag(r, 0.7):
        attrs["nearest_mode"] = pick(r, ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        attrs |= {"cubic_coeff_a": -0.5} if flag(r) else {}
        attrs |= {"exclude_outside": 1} if flag(r) else {}
    if mode != "nearest" and flag(r, 0.25):
        attrs["antialias"] = 1
    given = flag(r, 0.5)
    if given:
        attrs["axes"] = [a - (rank if flag(r, 0.3) else 0) for a in at]
    roi = None
    if how == "tf_crop_and_resize":
        n = len(at) if given else rank
        low, high = r.uniform(-0.2, 0.4, n).round(2), r.uniform(0.5, 1.2, n).round(2)
        if not given:
            low[:lead], high[:lead] = 0, 1
        roi = np.concatenate([low, high]).astype(np.float32)
        if flag(r):
            attrs["extrapolation_value"] = 2.5
    if flag(r):
        scales = [1.0] * (0 if given else lead) + [pick(r, [0.5, 0.6, 1.0, 1.5, 2.0, 2.3, 0.8]) for _ in at]
        if any(int(np.floor(d * s)) < 1 for d, s in zip(dims[-len(scales):] if given else dims, scales)):
            return None
        return case([data(r, t, dims, 0 if t.kind == "u" else -3, 3), roi, np.array(scales, np.float32)], **attrs)
    sizes = (dims[:lead] if not given else []) + [ri(r, 1, 8) for _ in at]
    if given and flag(r, 0.3):
        attrs["keep_aspect_ratio_policy"] = pick(r, ["stretch", "not_larger", "not_smaller"])
    return case([data(r, t, dims, 0 if t.kind == "u" else -3, 3), roi, None, i64(sizes)], **attrs)


@op("Upsample")
def upsample(r, name):
    dims = [1, ri(r, 1, 2), ri(r, 1, 4), ri(r, 1, 4)]
    scales = [1.0, 1.0] + [pick(r, [1.0, 1.5, 2.0, 3.0]) for _ in range(2)]
    x = data(r, F32, dims)
    if flag(r):
        return case([x], opset=7, scales=scales, mode=pick(r, ["nearest", "linear"]))
    return case([x, np.array(scales, np.float32)], opset=9, mode=pick(r, ["nearest", "linear"]))


@op("GridSample")
def grid_sample(r, name):
    t, u = pick(r, [v for v in types(name, "T1") if is_real(v)]), pick(r, types(name, "T2"))
    axes = ri(r, 2, 3)
    n = ri(r, 1, 2)
    mode = pick(r, ["linear", "nearest", "cubic"]) if axes == 2 else pick(r, ["linear", "nearest"])
    out = [ri(r, 1, 3) for _ in range(axes)]
    return case([data(r, t, [n, ri(r, 1, 2)] + [ri(r, 1, 4) for _ in range(axes)]), data(r, u, [n] + out + [axes], -1.5, 1.5)],
                mode=maybe(r, mode, 0.9), padding_mode=maybe(r, pick(r, ["zeros", "border", "reflection"]), 0.9), align_corners=maybe(r, ri(r, 0, 1)))


@op("AffineGrid")
def affine_grid(r, name):
    t = pick(r, types(name, "T1"))
    n, axes = ri(r, 1, 2), ri(r, 2, 3)
    return case([data(r, t, [n, axes, axes + 1]), i64([n, 1] + [ri(r, 1, 4) for _ in range(axes)])], align_corners=maybe(r, ri(r, 0, 1)))


@op("RoiAlign")
def roi_align(r, name):
    t = pick(r, types(name, "T1"))
    n, k = ri(r, 1, 2), ri(r, 1, 3)
    at = r.uniform(-1, 5, [k, 2]).round(1)
    rois = np.concatenate([at, at + r.uniform(0.2, 4, [k, 2]).round(1)], 1)
    return case([data(r, t, [n, ri(r, 1, 2), ri(r, 3, 6), ri(r, 3, 6)]), rois.astype(t), i64(r.integers(0, n, k))],
                coordinate_transformation_mode=maybe(r, pick(r, ["half_pixel", "output_half_pixel"])), mode=maybe(r, pick(r, ["avg", "max"])),
                output_height=ri(r, 1, 3), output_width=ri(r, 1, 3), sampling_ratio=maybe(r, ri(r, 0, 3)), spatial_scale=maybe(r, 0.7))


@op("Col2Im")
def col2im(r, name):
    t = pick(r, types(name, "T"))
    axes = ri(r, 1, 3)
    block = [ri(r, 1, 3) for _ in range(axes)]
    dil = [ri(r, 1, 2) for _ in range(axes)]
    stride = [ri(r, 1, 2) for _ in range(axes)]
    pads = [ri(r, 0, 1) for _ in range(2 * axes)]
    image = [(k - 1) * d + 1 + ri(r, 0, 3) for k, d in zip(block, dil)]
    count = int(np.prod([(i + a + b - (k - 1) * d - 1) // s + 1 for i, a, b, k, d, s in zip(image, pads[:axes], pads[axes:], block, dil, stride)]))
    return case([data(r, t, [ri(r, 1, 2), ri(r, 1, 2) * int(np.prod(block)), count]), i64(image), i64(block)], dilations=dil, strides=stride, pads=pads)


@op("DeformConv")
def deform(r, name):
    t = pick(r, types(name, "T"))
    attrs = {}
    kh, kw = ri(r, 1, 3), ri(r, 1, 3)
    s, p, d = [ri(r, 1, 2), ri(r, 1, 2)], [ri(r, 0, 1) for _ in range(4)], [1, ri(r, 1, 2)]
    group, og = pick(r, [1, 2]), pick(r, [1, 2])
    cin, cout = 2 * ri(r, 1, 2), group * ri(r, 1, 2)
    h, w = (kh - 1) * d[0] + 1 + ri(r, 0, 2), (kw - 1) * d[1] + 1 + ri(r, 0, 2)
    oh = (h + p[0] + p[2] - (kh - 1) * d[0] - 1) // s[0] + 1
    ow = (w + p[1] + p[3] - (kw - 1) * d[1] - 1) // s[1] + 1
    n = ri(r, 1, 2)
    return case([data(r, t, [n, cin, h, w]), data(r, t, [cout, cin // group, kh, kw]), data(r, t, [n, og * kh * kw * 2, oh, ow], -1, 1),
                 maybe(r, data(r, t, [cout])), maybe(r, data(r, t, [n, og * kh * kw, oh, ow], 0, 1))],
                strides=s, pads=p, dilations=d, group=group, offset_group=og, kernel_shape=maybe(r, [kh, kw]))


@op("DFT")
def dft(r, name):
    t = pick(r, types(name, "T1"))
    dims = shape(r, 2, 3, 5, zero=0, one=0)
    rank = len(dims) + 1
    axis = ri(r, 1 if rank > 2 else 0, rank - 2)
    real_ = flag(r)
    inverse = flag(r, 0.3)
    onesided = flag(r, 0.4) and (real_ and not inverse)
    length = maybe(r, np.array(ri(r, 1, 7), np.int64))
    return case([data(r, t, dims + [1 if real_ else 2]), length, np.array(axis - (rank if flag(r) else 0), np.int64)],
                inverse=maybe(r, int(inverse), 1.0 if inverse else 0.3), onesided=maybe(r, int(onesided), 1.0 if onesided else 0.3))


@op("STFT")
def stft(r, name):
    t = pick(r, [F32, np.dtype(np.float64)])
    n = ri(r, 6, 12)
    frame = ri(r, 2, 5)
    given = flag(r)
    win = data(r, t, [frame], 0, 1) if given else None
    length = np.array(frame, np.int64) if not given or flag(r) else None
    real_ = flag(r, 0.7)
    return case([data(r, t, [ri(r, 1, 2), n, 1 if real_ else 2]), np.array(ri(r, 1, 3), np.int64), win, length],
                onesided=ri(r, 0, 1) if real_ else 0)


@op("HannWindow", "HammingWindow", "BlackmanWindow")
def windows(r, name):
    t = pick(r, types(name, "T1"))
    u = pick(r, types(name, "T2"))
    return case([np.array(ri(r, 1, 9)).astype(t)], periodic=maybe(r, ri(r, 0, 1)), output_datatype=maybe(r, helper.np_dtype_to_tensor_dtype(u)) if is_real(u) else None)


@op("MelWeightMatrix")
def mel(r, name):
    u = pick(r, types(name, "T3"))
    t = pick(r, [np.int32, np.int64])
    return case([np.array(ri(r, 2, 6), t), np.array(pick(r, [16, 32, 33]), t), np.array(8000, t), np.array(pick(r, [0.0, 50.0]), np.float32),
                 np.array(pick(r, [3000.0, 4000.0]), np.float32)], output_datatype=maybe(r, helper.np_dtype_to_tensor_dtype(u)) if is_real(u) else None)


@op("Einsum")
def einsum(r, name):
    t = pick(r, types(name, "T"))
    eq, shapes = pick(r, [("ij,jk->ik", "ij jk"), ("...ij,...jk->...ik", "aij ajk"), ("ii->i", "ii"), ("ii", "ii"), ("ij->", "ij"), ("ij,kl->ijkl", "ij kl"),
                          ("bij,bjk->bik", "bij bjk"), ("i,i->", "i i"), ("ijk->kji", "ijk"), ("ij , jk", "ij jk"), ("a...b,b->...a", "axyb b"),
                          ("iij->j", "iij"), ("ab,bc,cd->ad", "ab bc cd"), ("...->...", "ab"), (",ij->ij", " ij")])
    size = {c: ri(r, 1, 3) for c in "abcdijklxy"}
    return case([data(r, t, [size[c] for c in s], -1, 1) for s in (shapes.split(" ") if shapes else [""])], equation=eq)


@op("Det")
def det(r, name):
    t = pick(r, types(name, "T"))
    n = ri(r, 1, 4)
    return case([data(r, t, shape(r, 0, 2, 3) + [n, n])])


@op("RNN", "GRU", "LSTM")
def recurrent(r, name):
    t = pick(r, [v for v in types(name, "T") if v.name in ("float32", "float64", "float16")])
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[name]
    s, b, i, h = ri(r, 1, 4), ri(r, 1, 3), ri(r, 1, 3), ri(r, 1, 3)
    direction = pick(r, ["forward", "reverse", "bidirectional"])
    d = 2 if direction == "bidirectional" else 1
    layout = ri(r, 0, 1) if flag(r, 0.3) else 0
    x = data(r, t, [b, s, i] if layout else [s, b, i], -1, 1)
    w, u = data(r, t, [d, gates * h, i], -1, 1), data(r, t, [d, gates * h, h], -1, 1)
    bias = maybe(r, data(r, t, [d, 2 * gates * h], -1, 1))
    lens = maybe(r, r.integers(1, s + 1, b).astype(np.int32), 0.4)
    state = lambda: maybe(r, data(r, t, [b, d, h] if layout else [d, b, h], -1, 1))
    inputs = [x, w, u, bias, lens, state()]
    attrs = {"hidden_size": h, "layout": maybe(r, layout, 1.0 if layout else 0.2), "direction": maybe(r, direction, 1.0 if direction != "forward" else 0.3),
             "clip": maybe(r, 0.7, 0.25)}
    if name == "LSTM":
        inputs += [state(), maybe(r, data(r, t, [d, 3 * h], -1, 1), 0.3)]
        attrs["input_forget"] = maybe(r, ri(r, 0, 1), 0.2)
    if name == "GRU":
        attrs["linear_before_reset"] = maybe(r, ri(r, 0, 1))
    if flag(r, 0.4):
        pool_ = ["Tanh", "Sigmoid", "Relu", "Softsign", "Softplus", "HardSigmoid", "Elu", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "Affine"]
        attrs["activations"] = [pick(r, pool_) for _ in range(d * {"RNN": 1, "GRU": 2, "LSTM": 3}[name])]
        if flag(r):
            attrs["activation_alpha"] = [small_float(r, 0.2, 1) for _ in attrs["activations"]]
            attrs["activation_beta"] = [small_float(r, 0.2, 1) for _ in attrs["activations"]]
    return case(inputs, 3 if name == "LSTM" else 2, **attrs)


@op("Attention")
def attention(r, name):
    t = pick(r, types(name, "T1"))
    b, s, n = ri(r, 1, 2), ri(r, 1, 4), ri(r, 1, 4)
    kv = ri(r, 1, 2)
    q = kv * ri(r, 1, 2)
    e, v = pick(r, [2, 4]), pick(r, [2, 3])
    past = ri(r, 1, 3) if flag(r, 0.35) else 0
    four = flag(r)
    attrs = {}
    if four:
        inputs = [data(r, t, [b, q, s, e], -1, 1), data(r, t, [b, kv, n, e], -1, 1), data(r, t, [b, kv, n, v], -1, 1)]
    else:
        inputs = [data(r, t, [b, s, q * e], -1, 1), data(r, t, [b, n, kv * e], -1, 1), data(r, t, [b, n, kv * v], -1, 1)]
        attrs |= {"q_num_heads": q, "kv_num_heads": kv}
    mask = None
    if flag(r):
        dims = pick(r, [[s, n + past], [1, 1, s, n + past], [b, 1, s, n + past], [b, q, s, n + past], [1, s, n + past]])
        mask = data(r, np.bool_, dims) if flag(r) else data(r, t, dims)
        if mask.dtype.kind == "b":
            mask[..., 0] = True
    inputs.append(mask)
    if past:
        inputs += [data(r, t, [b, kv, past, e], -1, 1), data(r, t, [b, kv, past, v], -1, 1)]
    n_out = pick(r, [1, 3, 4]) if past else pick(r, [1, 4, 1])
    attrs |= {"is_causal": maybe(r, ri(r, 0, 1)), "scale": maybe(r, 0.4), "softcap": maybe(r, 1.5, 0.3)}
    if n_out == 4:
        attrs["qk_matmul_output_mode"] = ri(r, 0, 3)
    c = case(inputs, n_out, opset=pick(r, [23, 24, 25]), **attrs)
    if n_out == 4 and not past:
        c["skip"] = (1, 2)
    return c


@op("RotaryEmbedding")
def rotary(r, name):
    t = pick(r, types(name, "T"))
    b, h, s, e = ri(r, 1, 2), ri(r, 1, 3), ri(r, 1, 4), pick(r, [4, 8])
    part = pick(r, [0, 0, 4])
    half = (part or e) // 2
    attrs = {"interleaved": maybe(r, ri(r, 0, 1)), "rotary_embedding_dim": maybe(r, part, 1.0 if part else 0.3)}
    x = data(r, t, [b, h, s, e])
    if flag(r):
        x = data(r, t, [b, s, h * e])
        attrs["num_heads"] = h
    if flag(r):
        return case([x, data(r, t, [b, s, half]), data(r, t, [b, s, half])], **attrs)
    return case([x, data(r, t, [8, half]), data(r, t, [8, half]), i64(r.integers(0, 8, [b, s]))], **attrs)


@op("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(r, name):
    t = pick(r, types(name, "T"))
    u = pick(r, types(name, "Tind"))
    c = ri(r, 1, 4)
    rest = shape(r, 0, 2, 3, zero=0)
    n = ri(r, 1, 3)
    target = np.asarray(r.integers(0, c, [n] + rest)).astype(u)
    return case([data(r, t, [n, c] + rest), target, maybe(r, data(r, t, [c], 0.25, 2))], 1 if name[0] == "N" else ri(r, 1, 2),
                reduction=maybe(r, pick(r, ["none", "mean", "sum"]), 0.8), ignore_index=maybe(r, ri(r, 0, c - 1), 0.3))


@op("TfIdfVectorizer")
def tfidf(r, name):
    x = r.integers(1, 6, pick(r, [[6], [2, 5]])).astype(pick(r, [np.int32, np.int64]))
    return case([x], max_gram_length=2, min_gram_length=ri(r, 1, 2), max_skip_count=ri(r, 0, 2), mode=pick(r, ["TF", "IDF", "TFIDF"]),
                ngram_counts=[0, 3], ngram_indexes=[0, 2, 1, 4, 3], pool_int64s=[2, 3, 5, 1, 2, 3, 4], weights=maybe(r, [0.5, 1.0, 2.0, 1.5, 0.25]))


@op("MaxRoiPool")
def max_roi(r, name):
    t = pick(r, [v for v in types(name, "T") if v.name in ("float32", "float64")])
    k = ri(r, 1, 3)
    at = r.integers(0, 4, [k, 2])
    rois = np.concatenate([r.integers(0, 2, [k, 1]), at, at + r.integers(0, 4, [k, 2])], 1)
    return case([data(r, t, [2, ri(r, 1, 2), ri(r, 4, 7), ri(r, 4, 7)]), rois.astype(t)], pooled_shape=[ri(r, 1, 3), ri(r, 1, 3)],
                spatial_scale=maybe(r, pick(r, [1.0, 0.5])))


@op("GroupNormalizationOld")
def group_norm_old(r, name):
    g = ri(r, 1, 3)
    c = g * ri(r, 1, 2)
    found = case([data(r, F32, [ri(r, 1, 2), c, ri(r, 1, 3)]), data(r, F32, [g]), data(r, F32, [g])], opset=20, num_groups=g)
    found["op"] = "GroupNormalization"
    return found


@op("SwiGLU", "LinearAttention", "CausalConvWithState")
def newest(r, name):
    t = F32
    if name == "SwiGLU":
        return None
    if name == "CausalConvWithState":
        b, c, k = ri(r, 1, 2), ri(r, 1, 3), ri(r, 1, 4)
        return case([data(r, t, [b, c, ri(r, 1, 5)]), data(r, t, [c, 1, k]), maybe(r, data(r, t, [c])), maybe(r, data(r, t, [b, c, k - 1]))], 2,
                    activation=maybe(r, pick(r, ["silu", "none", "swish"])))
    b, s, h, d = ri(r, 1, 2), ri(r, 1, 4), ri(r, 1, 2), ri(r, 1, 3)
    rule = pick(r, ["linear", "gated", "delta", "gated_delta"])
    inputs = [data(r, t, [b, s, h * d], -1, 1) for _ in range(3)]
    inputs.append(maybe(r, data(r, t, [b, h, d, d], -1, 1)))
    inputs.append(data(r, t, [b, s, h * d] if flag(r) else [b, s, h], -1, 0) if "gated" in rule else None)
    inputs.append(data(r, t, [b, s, h], 0, 1) if "delta" in rule else None)
    return case(inputs, 2, update_rule=rule, q_num_heads=h, kv_num_heads=h, scale=maybe(r, 0.5))
