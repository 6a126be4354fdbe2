"""The allocator, tried in a process of its own."""

from __future__ import annotations

import subprocess
import sys


def in_a_process(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return result.stdout.strip()


def test_the_allocator_keeps_what_is_freed() -> None:
    code = """
import resource
from mesh.allocator import tune_malloc

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        [b"x" * 400_000 for _ in range(8)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
assert tune_malloc()
faults()
print(plain, faults())
"""
    plain, tuned = map(int, in_a_process(code).split())
    assert tuned < plain / 10, "each buffer has a hundred pages: they were faulted in anew"
