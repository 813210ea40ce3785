#!/usr/bin/env python3
"""Makes the npy and npz files of this folder with numpy; run in this folder."""
import io
import zipfile

import numpy as np

TYPES = ["float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8",
         "bool", "complex64", "complex128"]


def ramp(dtype):
    n = np.arange(24)
    if dtype == "bool":
        n = n % 2
    x = n.astype(dtype).reshape(2, 3, 4)
    return x - np.array(0.5j, dtype) if dtype.startswith("complex") else x


arrays = {}
for t in TYPES:
    for order in "CF":
        for end in "<>":
            x = ramp(t)
            arrays[f"ramp_{order.lower()}_{t}_{'le' if end == '<' else 'be'}"] = np.array(
                x, dtype=x.dtype.newbyteorder(end), order=order)
text = ["", "a", "grüß", "\U0001f682 x"]
arrays.update(scalar=np.float32(2.5), empty=np.zeros((0, 5), "float32"), text_little=np.array(text, "<U4"),
              text_big=np.array(text, ">U4"), bytes=np.array([b"x", b"\xff\xfez"]))
np.savez("stored.npz", **arrays)
np.savez_compressed("deflated.npz", **arrays)
np.savez_compressed("small.npz", a=np.arange(5, dtype="float32"), b=np.array(["x", "yz"]))
v = np.array([3, 4, -7], "int32")
for major in 1, 2, 3:
    with open(f"v{major}.npy", "wb") as f:
        np.lib.format.write_array(f, v, version=(major, 0))
np.save("object.npy", np.array([{}, None]), allow_pickle=True)
np.save("structured.npy", np.zeros(2, [("a", "f4"), ("b", "i4")]))
np.savez_compressed("bomb.npz", zeros=np.zeros(100 << 20, "uint8"))


def npy(shape, data):
    f = io.BytesIO()
    np.lib.format.write_array_header_1_0(f, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return f.getvalue() + data


open("short.npy", "wb").write(npy((1 << 40,), bytes(64)))
open("huge.npy", "wb").write(npy((1 << 40, 1 << 40), bytes(64)))
raw = bytearray(open("small.npz", "rb").read())
with zipfile.ZipFile("small.npz") as z:
    entry = z.infolist()[0]
at = raw.rindex(entry.CRC.to_bytes(4, "little"))
raw[at] ^= 1
open("crc.npz", "wb").write(raw)
