"""Quantized models and faults in them, made by editing the files: test/data/quantized.

usage: quantized_faults.py test/data/quantized LENET.onnx INPUTS.npz

LENET.onnx is the same network as tf2onnx converts it, INPUTS.npz holds samples for calibration.

float.tflite, int8.tflite and int8io.tflite are one LeNet-5 as TensorFlow 2.20.0 converts it: in float32, in int8,
and in int8 with integer input and output. From int8.tflite come
  bias.tflite     the second convolution's bias is zero
  weights.tflite  the second dense layer's weights are those of the neighbouring units
  scale.tflite    the second convolution's scales per channel are those of the neighbouring channels
ONNX Runtime's quantizer makes qdq.onnx, qoperator.onnx (both per channel) and dynamic.onnx of LENET.onnx; from
qoperator.onnx come
  qoperator_bias.onnx  the second convolution's bias is zero
  qoperator_pads.onnx  the first convolution is padded at the end only
gru_dynamic.onnx is what its dynamic quantizer makes of gru.onnx (PyTorch 2 exported it). From dynamic.onnx comes
  dynamic_weights.onnx  the second dense layer's weights are those of the neighbouring units
"""
import sys

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static

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


class Samples(CalibrationDataReader):
    def __init__(self, name, path):
        array = next(iter(np.load(path).values()))
        self.left = iter([{name: array[i:i + 1]} for i in range(min(8, len(array)))])

    def get_next(self):
        return next(self.left, None)


def quantize(source, inputs, folder):
    name = onnx.load(source).graph.input[0].name
    for target, form, activations in (("qdq", QuantFormat.QDQ, QuantType.QInt8),
                                      ("qoperator", QuantFormat.QOperator, QuantType.QUInt8)):
        quantize_static(source, f"{folder}/{target}.onnx", Samples(name, inputs), quant_format=form, per_channel=True,
                        activation_type=activations)
    quantize_dynamic(source, f"{folder}/dynamic.onnx")


def onnx_faults(folder):
    model = onnx.load(f"{folder}/qoperator.onnx")
    bias = [n for n in model.graph.node if n.op_type == "QLinearConv"][1].input[8]
    tensor = next(i for i in model.graph.initializer if i.name == bias)
    tensor.CopyFrom(numpy_helper.from_array(np.zeros_like(numpy_helper.to_array(tensor)), bias))
    onnx.save(model, f"{folder}/qoperator_bias.onnx")
    model = onnx.load(f"{folder}/qoperator.onnx")
    conv = next(n for n in model.graph.node if n.op_type == "QLinearConv")
    next(a for a in conv.attribute if a.name == "pads").ints[:] = [0, 0, 4, 4]
    onnx.save(model, f"{folder}/qoperator_pads.onnx")
    model = onnx.load(f"{folder}/dynamic.onnx")
    weights = [n for n in model.graph.node if n.op_type == "MatMulInteger"][1].input[1]
    tensor = next(i for i in model.graph.initializer if i.name == weights)
    tensor.CopyFrom(numpy_helper.from_array(np.roll(numpy_helper.to_array(tensor), 1, 1), weights))
    onnx.save(model, f"{folder}/dynamic_weights.onnx")


folder = sys.argv[1]
if len(sys.argv) > 3:
    quantize(sys.argv[2], sys.argv[3], folder)
    onnx_faults(folder)
for name, fault in (("bias", zero_bias), ("weights", roll_weights), ("scale", roll_scale)):
    model = read(f"{folder}/int8.tflite")
    fault(model)
    write(model, f"{folder}/{name}.tflite")
