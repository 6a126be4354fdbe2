"""What cards of trained models say alike: names, times, and what they were made with."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version

CARD = "card.json"


def model_name(camera: str, detector: str) -> str:
    """As `detector.toml` has it: small letters, digits, "-" and "."."""
    slug = re.sub(r"[^a-z0-9]+", "-", camera.lower()).strip("-")
    return f"{slug[:80].rstrip('-') or 'camera'}.{detector}"


def runtime_version() -> str:
    """Of the installed onnxruntime."""
    for package in ("onnxruntime-gpu", "onnxruntime"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "unknown"


def shown_utc(time_ns: int) -> str:
    """A time for people, to a hundredth of a second."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-4] + "Z"
