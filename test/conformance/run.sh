#!/bin/sh
# Unpacks the stored cases once and runs the conformance program over them.
#
# usage: run.sh PROGRAM FOLDER [arguments of the program]
#        FOLDER is where the cases are unpacked to. The archive is looked for in $CALQUE_CORPUS (default ../shared).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
program=$1
folder=$2
shift 2
archive=${CALQUE_CORPUS:-$here/../../../shared}/conformance/onnx_backend_test_data_v1.22.0_opset27.tar.xz
data=$folder/onnx/backend/test/data
if [ ! -e "$folder/.complete" ]; then
    if [ ! -e "$archive" ]; then
        echo "skipped conformance: no archive at $archive (set CALQUE_CORPUS)"
        exit 77
    fi
    mkdir -p "$folder"
    tar xf "$archive" -C "$folder"
    touch "$folder/.complete"
fi
exec "$program" "$data" --excused "$here/excused.tsv" "$@"
