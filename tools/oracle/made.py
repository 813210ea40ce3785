"""Inputs made from element numbers: test/exec/made.h makes the same."""
import numpy as np


def hash_mix(x):
    """src/base/map.c"""
    x = x.astype(np.uint64)
    with np.errstate(over="ignore"):
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
        return x ^ (x >> np.uint64(31))


def bits_of(number, shape):
    n = int(np.prod(shape, dtype=np.int64))
    return hash_mix(np.arange(n, dtype=np.uint64) + np.uint64(number << 32))


def made(number, shape):
    """Floats in [-1, 1)."""
    bits = bits_of(number, shape)
    return ((bits >> np.uint64(40)).astype(np.float64) / (1 << 23) - 1).astype(np.float32).reshape(shape)


def made_as(number, shape, dtype):
    """Of any type: the whole range of 8 and 16 bits, small numbers of the others."""
    dtype = np.dtype(dtype)
    if dtype.kind == "f":
        return made(number, shape).astype(dtype)
    bits = bits_of(number, shape)
    if dtype.itemsize <= 2 and dtype.kind != "b":
        return (bits >> np.uint64(64 - 8 * dtype.itemsize)).astype(f"u{dtype.itemsize}").view(dtype).reshape(shape)
    return (bits % np.uint64(2 if dtype.kind == "b" else 3)).astype(dtype).reshape(shape)
