#!/bin/sh
# Builds the broker's compiled parts with AddressSanitizer and bounds checks into the folder named, and lays a tree
# around them that tests run in: `sh tests/asan_tree.sh FOLDER`. Everything Python is a copy of this moment.
# Prints nothing but mistakes. The ordinary in-place build is not touched.
set -eu
cd "$(dirname "$0")/.."
tree="$1"
python="$PWD/.venv/bin/python"

if [ ! -e "$(gcc -print-file-name=libasan.so)" ]; then
    echo "asan: gcc has no libasan; on Debian: apt-get install libasan8 (with gcc 12)" >&2
    exit 2
fi

mkdir -p "$tree"
# One build at a time: the generated C lies in one place.
TRUEFRAME_SANITIZE=1 TRUEFRAME_ONLY=broker flock build/.lock-asan "$python" setup.py -q build_ext \
    --build-lib "$tree" --build-temp build/asan-objects
rm -rf "$tree/tests" "$tree/mesh" "$tree/trueframe" "$tree"/broker/*/__pycache__
find "$tree/broker" -name '*.py' -delete
for package in broker mesh trueframe; do
    find "$package" -name '*.py' -exec cp --parents {} "$tree/" \;
done
cp pyproject.toml "$tree/"
mkdir -p "$tree/tests/unit"
cp tests/__init__.py tests/support.py "$tree/tests/"
cp -r tests/fuzz "$tree/tests/"
cp -r tests/unit/core "$tree/tests/unit/"
