"""Element by element, reductions, casts, quantization."""
import numpy as np
from onnx import helper
from random_ops import *

UNARY = """Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Celu Cos Cosh Elu Erf Exp Floor Gelu HardSigmoid HardSwish Identity
IsInf IsNaN LeakyRelu Log Mish Neg Not Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Swish Tan Tanh
ThresholdedRelu Size""".split()
LIMITED = {"Acos": (-1, 1), "Asin": (-1, 1), "Atanh": (-0.9, 0.9), "Acosh": (1, 4), "Log": (0.1, 4), "Sqrt": (0, 4)}


@op(*UNARY)
def unary(r, name):
    s = schema(name)
    t = pick(r, types(name, s.inputs[0].type_str))
    low, high = LIMITED.get(name, (-4, 4))
    attrs = {}
    for k, a in s.attributes.items():
        if flag(r):
            continue
        kind = a.type.name
        attrs[k] = (pick(r, ["none", "tanh"]) if k == "approximate" else ri(r, 0, 1) if kind == "INT" else small_float(r, 0.1, 2.0))
    return case([data(r, t, shape(r), low, high, odd=name != "Celu")], **attrs)


BINARY = """Add And BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Mod Mul Or PRelu Pow Sub Xor
BitShift""".split()


@op(*BINARY)
def binary(r, name):
    s = schema(name)
    t = pick(r, types(name, s.inputs[0].type_str))
    u = t if s.inputs[1].type_str == s.inputs[0].type_str else pick(r, types(name, s.inputs[1].type_str))
    dims = shape(r)
    other = broadcastable(r, dims)
    if name not in ("PRelu",) and flag(r, 0.3):
        dims, other = other, dims
    a, b = data(r, t, dims, -4, 4, odd=name not in ("Div", "Mod", "Pow", "BitShift")), data(r, u, other, -4, 4)
    attrs = {}
    if name == "Mod":
        attrs["fmod"] = 1 if is_real(t) else ri(r, 0, 1)
    if name in ("Div", "Mod"):
        b = np.where(b == 0, np.ones_like(b), b).astype(u).reshape(b.shape)
    if name == "Pow":
        a = data(r, t, dims, 0, 3)
        b = data(r, u, other, 0, 1.0)
    if name == "BitShift":
        attrs["direction"] = pick(r, ["LEFT", "RIGHT"])
    return case([a, b], **attrs)


@op("Max", "Min", "Mean", "Sum")
def variadic(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r)
    inputs = [data(r, t, dims if i == 0 else broadcastable(r, dims), odd=True) for i in range(ri(r, 1, 4))]
    return case([inputs[i] for i in r.permutation(len(inputs))])


@op("Clip")
def clip(r, name):
    t = pick(r, types(name, "T"))
    low, high = data(r, t, [], 0, 1), data(r, t, [], 1, 3)
    return case([data(r, t, shape(r), -4, 4, odd=True), maybe(r, low), maybe(r, high)])


@op("Where")
def where(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r)
    return case([data(r, np.bool_, broadcastable(r, dims)), data(r, t, dims), data(r, t, broadcastable(r, dims))])


REDUCE = "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare".split()


@op(*REDUCE)
def reduce(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 0, 4, 3)
    rank = len(dims)
    low = 0.1 if name == "ReduceLogSum" else -3
    x = data(r, t, dims, low, 3)
    axes = None
    if flag(r, 0.7):
        axes = [int(a) - (rank if flag(r) else 0) for a in r.permutation(rank)[:ri(r, 0, rank)]]
    if flag(r, 0.25) and t.name not in ("bool",) and axes != []:
        old = {"ReduceSum": 11}.get(name, 13)
        if t.name in ("int8", "uint8") and name not in ("ReduceMax", "ReduceMin"):
            return None
        return case([x], opset=old, axes=axes, keepdims=maybe(r, ri(r, 0, 1)))
    return case([x] + ([i64(axes)] if axes is not None else []), keepdims=maybe(r, ri(r, 0, 1)),
                noop_with_empty_axes=maybe(r, ri(r, 0, 1)))


@op("ArgMax", "ArgMin")
def arg(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, 4, zero=0)
    return case([data(r, t, dims, -1, 1)], axis=maybe(r, axis_of(r, len(dims)), 0.8), keepdims=maybe(r, ri(r, 0, 1)),
                select_last_index=maybe(r, ri(r, 0, 1)), opset=pick(r, [12, 13, LIMIT]) if t.name != "bfloat16" else LIMIT)


@op("Softmax", "LogSoftmax", "Hardmax")
def softmax(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 4, 4)
    old = flag(r, 0.3) and t.name != "bfloat16"
    return case([data(r, t, dims)], axis=maybe(r, axis_of(r, len(dims)), 0.7), opset=11 if old else LIMIT)


@op("CumSum", "CumProd")
def cumulative(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3)
    axis = np.array(axis_of(r, len(dims)), pick(r, [np.int32, np.int64]))
    return case([data(r, t, dims, -2, 2), axis], exclusive=maybe(r, ri(r, 0, 1)), reverse=maybe(r, ri(r, 0, 1)),
                opset=26 if name == "CumProd" else pick(r, [11, 14, LIMIT]) if t.name not in ("float16", "bfloat16") else LIMIT)


@op("TopK")
def topk(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 5, zero=0)
    axis = axis_of(r, len(dims))
    return case([data(r, t, dims), i64([ri(r, 0, dims[axis])])], 2, axis=axis, largest=maybe(r, ri(r, 0, 1)), sorted=maybe(r, 1))


@op("Unique")
def unique(r, name):
    t = pick(r, types(name, "T"))
    dims = shape(r, 1, 3, 4, zero=0)
    return case([data(r, t, dims, -0.5, 0.5)], ri(r, 1, 4), axis=maybe(r, axis_of(r, len(dims))), sorted=maybe(r, ri(r, 0, 1)))


@op("NonZero")
def nonzero(r, name):
    t = pick(r, types(name, "T"))
    return case([data(r, t, shape(r, 0, 3), -0.6, 0.6)])


def castable(t):
    return t.kind not in "c"


def target(t):
    return helper.np_dtype_to_tensor_dtype(t)


@op("Cast", "CastLike")
def cast(r, name):
    kinds = [t for t in types("Cast", "T1") if castable(t)]
    t, u = pick(r, kinds), pick(r, kinds)
    x = data(r, t, shape(r, 0, 2), -3, 3, odd=u.kind not in "iub" and u.name[:3] not in ("int", "uin"))
    if t.kind in "OU":
        n = x.size
        texts = ["1", "-2.5", "3e2", "0"] + (["NaN", "INF", "-INF", "inf"] if is_real(u) else [])
        if not is_real(u):
            texts = ["1", "2", "100", "0"]
        x = np.array([pick(r, texts) for _ in range(n)] + [None], dtype=object)[:n].reshape(x.shape)
    if is_real(t) and flag(r, 0.2) and is_real(u):
        x = (x.astype(np.float64) * 1000).astype(t)
    attrs = {"saturate": ri(r, 0, 1)} if u.name.startswith("float8") and flag(r) else {}
    if name == "Cast":
        return case([x], to=target(u), **attrs)
    return case([x, data(r, u, [1])], **attrs)


@op("BitCast")
def bitcast(r, name):
    kinds = [t for t in types(name, "T1") if t.kind not in "OU"]
    t = pick(r, kinds)
    same = [u for u in kinds if u.itemsize == t.itemsize and u.kind != "b"]
    return case([data(r, t, shape(r, 0, 3))], to=target(pick(r, same)))


def scale_shape(r, dims, block):
    """(axis, scale's dims, block size) per tensor, axis or block."""
    kind = pick(r, ["tensor", "axis", "block"])
    if kind == "tensor" or not dims:
        return None, [], None
    axis = ri(r, 0, len(dims) - 1)
    if kind == "axis":
        return axis, [dims[axis]], None
    size = ri(r, 1, dims[axis])
    if -(-dims[axis] // size) * size != dims[axis] and size < 1:
        return None, [], None
    scale = list(dims)
    scale[axis] = -(-dims[axis] // size)
    return axis, scale, size


@op("QuantizeLinear")
def quantize(r, name):
    t, u = pick(r, types(name, "T1")), pick(r, types(name, "T3"))
    s = pick(r, [v for v in types(name, "T2") if v.name in REAL or v.name in ("float32", "float64")])
    dims = shape(r, 1, 3, 4, zero=0)
    axis, sdims, block = scale_shape(r, dims, True)
    x = data(r, t, dims, -20, 20)
    scale = pick(r, [0.25, 0.5, 1.0]) * (1 + np.arange(int(np.prod(sdims))).reshape(sdims) % 3)
    inputs = [x, np.asarray(scale).astype(s)]
    attrs = {}
    if flag(r, 0.7):
        zero = data(r, u, sdims, 0, 0.5) if not is_real(u) else np.zeros(sdims).astype(u)
        inputs.append(zero)
    elif flag(r):
        attrs["output_dtype"] = target(u)
    return case(inputs, axis=axis, block_size=block, saturate=maybe(r, ri(r, 0, 1), 0.2), **attrs)


@op("DequantizeLinear")
def dequantize(r, name):
    t = pick(r, types(name, "T1"))
    s = pick(r, [v for v in types(name, "T2") if v.name in REAL or v.name == "float32"])
    dims = shape(r, 1, 3, 4, zero=0)
    axis, sdims, block = scale_shape(r, dims, True)
    scale = pick(r, [0.25, 0.5, 1.0]) * (1 + np.arange(int(np.prod(sdims))).reshape(sdims) % 3)
    inputs = [data(r, t, dims, -20 if t.kind != "u" else 0, 20), np.asarray(scale).astype(s)]
    if flag(r, 0.6) and t.name != "int32":
        inputs.append(data(r, t, sdims, 0, 0.5) if not is_real(t) else np.zeros(sdims).astype(t))
    attrs = {"output_dtype": target(pick(r, types(name, "T3")))} if flag(r, 0.2) else {}
    return case(inputs, axis=axis, block_size=block, **attrs)


@op("DynamicQuantizeLinear")
def dynamic(r, name):
    return case([data(r, np.float32, shape(r, 1, 3, zero=0), *pick(r, [(-3, 3), (1, 4), (-5, -1)]))], 3)


@op("Dropout")
def dropout(r, name):
    t = pick(r, types(name, "T"))
    inputs = [data(r, t, shape(r)), maybe(r, np.array(0.4, np.float32)), maybe(r, np.array(False))]
    return case(inputs, ri(r, 1, 2))


@op("Range")
def arange(r, name):
    t = pick(r, types(name, "T"))
    up = t.kind == "u" or flag(r)
    a, b, d = (0.25, 9, 1.5) if up else (5, -3, -0.75)
    if not is_real(t):
        a, b, d = (1, ri(r, 0, 9), ri(r, 1, 3)) if up else (5, -4, -2)
    return case([np.array(v).astype(t) for v in (a, b, d)])


@op("StringConcat")
def concat_text(r, name):
    dims = shape(r)
    return case([data(r, np.object_, dims), data(r, np.object_, broadcastable(r, dims))])


@op("StringSplit")
def split_text(r, name):
    n = ri(r, 1, 4)
    x = np.array([pick(r, ["a,b,c", "", ",a", "a b  c", " x ", "a--b-c"]) for _ in range(n)], dtype=object)
    return case([x], 2, delimiter=maybe(r, pick(r, [",", " ", "--", ""]), 0.8), maxsplit=maybe(r, ri(r, 0, 2)))


@op("StringNormalizer")
def normalize_text(r, name):
    n = ri(r, 1, 4)
    x = np.array([pick(r, ["Monday", "tuesday", "FRIDAY", "É"]) for _ in range(n)], dtype=object)
    x = x.reshape(pick(r, [[n], [1, n]]))
    return case([x], case_change_action=maybe(r, pick(r, ["LOWER", "UPPER", "NONE"])), is_case_sensitive=maybe(r, ri(r, 0, 1)),
                stopwords=maybe(r, ["monday", "FRIDAY"]))


@op("RegexFullMatch")
def regex(r, name):
    x = np.array(["ab1", "xyz", "a.b", "", "foo@bar.com"], dtype=object)
    return case([x], pattern=pick(r, [r"[a-z]+\d?", r".*", r"(\w+)@(\w+)\.com", r"a\.b|xyz", r"^$", r"[^x]{2,3}"]))
