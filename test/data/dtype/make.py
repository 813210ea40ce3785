#!/usr/bin/env python3
"""Makes small_floats.npz: every value of each small float type and what doubles near them round to.

Values come from NumPy and ml_dtypes; roundings are computed here with exact fractions and must agree with ml_dtypes' own
casts wherever the double is a float32 as well (from float64 ml_dtypes rounds twice). Run in this folder."""
from fractions import Fraction

import ml_dtypes
import numpy as np

# type, bits, magnitude of the largest finite value's code, code of what is too large
TYPES = [("float16", 16, 0x7BFF), ("bfloat16", 16, 0x7F7F), ("float8_e4m3fn", 8, 0x7E), ("float8_e4m3fnuz", 8, 0x7F),
         ("float8_e5m2", 8, 0x7B), ("float8_e5m2fnuz", 8, 0x7F), ("float6_e2m3fn", 6, 0x1F), ("float6_e3m2fn", 6, 0x1F),
         ("float4_e2m1fn", 4, 7)]
out = {}
for name, bits, top in TYPES:
    t = np.dtype(np.float16 if name == "float16" else getattr(ml_dtypes, name))
    code = np.uint16 if bits == 16 else np.uint8
    values = np.arange(1 << bits, dtype=code).view(t).astype(np.float32)
    out["values_" + name] = values
    magnitude = values[:top + 1].astype(np.float64)
    step = 37 if bits == 16 else 1
    codes = sorted(set(range(0, top, step)) | set(range(min(64, top))) | set(range(max(0, top - 64), top)))
    points = [magnitude[c] for c in codes]
    for c in codes:
        mid = (magnitude[c] + magnitude[c + 1]) / 2
        points += [mid, np.nextafter(mid, 0), np.nextafter(mid, np.inf)]
        points += [float(np.nextafter(np.float32(mid), np.float32(0))), float(np.nextafter(np.float32(mid), np.float32(np.inf)))]
    over = magnitude[top] + (magnitude[top] - magnitude[top - 1]) / 2
    points += [over, np.nextafter(over, 0), np.nextafter(over, np.inf), over * 2, 1e300, 5e-324, np.inf, np.nan, 1 / 3]
    points = np.array(points + [-p for p in points])
    sign = 1 << (bits - 1)
    uz = name.endswith("uz")
    plain, saturated = [], []
    for p in points:
        neg = sign if np.signbit(p) else 0
        if np.isnan(p):
            nan = {"float6_e2m3fn": 0x20, "float6_e3m2fn": 0x20, "float4_e2m1fn": 8, "float16": 0x7E00, "bfloat16": 0x7FC0, "float8_e4m3fn": 0x7F, "float8_e5m2": 0x7E}.get(name)
            c = sign if uz else nan | (0 if bits < 8 else neg)
            plain.append(c)
            saturated.append(c)
            continue
        a = abs(p)
        if a >= over and not (a == over and top % 2 == 0):
            plain.append(sign if uz else neg | (top if bits < 8 else top + 1))
            saturated.append(neg | top)
            continue
        c = int(np.searchsorted(magnitude, a, side="right")) - 1
        if c < top:
            below, above = Fraction(a) - Fraction(magnitude[c]), Fraction(magnitude[c + 1]) - Fraction(a)
            if above < below or (above == below and c % 2 == 1):
                c += 1
        c = 0 if uz and c == 0 else neg | c
        plain.append(c)
        saturated.append(c)
    with np.errstate(all="ignore"):
        theirs = points.astype(t).view(code)
        odd = [(p, int(a), b) for p, a, b in zip(points, theirs, plain)
                   if int(a) != b and not np.isnan(p) and np.float64(np.float32(p)) == p]
    print(name, len(points), "differ from ml_dtypes:", len(odd), odd[:3])
    assert not odd
    out["from_" + name], out["plain_" + name], out["saturated_" + name] = points, np.array(plain, code), np.array(saturated, code)
np.savez_compressed("small_floats.npz", **out)
