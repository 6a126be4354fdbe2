"""The machine: disks, memory, limits, the clock. Measuring is at the top, judging below is pure.

What should not be in this module: anything of trueframe's own state.
"""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mesh.amounts import amount
from mesh.config import Config
from trueframe.doctor.finding import Area, Finding

_here = Area("machine")

PROBE_BYTES = 16 << 20
SYNCS = 10
SLOW_BYTES_PER_S = 20_000_000
FEW_FILES = 4096
CLOCK_ERROR_S = 0.5
_TIME_ERROR, _STA_UNSYNC = 5, 0x40


@dataclass(frozen=True, slots=True)
class DiskSpeed:
    """Bytes a second of one large synced write, and the longest of a few small ones, in seconds."""

    bytes_per_s: float
    longest_sync_s: float


@dataclass(frozen=True, slots=True)
class ClockState:
    """What the kernel says of its clock. `error_s`: how far it may be off, as far as is known."""

    is_synchronised: bool
    error_s: float


def examine_machine(config: Config) -> Iterator[Finding]:
    """All checks of the machine."""
    folders = {"data": config.run.data_dir, "footage": config.footage_dir}
    for name, folder in folders.items():
        there = _nearest(folder)
        yield judge_folder(name, folder, there, is_writable=os.access(there, os.W_OK))
        if name == "data" and there.stat().st_dev == _nearest(config.footage_dir).stat().st_dev:
            continue
        settings = config.media_center
        least, warns = settings.min_free_bytes, settings.warn_free_bytes or 2 * settings.min_free_bytes
        usage = shutil.disk_usage(there)
        yield judge_space(name, folder, usage.free, usage.total, least, warns)
        if os.access(there, os.W_OK) and usage.free > least + PROBE_BYTES:
            yield judge_speed(name, disk_speed(there), settings.slow_write_s)
    yield judge_memory(available_bytes(), config.broker.memory_bytes + config.pixels.memory_bytes)
    yield judge_files(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    yield judge_cores(len(os.sched_getaffinity(0)))
    yield judge_clock(clock_state())


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above that is there."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())


def disk_speed(folder: Path) -> DiskSpeed:
    """Measures in a file without a name, which is gone whatever happens. Raises OSError."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        block = os.urandom(1 << 20)
        began = time.perf_counter()
        for _ in range(PROBE_BYTES >> 20):
            file.write(block)
        os.fdatasync(file.fileno())
        speed = PROBE_BYTES / (time.perf_counter() - began)
        longest = 0.0
        for _ in range(SYNCS):
            began = time.perf_counter()
            file.write(block[:4096])
            os.fdatasync(file.fileno())
            longest = max(longest, time.perf_counter() - began)
    return DiskSpeed(speed, longest)


def available_bytes() -> int | None:
    """Memory that programs can still have; None where the kernel does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def clock_state() -> ClockState | None:
    """What `adjtimex` says, which needs no right and no daemon; None where there is none."""
    # struct timex: modes, (padding), offset, freq, maxerror, esterror, status: as Linux has it on 64 bits.
    fields = (ctypes.c_long * 32)()
    try:
        state = ctypes.CDLL(None).adjtimex(ctypes.byref(fields))
    except (OSError, AttributeError):
        return None
    if state < 0:
        return None
    is_synchronised = state != _TIME_ERROR and not fields[5] & _STA_UNSYNC
    return ClockState(is_synchronised, fields[3] / 1e6)


def judge_folder(name: str, folder: Path, there: Path, *, is_writable: bool) -> Finding:
    """Whether it can be written."""
    check = f"{name} folder"
    if not is_writable:
        return _here.failure(
            check,
            f"{there} cannot be written by this user.",
            f"Change its owner, or name another folder than {folder}.",
        )
    made = "" if there == folder else "; it is made at the first start"
    return _here.ok(check, f"{folder} can be written{made}.")


def judge_space(name: str, folder: Path, free: int, total: int, least: int, warns: int) -> Finding:
    """Whether there is room."""
    check, text = f"{name} space", f"{amount(free, 'bytes')} of {amount(total, 'bytes')} are free at {folder}"
    remedy = "Make room, set retention (`trueframe retention`), or name another disk in media_center.footage_dir."
    if free < least:
        return _here.failure(check, f"{text}; recording stops below {amount(least, 'bytes')}.", remedy)
    if free < warns:
        return _here.warning(check, f"{text}; below {amount(warns, 'bytes')} an alarm is raised.", remedy)
    return _here.ok(check, f"{text}.")


def judge_speed(name: str, speed: DiskSpeed, slow_s: float) -> Finding:
    """Whether the disk takes what a recorder writes."""
    text = (
        f"{amount(speed.bytes_per_s, 'bytes')} a second, synced; "
        f"the slowest of {SYNCS} small syncs took {speed.longest_sync_s * 1000:.0f} ms."
    )
    if speed.bytes_per_s < SLOW_BYTES_PER_S or speed.longest_sync_s > slow_s:
        return _here.warning(
            f"{name} speed", text, "Put footage on a faster disk, or find out who else writes to this one."
        )
    return _here.ok(f"{name} speed", text)


def judge_memory(available: int | None, budgets: int) -> Finding:
    """Whether the rings could be filled."""
    if available is None:
        return _here.warning("memory", "The kernel does not say how much is available.", "Mount /proc.")
    text = f"{amount(available, 'bytes')} available; rings of packets and pictures may take {amount(budgets, 'bytes')}."
    if available < budgets:
        return _here.warning("memory", text, "Lower broker.memory_bytes or pixels.memory_bytes, or add memory.")
    return _here.ok("memory", text)


def judge_files(limit: int) -> Finding:
    """Whether there may be enough open files: sockets, segments and rings of many cameras."""
    text = f"{'any number of' if limit < 0 else limit} files may be open at once."
    if 0 <= limit < FEW_FILES:
        return _here.warning("open files", text, f"Enough for few cameras: `ulimit -n {FEW_FILES}` before the start.")
    return _here.ok("open files", text)


def judge_cores(cores: int) -> Finding:
    """How many processors this process may use."""
    return _here.ok("processors", f"{cores} may be used.")


def judge_clock(state: ClockState | None) -> Finding:
    """Whether the time can be believed: it is on every frame."""
    remedy = "Run chrony or systemd-timesyncd on this machine, or on the host of its container."
    if state is None:
        return _here.warning("clock", "The kernel does not say whether its clock is kept right.", remedy)
    if not state.is_synchronised:
        return _here.warning("clock", "Nothing keeps this machine's clock right: it bears the times of frames.", remedy)
    text = f"kept right by NTP or PTP, at most {state.error_s * 1000:.0f} ms off as the kernel reckons."
    if state.error_s > CLOCK_ERROR_S:
        return _here.warning("clock", text, remedy)
    return _here.ok("clock", text)
