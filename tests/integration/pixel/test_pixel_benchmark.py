"""The ring benchmark runs, and what it promises of any machine holds."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_ring_benchmark_finds_no_copies_and_no_torn_pictures() -> None:
    command = [sys.executable, "-m", "benchmarks.ring", "--json", "--pictures", "40", "--repeats", "1"]
    done = subprocess.run(
        command, cwd=Path(__file__).parents[3], capture_output=True, text=True, timeout=300, check=True
    )
    result = json.loads(done.stdout)
    assert {"publish_ratio_small", "publish_ratio_large", "wake_p50_us", "wake_p99_us", "peer_ratio"} <= set(result)
    for size in ("small", "large"):
        assert result[f"copies_per_reader_{size}"] == 0
        assert result[f"torn_{size}"] == 0
        assert result[f"publish_ratio_{size}"] > 0.3, "a picture that is published is copied once"
    assert result["machine"]["cores"] >= 1
