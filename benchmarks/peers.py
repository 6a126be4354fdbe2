"""The peers of `fanout`: built from benchmarks/peer/ where a compiler is, started, fed and ended.

What does not belong here: which figures are compared with which (`fanout` decides that).
"""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Child
from broker.client import encode_frame

SOURCES = Path(__file__).parent / "peer"
_DISTINCT_ITEMS = 400


@dataclass(frozen=True, slots=True)
class Peers:
    """Built peers. `grpc` is None where libgrpc++ is not installed."""

    raw: Path
    grpc: Path | None


def build_peers(folder: Path) -> Peers:
    """Compiles the peers. Raises SystemExit with the remedy if there is no C compiler."""
    raw = folder / "fanout_raw"
    try:
        subprocess.run(["gcc", "-O2", "-o", str(raw), str(SOURCES / "fanout_raw.c")], check=True)
    except FileNotFoundError:
        raise SystemExit("the C peer needs gcc. On Debian: sudo apt-get install gcc libc6-dev") from None
    if shutil.which("g++") is None or shutil.which("pkg-config") is None:
        return Peers(raw, None)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "grpc++"], capture_output=True, text=True, check=False)
    if flags.returncode:
        return Peers(raw, None)
    grpc, source = folder / "fanout_grpc", SOURCES / "fanout_grpc.cc"
    subprocess.run(
        ["g++", "-O2", "-std=c++17", "-o", str(grpc), str(source), "-pthread", *flags.stdout.split()],
        check=True,
    )  # fmt: skip
    return Peers(raw, grpc)


def write_items(path: Path, cameras: int, payload_bytes: int) -> None:
    """Writes encoded items in the producer's form: four bytes of length, little-endian, and the item."""
    with path.open("wb") as file:
        for number in range(_DISTINCT_ITEMS):
            seq, camera = divmod(number, cameras)
            payload = b"\0\0\0\1\x41" + bytes((number * 7 + at) & 0x7F | 0x80 for at in range(251)) * (
                payload_bytes // 251
            )
            item = encode_frame(
                f"cam-{camera:04}", 1, seq, 1, 1, None, None, seq * 6000, 1, 0, False, False, bytes(32), payload
            )
            file.write(struct.pack("<I", len(item)) + item)


def start(name: str, command: list[str | Path], **popen: Any) -> Child:
    """Starts a program of which one JSON object is expected on stdout."""
    return Child(name, subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, text=True, **popen))


def report_of(child: Child, timeout_s: float) -> dict[str, Any]:
    """What a program printed at its end. Raises SystemExit if it printed nothing."""
    text, _ = child.process.communicate(timeout=timeout_s)
    if not text.strip():
        raise SystemExit(f"{child.name} ended with status {child.process.returncode} and printed nothing")
    report: dict[str, Any] = json.loads(text)
    return report
