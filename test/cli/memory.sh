#!/usr/bin/env bash
# A comparison takes a small multiple of its files: UltraFace in ONNX against TensorFlow Lite, every value in float64, less
# than 20 times the larger one.
set -uo pipefail
calque=$1
models=${CALQUE_CORPUS:-../shared}/models/Linzaer__Ultra-Light-Fast-Generic-Face-Detector-1MB
source=$models/models/onnx/version-RFB-320_without_postprocessing.onnx
target=$models/tflite/pretrained/version-RFB-320_without_postprocessing.tflite
if [ ! -e "$source" ] || [ ! -e "$target" ]; then
    echo "skipped memory of compare: no UltraFace in $models"
    echo "cases: 0 passed, 0 failed, 1 skipped"
    exit 0
fi
a=$(stat -L -c %s "$source") b=$(stat -L -c %s "$target")
limit=$((20 * (a > b ? a : b)))
peak=$("$calque" compare "$source" "$target" --format json | sed -n 's/.*"peak_bytes": \([0-9]*\).*/\1/p')
if [ -n "$peak" ] && [ "$peak" -lt "$limit" ]; then
    echo "cases: 1 passed, 0 failed, 0 skipped"
else
    echo "compare of UltraFace took ${peak:-?} bytes where $limit are allowed"
    echo "cases: 0 passed, 1 failed, 0 skipped"
    exit 1
fi
