"""A real media center, killed again and again at random while it records."""

from __future__ import annotations

import os

import pytest

from tests.footage_instance import Instance
from tests.footage_kills import Killed, cut_power, kill_recorders

KILLS = int(os.environ.get("TRUEFRAME_FOOTAGE_KILLS", "30"))
SEED = int(os.environ.get("TRUEFRAME_CUTS_SEED", "1"))

pytestmark = [pytest.mark.chaos, pytest.mark.slow, pytest.mark.timeout(1800)]


def test_a_media_center_killed_at_random_serves_everything_confirmed_and_loses_nothing(instance: Instance) -> None:
    tally = Killed()
    kill_recorders(instance, KILLS, SEED, tally)
    assert tally.failures == []
    assert (tally.kills, tally.lost_confirmed, tally.lost_after_kills, tally.false_frames) == (KILLS, 0, 0, 0)


def test_power_cuts_at_random_cost_at_most_two_seconds_each(instance: Instance) -> None:
    tally = Killed()
    cuts = max(1, KILLS // 6)
    cut_power(instance, cuts, SEED + 1, tally)
    assert tally.failures == []
    assert tally.power_cuts == cuts
    assert tally.worst_power_cut_s < tally.bound_s
    assert tally.is_good
