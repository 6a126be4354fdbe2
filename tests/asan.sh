#!/bin/sh
# Builds the broker's compiled parts (its core, and the picture rings) with AddressSanitizer and bounds checks into
# build/asan, beside the in-place build, and runs their unit tests and a fuzz round there. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/.venv/bin/python"
tree="$PWD/build/asan"

sh tests/asan_tree.sh "$tree"
mkdir -p "$tree/tests/unit/pixel"
for part in ring pins scale files planes plane_board; do
    cp "tests/unit/pixel/test_pixel_$part.py" "$tree/tests/unit/pixel/"
done

library=$(gcc -print-file-name=libasan.so)
cd "$tree"
export LD_PRELOAD="$library" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
# Leaks are counted by the tests themselves (live_items); CPython frees little at exit.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:halt_on_error=1:abort_on_error=1"
"$python" -c "
import broker.core.wire as wire, broker.pixel.pins as pins, broker.pixel.ring_mapping as ring, broker.pixel.scale as scale
assert all('build/asan' in part.__file__ for part in (wire, pins, ring, scale)), wire.__file__
assert 'asan' in open('/proc/self/maps').read()"
"$python" -m pytest -q -p no:cacheprovider --timeout 600 tests/unit/core tests/unit/pixel "$@"
"$python" -m tests.fuzz.run --seconds "${FUZZ_SECONDS:-20}" > /dev/null
