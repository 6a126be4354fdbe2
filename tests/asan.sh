#!/bin/sh
# Builds the broker's compiled parts (its core, and the picture rings) with AddressSanitizer and bounds checks into
# build/asan, beside the in-place build, and runs their unit tests and a fuzz round there. Arguments go to pytest.
set -eu
cd "$(dirname "$0")/.."
python="$PWD/.venv/bin/python"
tree="$PWD/build/asan"

library=$(gcc -print-file-name=libasan.so)
if [ ! -e "$library" ]; then
    echo "asan: gcc has no libasan; on Debian: apt-get install libasan8 (with gcc 12)" >&2
    exit 2
fi

mkdir -p "$tree"
TRUEFRAME_SANITIZE=1 TRUEFRAME_ONLY=broker "$python" setup.py -q build_ext \
    --build-lib "$tree" --build-temp build/asan-objects
# Only broker comes from here; everything else is the ordinary tree.
rm -rf "$tree/tests" "$tree"/broker/*/__pycache__
mkdir -p "$tree/tests/unit/pixel"
cp pyproject.toml "$tree/"
cp broker/__init__.py "$tree/broker/"
cp broker/core/*.py "$tree/broker/core/"
cp broker/pixel/*.py "$tree/broker/pixel/"
cp tests/__init__.py tests/support.py "$tree/tests/"
cp -r tests/unit/core "$tree/tests/unit/"
for part in ring pins scale files; do
    cp "tests/unit/pixel/test_pixel_$part.py" "$tree/tests/unit/pixel/"
done
cp -r tests/fuzz "$tree/tests/"
for package in mesh trueframe; do
    ln -sfn "$PWD/$package" "$tree/$package"
done

cd "$tree"
export LD_PRELOAD="$library" PYTHONMALLOC=malloc PYTHONDONTWRITEBYTECODE=1
# Leaks are counted by the tests themselves (live_items); CPython frees little at exit.
export ASAN_OPTIONS="detect_leaks=0:allocator_may_return_null=1:halt_on_error=1:abort_on_error=1"
"$python" -c "
import broker.core.wire as wire, broker.pixel.pins as pins, broker.pixel.ring_mapping as ring, broker.pixel.scale as scale
assert all('build/asan' in part.__file__ for part in (wire, pins, ring, scale)), wire.__file__
assert 'asan' in open('/proc/self/maps').read()"
"$python" -m pytest -q -p no:cacheprovider --timeout 600 tests/unit/core tests/unit/pixel "$@"
"$python" -m tests.fuzz.core --seconds "${FUZZ_SECONDS:-20}"
