"""Writes what LiteRT's reference kernels give as integers: test/data/litert/integers.tsv.

    python litert_integers.py CORPUS OUT.tsv        needs ai-edge-litert (requirements.txt)

One row an integer output of a model below CORPUS/models: model, output's number, SHA-256 of its elements. Inputs are made from element
numbers (made.py). A model that the interpreter does not take, or crashes with, has no row and is named on the error output.
"""
import glob
import hashlib
import os
import sys

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from made import made_as


def rows_of(path):
    run = Interpreter(model_path=path, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1)
    run.allocate_tensors()
    for k, d in enumerate(run.get_input_details()):
        if not np.issubdtype(d["dtype"], np.number) and d["dtype"] is not np.bool_:
            return
        run.set_tensor(d["index"], made_as(k, d["shape"], d["dtype"]))
    run.invoke()
    for k, d in enumerate(run.get_output_details()):
        if np.issubdtype(d["dtype"], np.integer):
            yield str(k), hashlib.sha256(np.ascontiguousarray(run.get_tensor(d["index"])).tobytes()).hexdigest()


def apart(path, corpus):
    """In a process of its own: some files end it."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        status = 0
        try:
            with os.fdopen(write, "w") as f:
                f.writelines("\t".join((os.path.relpath(path, corpus), *row)) + "\n" for row in rows_of(path))
        except (RuntimeError, ValueError) as e:
            print(f"{path}: {str(e).splitlines()[0]}", file=sys.stderr)
            status = 1
        os._exit(status)
    os.close(write)
    with os.fdopen(read) as f:
        text = f.read()
    return text if os.waitpid(child, 0)[1] == 0 else ""


def main():
    corpus, out = sys.argv[1:]
    with open(out, "w") as f:
        f.write("# What LiteRT's reference kernels give, by tools/oracle/litert_integers.py: model, output's number, SHA-256.\n")
        for path in sorted(glob.glob(os.path.join(corpus, "models", "**", "*.tflite"), recursive=True)):
            f.write(apart(path, corpus))


main()
