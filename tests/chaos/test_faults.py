"""Whatever happens to one of twenty cameras of every kind, nineteen lose nothing, and all accounts add up."""

from __future__ import annotations

import random

import pytest

from benchmarks import faults
from simulator.faults import KINDS as FAULTS

pytestmark = pytest.mark.chaos

VICTIMS = ("cam-1", "cam-2", "cam-5", "cam-7")
"""One over TCP that can change its size, one that can change its codec, one over UDP, one over HTTP."""
CAMERAS = [f"cam-{number}" for number in range(1, len(faults.KINDS) + 1)]


def victim_of(kind: str, turn: int) -> str:
    fitting = [name for name in VICTIMS if faults.fits(kind, faults.KINDS[CAMERAS.index(name)])]
    return fitting[turn % len(fitting)]


@pytest.mark.timeout(300)
def test_every_fault_on_one_of_twenty_cameras_is_noticed_by_nobody_else() -> None:
    dice = random.Random(4)
    with faults.stage() as made:
        for turn, kind in enumerate(kind for kind in FAULTS if kind != "none"):
            made.disturb(victim_of(kind, turn), kind, 0.3, **{**faults.parameters_of(kind, dice), "share": 0.2})
        made.wait_for_all()
        assert made.settle() == []
        verdicts = made.verdicts()
    assert set(made.faults) == set(FAULTS) - {"none"}
    assert {name: found for name, found in verdicts.items() if found.has_differences} == {}
    for name in set(CAMERAS) - set(VICTIMS):
        account = made.lossless.accounts[name]
        assert len(account.epochs) == 1, f"{name} was connected to anew"
        assert not account.unknown + account.known, f"{name} had gaps"
        assert len(account.seen) == verdicts[name].judged
    for name in VICTIMS:
        assert verdicts[name].judged > 0
