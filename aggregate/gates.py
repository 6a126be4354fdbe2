"""What a version of a model must show before it speaks: golden parity, latency, alarm rate in the shadow. Pure.

Each gate says with which figures it is passed or not; `--force` passes those that are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aggregate.model_diff import Compared
from aggregate.models import Version

SLOWER = 1.25
MORE_ALARMS = 1.5
ALARMS_AT_LEAST = 0.5
"""So many more an hour are always allowed: a rate of next to nothing is no yardstick."""


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate."""

    name: str
    is_passed: bool
    sentence: str


@dataclass(frozen=True, slots=True)
class Costs:
    """What frames cost, in microseconds, and what room the pool has, in cores."""

    new_us: float
    old_us: float
    fps: float
    """Of all frames that the version would look at."""
    room: float


def gates(version: Version, costs: Costs, trials: Sequence[Compared], shadow_s: float) -> list[Gate]:
    """All gates. `trials`: the version beside the promoted one, by camera."""
    return [_golden(version), _latency(costs), _alarms(trials, shadow_s)]


def _golden(version: Version) -> Gate:
    name = "golden parity"
    if version.golden_differs:
        return Gate(name, False, version.golden)
    if not version.golden:
        return Gate(name, False, "no worker has run it yet; run it in the shadow first")
    return Gate(name, True, version.golden)


def _latency(costs: Costs) -> Gate:
    name = "latency"
    if not costs.new_us:
        return Gate(name, False, "nobody has measured it yet; run it in the shadow first")
    more = max(costs.new_us - costs.old_us, 0.0) * costs.fps / 1e6
    figures = (
        f"{costs.new_us / 1000:.2f} ms a frame against {costs.old_us / 1000:.2f} ms; "
        f"at {costs.fps:.1f} frames a second it takes {more:.2f} cores more, "
        f"and the pool has {max(costs.room, 0.0):.2f} free"
    )
    return Gate(name, costs.new_us <= SLOWER * costs.old_us or more <= costs.room, figures)


def _alarms(trials: Sequence[Compared], shadow_s: float) -> Gate:
    name = "shadow alarm rate"
    looked_s = sum(trial.one.scored_ns for trial in trials) / 1e9
    if looked_s < shadow_s:
        return Gate(
            name, False, f"it has looked at {looked_s:.0f} s beside the promoted one; {shadow_s:.0f} s are wanted"
        )
    new = _per_hour(sum(trial.one.alarms for trial in trials), looked_s)
    old_s = sum(trial.other.scored_ns for trial in trials) / 1e9
    old = _per_hour(sum(trial.other.alarms for trial in trials), old_s)
    figures = f"{new:.2f} alarms an hour over {looked_s / 3600:.2f} hours against {old:.2f}, judged alike"
    return Gate(name, new <= max(MORE_ALARMS * old, old + ALARMS_AT_LEAST), figures)


def _per_hour(alarms: int, seconds: float) -> float:
    return alarms * 3600 / seconds if seconds > 0 else 0.0
