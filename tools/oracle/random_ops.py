"""Generators of random nodes for random_cases.py: one function an operator, generate(rng) -> case or None."""
import numpy as np
import onnx
from onnx import defs, helper

LIMIT = 27
REAL = ("float", "double", "float16", "bfloat16")
table = []


def op(*names, domain=""):
    def add(f):
        for n in names:
            table.append((n, domain, (lambda name: lambda r: f(r, name))(n)))
        return f
    return add


def generators():
    return table


def schema(name):
    return defs.get_schema(name, LIMIT, "")


def np_type(text):
    """numpy's type of tensor(float16); None for what is no tensor."""
    if not text.startswith("tensor("):
        return None
    name = text[7:-1].upper()
    return np.dtype(helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, name)))


def types(name, parameter):
    """numpy types that the schema allows for a type parameter ("T") of the operator."""
    for c in schema(name).type_constraints:
        if c.type_param_str == parameter:
            return [t for t in map(np_type, c.allowed_type_strs) if t is not None]
    raise KeyError((name, parameter))


def pick(r, values):
    return values[int(r.integers(len(values)))]


def flag(r, p=0.5):
    return bool(r.random() < p)


def ri(r, low, high):
    return int(r.integers(low, high + 1))


def shape(r, least=0, most=4, dim=4, zero=0.04, one=0.15):
    dims = [ri(r, 1, dim) for _ in range(ri(r, least, most))]
    return [0 if flag(r, zero) else 1 if flag(r, one) else d for d in dims]


def is_real(t):
    return t.kind == "f" or t.name.startswith(("bfloat", "float"))


def data(r, t, dims, low=-3.0, high=3.0, odd=False):
    """Random contents; odd: now and then not a number, infinities and extremes."""
    t = np.dtype(t)
    n = int(np.prod(dims, dtype=np.int64))
    if t.kind in "OU":
        x = np.array([pick(r, ["", "a", "Bc", "déjà", "a b", "12"]) for _ in range(n)] + [None], dtype=object)[:n]
        return x.reshape(dims)
    if t.kind == "c":
        return (np.round(r.uniform(low, high, dims), 2) + 1j * np.round(r.uniform(low, high, dims), 2)).astype(t)
    if is_real(t):
        x = np.round(r.uniform(low, high, dims) * 64) / 64
        if odd and n and flag(r, 0.3):
            flat = x.reshape(-1)
            for v in (np.nan, np.inf, -np.inf, 0.0, -0.0):
                flat[ri(r, 0, n - 1)] = v
            x = flat.reshape(dims)
        return np.asarray(x).astype(t)
    if t.kind == "b":
        return np.asarray(r.random(dims) < 0.5)
    if t.name in ("int4", "uint4", "int2", "uint2"):
        bits = int(t.name[-1])
        least, most = (0, 2 ** bits - 1) if t.name[0] == "u" else (-2 ** (bits - 1), 2 ** (bits - 1) - 1)
        return np.asarray(r.integers(least, most + 1, dims)).astype(t)
    least = max(int(np.floor(low * 4)), 0 if t.kind == "u" else -10 ** 9)
    x = r.integers(least, max(int(high * 4), least) + 1, dims)
    x = np.asarray(x).astype(t)
    if odd and n and flag(r, 0.2):
        flat = x.reshape(-1)
        flat[ri(r, 0, n - 1)] = np.iinfo(t).max
        flat[ri(r, 0, n - 1)] = np.iinfo(t).min
        x = flat.reshape(dims)
    return x


def i64(values):
    return np.array(values, np.int64)


def case(inputs, n_out=1, opset=LIMIT, **attrs):
    return {"inputs": inputs, "n_out": n_out, "opset": opset, "attrs": {k: v for k, v in attrs.items() if v is not None}}


def maybe(r, v, p=0.5):
    return v if flag(r, p) else None


def axis_of(r, rank):
    return ri(r, -rank, rank - 1)


def small_float(r, low=-2.0, high=2.0):
    return float(np.float32(np.round(r.uniform(low, high), 2)))


def broadcastable(r, dims):
    """Dims that broadcast against `dims`, of the same or a lower rank."""
    out = [1 if flag(r, 0.3) else d for d in dims]
    return out[ri(r, 0, len(out)):]


import random_elementwise  # noqa: E402,F401
import random_moves  # noqa: E402,F401
import random_numeric  # noqa: E402,F401
import random_learned  # noqa: E402,F401
import random_old  # noqa: E402,F401
