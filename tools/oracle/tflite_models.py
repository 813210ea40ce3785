"""Builds small TensorFlow Lite models and stores them with the outputs of the interpreter's reference kernels
(ai_edge_litert 2.3.0, numpy, flatbuffers): for the scripts make_*_cases.py."""
import os
import sys

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as S
from ai_edge_litert.interpreter import Interpreter, OpResolverType

OUT = sys.argv[1]
R = np.random.default_rng(7)
TYPES = {'float32': 0, 'int32': 2, 'uint8': 3, 'int64': 4, 'bool': 6, 'int16': 7, 'complex64': 8, 'int8': 9, 'uint32': 15}
OPTIONS = {v: k for k, v in vars(S.BuiltinOptions).items() if isinstance(k, str) and isinstance(v, int)}


class Given:
    """A tensor: `value` an input, constant or variable; None: optional and left out. quant: scales, zero points, axis."""

    def __init__(self, value, kind='input', quant=None):
        self.value, self.kind, self.quant = np.asarray(value), kind, quant


def const(v, dtype=None):
    return Given(np.asarray(v, dtype) if dtype else np.asarray(v), 'const')


def ints(*v):
    return const(v, np.int32)


def real(*shape):
    return Given(R.standard_normal(shape).astype(np.float32))


def weight(*shape):
    return const((R.standard_normal(shape) * 0.5).astype(np.float32))


def state(*shape):
    return Given(np.zeros(shape, np.float32), 'variable')


class Graph:
    def __init__(self, model, name='main'):
        self.model, self.g = model, S.SubGraphT()
        self.g.name, self.g.tensors, self.g.operators, self.g.inputs, self.g.outputs = name, [], [], [], []
        self.feeds = {}
        model.subgraphs.append(self.g)

    def tensor(self, dtype, shape, buffer=0, variable=False, quant=None):
        t = S.TensorT()
        t.name, t.type, t.shape, t.buffer, t.isVariable = 't%d' % len(self.g.tensors), TYPES.get(dtype, 13), list(shape), buffer, variable
        if quant:
            q = S.QuantizationParametersT()
            q.scale, q.zeroPoint, q.quantizedDimension = [np.float32(v) for v in quant[0]], list(quant[1]), quant[2]
            t.quantization = q
        self.g.tensors.append(t)
        return len(self.g.tensors) - 1

    def give(self, v):
        if v is None:
            return -1
        if isinstance(v, int):
            return v
        buffer = 0
        if v.kind == 'const':
            b = S.BufferT()
            b.data = np.frombuffer(v.value.tobytes(), np.uint8)
            self.model.buffers.append(b)
            buffer = len(self.model.buffers) - 1
        i = self.tensor(v.value.dtype.name, v.value.shape, buffer, v.kind == 'variable', v.quant)
        if v.kind == 'input':
            self.g.inputs.append(i)
            self.feeds[i] = v.value
        return i

    def op(self, name, inputs, outputs, options=None, second=False):
        codes = self.model.operatorCodes
        number = getattr(S.BuiltinOperator, name)
        at = next((i for i, c in enumerate(codes) if c.builtinCode == number), None)
        if at is None:
            c = S.OperatorCodeT()
            c.builtinCode, c.deprecatedBuiltinCode, c.version = number, min(number, 127), 1
            codes.append(c)
            at = len(codes) - 1
        o = S.OperatorT()
        o.opcodeIndex, o.inputs = at, [self.give(v) for v in inputs]
        o.outputs = [v if isinstance(v, int) else self.tensor(*v) for v in outputs]
        if options is not None:
            kind = type(options).__name__[:-1]
            if second:
                o.builtinOptions2Type, o.builtinOptions2 = getattr(S.BuiltinOptions2, kind), options
            else:
                o.builtinOptionsType, o.builtinOptions = getattr(S.BuiltinOptions, kind), options
        self.g.operators.append(o)
        return o.outputs


def new_model():
    m = S.ModelT()
    m.version, m.subgraphs, m.operatorCodes, m.buffers, m.description = 3, [], [], [S.BufferT()], 'calque test'
    return m


def pack(m):
    b = flatbuffers.Builder(1024)
    b.Finish(m.Pack(b), b'TFL3')
    return bytes(b.Output())


def set_options(kind, **fields):
    o = getattr(S, kind + 'OptionsT')()
    for k, v in fields.items():
        assert hasattr(o, k), (kind, k)
        setattr(o, k, v)
    return o


def store(name, m, main, outs):
    for i, v in zip(main.g.outputs, outs):
        main.g.tensors[i].shape = list(v.shape)
    with open(os.path.join(OUT, name + '.tflite'), 'wb') as f:
        f.write(pack(m))
    np.savez(os.path.join(OUT, name + '_in.npz'), **{str(k): v for k, v in enumerate(main.feeds.values())})
    np.savez(os.path.join(OUT, name + '_out.npz'), **{str(k): v for k, v in enumerate(outs)})
    NAMES.append((name, m))


def finish(name, m, main, kernels=OpResolverType.BUILTIN_REF):
    try:
        it = Interpreter(model_content=pack(m), experimental_op_resolver_type=kernels)
        it.allocate_tensors()
        for i, v in main.feeds.items():
            it.set_tensor(i, v)
        it.invoke()
        outs = [it.get_tensor(i) for i in main.g.outputs]
    except Exception as e:  # the interpreter has no such kernel: said, not hidden
        print('REFUSED', name, str(e).replace('\n', ' ')[:160])
        return
    store(name, m, main, outs)


NAMES = []


def case(name, op, inputs, outputs, options=None, second=False, keep=None, build=None, intermediates=(),
         kernels=OpResolverType.BUILTIN_REF):
    """The interpreter's answers. build(model): makes the sub-graphs that the options name. intermediates: as outputs."""
    m, g = one_operator(op, inputs, outputs, options, second, keep, build)
    if intermediates:
        g.g.operators[0].intermediates = [g.tensor(*v) for v in intermediates]
    finish(name, m, g, kernels)


def by_hand(name, op, inputs, wanted, options=None, second=True, build=None):
    """Answers of a specification's own example, for an operator that the interpreter has no kernel of."""
    wanted = [np.asarray(v) for v in wanted]
    m, g = one_operator(op, inputs, [(v.dtype.name, v.shape) for v in wanted], options, second, None, build)
    store(name, m, g, wanted)


def refused(name, op, inputs, shape, dtype, quant=None, options=None, second=False):
    """A model that calque must refuse to run in native precision: no outputs are stored."""
    m, g = one_operator(op, inputs, [(dtype, shape, 0, False, quant)], options, second, None, None)
    with open(os.path.join(OUT, 'REFUSED_' + name + '.tflite'), 'wb') as f:
        f.write(pack(m))
    np.savez(os.path.join(OUT, 'REFUSED_' + name + '_in.npz'), **{str(k): v for k, v in enumerate(g.feeds.values())})


def one_operator(op, inputs, outputs, options, second, keep, build):
    m = new_model()
    g = Graph(m)
    if build:
        build(m)
    g.g.outputs = g.op(op, inputs, outputs, options, second)[:keep]
    return m, g


def sub_graph(m, name, build):
    g = Graph(m, name)
    build(g)
    return len(m.subgraphs) - 1


F = 'float32'


def write_table():
    code_names = {v: k for k, v in vars(S.BuiltinOperator).items() if isinstance(v, int)}
    with open(os.path.join(OUT, 'cases.tsv'), 'w') as f:
        f.write('case\toperators\n')
        for name, m in NAMES:
            f.write('%s\t%s\n' % (name, ' '.join(sorted(code_names[c.builtinCode] for c in m.operatorCodes))))
    print(len(NAMES), 'cases')
