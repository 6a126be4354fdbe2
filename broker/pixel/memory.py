"""Whether the machine, or the container, has the memory that the pictures may take: asked once, at the start."""

from __future__ import annotations

from pathlib import Path

from mesh.errors import ResourceExhausted


def available_bytes(root: Path = Path("/")) -> int | None:
    """Memory to be had now: the lesser of the kernel's estimate and what the cgroup leaves; None if unknown."""
    found = [amount for amount in (_meminfo(root), _cgroup(root)) if amount is not None]
    return min(found, default=None)


def require_memory(wanted_bytes: int, root: Path = Path("/")) -> None:
    """Raises ResourceExhausted when the budget for pictures cannot be had; better now than with the last camera."""
    available = available_bytes(root)
    if available is not None and wanted_bytes > available:
        raise ResourceExhausted(
            "pixels.memory_bytes",
            f"asks for {wanted_bytes / 1e6:.0f} MB for pictures and {available / 1e6:.0f} MB are available",
            "Lower it, or give this machine or container more memory.",
        )


def _meminfo(root: Path) -> int | None:
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, rest = line.partition(":")
        amount = rest.split()
        if name == "MemAvailable" and amount and amount[0].isdigit():
            return int(amount[0]) * 1024
    return None


def _cgroup(root: Path) -> int | None:
    folder = root / "sys/fs/cgroup"
    try:
        limit, used = (folder / "memory.max").read_text().strip(), (folder / "memory.current").read_text().strip()
    except OSError:
        return None
    # "max" is no limit.
    return max(0, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else None
