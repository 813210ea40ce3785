"""Does a repaired file still load where it belongs, and did the repair leave alone what it had not to touch?

usage: check_repaired.py TARGET FIXED [SOURCE INPUTS.npz]
       check_repaired.py --examples CALQUE
       check_repaired.py --faults CALQUE CORPUS     the cases of CORPUS/faults: what their truth does not name must be untouched

With SOURCE (ONNX or TensorFlow Lite) and inputs in its names, both are run by their own runtimes and compared.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np


def onnx_constants(path):
    import onnx
    from onnx import numpy_helper
    graph = onnx.load(path).graph
    found = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    for node in graph.node:
        for attribute in node.attribute:
            if node.op_type == "Constant" and attribute.name == "value":
                found[node.output[0]] = numpy_helper.to_array(attribute.t)
    return found


def tflite_constants(path):
    from ai_edge_litert import schema_py_generated as schema
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(pathlib.Path(path).read_bytes(), 0))
    found = {}
    for s, graph in enumerate(model.subgraphs):
        for k, tensor in enumerate(graph.tensors):
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                found[f"{s}/{k}/{tensor.name.decode()}"] = np.asarray(data, np.uint8)
    return found


ONNX_TYPES = {f"tensor({name})": dtype for name, dtype in
              {"double": np.float64, "float16": np.float16, "bool": np.bool_, **{k: np.dtype(k) for k in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")}}.items()}


def run_onnx(path, feeds):
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    inputs = session.get_inputs()
    if feeds is None:
        shapes = [[d if isinstance(d, int) else 1 for d in i.shape] for i in inputs]
        arrays = [np.ones(s, ONNX_TYPES.get(i.type, np.float32)) for s, i in zip(shapes, inputs)]
    else:
        arrays = feeds
    return session.run(None, {i.name: a for i, a in zip(inputs, arrays)})


def run_tflite(path, feeds):
    from ai_edge_litert.interpreter import Interpreter
    interpreter = Interpreter(str(path))
    details = interpreter.get_input_details()
    if feeds is not None:
        for d, a in zip(details, feeds):
            interpreter.resize_tensor_input(d["index"], a.shape)
    interpreter.allocate_tensors()
    for k, d in enumerate(details):
        interpreter.set_tensor(d["index"], feeds[k] if feeds is not None else np.ones(d["shape"], d["dtype"]))
    interpreter.invoke()
    return [interpreter.get_tensor(d["index"]) for d in interpreter.get_output_details()]


def is_onnx(path):
    return str(path).endswith(".onnx")


def check(target, fixed):
    """Complaints about the repaired file."""
    constants = onnx_constants if is_onnx(target) else tflite_constants
    before, after = constants(target), constants(fixed)
    changed = [n for n in before if n in after and not (before[n].dtype == after[n].dtype and before[n].tobytes() == after[n].tobytes())]
    gone, new = [n for n in before if n not in after], [n for n in after if n not in before]
    try:
        (run_onnx if is_onnx(fixed) else run_tflite)(str(fixed), None)
    except Exception as error:  # whatever the runtime says is the finding
        return [f"does not run: {error}"], changed, gone, new
    return [], changed, gone, new


def same_function(source, fixed, inputs):
    feeds = list(np.load(inputs).values())
    want = (run_onnx if is_onnx(source) else run_tflite)(str(source), feeds)
    have = (run_onnx if is_onnx(fixed) else run_tflite)(str(fixed), feeds)
    return max(float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max()) / max(float(np.abs(a).max()), 1e-30) for a, b in zip(want, have))


def examples(calque):
    failed = 0
    for folder in sorted(p for p in pathlib.Path("examples").iterdir() if p.is_dir()):
        source, target = next(folder.glob("source.*")), next(folder.glob("target.*"))
        with tempfile.TemporaryDirectory() as tmp:
            fixed = pathlib.Path(tmp) / f"fixed{target.suffix}"
            code = subprocess.run([calque, "repair", source, target, "-o", fixed, "-q"], stdout=subprocess.DEVNULL).returncode
            if code != 0:
                print(f"{folder.name}: repair ends with {code}")
                failed += 1
                continue
            complaints, changed, gone, new = check(target, fixed)
            note = f"changed {changed}, gone {gone}, new {new}"
            if not complaints and source.suffix == fixed.suffix:
                apart = same_function(source, fixed, folder / "x.npz")
                note += f", apart {apart:.2g} by the runtime"
                if apart > 1e-5:
                    complaints.append("computes something else")
            print(f"{folder.name}: {'; '.join(complaints) or 'ok'}: {note}")
            failed += bool(complaints)
    return failed


def faults(calque, corpus):
    root = pathlib.Path(corpus) / "faults"
    cases = repaired = sound = alone = 0
    for line in (root / "truth.jsonl").open():
        case = json.loads(line)
        source, target = root / case["source"], root / case["target"]
        if not case["faults"] or source.suffix not in (".onnx", ".tflite"):
            continue
        cases += 1
        with tempfile.TemporaryDirectory() as tmp:
            fixed = pathlib.Path(tmp) / f"fixed{target.suffix}"
            if subprocess.run([calque, "repair", source, target, "-o", fixed, "-q"], stdout=subprocess.DEVNULL).returncode != 0:
                print(f"{case['id']}: not repaired")
                continue
            complaints, changed, gone, _ = check(target, fixed)
        named = {name for fault in case["faults"] for name in fault["accept"] + fault["inits"]}
        others = [n for n in changed + gone if n not in named and n.split("/", 2)[-1] not in named]
        repaired += 1
        sound += not complaints
        alone += not others
        if complaints or others:
            print(f"{case['id']}: {'; '.join(complaints) or 'runs'}; changed besides: {others}")
    print(f"{cases} cases, {repaired} repaired, {sound} of them run in their runtime, {alone} with every other constant bit-identical")
    return cases - alone + cases - sound


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--faults":
        sys.exit(faults(sys.argv[2], sys.argv[3]) > 0)
    if len(sys.argv) == 3 and sys.argv[1] == "--examples":
        sys.exit(examples(sys.argv[2]) > 0)
    complaints, changed, gone, new = check(sys.argv[1], sys.argv[2])
    if len(sys.argv) > 4:
        apart = same_function(sys.argv[3], sys.argv[2], sys.argv[4])
        print(f"apart {apart:.2g}")
        if apart > 1e-5:
            complaints.append("computes something else than its source")
    print(f"changed {changed}\ngone {gone}\nnew {new}\n{'; '.join(complaints) or 'ok'}")
    sys.exit(bool(complaints))


if __name__ == "__main__":
    main()
