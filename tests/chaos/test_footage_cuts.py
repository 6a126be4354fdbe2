"""Footage cut off at random: everything confirmed is served, nothing false is, and what was torn is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import footage_cuts

pytestmark = pytest.mark.chaos

SEED = int(os.environ.get("TRUEFRAME_CUTS_SEED", "1"))


def look_at(tally: footage_cuts.Tally, cuts: int, kills: int) -> None:
    assert tally.failures == []
    assert (tally.corrupt_reads, tally.lost_confirmed) == (0, 0)
    assert tally.torn_tails_unnamed == 0
    assert tally.did_not_go_on == 0
    # The run was what it claims to be.
    assert sum(tally.cuts.values()) == cuts
    assert min(tally.cuts.values()) > cuts / 5
    assert tally.cuts_of_a_slow_disk >= cuts / 3
    assert tally.folders_as_noted > cuts / 10
    assert tally.kills == kills
    assert tally.torn_tails > cuts / 20
    assert tally.caches_spoilt > cuts / 5
    assert tally.went_on > cuts / 2
    assert tally.frames_read > 100 * cuts


@pytest.mark.timeout(300)
def test_five_hundred_cuts_kills_and_torn_writes_give_no_false_frame_and_lose_none_that_was_confirmed() -> None:
    look_at(footage_cuts.run(cuts=500, kills=20, seed=SEED), 500, 20)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_five_thousand_cuts_and_a_hundred_kills() -> None:
    look_at(footage_cuts.run(cuts=5000, kills=100, seed=SEED + 1000), 5000, 100)


def test_a_writer_that_confirms_before_it_syncs_is_found_out(tmp_path: Path) -> None:
    """The judge can find a loss: the same story over a disk whose syncs do nothing."""
    shim = footage_cuts.build_shim(tmp_path)
    tally = footage_cuts.Tally()
    footage_cuts.cut_story(shim, tmp_path, SEED, 15, tally, ways=("power",), syncs_lie=True)
    assert tally.lost_confirmed > 0
    assert not tally.is_good
