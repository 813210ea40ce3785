#!/usr/bin/env bash
# The shipped conversions that really went wrong: each is found different, located, named and repaired; and `make demo` goes through.
#
# usage: examples.sh CALQUE ROOT
set -uo pipefail
calque=$1
cd "$2"
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

expect() { # what, expected exit code, words...
    local what=$1 code=$2
    shift 2
    "$@" >"$tmp/out" 2>&1
    local got=$?
    if [ "$got" -eq "$code" ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "$what: exit $got, expected $code"
        cat "$tmp/out"
    fi
}

example() { # folder, node, causes separated by |, how repair ends
    local source target fixed
    source=$(echo "examples/$1"/source.*)
    target=$(echo "examples/$1"/target.*)
    fixed=$tmp/$1.${target##*.}
    expect "$1: compare" 1 "$calque" compare "$source" "$target"
    expect "$1: compare --inputs" 1 "$calque" compare "$source" "$target" --inputs "examples/$1/x.npz"
    expect "$1: locate" 1 "$calque" locate "$source" "$target" --format json
    cp "$tmp/out" "$tmp/report"
    expect "$1: node" 0 grep -qE "\"(node|output)\": \"$2\"" "$tmp/report"
    expect "$1: cause" 0 grep -qE "\"cause\": \"($3)\"" "$tmp/report"
    expect "$1: repair" "$4" "$calque" repair "$source" "$target" -o "$fixed"
    [ "$4" -eq 0 ] || return
    expect "$1: compare repaired" 0 "$calque" compare "$source" "$fixed"
    expect "$1: inputs are never overwritten" 2 "$calque" repair "$source" "$target" -o "$target"
}

example osim0436_pad_maxpool pool 'maxpool-zero-pad|pad-side' 0
example oscr056_shared_weight right 'fold-shared|weights' 0
example ovc_resize_linear up 'resize-mode' 0
example t2o_softmax_beta Identity 'attribute-default' 0
example o2tf_resize_nearest_ceil '#1' 'resize-mode' 0
expect "demo" 0 tools/demo "$calque"
echo "cases: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
