#!/usr/bin/env bash
# Exit codes and messages of the command line.
set -uo pipefail
calque=$1
passed=0 failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# expect CODE TEXT words...: calque words... ends with CODE, and TEXT (a regular expression) is in what it
# says: on standard output when CODE is 0, else in exactly one line of standard error that begins "calque: ".
expect() {
    local code=$1 text=$2
    shift 2
    "$calque" "$@" >"$tmp/out" 2>"$tmp/err"
    local got=$? said=$tmp/out
    [ "$code" -ne 0 ] && said=$tmp/err
    if [ "$got" -ne "$code" ] || ! grep -qE -- "$text" "$said" ||
        { [ "$code" -ne 0 ] && { [ "$(wc -l <"$tmp/err")" -ne 1 ] || ! grep -q '^calque: ' "$tmp/err"; }; }; then
        failed=$((failed + 1))
        echo "calque $*: exit $got, expected $code with '$text'"
        cat "$tmp/out" "$tmp/err"
    else
        passed=$((passed + 1))
    fi
}

printf 'hello' >"$tmp/model.onnx"
: >"$tmp/empty.onnx"
printf '\xff\xd8\xff\xe0 an image' >"$tmp/image.onnx"
printf '\x10\0\0\0\0\0\0\0{"a":{"dtype":1}}' >"$tmp/weights.bin"

expect 0 '^calque [0-9]+\.[0-9]+\.[0-9]+$' --version
expect 0 'calque inspect' --help
expect 0 'calque inspect' help
expect 0 '--weights' help inspect
expect 0 '--weights' inspect --help
expect 0 '^\.TH CALQUE-INSPECT 1' help inspect --man
expect 2 'did you mean inspect\?' inpsect x
expect 2 'no such verb' bogus
expect 2 'no such option' --bogus
expect 2 'no such verb' help bogus
expect 2 'did you mean --weights\?' inspect --weigths x
expect 2 'unknown option' inspect --nothing-like-it x
expect 2 'needs MODEL' inspect
expect 2 'one argument too many' inspect a b
expect 2 'is missing' inspect a --format
expect 2 'expected one of text\|json' inspect a --format yaml
expect 2 'expected one of auto\|always\|never' inspect a --color=maybe
expect 2 'takes no argument' inspect a --weights=yes
expect 2 'contradict' inspect a -q -v
expect 2 'expected a whole number' inspect a --threads 0
expect 2 'expected a number of seconds' inspect a --timeout -1
expect 2 'expected NAME:DIMS' inspect a --shapes image
expect 2 'no list of dimensions' inspect a --shapes image:1,x
expect 2 'takes no MODEL' inspect --operators a
expect 3 'not in calque' convert a -o b
expect 4 'cannot open the file' inspect "$tmp/absent/x.onnx"
expect 4 'did you mean .*model\.onnx\?' inspect "$tmp/modle.onnx"
expect 4 'empty' inspect "$tmp/empty.onnx"
expect 4 'model\.onnx' inspect "$tmp/model.onnx"
expect 4 'JPEG image, not a model' inspect "$tmp/image.onnx"
expect 4 'not a model' inspect "$tmp"
expect 3 'safetensors: not readable yet' inspect "$tmp/weights.bin"
expect 0 'Conv' inspect --operators
expect 0 '"verb": "inspect"' inspect --operators --format json
expect 0 '"calque"' inspect --operators --format=json

expect 2 'repair needs -o' repair a b
expect 2 'needs SOURCE TARGET' compare a
expect 2 'expected SOURCE=TARGET' compare a b --map x
expect 2 'expected a number or NAME:NUMBER' compare a b --atol out:x
expect 2 'given twice' run a --inputs x --inputs y
expect 2 'contradict' compare a b --inputs x --samples 3
expect 2 'contradict' run a -o x --save-outputs y
expect 2 'not an option of inspect' inspect a --seed 1
expect 2 'expected a whole number' run a --seed -1
expect 2 'did you mean pad-side\?' explain pad-sid
expect 0 '^pad-side' explain
expect 0 'How it arises' explain pad-side
expect 0 '"class": "M01"' explain pad-side --format json
expect 4 'cannot open the file' compare "$tmp/absent" "$tmp/absent"
expect 2 'f64|f32|native' compare a b --precision f16

"$calque" inspect --operators >/dev/full 2>"$tmp/err"
if [ $? -eq 4 ] && grep -q 'cannot be written' "$tmp/err"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "a full disk goes unnoticed"
fi
if "$calque" inspect --operators -o "$tmp/list" && grep -q Conv "$tmp/list"; then
    passed=$((passed + 1))
else
    failed=$((failed + 1))
    echo "-o writes no report"
fi
echo "cases: $passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
