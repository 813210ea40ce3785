"""Makes test/data/tflite: one small model an operator of the domain "tflite", its inputs, and the outputs of the
TensorFlow Lite interpreter's reference kernels (ai_edge_litert 2.3.0, numpy, flatbuffers).

usage: python make_tflite_cases.py OUTPUT_FOLDER
"""
from flatbuffers import flexbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as S

import tflite_stablehlo_cases
import tflite_plain_cases
from tflite_models import (F, Given, Graph, R, case, const, finish, ints, new_model, real, set_options, state, sub_graph,
                           weight, write_table)

case('ATAN2', 'ATAN2', [real(3, 4), real(3, 4)], [(F, [])])
case('FAKE_QUANT', 'FAKE_QUANT', [real(20)], [(F, [])], set_options('FakeQuant', min=-1.1, max=1.3, numBits=4))
case('BUCKETIZE', 'BUCKETIZE', [real(10)], [('int32', [])], set_options('Bucketize', boundaries=[-1.0, 0.0, 0.5]))
case('BITCAST', 'BITCAST', [real(3)], [('int32', [])])
case('BITCAST_narrow', 'BITCAST', [real(3)], [('uint8', [])])
z = Given((R.standard_normal(5) + 1j * R.standard_normal(5)).astype(np.complex64))
case('REAL', 'REAL', [z], [(F, [])])
case('IMAG', 'IMAG', [z], [(F, [])])
case('COMPLEX_ABS', 'COMPLEX_ABS', [z], [(F, [])])
case('RFFT2D', 'RFFT2D', [real(2, 3, 6), ints(4, 8)], [('complex64', [])])
case('SLICE', 'SLICE', [real(4, 5), Given(np.int32([1, 2])), Given(np.int32([2, -1]))], [(F, [])])
case('STRIDED_SLICE', 'STRIDED_SLICE',
     [real(4, 5, 6), Given(np.int32([1, -1, 0])), Given(np.int32([3, 0, 9])), Given(np.int32([1, -2, 1]))], [(F, [])],
     set_options('StridedSlice', endMask=4, shrinkAxisMask=1))
case('MIRROR_PAD', 'MIRROR_PAD', [real(2, 3), ints([1, 2], [3, 0])], [(F, [])], set_options('MirrorPad', mode=1))
case('GATHER', 'GATHER', [real(2, 3, 4, 5), Given(np.int32([[1, 0], [3, 2]]))], [(F, [])], set_options('Gather', axis=2, batchDims=1))
case('SPACE_TO_BATCH_ND', 'SPACE_TO_BATCH_ND', [real(2, 3, 5, 2), ints(2, 3), ints([1, 0], [0, 1])], [(F, [])])
case('BATCH_TO_SPACE_ND', 'BATCH_TO_SPACE_ND', [real(12, 2, 3, 2), ints(2, 3), ints([1, 0], [0, 2])], [(F, [])])
case('REVERSE_SEQUENCE', 'REVERSE_SEQUENCE', [real(2, 4, 3), Given(np.int32([1, 4, 3]))], [(F, [])],
     set_options('ReverseSequence', seqDim=1, batchDim=2))
case('DYNAMIC_UPDATE_SLICE', 'DYNAMIC_UPDATE_SLICE', [real(4, 5), real(2, 2), Given(np.int32([3, 1]))], [(F, [])])
case('ONE_HOT', 'ONE_HOT', [Given(np.int32([[0, 2, -1], [3, 1, 7]])), ints(4).__class__(np.int32(4), 'const'), const(np.float32(2)),
                            const(np.float32(-1))], [(F, [])], set_options('OneHot', axis=1))
case('BROADCAST_ARGS', 'BROADCAST_ARGS', [Given(np.int32([3, 1, 5])), Given(np.int32([4, 1]))], [('int32', [])])
case('MATRIX_DIAG', 'MATRIX_DIAG', [real(2, 3)], [(F, [])])
case('MATRIX_SET_DIAG', 'MATRIX_SET_DIAG', [real(2, 3, 4), real(2, 3)], [(F, [])])
case('SCATTER_ND', 'SCATTER_ND', [Given(np.int32([[1], [3], [1]])), real(3, 2), ints(5, 2)], [(F, [])])
case('SPARSE_TO_DENSE', 'SPARSE_TO_DENSE', [Given(np.int32([[0, 1], [2, 3]])), ints(3, 4), real(2), const(np.float32(-1))], [(F, [])],
     set_options('SparseToDense', validateIndices=True))
for k in ('SUM', 'PROD', 'MAX', 'MIN'):
    case('UNSORTED_SEGMENT_' + k, 'UNSORTED_SEGMENT_' + k, [real(4, 2), Given(np.int32([2, 0, 2, -1])), const(np.int32(4))], [(F, [])])
case('DILATE', 'DILATE', [real(2, 3), ints(2, 3), const(np.float32(0.5))], [(F, [])], set_options('Dilate'), True)
case('STABLEHLO_PAD', 'STABLEHLO_PAD', [real(2, 4), const(np.float32(-2))], [(F, [])],
     set_options('StablehloPad', edgePaddingLow=[1, -1], edgePaddingHigh=[0, 2], interiorPadding=[1, 2]), True)
case('REDUCE_WINDOW', 'REDUCE_WINDOW', [real(5, 6), const(np.float32(0)), const([2, 3], np.int64), const([2, 1], np.int64),
                                        const([1, 2], np.int64)], [(F, [])], set_options('ReduceWindow', reduceFunction=1), True)
case('SVDF', 'SVDF', [real(2, 3), weight(4, 3), weight(4, 5), weight(2), state(2, 20)], [(F, [])],
     set_options('SVDF', rank=2, fusedActivationFunction=1))
case('RNN', 'RNN', [real(2, 3), weight(4, 3), weight(4, 4), weight(4), state(2, 4)], [(F, [])], set_options('RNN', fusedActivationFunction=4))
for major in (False, True):
    case('UNIDIRECTIONAL_SEQUENCE_RNN_%d' % major, 'UNIDIRECTIONAL_SEQUENCE_RNN',
         [real(2, 5, 3), weight(4, 3), weight(4, 4), weight(4), state(5 if major else 2, 4)], [(F, [])],
         set_options('SequenceRNN', timeMajor=major, fusedActivationFunction=4))
    case('BIDIRECTIONAL_SEQUENCE_RNN_%d' % major, 'BIDIRECTIONAL_SEQUENCE_RNN',
         [real(2, 5, 3), weight(4, 3), weight(4, 4), weight(4), state(5 if major else 2, 4), weight(3, 3), weight(3, 3), weight(3),
          state(5 if major else 2, 3), None, None, None], [(F, [])] * (1 if major else 2),
         set_options('BidirectionalSequenceRNN', timeMajor=major, mergeOutputs=major, fusedActivationFunction=4))


def lstm(inputs, cells, outputs, batch, coupled=False, peephole=False, projection=False, norm=False):
    w = [None if coupled and g == 0 else weight(cells, inputs) for g in range(4)]
    r = [None if coupled and g == 0 else weight(cells, outputs) for g in range(4)]
    p = [weight(cells) if peephole and not (coupled and g == 0) else None for g in range(3)]
    b = [None if coupled and g == 0 else weight(cells) for g in range(4)]
    proj = [weight(outputs, cells), weight(outputs)] if projection else [None, None]
    n = [(None if coupled and g == 0 else weight(cells)) if norm else None for g in range(4)]
    return w + r + p + b + proj + [state(batch, outputs), state(batch, cells)] + (n if norm else [])


case('LSTM_basic', 'LSTM', [real(2, 3), Given(np.float32(R.standard_normal((2, 4)))), weight(16, 7), weight(16),
                            Given(np.float32(R.standard_normal((2, 4))))], [(F, [])] * 4,
     set_options('LSTM', fusedActivationFunction=4, kernelType=1), keep=2)
for name, extra in (('plain', {}), ('coupled', {'coupled': True}), ('peephole', {'peephole': True}),
                    ('projection', {'projection': True, 'peephole': True}), ('norm', {'norm': True}),
                    ('all', {'coupled': True, 'peephole': True, 'projection': True, 'norm': True})):
    n_out = 3 if extra.get('projection') else 4
    case('LSTM_' + name, 'LSTM', [real(2, 5)] + lstm(5, 4, n_out, 2, **extra), [(F, [])],
         set_options('LSTM', fusedActivationFunction=4, cellClip=0.8, projClip=0.5))
    case('UNIDIRECTIONAL_SEQUENCE_LSTM_' + name, 'UNIDIRECTIONAL_SEQUENCE_LSTM', [real(2, 6, 5)] + lstm(5, 4, n_out, 2, **extra), [(F, [])],
         set_options('UnidirectionalSequenceLSTM', fusedActivationFunction=4, cellClip=0.8))
case('UNIDIRECTIONAL_SEQUENCE_LSTM_time_major', 'UNIDIRECTIONAL_SEQUENCE_LSTM', [real(6, 2, 5)] + lstm(5, 4, 4, 2), [(F, [])],
     set_options('UnidirectionalSequenceLSTM', fusedActivationFunction=4, timeMajor=True))
for merge in (False, True):
    one, two = lstm(5, 4, 4, 2), lstm(5, 4, 4, 2)
    case('BIDIRECTIONAL_SEQUENCE_LSTM_%d' % merge, 'BIDIRECTIONAL_SEQUENCE_LSTM',
         [real(2, 6, 5)] + one[:17] + two[:17] + one[17:19] + two[17:19] + [None] * 9, [(F, [])] * (1 if merge else 2),
         set_options('BidirectionalSequenceLSTM', fusedActivationFunction=4, mergeOutputs=merge, timeMajor=False))


def binary(op, kind, constant):
    def build(g):
        a = g.tensor(F, [2])
        g.g.inputs = [a]
        g.g.outputs = g.op(op, [a, constant], [(F, [2])], set_options(kind))
    return build


def control():
    m = new_model()
    main = Graph(m)
    x, flag = main.give(real(2)), main.give(Given(np.bool_(False)))
    a, b = sub_graph(m, 'a', binary('ADD', 'Add', weight(2))), sub_graph(m, 'b', binary('MUL', 'Mul', weight(2)))
    main.g.outputs = main.op('IF', [flag, x], [(F, [2])], set_options('If', thenSubgraphIndex=a, elseSubgraphIndex=b))
    finish('IF', m, main)

    m = new_model()
    main = Graph(m)
    x = main.give(Given(np.float32([0.3, 0.7])))

    def condition(g):
        v = g.tensor(F, [2])
        g.g.inputs = [v]
        s = g.op('SUM', [v, ints(0)], [(F, [])], set_options('Reducer', keepDims=False))
        g.g.outputs = g.op('LESS', [s[0], const(np.float32(20))], [('bool', [])], set_options('Less'))

    c, b = sub_graph(m, 'c', condition), sub_graph(m, 'b', binary('MUL', 'Mul', const(np.float32([1.5, 1.25]))))
    main.g.outputs = main.op('WHILE', [x], [(F, [2])], set_options('While', condSubgraphIndex=c, bodySubgraphIndex=b))
    finish('WHILE', m, main)

    m = new_model()
    main = Graph(m)
    x = main.give(real(2))
    d = sub_graph(m, 'd', binary('SUB', 'Sub', weight(2)))
    main.g.outputs = main.op('STABLEHLO_COMPOSITE', [x], [(F, [2])],
                             set_options('StableHLOComposite', name='my.op', decompositionSubgraphIndex=d,
                                         compositeAttributes=list(flexbuffers.Dumps({}))), True)
    finish('STABLEHLO_COMPOSITE', m, main)

    m = new_model()
    main = Graph(m)
    x = main.give(real(2))

    def init(g):
        h = g.op('VAR_HANDLE', [], [('resource', [])], set_options('VarHandle', sharedName='v', container=''))
        g.op('ASSIGN_VARIABLE', [h[0], weight(2)], [], set_options('AssignVariable'))

    i = sub_graph(m, 'i', init)
    main.op('CALL_ONCE', [], [], set_options('CallOnce', initSubgraphIndex=i))
    h = main.op('VAR_HANDLE', [], [('resource', [])], set_options('VarHandle', sharedName='v', container=''))
    v = main.op('READ_VARIABLE', [h[0]], [(F, [2])], set_options('ReadVariable'))
    s = main.op('ADD', [v[0], x], [(F, [2])], set_options('Add'))
    main.op('ASSIGN_VARIABLE', [h[0], s[0]], [], set_options('AssignVariable'))
    w = main.op('READ_VARIABLE', [h[0]], [(F, [2])], set_options('ReadVariable'))
    main.g.outputs = main.op('MUL', [w[0], x], [(F, [2])], set_options('Mul'))
    finish('CALL_ONCE', m, main)


control()
tflite_plain_cases.make()
tflite_stablehlo_cases.make()
write_table()
