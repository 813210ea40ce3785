#!/bin/sh
# usage: run.sh PROGRAM...: every value of every model must have the same bits in all programs, with 1 and 2 threads and
# in every instruction set. The models are real ones of $CALQUE_CORPUS (default ../shared).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
corpus=${CALQUE_CORPUS:-$here/../../../shared}/models
if [ ! -d "$corpus" ]; then
    echo "skipped reproducible: no models at $corpus (set CALQUE_CORPUS)"
    exit 77
fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
models="FYH620__lenet-mnist-openvino/lenet.onnx
breizhn__DTLN/pretrained_model/model_1.onnx
Xiaobin-Rong__gtcrn/stream/onnx_models/gtcrn_simple.onnx
Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB/models/onnx/version-slim-320.onnx"
passed=0
failed=0

# digest PROGRAM MODEL PRECISION THREADS ISA
digest() {
    rm -f "$folder/values.npz"
    CALQUE_ISA=$5 "$1" run "$2" --seed 7 --precision "$3" --threads "$4" --all-values -o "$folder/values.npz" -q \
        >"$folder/log" 2>&1 || { cat "$folder/log" >&2; echo failed; return; }
    sha256sum <"$folder/values.npz"
}

for model in $models; do
    [ -e "$corpus/$model" ] || continue
    for precision in f64 f32; do
        want=$(digest "$1" "$corpus/$model" "$precision" 1 portable)
        for program in "$@"; do
            for isa in portable neon avx2 avx512; do
                for threads in 1 2; do
                    have=$(digest "$program" "$corpus/$model" "$precision" "$threads" "$isa")
                    if [ "$have" = "$want" ] && [ "$have" != failed ]; then
                        passed=$((passed + 1))
                    else
                        failed=$((failed + 1))
                        echo "FAILED $program: $model in $precision, $threads threads, $isa: other bits than $1 with 1 thread, portable"
                    fi
                done
            done
        done
    done
done
echo "cases: $passed passed, $failed failed, 0 skipped"
[ "$passed" -gt 0 ] && [ "$failed" -eq 0 ]
