"""Makes test/data/onnx_integers: small models as ONNX Runtime's quantizer writes them (QDQ, QOperator, dynamic), their
inputs, and its answers with all of its fusions. A run in native precision must be within one step of the output's scale.

usage: python make_onnx_integer_cases.py OUTPUT_FOLDER [SEED]
"""
import os
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static)

OUT = sys.argv[1]
R = np.random.default_rng(int(sys.argv[2]) if len(sys.argv) > 2 else 3)
ROWS = []


def real(*shape, scale=1.0):
    return (R.standard_normal(shape) * scale).astype(np.float32)


class Net:
    """A chain of operators on one input."""

    def __init__(self, *shape):
        self.shape, self.nodes, self.constants, self.last = list(shape), [], [], 'x'

    def constant(self, v):
        self.constants.append(numpy_helper.from_array(np.asarray(v), 'c%d' % len(self.constants)))
        return self.constants[-1].name

    def add(self, op, *constants, also=(), **attrs):
        name = 'v%d' % len(self.nodes)
        inputs = [self.last, *also, *(self.constant(v) for v in constants)]
        self.nodes.append(helper.make_node(op, inputs, [name], name='n%d' % len(self.nodes), **attrs))
        self.last = name
        return self

    def model(self):
        graph = helper.make_graph(self.nodes, 'g', [helper.make_tensor_value_info('x', TensorProto.FLOAT, self.shape)],
                                  [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)], self.constants)
        return onnx.shape_inference.infer_shapes(
            helper.make_model(graph, opset_imports=[helper.make_opsetid('', 17)], ir_version=9, producer_name='calque test'))


class Samples(CalibrationDataReader):
    def __init__(self, arrays):
        self.rest = iter([{'x': a} for a in arrays])

    def get_next(self):
        return next(self.rest, None)


def run(model, x):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=['CPUExecutionProvider'])
    return session.run(None, {session.get_inputs()[0].name: x})[0]


def step_of(model):
    """The scale of the DequantizeLinear that gives the output; 0: the output is real."""
    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    for n in model.graph.node:
        if n.output[0] == model.graph.output[0].name and n.op_type == 'DequantizeLinear':
            return float(constants[n.input[1]])
    return 0.0


def store(name, path, x):
    model = onnx.load(path)
    y = run(model, x)
    onnx.save(model, os.path.join(OUT, name + '.onnx'))
    np.savez(os.path.join(OUT, name + '_in.npz'), **{'0': x})
    np.savez(os.path.join(OUT, name + '_out.npz'), **{'0': y})
    ROWS.append('%s\t%.9g\t%s' % (name, step_of(model), ' '.join(sorted({n.op_type for n in model.graph.node}))))


def case(name, net, low=QuantType.QUInt8, weights=QuantType.QInt8, per_channel=False, forms=('qdq', 'qop')):
    with tempfile.TemporaryDirectory() as folder:
        plain, out = os.path.join(folder, 'plain.onnx'), os.path.join(folder, 'out.onnx')
        onnx.save(net.model(), plain)
        samples = [real(*net.shape) for _ in range(4)]
        x = real(*net.shape)
        for form in forms:
            if form == 'dynamic':
                quantize_dynamic(plain, out, weight_type=weights, per_channel=per_channel)
            else:
                quantize_static(plain, out, Samples(samples + [x]), per_channel=per_channel, activation_type=low, weight_type=weights,
                                quant_format=QuantFormat.QDQ if form == 'qdq' else QuantFormat.QOperator)
            store(name + '_' + form, out, x)


U, S = QuantType.QUInt8, QuantType.QInt8
for low, weights, per_channel in ((U, U, False), (U, S, True), (S, S, True)):
    end = '_%s_%s%s' % ('u8' if low == U else 's8', 'u8' if weights == U else 's8', '_channels' if per_channel else '')
    case('conv' + end, Net(1, 3, 7, 6).add('Conv', real(4, 3, 3, 3, scale=0.3), real(4), pads=[1, 1, 1, 1], strides=[2, 1]).add('Relu'),
         low, weights, per_channel)
    case('gemm' + end, Net(2, 9).add('Gemm', real(9, 5, scale=0.4), real(5)), low, weights, per_channel)
    case('matmul' + end, Net(2, 4, 9).add('MatMul', real(9, 5, scale=0.4)), low, weights, per_channel)
case('add', Net(2, 3, 5).add('Relu').add('Add', also=['x']))
case('mul', Net(2, 3, 5).add('Sigmoid').add('Mul', also=['x']))
case('leaky', Net(2, 3, 5).add('LeakyRelu', alpha=0.2), S)
case('pool', Net(1, 3, 6, 6).add('AveragePool', kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 0, 0]))
case('maxpool', Net(1, 3, 6, 6).add('Conv', real(2, 3, 1, 1), real(2)).add('MaxPool', kernel_shape=[2, 2], strides=[2, 2]))
case('global', Net(1, 3, 6, 6).add('Relu').add('GlobalAveragePool'))
case('softmax', Net(2, 9).add('Gemm', real(9, 5, scale=0.4), real(5)).add('Softmax', axis=-1))
case('concat', Net(1, 3, 4, 4).add('Sigmoid').add('Concat', also=['x'], axis=1))
case('network', Net(1, 3, 9, 9).add('Conv', real(6, 3, 3, 3, scale=0.3), real(6)).add('Relu').add('MaxPool', kernel_shape=[2, 2])
     .add('Conv', real(4, 6, 3, 3, scale=0.2), real(4)).add('Relu').add('GlobalAveragePool').add('Flatten')
     .add('Gemm', real(4, 3), real(3)), U, S, True)
case('linear', Net(2, 9).add('MatMul', real(9, 7, scale=0.4)).add('Relu').add('MatMul', real(7, 4)), U, S, False, ('dynamic',))
case('linear_channels', Net(2, 9).add('MatMul', real(9, 7, scale=0.4)), U, S, True, ('dynamic',))
case('convolution', Net(1, 3, 7, 6).add('Conv', real(4, 3, 3, 3, scale=0.3), real(4)), U, U, False, ('dynamic',))
with open(os.path.join(OUT, 'cases.tsv'), 'w') as f:
    f.write('case\tstep\toperators\n' + '\n'.join(ROWS) + '\n')
print(len(ROWS), 'cases')
