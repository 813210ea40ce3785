"""Cases of make_integer_cases.py: LSTM and SVDF on quantized integers throughout."""
import numpy as np

from tflite_models import Given, R, case, set_options


def one(scale, zero=0):
    return [scale], [zero], 0


def given(dtype, *shape, scale=0.01, zero=0, kind='const', most=127):
    v = R.integers(-most, most, size=shape, endpoint=True).astype(dtype)
    return Given(v, kind, one(scale, zero))


def state(dtype, *shape, scale, zero=0):
    return Given(np.zeros(shape, dtype), 'variable', one(scale, zero))


def lstm(inputs, cells, outputs, batch, coupled=False, peephole=False, projection=False, norm=False):
    gates = [None if coupled and g == 0 else g for g in range(4)]
    w = [g if g is None else given('int8', cells, inputs, scale=0.004 + 0.001 * g) for g in gates]
    r = [g if g is None else given('int8', cells, outputs, scale=0.003 + 0.001 * g) for g in gates]
    p = [given('int16', cells, scale=0.00002, most=32767) if peephole and not (coupled and g == 0) else None for g in range(3)]
    b = [g if g is None else given('int32', cells, scale=0.0001, most=2000 if not norm else 1 << 18) for g in gates]
    proj = [given('int8', outputs, cells, scale=0.006), given('int32', outputs, scale=0.0001, most=900)] if projection else [None, None]
    n = [g if g is None else given('int16', cells, scale=0.00003, most=32767) for g in gates] if norm else []
    return w + r + p + b + proj + [state('int8', batch, outputs, scale=0.0078, zero=-3 if projection else 5),
                                   state('int16', batch, cells, scale=2.0 ** -11)] + n


def sequence(name, extra, major=False, clip=2.5):
    n_out = 3 if extra.get('projection') else 4
    zero = -3 if extra.get('projection') else 5
    middle = [('int16', [], 0, False, one(0.0003 + 0.0001 * g)) for g in range(4)] + [('int8', [], 0, False, one(0.0069, zero))]
    x = given('int8', *((6, 2, 5) if major else (2, 6, 5)), scale=0.03, zero=-7, kind='input')
    case('UNIDIRECTIONAL_SEQUENCE_LSTM_int8' + name, 'UNIDIRECTIONAL_SEQUENCE_LSTM', [x] + lstm(5, 4, n_out, 2, **extra),
         [('int8', [], 0, False, one(0.0078, zero))],
         set_options('UnidirectionalSequenceLSTM', fusedActivationFunction=4, cellClip=clip, projClip=0.7, timeMajor=major),
         intermediates=middle)


def make_peepholes():
    both = {'peephole': True, 'projection': True}
    sequence('_peephole_projection', both)
    sequence('_peephole_projection_major', both, True)
    sequence('_peephole_projection_norm', both | {'norm': True, 'coupled': True})


def make():
    for kind, extra in (('', {}), ('_coupled', {'coupled': True}), ('_peephole', {'peephole': True}), ('_projection', {'projection': True}),
                        ('_norm', {'norm': True}), ('_time_major', {})):
        sequence(kind, extra, kind == '_time_major', 2.5 if kind else 0)
    case('SVDF_int8', 'SVDF', [given('int8', 2, 3, scale=0.03, zero=-7, kind='input'), given('int8', 8, 3, scale=0.01),
                               given('int16', 8, 5, scale=0.0001, most=9000), given('int32', 4, scale=6e-8, most=2000000),
                               state('int16', 2, 40, scale=0.0006)],
         [('int8', [], 0, False, one(0.03, -128))], set_options('SVDF', rank=2, fusedActivationFunction=1))


def make_basic():
    def bytes_of(*shape, scale, zero, kind='input'):
        return Given(R.integers(0, 255, size=shape, endpoint=True).astype('uint8'), kind, one(scale, zero))

    act, st = one(1 / 128, 128), one(2.0 ** -11)
    case('LSTM_uint8_basic', 'LSTM',
         [bytes_of(2, 3, scale=1 / 128, zero=128), bytes_of(2, 4, scale=1 / 128, zero=128), bytes_of(16, 7, scale=0.02, zero=117, kind='const'),
          given('int32', 16, scale=0.02 / 128, most=3000), given('int16', 2, 4, scale=2.0 ** -11, kind='input', most=9000)],
         [('uint8', [], 0, False, act), ('int16', [], 0, False, st), ('uint8', [], 0, False, act), ('int16', [], 0, False, st)],
         set_options('LSTM', fusedActivationFunction=4, kernelType=1), keep=2)
