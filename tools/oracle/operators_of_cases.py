"""Counts the stored conformance cases that hold each operator: writes test/conformance/operators.tsv.

usage: operators_of_cases.py FOLDER    (the unpacked onnx/backend/test/data; needs the package onnx)
"""
import collections
import pathlib
import sys

import onnx


def operators(graph):
    for node in graph.node:
        yield node.domain or "ai.onnx", node.op_type
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from operators(inner)


def main():
    cases = collections.defaultdict(set)
    for path in sorted(pathlib.Path(sys.argv[1]).rglob("model.onnx")):
        model = onnx.load(path)
        for key in operators(model.graph):
            cases[key].add(path.parent.name)
        for function in model.functions:
            for node in function.node:
                cases[node.domain or "ai.onnx", node.op_type].add(path.parent.name)
    print("# operator, domain, cases of the ONNX v1.22.0 suite that hold it (tools/oracle/operators_of_cases.py)")
    for (domain, name), names in sorted(cases.items()):
        print(f"{name}\t{domain}\t{len(names)}")


main()
