#!/bin/sh
# usage: build.sh FOLDER: builds the program with gcc and clang at -O0 and -O3 below FOLDER and compares what they compute.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=$1
set --
for compiler in gcc clang; do
    for level in 0 3; do
        build=$folder/$compiler-O$level
        cmake -S "$here/../.." -B "$build" -G Ninja -DCMAKE_C_COMPILER=$compiler -DCMAKE_BUILD_TYPE=None \
            -DCMAKE_C_FLAGS="-O$level -w" >/dev/null # warnings differ by level
        cmake --build "$build" --target calque
        set -- "$@" "$build/calque"
    done
done
exec "$here/run.sh" "$@"
