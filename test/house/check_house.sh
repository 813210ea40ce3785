#!/usr/bin/env bash
# The house check on this tree, and on small trees that break one rule each: it must see every breach.
set -uo pipefail
root=$1
check=$root/tools/check-house
passed=0 failed=0
verdict() { # name, expected status, status
    if [ "$2" -eq "$3" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$1: status $3, expected $2"
    fi
}
"$check" "$root" && status=0 || status=1
verdict "the tree" 0 $status

plant() { # name, file, line
    tree=$(mktemp -d)
    mkdir -p "$tree/src/base" "$tree/src/ir" "$tree/src/formats/onnx" "$tree/include" "$tree/$(dirname "$2")"
    echo '#include "base/arena.h"' >"$tree/src/ir/graph.c"
    printf '%s\n' "$3" >>"$tree/$2"
    "$check" "$tree" >"$tree/said" 2>&1 && status=0 || status=1
    verdict "$1" "${4:-1}" $status
    rm -rf "$tree"
}
plant "a sound tree" src/ir/value.c 'int value;' 0
plant "a higher floor" src/base/low.c '#include "ir/ir.h"'
plant "the same floor" src/wire/zip.c '#include "tensor/tensor.h"'
plant "another format" src/formats/onnx/read.c '#include "formats/tflite/read.h"'
plant "a file in no room" src/loose.c 'int loose;'
plant "a room of no house" src/attic/box.c 'int box;'
plant "one header alone" src/base/arena.h 'int arena;' 0
plant "printing below the program" src/ir/say.c 'void say(void) { printf("x"); }'
plant "a forbidden function" src/cli/say.c 'void say(char *a) { strcpy(a, "x"); }'
plant "a public symbol" include/calque.h 'CALQUE_API int open_model(void);'

tree=$(mktemp -d)
mkdir -p "$tree/src/locate" "$tree/test"
echo '    { .name = "no-such-cause",' >"$tree/src/locate/causes.c"
"$check" --tested "$tree" >/dev/null && status=0 || status=1
verdict "a cause without a test" 1 $status
echo 'no-such-cause' >"$tree/test/causes.tsv"
"$check" --tested "$tree" >/dev/null && status=0 || status=1
verdict "a cause with a test" 0 $status
rm -rf "$tree"
echo "cases: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
