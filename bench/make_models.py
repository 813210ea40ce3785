"""Writes the models that the benchmarks run: the published architectures with seeded random weights, nothing downloaded.

    python make_models.py DIRECTORY [NAME...]

Batch normalisation is folded into the convolutions, as exporters do for inference.
"""
import os
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Net:
    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.constants, self.count = [], [], 0

    def constant(self, array, name):
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def node(self, op, inputs, **attributes):
        self.count += 1
        out = f"{op.lower()}_{self.count}"
        self.nodes.append(helper.make_node(op, inputs, [out], name=f"/{out}", **attributes))
        return out

    def weights(self, shape, fan_in, gain=2.0):
        scale = np.sqrt(gain / fan_in)
        return (self.random.standard_normal(shape) * scale).astype(np.float32)

    def conv(self, x, cin, cout, kernel, stride=1, pad=0, group=1, act="Relu"):
        kh, kw = (kernel, kernel) if isinstance(kernel, int) else kernel
        ph, pw = (pad, pad) if isinstance(pad, int) else pad
        k = self.count
        w = self.constant(self.weights((cout, cin // group, kh, kw), cin // group * kh * kw), f"w_{k}")
        b = self.constant(self.weights((cout,), 100.0), f"b_{k}")
        y = self.node("Conv", [x, w, b], kernel_shape=[kh, kw], strides=[stride, stride], pads=[ph, pw, ph, pw], group=group)
        if act == "Relu":
            return self.node("Relu", [y])
        if act == "Relu6":
            return self.node("Clip", [y, "zero", "six"])
        return y

    def dense(self, x, cin, cout):
        w = self.constant(self.weights((cout, cin), cin, 1.0), "fc_w")
        b = self.constant(self.weights((cout,), 100.0), "fc_b")
        return self.node("Gemm", [x, w, b], transB=1)

    def pool(self, x, op, kernel, stride, pad=0, **attributes):
        return self.node(op, [x], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4, **attributes)

    def head(self, x, channels):
        x = self.node("Flatten", [self.node("GlobalAveragePool", [x])], axis=1)
        return self.dense(x, channels, 1000)

    def save(self, path, out, size, out_shape=(1, 1000), in_shape=None):
        x = helper.make_tensor_value_info("input", TensorProto.FLOAT, in_shape or [1, 3, size, size])
        y = helper.make_tensor_value_info(out, TensorProto.FLOAT, list(out_shape))
        graph = helper.make_graph(self.nodes, "bench", [x], [y], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path)


def resnet50(path):
    """He et al. 2015, the variant with the stride in the 3x3 convolution."""
    n = Net(1)
    x = n.pool(n.conv("input", 3, 64, 7, 2, 3), "MaxPool", 3, 2, 1)
    channels = 64
    for stage, (width, blocks) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            y = n.conv(x, channels, width, 1)
            y = n.conv(y, width, width, 3, stride, 1)
            y = n.conv(y, width, width * 4, 1, act=None)
            if block == 0:
                x = n.conv(x, channels, width * 4, 1, stride, act=None)
            channels = width * 4
            x = n.node("Relu", [n.node("Add", [y, x])])
    n.save(path, n.head(x, channels), 224)


def mobilenet_v2(path):
    """Sandler et al. 2018, width 1.0."""
    n = Net(2)
    n.constant(np.float32(0), "zero")
    n.constant(np.float32(6), "six")
    x, channels = n.conv("input", 3, 32, 3, 2, 1, act="Relu6"), 32
    table = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for factor, out, blocks, first in table:
        for block in range(blocks):
            stride, hidden, y = (first if block == 0 else 1), channels * factor, x
            if factor > 1:
                y = n.conv(y, channels, hidden, 1, act="Relu6")
            y = n.conv(y, hidden, hidden, 3, stride, 1, group=hidden, act="Relu6")
            y = n.conv(y, hidden, out, 1, act=None)
            x = n.node("Add", [x, y]) if stride == 1 and channels == out else y
            channels = out
    n.save(path, n.head(n.conv(x, channels, 1280, 1, act="Relu6"), 1280), 224)


def inception_v3(path):
    """Szegedy et al. 2015, without the auxiliary head."""
    n = Net(3)

    def join(*parts):
        return n.node("Concat", list(parts), axis=1)

    def average(x):
        return n.pool(x, "AveragePool", 3, 1, 1, count_include_pad=1)

    x = n.conv("input", 3, 32, 3, 2)
    x = n.conv(n.conv(x, 32, 32, 3), 32, 64, 3, 1, 1)
    x = n.pool(x, "MaxPool", 3, 2)
    x = n.conv(n.conv(x, 64, 80, 1), 80, 192, 3)
    x, c = n.pool(x, "MaxPool", 3, 2), 192
    for pool in (32, 64, 64):
        a = n.conv(x, c, 64, 1)
        b = n.conv(n.conv(x, c, 48, 1), 48, 64, 5, 1, 2)
        d = n.conv(n.conv(n.conv(x, c, 64, 1), 64, 96, 3, 1, 1), 96, 96, 3, 1, 1)
        x, c = join(a, b, d, n.conv(average(x), c, pool, 1)), 224 + pool
    a = n.conv(x, c, 384, 3, 2)
    b = n.conv(n.conv(n.conv(x, c, 64, 1), 64, 96, 3, 1, 1), 96, 96, 3, 2)
    x, c = join(a, b, n.pool(x, "MaxPool", 3, 2)), 768
    row, column = ((1, 7), (0, 3)), ((7, 1), (3, 0))
    for m in (128, 160, 160, 192):
        a = n.conv(x, c, 192, 1)
        b = n.conv(n.conv(n.conv(x, c, m, 1), m, m, row[0], 1, row[1]), m, 192, column[0], 1, column[1])
        d = n.conv(x, c, m, 1)
        for k, (kernel, pad) in enumerate((column, row, column, row)):
            d = n.conv(d, m, 192 if k == 3 else m, kernel, 1, pad)
        x = join(a, b, d, n.conv(average(x), c, 192, 1))
    a = n.conv(n.conv(x, c, 192, 1), 192, 320, 3, 2)
    b = n.conv(n.conv(n.conv(x, c, 192, 1), 192, 192, row[0], 1, row[1]), 192, 192, column[0], 1, column[1])
    x, c = join(a, n.conv(b, 192, 192, 3, 2), n.pool(x, "MaxPool", 3, 2)), 1280
    for _ in range(2):
        a = n.conv(x, c, 320, 1)
        b = n.conv(x, c, 384, 1)
        b = join(n.conv(b, 384, 384, (1, 3), 1, (0, 1)), n.conv(b, 384, 384, (3, 1), 1, (1, 0)))
        d = n.conv(n.conv(x, c, 448, 1), 448, 384, 3, 1, 1)
        d = join(n.conv(d, 384, 384, (1, 3), 1, (0, 1)), n.conv(d, 384, 384, (3, 1), 1, (1, 0)))
        x, c = join(a, b, d, n.conv(average(x), c, 192, 1)), 2048
    n.save(path, n.head(x, c), 299)


def recurrent(op, gates, hidden):
    def make(path):
        n = Net(4)
        w = n.constant(n.weights((1, gates * hidden, hidden), hidden, 1.0), "w")
        r = n.constant(n.weights((1, gates * hidden, hidden), hidden, 1.0), "r")
        b = n.constant(n.weights((1, 2 * gates * hidden), 100.0), "b")
        attributes = {"linear_before_reset": 1} if op == "GRU" else {}
        y = n.node(op, ["input", w, r, b], hidden_size=hidden, **attributes)
        n.save(path, y, 0, (100, 1, 1, hidden), [100, 1, hidden])
    return make


def transformer(path):
    """One encoder block: 128 positions, width 768, 12 heads, GELU by Erf."""
    n, seq, width, heads = Net(5), 128, 768, 12
    size = width // heads

    def linear(x, cin, cout):
        w = n.constant(n.weights((cin, cout), cin, 1.0), f"w_{n.count}")
        b = n.constant(n.weights((cout,), 100.0), f"b_{n.count}")
        return n.node("Add", [n.node("MatMul", [x, w]), b])

    def norm(x):
        s = n.constant(np.ones(width, np.float32), f"s_{n.count}")
        b = n.constant(np.zeros(width, np.float32), f"z_{n.count}")
        return n.node("LayerNormalization", [x, s, b], axis=-1, epsilon=1e-5)

    def split(x, perm):
        shape = n.constant(np.array([1, seq, heads, size], np.int64), f"shape_{n.count}")
        return n.node("Transpose", [n.node("Reshape", [x, shape])], perm=perm)

    q, v = split(linear("input", width, width), [0, 2, 1, 3]), split(linear("input", width, width), [0, 2, 1, 3])
    k = split(linear("input", width, width), [0, 2, 3, 1])
    scale = n.constant(np.float32(1 / np.sqrt(size)), "scale")
    p = n.node("Softmax", [n.node("Mul", [n.node("MatMul", [q, k]), scale])], axis=-1)
    y = n.node("Transpose", [n.node("MatMul", [p, v])], perm=[0, 2, 1, 3])
    y = n.node("Reshape", [y, n.constant(np.array([1, seq, width], np.int64), "merged")])
    x = norm(n.node("Add", ["input", linear(y, width, width)]))
    h = linear(x, width, 4 * width)
    half, one, root = (n.constant(np.float32(v), name) for v, name in ((0.5, "half"), (1.0, "one"), (np.sqrt(2), "root")))
    e = n.node("Add", [n.node("Erf", [n.node("Div", [h, root])]), one])
    h = n.node("Mul", [n.node("Mul", [h, e]), half])
    y = norm(n.node("Add", [x, linear(h, 4 * width, width)]))
    n.save(path, y, 0, (1, seq, width), [1, seq, width])


def large(path):
    """1.6 GB of weights in one file: sixteen matrices of 100 MB."""
    n = Net(6)
    x, side = "input", 5000
    block = np.zeros((side, side), np.float32)
    for k in range(16):
        block[k, : k + 1] = k + 1
        x = n.node("MatMul", [x, n.constant(block, f"w_{k}")])
    n.save(path, x, 0, (1, side), [1, side])


MODELS = {
    "resnet50": resnet50,
    "mobilenet_v2": mobilenet_v2,
    "inception_v3": inception_v3,
    "lstm_128": recurrent("LSTM", 4, 128),
    "lstm_512": recurrent("LSTM", 4, 512),
    "gru_256": recurrent("GRU", 3, 256),
    "transformer": transformer,
    "large": large,
}

if __name__ == "__main__":
    directory = sys.argv[1]
    os.makedirs(directory, exist_ok=True)
    for name in sys.argv[2:] or [k for k in MODELS if k != "large"]:
        target = os.path.join(directory, name + ".onnx")
        if not os.path.exists(target):
            MODELS[name](target)
