"""One reader process of `benchmarks.ring`: looks at each picture where it lies, and tells what that cost.

`python -m benchmarks.ring_reader RINGS_SOCKET TOKEN PICTURES` prints one JSON object at the end.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from broker.pixel.client import Missing, Picture, RingReader


def look(luma: NDArray[np.uint8]) -> int:
    """What both sides' readers do with a picture: every sixteenth row, every pixel of it."""
    return int(luma[::16].sum())


def ring_memory() -> list[tuple[int, int]]:
    """Address ranges of picture rings in this process."""
    ranges = []
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "memfd:trueframe-pixels" in line:
            begin, end = line.split()[0].split("-")
            ranges.append((int(begin, 16), int(end, 16)))
    return ranges


def main() -> None:
    """Reads until the last picture was told."""
    path, token, pictures = sys.argv[1], sys.argv[2], int(sys.argv[3])
    waits_ns: list[int] = []
    copies = torn = 0
    memory: list[tuple[int, int]] = []
    with RingReader(path, token, "bench") as reader:
        reader.read(0)
        began_ns = 0
        last = -1
        while last < pictures - 1:
            item = reader.read(30.0)
            now_ns = time.monotonic_ns()
            if item is None:
                break
            began_ns = began_ns or time.process_time_ns()
            if isinstance(item, Missing):
                last = item.last_id.seq
                continue
            last = item.id.seq
            waits_ns.append(now_ns - item.published_ns)
            look(item.y)
            torn += not item.still_valid()
            if last % 16 == 0:  # a sample, and not on the clock: the peer is not asked either
                pause_ns = time.process_time_ns()
                copies += not _lies_in(item, memory := memory or ring_memory())
                began_ns += time.process_time_ns() - pause_ns
        cpu_ns = time.process_time_ns() - began_ns
    report: dict[str, Any] = {"pictures": len(waits_ns), "waits_ns": waits_ns, "copies": copies, "torn": torn}
    print(json.dumps({**report, "cpu_us": cpu_ns / 1000}))


def _lies_in(picture: Picture, memory: list[tuple[int, int]]) -> bool:
    address = picture.y.__array_interface__["data"][0]
    return any(begin <= address < end for begin, end in memory)


if __name__ == "__main__":
    main()
