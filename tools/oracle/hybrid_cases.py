"""Cases of make_integer_cases.py: float activations with integer weights (dynamic range quantization)."""
import numpy as np

from tflite_models import F, Given, R, case, const, ints, real, set_options, state, weight


def weights(shape, axis=None, scale=0.011):
    """int8 with one scale, or one for each index of an axis."""
    v = R.integers(-127, 127, size=shape, endpoint=True).astype('int8')
    n = 1 if axis is None else shape[axis]
    return Given(v, 'const', ([scale * (1 + 0.13 * k) for k in range(n)], [0] * n, axis or 0))


def activations(*shape):
    """Rows whose range makes ties: steps of a half between -127 and 127, then others."""
    v = R.standard_normal(shape).astype(np.float32) * 3
    rows = v.reshape(shape[0], -1)
    rows[0] = R.integers(-254, 254, rows.shape[1], endpoint=True) / 2
    rows[0, :2] = -127, 127.5 if shape[0] > 2 else 127
    return Given(v)


def row(n):
    return const((R.standard_normal(n) * 0.5).astype(np.float32))


def matrix(rows, columns):
    return weights((rows, columns))


def lstm(inputs, cells, outputs, batch, coupled=False, peephole=False, projection=False, norm=False):
    gates = [None if coupled and g == 0 else g for g in range(4)]
    w = [g if g is None else matrix(cells, inputs) for g in gates]
    r = [g if g is None else matrix(cells, outputs) for g in gates]
    p = [weights((cells,)) if peephole and not (coupled and g == 0) else None for g in range(3)]
    b = [g if g is None else row(cells) for g in gates]
    proj = [matrix(outputs, cells), row(outputs)] if projection else [None, None]
    n = [g if g is None else row(cells) for g in gates] if norm else []
    return w + r + p + b + proj + [state(batch, outputs), state(batch, cells)] + n


def products():
    for channels in (None, 0):
        for asymmetric in (False, True):
            name = ('_channels' if channels == 0 else '') + ('_asymmetric' if asymmetric else '')
            case('FULLY_CONNECTED_hybrid' + name, 'FULLY_CONNECTED', [activations(4, 37), weights((5, 37), channels), weight(5)], [(F, [])],
                 set_options('FullyConnected', asymmetricQuantizeInputs=asymmetric, fusedActivationFunction=1))
            case('BATCH_MATMUL_hybrid' + name, 'BATCH_MATMUL',
                 [activations(2, 3, 9), weights((2, 9, 5) if channels is None else (9, 5), None if channels is None else 1)], [(F, [])],
                 set_options('BatchMatMul', asymmetricQuantizeInputs=asymmetric))
        case('CONV_2D_hybrid' + ('_channels' if channels == 0 else ''), 'CONV_2D',
             [activations(2, 5, 6, 3), weights((4, 3, 2, 3), channels), weight(4)], [(F, [])],
             set_options('Conv2D', padding=0, strideW=1, strideH=2, fusedActivationFunction=3))
    case('FULLY_CONNECTED_hybrid_rows', 'FULLY_CONNECTED', [activations(2, 3, 7), weights((5, 7), 0), None], [(F, [])],
         set_options('FullyConnected', asymmetricQuantizeInputs=True, keepNumDims=True))
    case('FULLY_CONNECTED_hybrid_zero', 'FULLY_CONNECTED', [Given(np.zeros((2, 7), np.float32)), weights((5, 7)), weight(5)], [(F, [])],
         set_options('FullyConnected', asymmetricQuantizeInputs=True))
    case('BATCH_MATMUL_hybrid_transposed', 'BATCH_MATMUL', [activations(3, 9), weights((5, 9), 0)], [(F, [])],
         set_options('BatchMatMul', asymmetricQuantizeInputs=True, adjY=True))
    case('CONV_2D_hybrid_groups', 'CONV_2D', [activations(2, 5, 6, 4), weights((6, 3, 2, 2), 0), weight(6)], [(F, [])],
         set_options('Conv2D', padding=1, strideW=1, strideH=1))
    case('DEPTHWISE_CONV_2D_hybrid', 'DEPTHWISE_CONV_2D', [activations(2, 5, 6, 2), weights((1, 3, 3, 4), 3), weight(4)], [(F, [])],
         set_options('DepthwiseConv2D', padding=0, strideW=1, strideH=1, depthMultiplier=2, fusedActivationFunction=1))
    case('TRANSPOSE_CONV_hybrid', 'TRANSPOSE_CONV',
         [ints(2, 6, 6, 2), weights((2, 3, 3, 4), 0), activations(2, 3, 3, 4), weight(2)], [(F, [])],
         set_options('TransposeConv', padding=0, strideW=2, strideH=2))


def cells():
    for asymmetric in (False, True):
        end = '_asymmetric' if asymmetric else ''
        flag = {'asymmetricQuantizeInputs': asymmetric}
        case('SVDF_hybrid' + end, 'SVDF', [real(2, 3), matrix(4, 3), weights((4, 5)), row(2), state(2, 20)], [(F, [])],
             set_options('SVDF', rank=2, fusedActivationFunction=1, **flag))
        case('RNN_hybrid' + end, 'RNN', [real(2, 3), matrix(4, 3), matrix(4, 4), row(4), state(2, 4)], [(F, [])],
             set_options('RNN', fusedActivationFunction=4, **flag))
        case('UNIDIRECTIONAL_SEQUENCE_RNN_hybrid' + end, 'UNIDIRECTIONAL_SEQUENCE_RNN',
             [real(2, 5, 3), matrix(4, 3), matrix(4, 4), row(4), state(2, 4)], [(F, [])],
             set_options('SequenceRNN', fusedActivationFunction=4, **flag))
        case('BIDIRECTIONAL_SEQUENCE_RNN_hybrid' + end, 'BIDIRECTIONAL_SEQUENCE_RNN',
             [real(2, 5, 3), matrix(4, 3), matrix(4, 4), row(4), state(2, 4), matrix(3, 3), matrix(3, 3), row(3), state(2, 3), None, None, None],
             [(F, [])] * 2, set_options('BidirectionalSequenceRNN', fusedActivationFunction=4, **flag))
        for kind, extra in (('', {}), ('_coupled', {'coupled': True}), ('_projection', {'projection': True, 'peephole': True}),
                            ('_norm', {'norm': True})):
            n_out = 3 if extra.get('projection') else 4
            case('UNIDIRECTIONAL_SEQUENCE_LSTM_hybrid' + kind + end, 'UNIDIRECTIONAL_SEQUENCE_LSTM',
                 [real(2, 6, 5)] + lstm(5, 4, n_out, 2, **extra), [(F, [])],
                 set_options('UnidirectionalSequenceLSTM', fusedActivationFunction=4, cellClip=0.8, projClip=0.5, **flag))
        case('LSTM_hybrid' + end, 'LSTM', [real(2, 5)] + lstm(5, 4, 4, 2), [(F, [])],
             set_options('LSTM', fusedActivationFunction=4, cellClip=0.8, **flag))
        one, two = lstm(5, 4, 4, 2), lstm(5, 4, 4, 2)
        case('BIDIRECTIONAL_SEQUENCE_LSTM_hybrid' + end, 'BIDIRECTIONAL_SEQUENCE_LSTM',
             [real(2, 6, 5)] + one[:17] + two[:17] + one[17:19] + two[17:19] + [None] * 9, [(F, [])] * 2,
             set_options('BidirectionalSequenceLSTM', fusedActivationFunction=4, timeMajor=False, **flag))


def make():
    products()
    cells()
