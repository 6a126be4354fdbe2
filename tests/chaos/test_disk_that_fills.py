"""A disk that fills: an alarm before, the oldest footage goes first, what is held survives, nothing else fails."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.filling_disk import STOP
from tests.real_peers import ROOT, require

pytestmark = [pytest.mark.chaos, pytest.mark.slow]

SECOND = 1_000_000_000


@pytest.mark.timeout(500)
def test_a_disk_that_fills_costs_the_oldest_footage_that_is_not_held_after_an_alarm(tmp_path: Path) -> None:
    told = on_a_small_disk(tmp_path)
    removals = told["first"]["removals"]
    assert {one["reason"] for one in removals} == {"space"}
    # An alarm came before the first one went.
    low = [one for one in told["first"]["conditions"] if one["name"] == "low_space"]
    assert len(low) == 1
    assert low[0]["started_ns"] < min(one["removed_ns"] for one in removals)
    # The oldest goes first, in each camera and, by the length of a segment, over both.
    for camera in {one["camera"] for one in removals}:
        ends = [one["to_ns"] for one in removals if one["camera"] == camera]
        assert ends == sorted(ends)
    in_time = sorted(removals, key=lambda one: (one["removed_ns"] // SECOND, one["to_ns"]))
    assert all(later["to_ns"] > earlier["to_ns"] - 5 * SECOND for earlier, later in pairwise(in_time))
    assert len({one["camera"] for one in removals}) >= 2
    for camera, from_ns, to_ns in told["first"]["holds"]:
        assert not any(
            one["camera"] == camera and one["from_ns"] <= to_ns and one["to_ns"] >= from_ns for one in removals
        )
    # Held footage is replayed bit for bit; recording goes on; nothing was lost; nothing but space was told.
    assert told["first"]["held"]
    assert told["first"]["goes_on"]
    assert told["first"]["free"] > STOP
    assert {gap["reason"] for gap in told["first"]["gaps"]} <= {"EXPIRED"}
    assert {one["name"] for one in told["first"]["conditions"]} == {"low_space"}
    # With held footage alone the disk is full: told, and held footage stays even then.
    assert told["second"]["removed_meanwhile"] == 0
    assert told["second"]["held"]
    # When there is space again it goes on, and what was not recorded is counted.
    assert told["third"]["goes_on"]
    assert told["third"]["lost"] > 0
    assert told["third"]["hold"]
    assert told["third"]["children"]


def on_a_small_disk(folder: Path) -> dict[str, Any]:
    """What `tests.filling_disk` tells."""
    require("mounts")
    done = subprocess.run(
        ["unshare", "-m", "-r", sys.executable, "-m", "tests.filling_disk", str(folder)],
        cwd=ROOT,
        capture_output=True,
        timeout=450,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-6000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told
