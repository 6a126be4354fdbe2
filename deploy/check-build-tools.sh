#!/bin/sh
# Says what a build needs and this machine lacks, with the command that provides it.
python=$1
missing=""
fail() { echo "trueframe: $1" >&2; exit 2; }

command -v "$python" >/dev/null 2>&1 || fail "$python is not here. On Debian 12: sudo apt-get install python3"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is $("$python" -V 2>&1); 3.11 or newer is needed. Name another one: make run PYTHON=python3.11"
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
header=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include") + "/Python.h")')
[ -f "$header" ] || missing="$missing python3-dev"
command -v gcc >/dev/null 2>&1 || missing="$missing gcc"
printf '#include <stdlib.h>\n' | gcc -E - >/dev/null 2>&1 || missing="$missing libc6-dev"
[ -z "$missing" ] || fail "missing to build the compiled core:$missing. On Debian 12: sudo apt-get install$missing"
