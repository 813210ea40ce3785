"""Opponents that are programs of their own: oneDNN (bench/onednn.c) and Polygraphy."""
import os
import subprocess

import numpy as np
import onnx


class Asked:
    """A program that is given a subject once and then times runs of it, a line each."""

    def __init__(self, program, command, **environment):
        self.name = os.path.basename(program)
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                        env=dict(os.environ, **environment))
        self.ask(command)

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        if not answer or answer.startswith("error"):
            raise RuntimeError(f"{self.name}: {line}: {answer or 'ended'}")
        return answer

    def run(self):
        return float(self.ask("run"))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class OneDnn(Asked):
    """One thread: float32, each operand in the layout that oneDNN likes best."""

    def __init__(self, program, command):
        super().__init__(program, command, OMP_NUM_THREADS="1")


def convolutions_of(path):
    """Commands of onednn-bench for a model's convolutions, one a node, by the node's output."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim]
              for v in list(graph.value_info) + list(graph.output) + list(graph.input)}
    weights = {t.name: list(t.dims) for t in graph.initializer}
    commands = {}
    for n in graph.node:
        if n.op_type != "Conv":
            continue
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in n.attribute}
        x, w, pads = shapes[n.input[0]], weights[n.input[1]], attributes.get("pads", [0] * 4)
        numbers = [*x, w[0], w[2], w[3], attributes.get("strides", [1])[0], pads[0], pads[1], attributes.get("group", 1)]
        commands[n.output[0]] = "conv " + " ".join(map(str, numbers))
    return commands


def operations_of(path):
    """Floating-point operations of a model's convolutions."""
    total = 0
    for command in convolutions_of(path).values():
        images, channels, height, width, outputs, kh, kw, stride, ph, pw, groups = map(int, command.split()[1:])
        positions = ((height + 2 * ph - kh) // stride + 1) * ((width + 2 * pw - kw) // stride + 1)
        total += 2 * images * outputs * positions * kh * kw * (channels // groups)
    return int(np.int64(total))


def polygraphy_commands(program, source, target, stored):
    """What compares two models with every value marked: two runs, the second loads what the first stored."""
    marked = ["--onnxrt", "--onnx-outputs", "mark", "all"]
    return [[program, "run", source, *marked, "--save-outputs", stored],
            [program, "run", target, *marked, "--load-outputs", stored]]
