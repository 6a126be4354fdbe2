"""Numbers with their units, as people write them. Times of day stand in `trueframe.times`."""

from __future__ import annotations


def amount(value: float, unit: str) -> str:
    """A number for a human: "1.07 GB", "0.91 cores", "250 ms", "57 cameras"."""
    if unit == "bytes":
        for size, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.0f} bytes"
    if unit == "seconds":
        return f"{value * 1e3:.0f} ms"
    return f"{value:.2f} {unit}" if unit == "cores" else f"{value:.0f} {unit}"
