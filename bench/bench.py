"""Measures calque against its opponents and writes build/bench.json; bench/README.md explains each figure.

    python bench.py [PART OF A NAME...]     measures the rows whose name holds one of the parts, else all
"""
import json
import os
import subprocess
import sys
import time

import numpy as np
import onnx
import onnxruntime

import opponents

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
MODELS = os.path.join(BUILD, "bench-models")
CORPUS = os.environ.get("CALQUE_CORPUS", os.path.join(ROOT, "..", "shared"))
REPEAT = int(os.environ.get("CALQUE_BENCH_REPEAT", "20"))
CALQUE = os.path.join(BUILD, "calque")
ONEDNN = os.path.join(BUILD, "bench", "onednn-bench")
POLYGRAPHY = os.environ.get("CALQUE_BENCH_POLYGRAPHY", os.path.join(BUILD, "bench-polygraphy", "bin", "polygraphy"))
FACES = "models/Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB"


def model_path(name):
    return os.path.join(MODELS, name + ".onnx")


class Ours(opponents.Asked):
    """calque-bench, one process a subject."""

    def __init__(self, command):
        super().__init__(os.path.join(BUILD, "bench", "calque-bench"), command)


class OnnxRuntime:
    def __init__(self, path, threads, all_values, optimised):
        model = onnx.load(path)
        known = {o.name for o in model.graph.output}
        for node in model.graph.node if all_values else []:
            for name in node.output:
                if name and name not in known:
                    model.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        level = onnxruntime.GraphOptimizationLevel
        options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
        self.session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        random = np.random.default_rng(0)
        self.feed = {i.name: random.standard_normal(i.shape).astype(np.float32) for i in self.session.get_inputs()}

    def run(self):
        start = time.perf_counter()
        self.session.run(None, self.feed)
        return 1e3 * (time.perf_counter() - start)

    def close(self):
        del self.session


PAUSE = 0.05  # seconds: the threads of the one before, which wait for more work by spinning, have gone to sleep


def interleaved(subjects):
    """The least time of each, taken in turns."""
    best = [float("inf")] * len(subjects)
    for s in subjects:
        s.run()
    for _ in range(REPEAT):
        for k, s in enumerate(subjects):
            time.sleep(PAUSE)
            best[k] = min(best[k], s.run())
    for s in subjects:
        s.close()
    return best


class Table:
    def __init__(self, wanted):
        self.wanted, self.rows, self.left_out = wanted, [], []

    def asks(self, name):
        return not self.wanted or any(part in name for part in self.wanted)

    def add(self, name, opponent, threads, ours, theirs, goal, unit="ms", ratio=None):
        ratio = ours / theirs if ratio is None else ratio
        row = {"name": name, "opponent": opponent, "threads": threads, "ours_ms": ours if unit == "ms" else None,
               "theirs_ms": theirs if unit == "ms" else None, "ratio": ratio, "goal": goal, "met": None if goal is None else ratio <= goal}
        if unit != "ms":
            row.update({"ours": ours, "theirs": theirs, "unit": unit})
        self.rows.append(row)
        print(f"{name:42} {opponent:26} {threads:2}  {ours:10.3f} {theirs:10.3f} {unit:4} {ratio:7.3f} "
              f"{'      -  -' if goal is None else f'{goal:7.3f}  ' + ('yes' if row['met'] else 'no')}", flush=True)

    def leave_out(self, name, reason):
        self.left_out.append(f"{name}: {reason}")

    def end(self):
        for line in self.left_out:
            print("not measured:", line)
        with open(os.path.join(BUILD, "bench.json"), "w") as f:
            json.dump(self.rows, f, indent=1)
        judged = [r["met"] for r in self.rows if r["met"] is not None]
        print(f"{sum(judged)} of {len(judged)} goals met")


def network(table, name, all_values, goal, threads):
    title = f"{name} float32, {'all values' if all_values else 'outputs'}"
    if not table.asks(title):
        return
    path = model_path(name)
    subjects = [Ours(f"model {path} f32 {threads} {'all' if all_values else 'outputs'}"), OnnxRuntime(path, threads, all_values, True)]
    if all_values:
        subjects.append(OnnxRuntime(path, threads, True, False))
    best = interleaved(subjects)
    table.add(title, "ONNX Runtime", threads, best[0], min(best[1:]), goal)


def own_precision(table):
    title = "resnet50 float64, all values"
    if not table.asks(title):
        return
    path = model_path("resnet50")
    f64, f32 = interleaved([Ours(f"model {path} {t} 1 all") for t in ("f64", "f32")])
    table.add(title, "own float32", 1, f64, f32, 2.4)


def products(table):
    for kind in ("f32", "f64"):
        title = f"matrix product 1024^3 {kind}"
        if not table.asks(title):
            continue
        ours = Ours(f"product 1024 1024 1024 {kind} 1")
        peak = max(float(ours.ask(f"peak {kind}")) for _ in range(3))
        best = interleaved([ours])[0]
        table.add(title, "peak of the machine", 1, best, 2 * 1024**3 / peak * 1e-6, 1 / 0.8)
        if kind == "f32" and os.path.exists(ONEDNN):
            pair = [Ours("product 1024 1024 1024 f32 1"), opponents.OneDnn(ONEDNN, "product 1024 1024 1024")]
            table.add(title, "oneDNN", 1, *interleaved(pair), None)


def convolutions(table):
    title = "resnet50 convolutions f32"
    if not table.asks(title):
        return
    path = model_path("resnet50")
    best = {}
    run = subprocess.run([os.path.join(BUILD, "bench", "calque-bench")], text=True, capture_output=True,
                         input=f"peak f32\nmodel {path} f32 1 all\n" + "nodes\n" * (REPEAT + 1), env=dict(os.environ, BENCH_NODES="1"))
    for line in run.stderr.splitlines():
        ms, _, op, value, *_ = line.split()
        if op == "Conv":
            best[value] = min(best.get(value, float("inf")), float(ms))
    peak = float(run.stdout.split()[0])
    table.add(title, "peak of the machine", 1, sum(best.values()), opponents.operations_of(path) / peak * 1e-6, 1 / 0.75)
    if not os.path.exists(ONEDNN):
        table.leave_out(title + " against oneDNN", "libdnnl-dev is not installed")
        return
    commands = opponents.convolutions_of(path)
    least = {command: interleaved([opponents.OneDnn(ONEDNN, command)])[0] for command in set(commands.values())}
    table.add(title, "oneDNN", 1, sum(best[v] for v in commands), sum(least[c] for c in commands.values()), None)


def command(arguments, repeat):
    """Least wall time (ms), processor time in user mode (ms) and peak memory (MiB) of a command; its exit code."""
    runs = []
    for _ in range(repeat):
        out = subprocess.run([os.path.join(BUILD, "bench", "calque-bench"), *arguments], check=True, capture_output=True, text=True)
        runs.append([float(v) for v in out.stdout.split()])
    return tuple(min(column) for column in zip(*runs))


def limit(table, name, arguments, goal, repeat=5, what="wall", limit_name="fixed limit"):
    """A row whose opponent is a number: milliseconds, or MiB for memory."""
    missing = [a for a in arguments if a.startswith(("/", "..")) and not os.path.exists(a)]
    if not table.asks(name):
        return
    if missing:
        table.leave_out(name, f"{missing[0]} is not there")
        return
    wall, user, memory, code = command(arguments, repeat)
    if code not in (0, 1):
        table.leave_out(name, f"{os.path.basename(arguments[0])} {arguments[1]} ended with {code}")
        return
    if what == "memory":
        table.add(name, limit_name, 0, memory, goal, 1.0, unit="MiB")
    else:
        table.add(name, limit_name, 0, user if what == "user" else wall, goal, 1.0)


def renamed(name):
    """The same network with its values renamed, as a converter might."""
    target = model_path(name + "_renamed")
    if not os.path.exists(target):
        model = onnx.load(model_path(name))
        for node in model.graph.node:
            node.name = "n" + node.name
            for names in (node.input, node.output):
                for k, v in enumerate(names):
                    names[k] = "r_" + v if v and v != "input" else v
        for t in model.graph.initializer:
            t.name = "r_" + t.name
        for o in model.graph.output:
            o.name = "r_" + o.name
        onnx.save(model, target)
    return target


def commands(table):
    large = model_path("large")
    if table.asks("1.6 GB ONNX, opened"):
        if not os.path.exists(large):
            subprocess.run([sys.executable, os.path.join(ROOT, "bench", "make_models.py"), MODELS, "large"], check=True)
        ms, mib = min(tuple(map(float, Ours("peak f64").ask(f"open {large}").split())) for _ in range(5))
        table.add("1.6 GB ONNX, opened", "fixed limit", 1, ms, 5, 1.0)
        table.add("1.6 GB ONNX, opened: memory", "fixed limit", 1, mib, 32, 1.0, unit="MiB")
        limit(table, "1.6 GB ONNX, opened: inspect", [CALQUE, "inspect", large], 1000)
    faces = [os.path.join(CORPUS, FACES, f) for f in
             ("models/onnx/version-RFB-320.onnx", "tflite/pretrained/version-RFB-320_without_postprocessing.tflite")]
    limit(table, "UltraFace ONNX against TFLite", [CALQUE, "compare", *faces], 2000)
    if all(map(os.path.exists, faces)):
        twenty = 20 * max(map(os.path.getsize, faces)) / 2**20
        limit(table, "UltraFace ONNX against TFLite: memory", [CALQUE, "compare", *faces], twenty, what="memory",
              limit_name="20x the larger file")
    lenet = os.path.join(CORPUS, "models/FYH620__lenet-mnist-openvino/lenet.onnx")
    limit(table, "LeNet, start to first result", [CALQUE, "run", lenet], 20, repeat=REPEAT)
    limit(table, "LeNet, compare start to verdict", [CALQUE, "compare", lenet, lenet], 20, repeat=REPEAT)
    first_results(table, lenet)
    for name, share in (("resnet50", 0.2), ("mobilenet_v2", 0.1)):
        pair(table, name, share)


def first_results(table, lenet):
    """Whole processes that compute one result; the goal is the fixed limit above."""
    title = "LeNet, start to first result"
    if not table.asks(title) or not os.path.exists(lenet):
        return
    python = ("import numpy, onnxruntime, sys; s = onnxruntime.InferenceSession(sys.argv[1]); "
              "s.run(None, {i.name: numpy.zeros([d if isinstance(d, int) else 1 for d in i.shape], numpy.float32) for i in s.get_inputs()})")
    ours = command([CALQUE, "run", lenet], REPEAT)[0]
    theirs = [("ONNX Runtime in Python", [sys.executable, "-c", python, lenet])]
    if os.path.exists(POLYGRAPHY):
        theirs.append(("Polygraphy", [POLYGRAPHY, "run", lenet, "--onnxrt"]))
    for name, arguments in theirs:
        table.add(title, name, 0, ours, command(arguments, 5)[0], None)


def pair(table, name, share):
    """compare of two models against Polygraphy's two runs; without it, against what those took where the goals were set."""
    title = f"compare {name} pair"
    if not table.asks(title):
        return
    source, target = model_path(name), renamed(name)
    ours = command([CALQUE, "compare", source, target, "--samples", "1"], 5)
    if not os.path.exists(POLYGRAPHY):
        goal = share * {"resnet50": 7100, "mobilenet_v2": 4700}[name]
        table.add(title + ", user time", "share of Polygraphy's", 0, ours[1], goal, 1.0)
    else:
        stored = os.path.join(BUILD, "polygraphy-outputs.json")
        runs = [command(c, 3) for c in opponents.polygraphy_commands(POLYGRAPHY, source, target, stored)]
        os.remove(stored)
        table.add(title + ", user time", "Polygraphy, two runs", 0, ours[1], sum(r[1] for r in runs), share)
        table.add(title + ", peak memory", "Polygraphy", 0, ours[2], max(r[2] for r in runs), None, unit="MiB")
    if name == "resnet50":
        table.add(title + ", peak memory", "fixed limit", 0, ours[2], 0.3 * 1024, 1.0, unit="MiB")


def main():
    table = Table(sys.argv[1:])
    print(f"{'name':42} {'opponent':26} threads  ours     theirs unit   ratio    goal  met")
    for threads in (1, 2):
        for name, all_goal in (("resnet50", 0.75), ("mobilenet_v2", 0.5), ("inception_v3", 0.8)):
            network(table, name, True, all_goal, threads)
            network(table, name, False, 1.0, threads)
    own_precision(table)
    for name in ("lstm_128", "lstm_512", "gru_256", "transformer"):
        network(table, name, False, 1.0, 1)
    products(table)
    convolutions(table)
    commands(table)
    table.end()


if __name__ == "__main__":
    main()
