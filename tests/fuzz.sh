#!/bin/sh
# Fuzzes the broker's parsers under AddressSanitizer, in a tree of its own (build/fuzz). Arguments go to
# tests.fuzz.run: --inputs, --seconds, --seed, --workers. The result is written to docs/results/fuzz.json if
# FUZZ_RESULT=yes; broken cases lie in build/fuzz-findings.
set -eu
cd "$(dirname "$0")/.."
root="$PWD"
tree="${FUZZ_TREE:-$root/build/fuzz}"
sh tests/asan_tree.sh "$tree"
result="$root/build/fuzz.json"
[ "${FUZZ_RESULT:-}" = yes ] && mkdir -p docs/results && result="$root/docs/results/fuzz.json"

TRUEFRAME_COMMIT="$(git rev-parse --short HEAD 2> /dev/null || echo unknown)"
export TRUEFRAME_COMMIT
cd "$tree"
LD_PRELOAD="$(gcc -print-file-name=libasan.so)"
export LD_PRELOAD PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:halt_on_error=1:abort_on_error=1:quarantine_size_mb=32"
"$root/.venv/bin/python" -c "
import broker.core.depacketiser as part
assert 'build/fuzz' in part.__file__, part.__file__
assert 'asan' in open('/proc/self/maps').read()"
exec nice "$root/.venv/bin/python" -m tests.fuzz.run --findings "$root/build/fuzz-findings" --json "$result" "$@"
