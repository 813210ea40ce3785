"""Writes cases of one ONNX operator each with ONNX Runtime's answers, in the form that test/ops/test_stored_operators.c reads:

    case NAME OPERATOR DOMAIN
    attr NAME i|f|s|I|F|S VALUES          lists start with their length
    in DTYPE RANK DIMS VALUES             "-": left out
    out DTYPE RANK DIMS VALUES
    end
"""
import numpy as np
import onnxruntime
from onnx import helper

ML, MS = "ai.onnx.ml", "com.microsoft"


def number(a, v):
    return f"{float(v):.9g}" if a.dtype.kind == "f" else str(v) if a.dtype.kind == "O" else str(int(v))


def tensor(a):
    a = np.asarray(a)
    name = "string" if a.dtype.kind == "O" else a.dtype.name
    return " ".join([name, str(a.ndim), *map(str, a.shape), *(number(a, v) for v in a.reshape(-1))])


def attribute(name, v):
    if not isinstance(v, list):
        kind = "s" if isinstance(v, str) else "i" if isinstance(v, int) else "f"
        return f"{name} {kind} {v}"
    kind = "S" if isinstance(v[0], str) else "F" if isinstance(v[0], float) else "I"
    return " ".join([name, kind, str(len(v)), *map(str, v)])


def answers(op, names, inputs, n_out, domain, attrs):
    given = {k: x for k, x in zip(names, inputs) if k}
    results = [f"y{i}" for i in range(n_out)]
    values = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for k, x in given.items()]
    graph = helper.make_graph([helper.make_node(op, names, results, domain=domain, **attrs)], "g", values,
                              [helper.make_empty_tensor_value_info(y) for y in results])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid(ML, 3),
                                                                  helper.make_opsetid(MS, 1)])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, given)


class Writer:
    def __init__(self, path, seed):
        self.rng, self.out, self.count = np.random.default_rng(seed), open(path, "w"), 0

    def real(self, *shape):
        return np.round(self.rng.standard_normal(shape), 3).astype(np.float32)

    def case(self, op, inputs, n_out=1, domain=ML, **attrs):
        """inputs: arrays; None: left out."""
        names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
        results = answers(op, names, inputs, n_out, domain, attrs)
        self.write(op, inputs, results, domain, attrs)

    def write(self, op, inputs, results, domain, attrs):
        self.count += 1
        print("case", f"{op}_{self.count}", op, domain or "-", file=self.out)
        for k, v in attrs.items():
            print("attr", attribute(k, v), file=self.out)
        for x in inputs:
            print("in", "-" if x is None else tensor(x), file=self.out)
        for y in results:
            print("out", tensor(y), file=self.out)
        print("end", file=self.out)

    def given(self, op, inputs, outputs, domain=MS, **attrs):
        """Answers of a definition in words, for an operator that the installed runtime has no kernel of."""
        self.write(op, inputs, outputs, domain, attrs)
