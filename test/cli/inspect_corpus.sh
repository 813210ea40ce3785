#!/usr/bin/env bash
# `inspect` on every file of the corpus of models, whatever it holds: a table (exit 0), or a clear refusal (exit 3 or 4)
# in one line; never a crash, never more than ten seconds; JSON that parses.
set -uo pipefail
calque=$1
corpus=${CALQUE_CORPUS:-../shared}
if [ ! -d "$corpus/models" ]; then
    echo "skipped inspect_corpus: no corpus at $corpus"
    echo "cases: 0 passed, 0 failed, 1 skipped"
    exit 0
fi
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

try() { # file, options...
    local file=$1
    shift
    timeout "${CALQUE_TIME_LIMIT:-10}" "$calque" inspect "$file" "$@" >"$tmp/out" 2>"$tmp/err"
    local code=$?
    case $code in
    0) [ -s "$tmp/out" ] && [ ! -s "$tmp/err" ] && return 0 ;;
    3 | 4) [ ! -s "$tmp/out" ] && [ "$(wc -l <"$tmp/err")" -eq 1 ] && grep -q '^calque: ' "$tmp/err" && return 0 ;;
    esac
    echo "inspect $file $*: exit $code"
    head -5 "$tmp/out" "$tmp/err"
    return 1
}

while IFS= read -r -d '' file; do
    if try "$file" && try "$file" --weights -v --format json; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
    fi
done < <(find "$corpus/models" "$corpus/real-faults" \( -type f -o -name '*.mlpackage' \) -print0)
# What a quantized operator computes and what the next one reads of it have one name: both are written.
for file in "$corpus"/pairs/keras-lenet5/*_int8.tflite; do
    if "$calque" run "$file" --all-values -q -o "$tmp/values.npz" && [ -s "$tmp/values.npz" ]; then
        passed=$((passed + 1))
    else
        echo "run $file --all-values: failed"
        failed=$((failed + 1))
    fi
done
echo "cases: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
