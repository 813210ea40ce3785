"""Faults in a quantized TensorFlow Lite file, made by editing the file: test/data/quantized.

usage: quantized_faults.py test/data/quantized

float.tflite, int8.tflite and int8io.tflite are one LeNet-5 as TensorFlow 2.20.0 converts it: in float32, in int8,
and in int8 with integer input and output. From int8.tflite come
  bias.tflite     the second convolution's bias is zero
  weights.tflite  the second dense layer's weights are those of the neighbouring units
  scale.tflite    the second convolution's scales per channel are those of the neighbouring channels
"""
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

CONV_2D, FULLY_CONNECTED = 3, 9


def read(path):
    with open(path, "rb") as f:
        return schema.ModelT.InitFromPackedBuf(f.read(), 0)


def write(model, path):
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    with open(path, "wb") as f:
        f.write(builder.Output())


def operator(model, code, k):
    codes = [max(c.builtinCode, c.deprecatedBuiltinCode) for c in model.operatorCodes]
    return [o for o in model.subgraphs[0].operators if codes[o.opcodeIndex] == code][k]


def tensor(model, index):
    t = model.subgraphs[0].tensors[index]
    return t, model.buffers[t.buffer]


def zero_bias(model):
    _, b = tensor(model, operator(model, CONV_2D, 1).inputs[2])
    b.data = np.zeros(len(b.data), np.uint8)


def roll_weights(model):
    t, b = tensor(model, operator(model, FULLY_CONNECTED, 1).inputs[1])
    b.data = np.roll(np.array(b.data, np.uint8).reshape(t.shape), 1, 0).ravel()


def roll_scale(model):
    t, _ = tensor(model, operator(model, CONV_2D, 1).inputs[1])
    t.quantization.scale = np.roll(np.array(t.quantization.scale, np.float32), 1)


folder = sys.argv[1]
for name, fault in (("bias", zero_bias), ("weights", roll_weights), ("scale", roll_scale)):
    model = read(f"{folder}/int8.tflite")
    fault(model)
    write(model, f"{folder}/{name}.tflite")
