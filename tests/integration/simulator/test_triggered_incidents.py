"""Incidents that happen because somebody asked for them."""

from __future__ import annotations

import pytest

from simulator import sei, testing
from simulator.testing import SimulatorFailed
from tests.integration.simulator.raw_rtsp import RawRtsp

ARGUMENTS = ("--no-incidents", "--gop-s", "1", "--scenes", "yard")


def test_an_incident_happens_once_and_the_truth_tells_with_which_frames() -> None:
    sizes: dict[int, int] = {}
    with testing.running(1, fps=5, loop_s=9, size="160x90", arguments=ARGUMENTS) as sim:
        with RawRtsp(sim.urls["cam-1"]) as client:
            client.play()
            answer = sim.ask({"camera": "cam-1", "incident": "signal-lost", "length_s": 2})
            assert 0 < answer["starts_in_s"] < 9
            last = None
            for unit, _ in client.units():
                number = sei.read(unit)[0]
                sizes[number] = len(unit)
                if last is None and (triggered := sim.truth("cam-1").get("triggered")):
                    last = triggered[0]["first_number"] + 80
                if last is not None and number >= last:
                    break
        (told,) = sim.truth("cam-1")["triggered"]
    assert (told["kind"], told["start"], told["end"]) == ("signal-lost", 25, 35)
    first = told["first_number"]
    # A black picture is of a few bytes; the same frames a round later are of the yard again.
    assert max(sizes[first + n] for n in range(27, 30)) < 0.5 * min(sizes[first + 45 + n] for n in range(27, 30))


def test_what_cannot_happen_is_refused_with_a_reason() -> None:
    wishes: dict[str, dict[str, object]] = {
        "kinds are intrusion": {"camera": "cam-1", "incident": "dance"},
        "camera 'cam-9' is unknown": {"camera": "cam-9", "incident": "fall"},
        "do not fit": {"camera": "cam-1", "incident": "fall", "length_s": 50},
        "share: unknown": {"camera": "cam-1", "incident": "fall", "share": 1},
    }
    with testing.running(1, fps=5, loop_s=9, size="160x90", arguments=ARGUMENTS) as sim:
        for reason, wish in wishes.items():
            with pytest.raises(SimulatorFailed, match=reason):
                sim.ask(wish)
