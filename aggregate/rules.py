"""How verdicts are judged, and how those of the detectors that are always there are: values, nothing else.

How other detectors are judged their workers say (`offers.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """When scores make an anomaly. All durations in nanoseconds of the frames' own receive times."""

    threshold: float
    """Score at which an anomaly begins."""
    closing_share: float
    """It goes on while scores stay at or above `threshold * closing_share` (hysteresis)."""
    min_duration_ns: int
    """It opens once scores have held for this long."""
    merge_gap_ns: int
    """It closes once scores were low for this long without a break; a crossing before that is the same anomaly."""
    silence_ns: int = 10 * SECOND
    """It closes when nobody has scored a frame for this long."""
    update_every_ns: int = SECOND
    """While it goes on it is published at most this often."""

    @property
    def closing_threshold(self) -> float:
        """Score below which a frame counts as normal again."""
        return self.threshold * self.closing_share

    def with_threshold(self, threshold: float) -> Rules:
        """The same rules with the threshold of an order; 0 keeps the default."""
        return self if threshold <= 0.0 else replace(self, threshold=threshold)


# Of a detector that nobody has described yet.
UNKNOWN = Rules(0.5, 0.7, min_duration_ns=300_000_000, merge_gap_ns=3 * SECOND)

RULES: dict[str, Rules] = {
    # A person who walks behind a post is gone for a second or two and is still the same incident.
    "motion": Rules(0.6, 0.65, min_duration_ns=300_000_000, merge_gap_ns=3 * SECOND),
    # The detector's own score already rises with the time that a picture has been frozen.
    "signal": Rules(0.7, 0.7, min_duration_ns=500_000_000, merge_gap_ns=2 * SECOND),
    # Faults must last before its score rises at all; a lapse of some seconds is the same fault.
    "health": Rules(0.5, 0.7, min_duration_ns=500_000_000, merge_gap_ns=5 * SECOND),
    # Rules know times of their own. Nearly true is not true: their scores jump from at most 0.49 to 1.
    "rules": Rules(0.5, 0.99, min_duration_ns=0, merge_gap_ns=3 * SECOND),
    "static": Rules(0.5, 0.9, min_duration_ns=0, merge_gap_ns=3 * SECOND),
}
