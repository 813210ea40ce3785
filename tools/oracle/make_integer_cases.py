"""Makes test/data/tflite_integers: one small quantized model an operator, its inputs, and the outputs of the reference
kernels, which run --precision native must equal.

usage: python make_integer_cases.py OUTPUT_FOLDER
"""
import numpy as np

from ai_edge_litert.interpreter import OpResolverType

import hybrid_cases
import integer_cell_cases
import tflite_stablehlo_cases
from tflite_models import (F, Given, Graph, R, case, const, finish, ints, new_model, real, refused, set_options, sub_graph, weight,
                           write_table)

LIMITS = {k: np.iinfo(k) for k in ('int8', 'uint8', 'int16', 'int32')}
ZERO = {'int8': -7, 'uint8': 119, 'int16': 0}


def one(scale, zero):
    return [scale], [zero], 0


def given(dtype, *shape, scale=0.043, zero=None, kind='input', least=None, most=None):
    low, high = LIMITS[dtype].min if least is None else least, LIMITS[dtype].max if most is None else most
    v = R.integers(low, high, size=shape, endpoint=True).astype(dtype)
    return Given(v, kind, one(scale, ZERO[dtype] if zero is None else zero))


def out(dtype, scale, zero=None):
    return dtype, [], 0, False, one(scale, ZERO[dtype] if zero is None else zero)


def weights(dtype, shape, channels_axis=None, scale=0.011):
    zero = 131 if dtype == 'uint8' else 0
    v = R.integers(max(LIMITS[dtype].min, -127), min(LIMITS[dtype].max, 255), size=shape, endpoint=True).astype(dtype)
    if channels_axis is None:
        return Given(v, 'const', one(scale, zero))
    n = shape[channels_axis]
    return Given(v, 'const', ([scale * (1 + 0.13 * k) for k in range(n)], [0] * n, channels_axis))


def bias(n, wide, scale):
    return Given(R.integers(-4000, 4000, size=n).astype('int64' if wide else 'int32'), 'const', one(scale, 0))


EIGHT, ALL = ('int8', 'uint8'), ('int8', 'uint8', 'int16')
for t in ALL:
    w, wide, axis = 'uint8' if t == 'uint8' else 'int8', t == 'int16', None if t == 'uint8' else 0
    x = 0.0003 if wide else 0.043
    y = 0.0021 if wide else 0.31
    for act in (0, 1, 3):
        case('CONV_2D_%s_%d' % (t, act), 'CONV_2D',
             [given(t, 1, 5, 6, 3, scale=x), weights(w, (4, 3, 2, 3), axis), bias(4, wide, x * 0.011)], [out(t, y)],
             set_options('Conv2D', padding=act % 2, strideW=1, strideH=2, fusedActivationFunction=act))
    case('DEPTHWISE_CONV_2D_' + t, 'DEPTHWISE_CONV_2D',
         [given(t, 1, 5, 6, 2, scale=x), weights(w, (1, 3, 3, 4), None if axis is None else 3), bias(4, wide, x * 0.011)], [out(t, y)],
         set_options('DepthwiseConv2D', padding=0, strideW=1, strideH=1, depthMultiplier=2))
    case('FULLY_CONNECTED_' + t, 'FULLY_CONNECTED', [given(t, 3, 7, scale=x), weights(w, (5, 7)), bias(5, wide, x * 0.011)], [out(t, y)],
         set_options('FullyConnected', fusedActivationFunction=1))
    if t != 'uint8':
        case('FULLY_CONNECTED_channels_' + t, 'FULLY_CONNECTED',
             [given(t, 2, 3, 7, scale=x), weights(w, (5, 7), 0), bias(5, wide, x * 0.011)], [out(t, y)],
             set_options('FullyConnected', keepNumDims=True))
        case('TRANSPOSE_CONV_' + t, 'TRANSPOSE_CONV',
             [ints(1, 6, 6, 2), weights(w, (2, 3, 3, 4), 0), given(t, 1, 3, 3, 4, scale=x), bias(2, wide, x * 0.011)], [out(t, y)],
             set_options('TransposeConv', padding=0, strideW=2, strideH=2))
        case('BATCH_MATMUL_' + t, 'BATCH_MATMUL', [given(t, 2, 3, 4, scale=x), given(t, 2, 5, 4, scale=x)],
             [out(t, y)], set_options('BatchMatMul', adjY=True))
        case('MEAN_sums_' + t, 'MEAN', [given(t, 2, 3, 4, 5), ints(1, 2)], [out(t, 0.029)], set_options('Reducer', keepDims=True))
    for op, kind in (('ADD', 'Add'), ('SUB', 'Sub'), ('MUL', 'Mul')):
        case('%s_%s' % (op, t), op, [given(t, 2, 3, 9), given(t, 3, 1, scale=0.019)], [out(t, 0.07)],
             set_options(kind, fusedActivationFunction=0 if op == 'SUB' else 1))
    for op in ('LESS', 'GREATER_EQUAL', 'EQUAL', 'NOT_EQUAL'):
        if t != 'int16':
            case('%s_%s' % (op, t), op, [given(t, 4, 30), given(t, 4, 30, scale=0.05)], [('bool', [])])
    for op in ('MAXIMUM', 'MINIMUM'):
        case('%s_%s' % (op, t), op, [given(t, 2, 9), given(t, 9)], [out(t, 0.043)], set_options('MaximumMinimum'))
    case('LEAKY_RELU_' + t, 'LEAKY_RELU', [given(t, 60)], [out(t, 0.031)], set_options('LeakyRelu', alpha=0.3))
    for op in ('RELU', 'RELU6', 'RELU_N1_TO_1'):
        if t != 'int16' or op == 'RELU':
            case('%s_%s' % (op, t), op, [given(t, 60)], [out(t, 0.031)])
    for pool in ('AVERAGE', 'MAX'):
        case('%s_POOL_2D_%s' % (pool, t), pool + '_POOL_2D', [given(t, 1, 5, 5, 3)], [out(t, 0.043)],
             set_options('Pool2D', padding=0, strideW=2, strideH=2, filterWidth=3, filterHeight=2, fusedActivationFunction=1))
    case('MEAN_' + t, 'MEAN', [given(t, 2, 5, 7), ints(2)], [out(t, 0.04)], set_options('Reducer'))
    if t == 'uint8':
        case('SUM_' + t, 'SUM', [given(t, 2, 5, 7), ints(1)], [out(t, 0.2)], set_options('Reducer'))
    case('RESIZE_BILINEAR_' + t, 'RESIZE_BILINEAR', [given(t, 1, 4, 5, 2), ints(7, 11)], [out(t, 0.043)],
         set_options('ResizeBilinear', halfPixelCenters=t == 'int8', alignCorners=t == 'int16'))
    case('PAD_' + t, 'PAD', [given(t, 2, 3), ints([1, 0], [2, 1])], [out(t, 0.043)], set_options('Pad'))
    case('RESHAPE_scale_' + t, 'RESHAPE', [given(t, 2, 3), ints(3, 2)], [out(t, 0.05)], set_options('Reshape', newShape=[3, 2]))
    sixteen = t == 'int16'
    edge = {'int8': -128, 'uint8': 0, 'int16': 0}[t]
    case('LOGISTIC_' + t, 'LOGISTIC', [given(t, 300, scale=0.0003 if sixteen else 0.043)], [out(t, 1 / 32768 if sixteen else 1 / 256, edge)])
    case('TANH_' + t, 'TANH', [given(t, 300, scale=0.0002 if sixteen else 0.031)],
         [out(t, 1 / 32768 if sixteen else 1 / 128, 128 if t == 'uint8' else 0)])
    case('SOFTMAX_' + t, 'SOFTMAX', [given(t, 4, 17, scale=0.0004 if sixteen else 0.07)], [out(t, 1 / 32768 if sixteen else 1 / 256, edge)],
         set_options('Softmax', beta=1.5))
    if t != 'int16':
        case('LOG_SOFTMAX_' + t, 'LOG_SOFTMAX', [given(t, 4, 17, scale=0.07)], [out(t, 16 / 256, LIMITS[t].max)], set_options('LogSoftmax'))
        case('L2_NORMALIZATION_' + t, 'L2_NORMALIZATION', [given(t, 4, 9)], [out(t, 1 / 128, 128 if t == 'uint8' else 0)], set_options('L2Norm'))
        case('HARD_SWISH_' + t, 'HARD_SWISH', [given(t, 200)], [out(t, 0.031)])
        case('PRELU_' + t, 'PRELU', [given(t, 2, 3, 5), given(t, 1, 1, 5, kind='const', scale=0.01)], [out(t, 0.03)])
    if t != 'uint8':
        case('ABS_' + t, 'ABS', [given(t, 60)], [out(t, 0.05)])
        case('EXP_' + t, 'EXP', [given(t, 300, scale=0.0001 if sixteen else 0.02)], [out(t, 0.0009 if sixteen else 0.06)])
        case('LOG_' + t, 'LOG', [given(t, 300, scale=0.0003 if sixteen else 0.043)], [out(t, 0.0001 if sixteen else 0.02)])
        case('RSQRT_' + t, 'RSQRT', [given(t, 100, least=ZERO[t])], [out(t, 0.0005 if sixteen else 0.03)])
        case('SQRT_' + t, 'SQRT', [given(t, 100, least=ZERO[t])], [out(t, 0.0005 if sixteen else 0.03)])
    case('GELU_' + t, 'GELU', [given(t, 300, scale=0.0002 if sixteen else 0.031)], [out(t, 0.0002 if sixteen else 0.031)],
         set_options('Gelu', approximate=t == 'int8'))
    case('QUANTIZE_' + t, 'QUANTIZE', [Given((R.standard_normal(60) * 3).astype(np.float32))], [out(t, 0.04)])
    for u in ALL:
        if (t, u) != ('int16', 'uint8'):
            case('QUANTIZE_%s_%s' % (t, u), 'QUANTIZE', [given(t, 60)], [out(u, 0.03)])
case('SQUARED_DIFFERENCE', 'SQUARED_DIFFERENCE', [given('int8', 3, 20), given('int8', 20, scale=0.02)], [out('int8', 0.3)])

case('CONCATENATION_uint8', 'CONCATENATION', [given('uint8', 2, 9), given('uint8', 2, 9, scale=0.021, zero=99)], [out('uint8', 0.05, 120)],
     set_options('Concatenation', axis=1))
case('CONCATENATION_int8', 'CONCATENATION', [given('int8', 2, 9), given('int8', 2, 9)], [out('int8', 0.043)],
     set_options('Concatenation', axis=0))
hybrid_cases.make()
integer_cell_cases.make()
for t in ALL:
    z, same, other = ZERO[t], out(t, 0.043), out(t, 0.05)
    # The kernel is undefined for quotients near 0: the numerators are large.
    case('DIV_' + t, 'DIV', [given(t, 2, 30, least=z + 60), given(t, 2, 30, scale=0.019, least=z + 1, most=z + 40)], [out(t, 0.9)],
         set_options('Div', fusedActivationFunction=1))
    case('DIV_negative_' + t, 'DIV', [given(t, 2, 30, most=z - 40), given(t, 1, scale=0.019, least=z - 9, most=z - 4)], [out(t, 0.2)],
         set_options('Div'))
    case('SPACE_TO_BATCH_ND_' + t, 'SPACE_TO_BATCH_ND', [given(t, 1, 3, 5, 2), ints(2, 3), ints([1, 0], [0, 1])], [same])
    case('SELECT_V2_' + t, 'SELECT_V2', [Given(np.arange(20).reshape(4, 5) % 3 == 0), given(t, 4, 5), given(t, 5, scale=0.02)], [other])
    case('RESIZE_NEAREST_NEIGHBOR_scale_' + t, 'RESIZE_NEAREST_NEIGHBOR', [given(t, 1, 4, 5, 2), ints(7, 11)], [other],
         set_options('ResizeNearestNeighbor'))
    case('DYNAMIC_UPDATE_SLICE_scale_' + t, 'DYNAMIC_UPDATE_SLICE', [given(t, 4, 5), given(t, 2, 2, scale=0.02), ints(1, 1)], [other])
    for op in ('REDUCE_MAX', 'REDUCE_MIN'):
        case('%s_%s' % (op, t), op, [given(t, 2, 3, 7), ints(1)], [same], set_options('Reducer', keepDims=True))
    if t == 'uint8':
        continue
    case('NEG_' + t, 'NEG', [given(t, 60)], [same])
    for op in ('FLOOR_DIV', 'FLOOR_MOD'):
        case('%s_%s' % (op, t), op, [given(t, 2, 30), given(t, 30, most=-1)], [same])
    for axes in ((1,), (0, 2)):
        case('REDUCE_PROD_%d_%s' % (len(axes), t), 'REDUCE_PROD', [given(t, 2, 3, 7, scale=0.0004 if t == 'int16' else 0.043), ints(*axes)],
             [out(t, 0.31)], set_options('Reducer', keepDims=False))
    # The reference kernel of this version adds signed integers wrongly; the others do what its source says, to less than 4 sums.
    case('SUM_' + t, 'SUM', [given(t, 5, 3), ints(0)], [out(t, 0.2)], set_options('Reducer'),
         kernels=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
for op in ('LESS', 'LESS_EQUAL', 'GREATER', 'GREATER_EQUAL', 'EQUAL'):
    case(op + '_int16', op, [given('int16', 4, 30), given('int16', 4, 30, scale=0.05)], [('bool', [])])
case('CONCATENATION_int16', 'CONCATENATION', [given('int16', 2, 9), given('int16', 2, 9, scale=0.021)], [out('int16', 0.05)],
     set_options('Concatenation', axis=1))
case('PRELU_int16', 'PRELU', [given('int16', 2, 3, 5), given('int8', 1, 1, 5, kind='const', scale=0.01)], [out('int16', 0.03)])
for op, kind in (('ADD', 'Add'), ('SUB', 'Sub')):
    for name, scales in (('first', (-15, -12)), ('second', (-12, -14))):
        case('%s_int16_%s_shifted' % (op, name), op, [given('int16', 2, 30, scale=2.0 ** scales[0]), given('int16', 2, 30, scale=2.0 ** scales[1])],
             [out('int16', 2.0 ** -12)], set_options(kind, potScaleInt16=True, fusedActivationFunction=1))
        case('%s_int16_%s_general' % (op, name), op, [given('int16', 2, 30, scale=2.0 ** scales[0]), given('int16', 2, 30, scale=2.0 ** scales[1])],
             [out('int16', 2.0 ** -12)], set_options(kind, potScaleInt16=False))
case('SUB_int16_broadcast_shifted', 'SUB', [given('int16', 2, 9, scale=2.0 ** -12), given('int16', 9, scale=2.0 ** -14)],
     [out('int16', 2.0 ** -12)], set_options('Sub', potScaleInt16=True))
case('BATCH_MATMUL_int16_int8', 'BATCH_MATMUL', [given('int16', 2, 3, 4, scale=0.0003), given('int8', 2, 4, 5, zero=0)], [out('int16', 0.0021)],
     set_options('BatchMatMul'))
case('BATCH_MATMUL_int8_int32', 'BATCH_MATMUL', [given('int8', 2, 3, 4), given('int8', 2, 5, 4)], [('int32', [], 0, False, one(0.043 * 0.043, 0))],
     set_options('BatchMatMul', adjY=True))
case('SELECT_int8_rows', 'SELECT', [Given(np.array([True, False, True, False])), given('int8', 4, 5), given('int8', 4, 5)], [out('int8', 0.043)])
integer_cell_cases.make_basic()
# 8-bit operands are read as unsigned bytes, whatever they are.
for t in EIGHT:
    case('FULLY_CONNECTED_%s_int16' % t, 'FULLY_CONNECTED', [given(t, 3, 7), weights(t, (5, 7)), bias(5, False, 0.043 * 0.011)],
         [out('int16', 0.0021)], set_options('FullyConnected', fusedActivationFunction=1 if t == 'uint8' else 0))
# StableHLO's arithmetic is on the integers as they are, whatever the scales say.
for t in ALL:
    for op in ('ADD', 'MULTIPLY', 'MAXIMUM', 'MINIMUM'):
        case('STABLEHLO_%s_%s' % (op, t), 'STABLEHLO_' + op, [given(t, 3, 20), given(t, 3, 20, scale=0.02)], [out(t, 0.05)])
    case('STABLEHLO_GATHER_' + t, 'STABLEHLO_GATHER', [given(t, 4, 3), const([[2], [0]], np.int32)],
         [(t, [2, 3], 0, False, one(0.05, ZERO[t]))], set_options('StablehloGather', offsetDims=[1], collapsedSliceDims=[0], startIndexMap=[0], indexVectorDim=1, sliceSizes=[1, 3],
                     indicesAreSorted=False), True)
    case('STABLEHLO_PAD_' + t, 'STABLEHLO_PAD', [given(t, 2, 3), given(t, kind='const')], [out(t, 0.05)],
         set_options('StablehloPad', edgePaddingLow=[1, 0], edgePaddingHigh=[0, 2], interiorPadding=[1, 0]), True)
    case('STABLEHLO_SCATTER_' + t, 'STABLEHLO_SCATTER', [given(t, 4, 3), const([[3], [1]], np.int32), given(t, 2, 3)], [out(t, 0.05)],
         set_options('StablehloScatter', updateWindowDims=[1], insertedWindowDims=[0], scatterDimsToOperandDims=[0], indexVectorDim=1,
                     updateComputationSubgraphIndex=1), True,
         build=lambda m, t=t: sub_graph(m, 'add', tflite_stablehlo_cases.pair('STABLEHLO_ADD', dtype=t)))
integer_cell_cases.make_peepholes()


def beside(name, op, inputs, options):
    """A float operator whose result is quantized: added in the reference kernels' order too."""
    m = new_model()
    g = Graph(m)
    y = g.op(op, inputs, [(F, [])], options)
    g.g.outputs = y + g.op('QUANTIZE', y, [out('int8', 0.02)])
    finish('BESIDE_' + name, m, g)


beside('CONV_2D', 'CONV_2D', [real(2, 5, 6, 3), weight(4, 3, 2, 3), weight(4)], set_options('Conv2D', padding=0, strideW=1, strideH=2))
beside('DEPTHWISE_CONV_2D', 'DEPTHWISE_CONV_2D', [real(1, 5, 6, 2), weight(1, 3, 3, 4), weight(4)],
       set_options('DepthwiseConv2D', padding=0, strideW=1, strideH=1, depthMultiplier=2))
beside('TRANSPOSE_CONV', 'TRANSPOSE_CONV', [ints(1, 6, 6, 2), weight(2, 3, 3, 4), real(1, 3, 3, 4)],
       set_options('TransposeConv', padding=0, strideW=2, strideH=2))
beside('FULLY_CONNECTED', 'FULLY_CONNECTED', [real(3, 7), weight(5, 7), weight(5)], set_options('FullyConnected'))
beside('BATCH_MATMUL', 'BATCH_MATMUL', [real(2, 3, 4), real(2, 4, 5)], set_options('BatchMatMul'))
# What the reference leaves undefined, computes against the operator's meaning, or has no kernel for.
refused('scales', 'BATCH_MATMUL', [given('int8', 3, 4), weights('int8', (4, 5), 1)], (3, 5), 'int8', one(0.21, -7), set_options('BatchMatMul'))
refused('scale', 'DEPTHWISE_CONV_2D', [real(1, 4, 4, 2), weights('int8', (1, 2, 2, 2))], (1, 4, 4, 2), F, None,
        set_options('DepthwiseConv2D', padding=0, strideW=1, strideH=1, depthMultiplier=1))
refused('stablehlo', 'STABLEHLO_ABS', [given('int8', 2, 3)], (2, 3), 'int8', one(0.043, -7))
refused('rescaled', 'CONCATENATION', [given('int8', 2, 3), given('int8', 2, 3, scale=0.02)], (2, 6), 'int8', one(0.05, -7),
        set_options('Concatenation', axis=1))
refused('zero', 'DIV', [given('int8', 4), given('int8', 4, least=-7, most=-7)], (4,), 'int8', one(0.05, -7), set_options('Div'))
refused('kernel', 'SIN', [given('int8', 4)], (4,), 'int8', one(0.05, -7))
write_table()
