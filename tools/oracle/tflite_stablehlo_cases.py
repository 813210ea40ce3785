"""Cases of the built-ins STABLEHLO_*. The interpreter has kernels of a few; of the others the cases are the examples that
the StableHLO specification (github.com/openxla/stablehlo, docs/spec.md) works for the operator."""
import numpy as np

from tflite_models import F, Given, R, S, by_hand, case, const, real, set_options, sub_graph

D = S.StablehloComparisonDirection


def given(v, dtype=np.float32):
    return Given(np.asarray(v, dtype))


def pair(op, kind=None, second=False, dtype=F, result=None, **fields):
    """A sub-graph of one operator on two scalars."""
    def build(g, n=2):
        g.g.inputs = [g.tensor(dtype, []) for _ in range(n)]
        g.g.outputs = g.op(op, g.g.inputs[:2], [(result or dtype, [])], set_options(kind, **fields) if kind else None, second)
    return build


def make():
    for op, n in (('LOGISTIC', 1), ('ADD', 2), ('DIVIDE', 2), ('MULTIPLY', 2), ('MAXIMUM', 2), ('MINIMUM', 2), ('SUBTRACT', 2), ('ABS', 1),
                  ('COSINE', 1), ('EXPONENTIAL', 1), ('FLOOR', 1), ('NEGATE', 1), ('TANH', 1)):
        x = [real(2, 3) for _ in range(n)]
        v = [np.float64(g.value) for g in x]
        want = {'LOGISTIC': lambda a: 1 / (1 + np.exp(-a)), 'ADD': np.add, 'DIVIDE': np.divide, 'MULTIPLY': np.multiply, 'MAXIMUM': np.maximum,
                'MINIMUM': np.minimum, 'SUBTRACT': np.subtract, 'ABS': np.abs, 'COSINE': np.cos, 'EXPONENTIAL': np.exp, 'FLOOR': np.floor,
                'NEGATE': np.negative, 'TANH': np.tanh}[op](*v)
        by_hand('STABLEHLO_' + op, 'STABLEHLO_' + op, x, [np.float32(want)])
    by_hand('STABLEHLO_LOG', 'STABLEHLO_LOG', [given([[1, 2], [3, 4]])], [np.float32(np.log([[1, 2], [3, 4]]))])
    by_hand('STABLEHLO_RSQRT', 'STABLEHLO_RSQRT', [given([[1, 4], [9, 25]])], [np.float32([[1, 1 / 2], [1 / 3, 1 / 5]])])
    by_hand('STABLEHLO_POWER', 'STABLEHLO_POWER', [given([-2, -0.0, -36, 5, 3]), given([2, 2, 1.1, 2, -1])],
            [np.float32([4, 0, np.nan, 25, 1 / 3])])
    by_hand('STABLEHLO_SELECT', 'STABLEHLO_SELECT', [Given(np.array([[False, True], [True, False]])), given([[1, 2], [3, 4]], np.int32),
                                                     given([[5, 6], [7, 8]], np.int32)], [np.int32([[5, 2], [3, 8]])])
    by_hand('STABLEHLO_CONVERT', 'STABLEHLO_CONVERT', [given([-1, 0, 1], np.int64)], [np.float32([-1, 0, 1])])
    by_hand('STABLEHLO_CBRT', 'STABLEHLO_CBRT', [given([0, 1, 8, 27, -64])], [np.float32([0, 1, 2, 3, -4])])
    by_hand('STABLEHLO_CLAMP', 'STABLEHLO_CLAMP', [given([5, 10, 15], np.int32), given([3, 13, 23], np.int32), given([10, 15, 20], np.int32)],
            [np.int32([5, 13, 20])])
    by_hand('STABLEHLO_REMAINDER', 'STABLEHLO_REMAINDER', [given([17, -17, 17, -17], np.int64), given([3, 3, -3, -3], np.int64)],
            [np.int64([2, -2, 2, -2])])
    by_hand('STABLEHLO_AND', 'STABLEHLO_AND', [given([[1, 2], [3, 4]], np.int32), given([[5, 6], [7, 8]], np.int32)], [np.int32([[1, 2], [3, 0]])])
    by_hand('STABLEHLO_OR', 'STABLEHLO_OR', [Given(np.array([[False, False], [True, True]])), Given(np.array([[False, True], [False, True]]))],
            [np.array([[False, True], [True, True]])])
    by_hand('STABLEHLO_SHIFT_LEFT', 'STABLEHLO_SHIFT_LEFT', [given([-1, 0, 1], np.int32), given([1, 2, 3], np.int32)], [np.int32([-2, 0, 8])],
            set_options('StablehloShiftLeft'))
    for direction, want in ((D.STABLEHLO_COMPARISON_DIRECTION_LT, [True, False, False]), (D.STABLEHLO_COMPARISON_DIRECTION_EQ, [False, False, True]),
                            (D.STABLEHLO_COMPARISON_DIRECTION_NE, [True, True, False]), (D.STABLEHLO_COMPARISON_DIRECTION_GE, [False, True, True]),
                            (D.STABLEHLO_COMPARISON_DIRECTION_GT, [False, True, False]), (D.STABLEHLO_COMPARISON_DIRECTION_LE, [True, False, True])):
        by_hand('STABLEHLO_COMPARE_%d' % direction, 'STABLEHLO_COMPARE', [given([1.0, 3.0, 2.0]), given([1.1, 2.9, 2.0])], [np.array(want)],
                set_options('StablehloCompare', comparisonDirection=direction, compareType=1))
    moves()
    windows()
    indexed()


def moves():
    by_hand('STABLEHLO_RESHAPE', 'STABLEHLO_RESHAPE', [given([[1, 2, 3], [4, 5, 6]], np.int32)], [np.int32([[1, 2], [3, 4], [5, 6]])])
    by_hand('STABLEHLO_TRANSPOSE', 'STABLEHLO_TRANSPOSE', [given([[[1, 2], [3, 4], [5, 6]], [[7, 8], [9, 10], [11, 12]]], np.int32)],
            [np.int32([[[1, 7], [3, 9], [5, 11]], [[2, 8], [4, 10], [6, 12]]])], set_options('StablehloTranspose', permutation=[2, 1, 0]))
    by_hand('STABLEHLO_CONCATENATE', 'STABLEHLO_CONCATENATE', [given([[1, 2], [3, 4], [5, 6]], np.int64), given([[7, 8]], np.int64)],
            [np.int64([[1, 2], [3, 4], [5, 6], [7, 8]])], set_options('StablehloConcatenate', dimension=0))
    by_hand('STABLEHLO_BROADCAST_IN_DIM', 'STABLEHLO_BROADCAST_IN_DIM', [given([[1, 2, 3]], np.int32)],
            [np.int32([[[1, 1], [2, 2], [3, 3]], [[1, 1], [2, 2], [3, 3]]])], set_options('StablehloBroadcastInDim', broadcastDimensions=[2, 1]))
    by_hand('STABLEHLO_BROADCAST_IN_DIM_scalar', 'STABLEHLO_BROADCAST_IN_DIM', [given(2.5)], [np.full((2, 2), 2.5, np.float32)],
            set_options('StablehloBroadcastInDim', broadcastDimensions=[]))
    by_hand('STABLEHLO_SLICE', 'STABLEHLO_SLICE', [given([[0, 0, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]], np.int64)], [np.int64([[1, 1], [1, 1]])],
            set_options('StablehloSlice', startIndices=[1, 2], limitIndices=[3, 4], strides=[1, 1]))
    by_hand('STABLEHLO_DYNAMIC_SLICE', 'STABLEHLO_DYNAMIC_SLICE',
            [given([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]], np.int32), given(-1, np.int64), given(3, np.int64)],
            [np.int32([[1, 1], [1, 1]])], set_options('StablehloDynamicSlice', sliceSizes=[2, 2]))
    by_hand('STABLEHLO_DYNAMIC_UPDATE_SLICE', 'STABLEHLO_DYNAMIC_UPDATE_SLICE',
            [given([[1, 1, 0, 0], [1, 1, 0, 0], [1, 1, 1, 1], [1, 1, 1, 1]], np.int32), given([[1, 1], [1, 1]], np.int32), given(-1, np.int64),
             given(3, np.int64)], [np.ones((4, 4), np.int32)])
    by_hand('STABLEHLO_IOTA', 'STABLEHLO_IOTA', [], [np.repeat(np.arange(4, dtype=np.int32)[:, None], 5, 1)], set_options('StablehloIota', iotaDimension=0))
    by_hand('STABLEHLO_SORT', 'STABLEHLO_SORT', [given([[1, 2, 3], [3, 2, 1]], np.int32), given([[3, 2, 1], [1, 2, 3]], np.int32)],
            [np.int32([[3, 2, 3], [1, 2, 1]]), np.int32([[1, 2, 1], [3, 2, 3]])],
            set_options('StablehloSort', dimension=0, isStable=True, comparatorSubgraphIndex=1),
            build=lambda m: sub_graph(m, 'greater', lambda g: pair('STABLEHLO_COMPARE', 'StablehloCompare', True, 'int32', 'bool',
                                                                   comparisonDirection=D.STABLEHLO_COMPARISON_DIRECTION_GT)(g, 4)))


def windows():
    by_hand('STABLEHLO_REDUCE', 'STABLEHLO_REDUCE', [given([[0, 1, 2, 3, 4, 5]], np.int64), const(0, np.int64)], [np.int64([15])],
            set_options('StablehloReduce', dimensions=[1], bodySubgraphIndex=1),
            build=lambda m: sub_graph(m, 'add', pair('STABLEHLO_ADD', dtype='int64')))
    by_hand('STABLEHLO_REDUCE_max', 'STABLEHLO_REDUCE', [given([[0, 1, 2], [5, 4, 3]]), const(3, np.float32)], [np.float32([5, 4, 3])],
            set_options('StablehloReduce', dimensions=[0], bodySubgraphIndex=1),
            build=lambda m: sub_graph(m, 'max', pair('STABLEHLO_MAXIMUM')))
    by_hand('STABLEHLO_REDUCE_and', 'STABLEHLO_REDUCE', [Given(np.array([[True, True], [True, False]])), const(True, bool)], [np.array([True, False])],
            set_options('StablehloReduce', dimensions=[1], bodySubgraphIndex=1),
            build=lambda m: sub_graph(m, 'and', pair('STABLEHLO_AND', dtype='bool')))
    by_hand('STABLEHLO_REDUCE_WINDOW', 'STABLEHLO_REDUCE_WINDOW', [given([[1, 2], [3, 4], [5, 6]], np.int64), const(0, np.int64)],
            [np.int64([[0, 0], [3, 4]])],
            set_options('StablehloReduceWindow', windowDimensions=[2, 1], windowStrides=[4, 1], baseDilations=[2, 1], windowDilations=[3, 1],
                        padding=[2, 1, 0, 0], bodySubgraphIndex=1),
            build=lambda m: sub_graph(m, 'add', pair('STABLEHLO_ADD', dtype='int64')))
    by_hand('STABLEHLO_DOT_GENERAL', 'STABLEHLO_DOT_GENERAL',
            [given([[[1, 2], [3, 4]], [[5, 6], [7, 8]]], np.int64), given([[[1, 0], [0, 1]], [[1, 0], [0, 1]]], np.int64)],
            [np.int64([[[1, 2], [3, 4]], [[5, 6], [7, 8]]])],
            set_options('StablehloDotGeneral', lhsBatchingDimensions=[0], rhsBatchingDimensions=[0], lhsContractingDimensions=[2],
                        rhsContractingDimensions=[1]))
    x, w = real(3, 2, 4), real(4, 5, 3)
    by_hand('STABLEHLO_DOT_GENERAL_last', 'STABLEHLO_DOT_GENERAL', [x, w], [np.einsum('bmk,knb->bmn', x.value, w.value, dtype=np.float64).astype(np.float32)],
            set_options('StablehloDotGeneral', lhsBatchingDimensions=[0], rhsBatchingDimensions=[2], lhsContractingDimensions=[2],
                        rhsContractingDimensions=[0]))
    convolution = dict(inputBatchDimension=0, inputFeatureDimension=3, inputSpatialDimensions=[1, 2], kernelInputFeatureDimension=2,
                       kernelOutputFeatureDimension=3, kernelSpatialDimensions=[0, 1], outputBatchDimension=0, outputFeatureDimension=3,
                       outputSpatialDimensions=[1, 2], featureGroupCount=1, batchGroupCount=1)
    lhs = given([[[[1], [2], [5], [6]], [[3], [4], [7], [8]], [[10], [11], [14], [15]], [[12], [13], [16], [17]]]])
    by_hand('STABLEHLO_CONVOLUTION', 'STABLEHLO_CONVOLUTION', [lhs, given(np.ones((3, 3, 1, 1)))], [np.float32([[[[10], [26]], [[46], [62]]]])],
            set_options('StablehloConvolution', windowStrides=[4, 4], padding=[0, 0, 0, 0], lhsDilation=[2, 2], rhsDilation=[1, 1],
                        windowReversal=[False, False], **convolution))
    x, w = real(2, 5, 3), real(3, 3, 4)  # [batch, position, feature], [position, in, out]: padded, the kernel reversed along its position
    padded = np.pad(np.float64(x.value), ((0, 0), (2, 1), (0, 0)))
    want = sum(padded[:, 2 * k:2 * k + 4] @ np.float64(w.value)[2 - k] for k in range(3))
    by_hand('STABLEHLO_CONVOLUTION_reversed', 'STABLEHLO_CONVOLUTION', [x, w], [np.float32(want.transpose(2, 1, 0))],
            set_options('StablehloConvolution', windowStrides=[1], padding=[2, 1], lhsDilation=[1], rhsDilation=[2], windowReversal=[True],
                        inputBatchDimension=0, inputFeatureDimension=2, inputSpatialDimensions=[1], kernelInputFeatureDimension=1,
                        kernelOutputFeatureDimension=2, kernelSpatialDimensions=[0], outputBatchDimension=2, outputFeatureDimension=0,
                        outputSpatialDimensions=[1], featureGroupCount=1, batchGroupCount=1))


def indexed():
    operand = np.arange(1, 25).reshape(3, 4, 2)
    indices = given([[[0, 0], [1, 0], [2, 1]], [[0, 1], [1, 1], [0, 2]]], np.int64)
    case('STABLEHLO_GATHER', 'STABLEHLO_GATHER', [given(operand), indices], [(F, [2, 3, 2, 2])],
         set_options('StablehloGather', offsetDims=[2, 3], collapsedSliceDims=[0], startIndexMap=[1, 0], indexVectorDim=2, sliceSizes=[1, 2, 2],
                     indicesAreSorted=False), True)
    for name, op in (('add', 'STABLEHLO_ADD'), ('mul', 'STABLEHLO_MULTIPLY'), ('max', 'STABLEHLO_MAXIMUM'), ('min', 'STABLEHLO_MINIMUM')):
        case('STABLEHLO_SCATTER_' + name, 'STABLEHLO_SCATTER',
             [given(operand), given([[[0, 2], [1, 0], [2, 1]], [[0, 1], [1, 0], [0, 2]]], np.int64), given(R.integers(-9, 30, (2, 3, 2, 2)))],
             [(F, [3, 4, 2])],
             set_options('StablehloScatter', updateWindowDims=[2, 3], insertedWindowDims=[0], scatterDimsToOperandDims=[1, 0], indexVectorDim=2,
                         updateComputationSubgraphIndex=1), True, build=lambda m: sub_graph(m, name, pair(op)))

    def second(g):
        g.g.inputs = [g.tensor(F, []) for _ in range(2)]
        g.g.outputs = [g.g.inputs[1]]
    case('STABLEHLO_SCATTER_set', 'STABLEHLO_SCATTER', [given(np.zeros((4, 3))), given([[3], [1]], np.int32), given([[1, 2, 3], [4, 5, 6]])],
         [(F, [4, 3])],
         set_options('StablehloScatter', updateWindowDims=[1], insertedWindowDims=[0], scatterDimsToOperandDims=[0], indexVectorDim=1,
                     updateComputationSubgraphIndex=1), True, build=lambda m: sub_graph(m, 'set', second))

    def branches(m):
        for op, kind in (('NEG', 'Neg'), ('EXP', 'Exp'), ('ABS', 'Abs')):
            def body(g):
                v = g.tensor(F, [2])
                g.g.inputs = [v]
                g.g.outputs = g.op(op, [v], [(F, [2])], set_options(kind))
            sub_graph(m, op, body)
    for index, want in ((1, [2.0, 0.5]), (7, [0.6931472, 0.6931472]), (-1, [0.6931472, 0.6931472])):
        by_hand('STABLEHLO_CASE_%d' % (index & 7), 'STABLEHLO_CASE', [given(index, np.int32), given([0.6931472, -0.6931472])], [np.float32(want)],
                set_options('StablehloCase', branchSubgraphIndices=[1, 2, 3]), build=branches)

    def condition(g):
        v = g.tensor(F, [])
        g.g.inputs = [v]
        g.g.outputs = g.op('LESS', [v, const(np.float32(20))], [('bool', [])], set_options('Less'))

    def body(g):
        v = g.tensor(F, [])
        g.g.inputs = [v]
        g.g.outputs = g.op('MUL', [v, const(np.float32(1.75))], [(F, [])], set_options('Mul'))

    def loop(m):
        sub_graph(m, 'condition', condition)
        sub_graph(m, 'body', body)
    by_hand('STABLEHLO_WHILE', 'STABLEHLO_WHILE', [given(0.75)], [np.float32(0.75 * 1.75 ** 6)],
            set_options('StablehloWhile', condSubgraphIndex=1, bodySubgraphIndex=2), build=loop)
