"""Which models of normality are to be trained anew, and what has been tried long enough. Decisions only; pure.

What should not be in this module: training (`commands.train`), reading footage and ledgers (`commands.train_due`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aggregate.client import Drift, Inspection, Model, ModelVersion

DETECTOR = "normality"
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
# A model of little footage is made anew after a day and after a week; the later ones last for a month.
AGES_NS = (DAY_NS, 7 * DAY_NS, 30 * DAY_NS)
SAMPLES = 48
SAMPLE_NS = 60_000_000_000


@dataclass(frozen=True, slots=True)
class Standing:
    """An inspection with a model, and how old that is."""

    inspection: Inspection
    model: str
    version: ModelVersion | None
    """The one that speaks; None if there is none yet."""
    shadow: str
    """Digest of one that is being tried; empty if none is."""
    changed_ns: int
    """Of the last step of the roll-out."""
    versions: int = 0
    """How many there have been."""

    @property
    def max_age_ns(self) -> int:
        """How old its model may become when nobody says otherwise."""
        return AGES_NS[min(max(self.versions, 1), len(AGES_NS)) - 1]


def standings(inspections: Sequence[Inspection], models: Sequence[Model], camera: str = "") -> list[Standing]:
    """Inspections whose models are trained from their own camera, of one camera or all, with where these stand."""
    by_name = {model.name: model for model in models}
    found = []
    for inspection in inspections:
        if inspection.detector != DETECTOR or inspection.disabled or inspection.shadow_of:
            continue
        if camera and inspection.camera != camera:
            continue
        name = f"{inspection.camera}.{DETECTOR}"
        if inspection.model not in ("", name):
            # It was told to run somebody else's model.
            continue
        model = by_name.get(name)
        version, shadow, changed_ns, versions = None, "", 0, 0
        if model is not None:
            rollout = model.rollout
            version = next((one for one in model.versions if one.digest == rollout.promoted), None)
            shadow, changed_ns, versions = rollout.shadow, rollout.changed_ns, len(model.versions)
        found.append(Standing(inspection, name, version, shadow, changed_ns, versions))
    return found


def why_due(standing: Standing, drift: Drift | None, now_ns: int, max_age_ns: int) -> str:
    """Why a model is to be trained anew, for people; empty if it is not."""
    if standing.version is None:
        return "it has no model yet"
    if standing.shadow:
        return ""
    age_ns = now_ns - standing.version.added_ns
    if age_ns >= max_age_ns:
        return f"its model is {age_ns / DAY_NS:.1f} days old"
    if drift is not None and drift.has_drifted:
        return drift.sentence
    return ""


def is_tried(standing: Standing, now_ns: int, trial_ns: int) -> bool:
    """Whether a version has run in the shadow for long enough to be promoted, if its gates let it."""
    return bool(standing.shadow) and now_ns - standing.changed_ns >= trial_ns


def sampled_minutes(from_ns: int, to_ns: int) -> list[tuple[int, int]]:
    """Minutes that lie evenly over a range: enough to know how scores are spread, few enough to read."""
    if to_ns - from_ns <= SAMPLES * SAMPLE_NS:
        return [(from_ns, to_ns)]
    step = (to_ns - from_ns - SAMPLE_NS) / (SAMPLES - 1)
    starts = [from_ns + round(number * step) for number in range(SAMPLES)]
    return [(start, start + SAMPLE_NS) for start in starts]


def beginners(cameras: Iterable[str], inspections: Iterable[Inspection]) -> list[str]:
    """Cameras that nobody has ordered an inspection by what is normal for, nor stopped one."""
    ordered = {inspection.camera for inspection in inspections if inspection.detector == DETECTOR}
    return [camera for camera in sorted(cameras) if camera not in ordered]
