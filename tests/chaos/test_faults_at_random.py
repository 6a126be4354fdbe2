"""Two minutes of random faults, the short form of `python -m benchmarks.faults --minutes 30`."""

from __future__ import annotations

import pytest

from benchmarks import faults

pytestmark = pytest.mark.chaos


@pytest.mark.timeout(400)
def test_two_minutes_of_random_faults_leave_no_difference_in_any_account() -> None:
    found = faults.run(120.0, seed=20_261_120)
    told = {name: found[name] for name in ("lost", "twice", "invented", "accounts", "not_recovered")}
    assert found["differences"] == 0, told
    assert found["faults_total"] >= 25
    assert found["judged_units"] > 0.6 * found["sent_units"]
    # The subscribers were really put to it: a proof that nothing was superseded or overrun proves nothing.
    counts = found["subscribers"]
    assert counts["latest superseded"] > 0
    assert counts["slow overrun"] > 0
    assert counts["keyframes not_requested"] > counts["keyframes delivered"] > 0
