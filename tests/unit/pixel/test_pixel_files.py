"""PNG files and the memory that a budget may ask for."""

from __future__ import annotations

import io
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.pixel.memory import available_bytes, require_memory
from broker.pixel.png import encode_png
from mesh.errors import ResourceExhausted


@given(st.integers(1, 40), st.integers(1, 30), st.integers(0, 1 << 31))
def test_a_png_file_decodes_to_the_same_pixels(width: int, height: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    with av.open(io.BytesIO(encode_png(pixels.tobytes(), width, height))) as container:
        decoded = next(container.decode(video=0)).to_ndarray(format="rgb24")
    np.testing.assert_array_equal(decoded, pixels)


def test_pixels_of_another_size_are_refused() -> None:
    for rgb, width, height in ((b"", 0, 1), (b"123", 1, 2), (b"1234", 1, 1)):
        with pytest.raises(ValueError, match="no picture of"):
            encode_png(rgb, width, height)


def machine(root: Path, available_kb: int, limit: str | None = None, used: int = 0) -> Path:
    (root / "proc").mkdir()
    (root / "proc/meminfo").write_text(f"MemTotal: 1 kB\nMemAvailable: {available_kb} kB\n")
    if limit is not None:
        (root / "sys/fs/cgroup").mkdir(parents=True)
        (root / "sys/fs/cgroup/memory.max").write_text(limit + "\n")
        (root / "sys/fs/cgroup/memory.current").write_text(f"{used}\n")
    return root


def test_what_the_machine_has_is_the_bound(tmp_path: Path) -> None:
    root = machine(tmp_path, 1000)
    assert available_bytes(root) == 1_024_000
    require_memory(1_024_000, root)
    with pytest.raises(ResourceExhausted, match=r"pixels\.memory_bytes"):
        require_memory(1_024_001, root)


def test_what_the_container_may_use_is_the_bound_too(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path, 1000, "500000", 100_000)) == 400_000


def test_a_container_without_limit_has_what_the_machine_has(tmp_path: Path) -> None:
    assert available_bytes(machine(tmp_path, 1000, "max")) == 1_024_000


def test_a_machine_that_does_not_tell_is_trusted(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) is None
    require_memory(1 << 60, tmp_path)
