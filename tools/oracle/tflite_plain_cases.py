"""Cases of built-ins that TensorFlow Lite shares with ONNX and that no file of the corpus holds."""
import numpy as np

from tflite_models import (F, Given, Graph, R, S, by_hand, case, const, ints, new_model, real, set_options, store, sub_graph, weight)


def boxes():
    b = np.float32([[0, 0, 1, 1], [0, 0.1, 1, 1.1], [0, -0.1, 1, 0.9], [0, 10, 1, 11], [0, 10.1, 1, 11.1], [1, 101, 0, 100]])
    return Given(b), Given(np.float32([0.9, 0.75, 0.6, 0.95, 0.5, 0.3]))


def texts(g, *items):
    ends = np.cumsum([0] + [len(s) for s in items]) + 4 * (len(items) + 2)
    b = S.BufferT()
    b.data = np.frombuffer(np.int32([len(items), *ends]).tobytes() + b''.join(items), np.uint8)
    g.model.buffers.append(b)
    i = g.tensor('string', [len(items)], len(g.model.buffers) - 1)
    g.g.tensors[i].type = S.TensorType.STRING
    return i


def table():
    """Fills a table in the sub-graph that CALL_ONCE runs, asks for its size and looks up. Worked by hand."""
    m = new_model()
    main = Graph(m)
    handle = set_options('Hashtable', tableId=3, keyDtype=S.TensorType.STRING, valueDtype=S.TensorType.INT64)

    def init(g):
        h = g.op('HASHTABLE', [], [('resource', [1])], handle)
        g.op('HASHTABLE_IMPORT', [h[0], texts(g, b'five', b'seven'), const([5, 7], np.int64)], [], set_options('HashtableImport'))

    i = sub_graph(m, 'init', init)
    main.op('CALL_ONCE', [], [], set_options('CallOnce', initSubgraphIndex=i))
    h = main.op('HASHTABLE', [], [('resource', [1])], handle)
    size = main.op('HASHTABLE_SIZE', [h[0]], [('int64', [1])], set_options('HashtableSize'))
    found = main.op('HASHTABLE_FIND', [h[0], texts(main, b'seven', b'none', b'five'), const([-1], np.int64)], [('int64', [3])],
                    set_options('HashtableFind'))
    main.g.outputs = [size[0], found[0]]
    store('HASHTABLE', m, main, [np.int64([2]), np.int64([7, -1, 5])])


def called(m):
    def body(g):
        v = g.tensor(F, [2])
        g.g.inputs = [v]
        g.g.outputs = g.op('NEG', [v], [(F, [2])], set_options('Neg'))
    sub_graph(m, 'called', body)


def make():
    case('L2_NORMALIZATION', 'L2_NORMALIZATION', [real(2, 3, 4)], [(F, [])], set_options('L2Norm', fusedActivationFunction=0))
    case('L2_POOL_2D', 'L2_POOL_2D', [real(1, 5, 6, 2)], [(F, [])],
         set_options('Pool2D', padding=0, strideW=2, strideH=1, filterWidth=3, filterHeight=2, fusedActivationFunction=0))
    for op in ('RELU_N1_TO_1', 'RELU_0_TO_1', 'LOG_SOFTMAX'):
        case(op, op, [real(3, 4)], [(F, [])], set_options('LogSoftmax') if op == 'LOG_SOFTMAX' else None)
    case('ZEROS_LIKE', 'ZEROS_LIKE', [real(3, 4)], [(F, [])], set_options('ZerosLike'))
    case('RANK', 'RANK', [real(3, 4, 2)], [('int32', [])], set_options('Rank'))
    case('SQUEEZE', 'SQUEEZE', [real(1, 3, 1, 2)], [(F, [])], set_options('Squeeze', squeezeDims=[-2]))
    case('SQUEEZE_all', 'SQUEEZE', [real(1, 3, 1, 2)], [(F, [])], set_options('Squeeze', squeezeDims=[]))
    case('ARG_MIN', 'ARG_MIN', [real(3, 4), const(np.int32(-1))], [('int64', [])], set_options('ArgMin', outputType=S.TensorType.INT64))
    a, b = Given(R.integers(0, 2, (2, 3)).astype(bool)), Given(R.integers(0, 2, (3,)).astype(bool))
    case('LOGICAL_OR', 'LOGICAL_OR', [a, b], [('bool', [])], set_options('LogicalOr'))
    case('LOGICAL_NOT', 'LOGICAL_NOT', [a], [('bool', [])], set_options('LogicalNot'))
    for op in ('REDUCE_ANY', 'REDUCE_ALL'):
        case(op, op, [a, ints(1)], [('bool', [])], set_options('Reducer', keepDims=True))
    case('RANGE', 'RANGE', [Given(np.float32(1)), Given(np.float32(3)), Given(np.float32(0.75))], [(F, [])], set_options('Range'))
    case('RANGE_int', 'RANGE', [Given(np.int32(7)), Given(np.int32(-2)), Given(np.int32(-4))], [('int32', [])], set_options('Range'))
    case('SPLIT_V', 'SPLIT_V', [real(2, 6), ints(1, -1, 2), const(np.int32(1))], [(F, [])] * 3, set_options('SplitV', numSplits=3))
    case('UNIQUE', 'UNIQUE', [Given(np.int32([4, 1, 4, 2, 1, 9]))], [('int32', []), ('int32', [])],
         set_options('Unique', idxOutType=S.TensorType.INT32))
    case('ADD_N', 'ADD_N', [real(2, 3), real(2, 3), real(2, 3)], [(F, [])], set_options('AddN'))
    case('WHERE', 'WHERE', [a], [('int64', [])], set_options('Where'))
    case('CONV_3D', 'CONV_3D', [real(1, 4, 5, 4, 2), weight(2, 3, 2, 2, 3), weight(3)], [(F, [])],
         set_options('Conv3D', padding=0, strideD=1, strideW=2, strideH=2, dilationDFactor=1, dilationWFactor=1, dilationHFactor=1,
                     fusedActivationFunction=1))
    case('CONV_3D_TRANSPOSE', 'CONV_3D_TRANSPOSE', [ints(1, 4, 5, 6, 2), weight(2, 3, 2, 2, 3), real(1, 3, 3, 3, 3)], [(F, [])],
         set_options('Conv3D', padding=1, strideD=1, strideW=2, strideH=1, dilationDFactor=1, dilationWFactor=1, dilationHFactor=1))
    for dtype in ('int8', 'int16', 'int32'):
        x, y = (Given(R.integers(-100, 100, 6).astype(dtype)) for _ in range(2))
        case('BITWISE_XOR_' + dtype, 'BITWISE_XOR', [x, y], [(dtype, [])], set_options('BitwiseXor'))
    for dtype in ('int8', 'int16', 'int32', 'uint32'):
        x, y = Given(R.integers(-100, 100, 8).astype(dtype)), Given(R.integers(0, 7, 8).astype(dtype))
        case('RIGHT_SHIFT_' + dtype, 'RIGHT_SHIFT', [x, y], [(dtype, [])], set_options('RightShift'))
    for sigma in (0.0, 0.5):
        case('NON_MAX_SUPPRESSION_V5_%d' % (sigma > 0), 'NON_MAX_SUPPRESSION_V5',
             [*boxes(), const(np.int32(5)), const(np.float32(0.5)), const(np.float32(0.2)), const(np.float32(sigma))],
             [('int32', []), (F, []), ('int32', [])], set_options('NonMaxSuppressionV5'))
    case('NON_MAX_SUPPRESSION_V4', 'NON_MAX_SUPPRESSION_V4',
         [*boxes(), const(np.int32(4)), const(np.float32(0.5)), const(np.float32(0.4))], [('int32', []), ('int32', [])],
         set_options('NonMaxSuppressionV4'))
    touching = Given(np.float32([[0, 0, 1, 2], [0, 0, 1, 1], [0, 1, 1, 2], [3, 3, 3, 5]])), Given(np.float32([0.9, 0.8, 0.8, 0.7]))
    case('NON_MAX_SUPPRESSION_V4_edge', 'NON_MAX_SUPPRESSION_V4', [*touching, const(np.int32(6)), const(np.float32(0.5)), const(np.float32(0.7))],
         [('int32', []), ('int32', [])], set_options('NonMaxSuppressionV4'))
    many = Given(R.uniform(0, 1, (40, 4)).astype(np.float32)), Given(R.uniform(0, 1, 40).astype(np.float32))
    for sigma in (0.0, 0.3):
        case('NON_MAX_SUPPRESSION_V5_many_%d' % (sigma > 0), 'NON_MAX_SUPPRESSION_V5',
             [*many, const(np.int32(25)), const(np.float32(0.6)), const(np.float32(0.1)), const(np.float32(sigma))],
             [('int32', []), (F, []), ('int32', [])], set_options('NonMaxSuppressionV5'))
    case('HASHTABLE_LOOKUP', 'HASHTABLE_LOOKUP', [Given(np.int32([1234, -292, -11, 0])), Given(np.int32([-11, 0, 1234])), real(3, 2)],
         [(F, []), ('uint8', [])])
    for combiner in range(3):
        case('EMBEDDING_LOOKUP_SPARSE_%d' % combiner, 'EMBEDDING_LOOKUP_SPARSE',
             [Given(np.int32([1, 3, 0])), const([[0, 0], [2, 0], [2, 1]], np.int32), ints(3, 2), Given(np.float32([1, 2, 4])), real(4, 3, 2)],
             [(F, [])], set_options('EmbeddingLookupSparse', combiner=combiner))
    case('EMBEDDING_LOOKUP', 'EMBEDDING_LOOKUP', [Given(np.int32([1, 0, 2])), real(3, 2, 2)], [(F, [])])

    for op, kind in (('COS', 'Cos'), ('SIN', None)):
        case(op, op, [real(3, 4)], [(F, [])], set_options(kind) if kind else None)
    case('ARG_MAX', 'ARG_MAX', [real(3, 4), const(np.int32(0))], [('int32', [])], set_options('ArgMax', outputType=S.TensorType.INT32))
    case('REDUCE_MIN', 'REDUCE_MIN', [real(2, 3, 4), ints(0, -1)], [(F, [])], set_options('Reducer', keepDims=False))
    # Without a kernel in the interpreter: TensorFlow's own examples, or worked by hand.
    by_hand('CEIL', 'CEIL', [Given(np.float32([-1.5, -0.2, 0, 0.2, 2]))], [np.float32([-1, -0.0, 0, 1, 2])], second=False)
    by_hand('SEGMENT_SUM', 'SEGMENT_SUM', [Given(np.float32([[1, 2, 3, 4], [4, 3, 2, 1], [5, 6, 7, 8]])), Given(np.int32([0, 0, 1]))],
            [np.float32([[5, 5, 5, 5], [5, 6, 7, 8]])], set_options('SegmentSum'), second=False)
    by_hand('BITWISE_XOR_bool', 'BITWISE_XOR', [Given(np.array([True, True, False])), Given(np.array([True, False, False]))],
            [np.array([False, True, False])], set_options('BitwiseXor'), second=False)
    by_hand('DENSIFY', 'DENSIFY', [const([[1, 0], [0, 2]], np.float32)], [np.float32([[1, 0], [0, 2]])], set_options('Densify'), second=False)
    by_hand('CALL', 'CALL', [Given(np.float32([3, -4]))], [np.float32([-3, 4])], set_options('Call', subgraph=1), second=False, build=called)
    # One class has all the weight: what is drawn is certain.
    by_hand('MULTINOMIAL', 'MULTINOMIAL', [Given(np.float32([[-900, 0, -900], [1, -900, -900]])), const(np.int32(4))],
            [np.int64([[1] * 4, [0] * 4])], set_options('Random', seed=1, seed2=2), second=False)
    table()
