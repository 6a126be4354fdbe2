"""What a verification says: an outcome, findings with place and frames, and what it was about. Pure.

What does not belong here: how it is found out (`verify_segment`, `verify_camera`, `verify_files`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum

from mesh.ids import FrameId


class Outcome(IntEnum):
    """How it stands; the greater, the worse. The value is the exit code of `trueframe verify`, save for UNPROVED."""

    GOOD = 0
    """Signed by a key that is believed, and unchanged."""
    UNKNOWN_SIGNER = 1
    """Consistent in itself, and signed by nobody who is believed."""
    BROKEN = 2
    """Something is not as it was signed or received."""

    @property
    def text(self) -> str:
        """In words."""
        return {0: "good", 1: "unknown signer", 2: "broken"}[int(self)]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it was recorded or signed."""

    kind: str
    """`payload`, `container`, `rows`, `seal`, `chain`, `missing`, `unreadable`, `manifest`, `proof`, `removed`."""
    detail: str
    """One sentence."""
    segment: str = ""
    first: FrameId | None = None
    last: FrameId | None = None

    def text(self) -> str:
        """For a human."""
        where = f"{self.segment}: " if self.segment else ""
        frames = "" if self.first is None else f" [{self.first}]"
        if self.first is not None and self.last is not None and self.last != self.first:
            frames = f" [{self.first} to {self.last.seq}]"
        return f"{self.kind}: {where}{self.detail}{frames}"


@dataclass(slots=True)
class Report:
    """What was found of one file, or of one camera's folder."""

    path: str
    what: str
    """`segment`, `camera`, `export`, `snapshot`, `manifest`, `access log`, or `unknown`."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no fault and good to know."""
    signers: set[str] = field(default_factory=set)
    """Ids of the keys that signed it and are believed, in hexadecimal."""
    unknown_signers: set[str] = field(default_factory=set)
    """Ids of keys that it names and nobody vouches for."""
    is_signed: bool = False
    """Some signature covers it, whosever."""
    has_unproved: bool = False
    """Something of it that should be signed is not."""
    segments: int = 0
    """Looked at."""
    frames: int = 0
    elsewhere: dict[str, int] = field(default_factory=dict)
    """How many segments were moved to places that cannot be reached, and were not looked at, by place."""

    @property
    def outcome(self) -> Outcome:
        """The sum of it."""
        if self.findings:
            return Outcome.BROKEN
        is_proved = self.is_signed and not self.has_unproved and not self.unknown_signers and not self.elsewhere
        return Outcome.GOOD if is_proved else Outcome.UNKNOWN_SIGNER

    @property
    def text(self) -> str:
        """The outcome in words that say what it lacks to be good."""
        if self.findings or self.outcome is Outcome.GOOD:
            return self.outcome.text
        if not self.is_signed and not self.elsewhere:
            return "not signed"
        if self.has_unproved:
            return "not all signed"
        if self.unknown_signers:
            return self.outcome.text
        return "good as far as it is here" if self.segments else "not here"

    def is_elsewhere(self, place: str, segments: int = 1) -> None:
        """Segments were not looked at: they lie in a place that cannot be reached."""
        self.elsewhere[place] = self.elsewhere.get(place, 0) + segments

    def take(self, other: Report) -> None:
        """Adds what was found of a part."""
        self.findings += other.findings
        self.notes += other.notes
        self.signers |= other.signers
        self.unknown_signers |= other.unknown_signers
        self.is_signed = self.is_signed or other.is_signed
        self.has_unproved = self.has_unproved or other.has_unproved
        self.segments += other.segments
        self.frames += other.frames
        for place, segments in other.elsewhere.items():
            self.is_elsewhere(place, segments)

    def record(self) -> dict[str, object]:
        """For programs."""
        return {
            "path": self.path,
            "what": self.what,
            "outcome": self.outcome.text,
            "is_signed": self.is_signed,
            "has_unproved": self.has_unproved,
            "signers": sorted(self.signers),
            "unknown_signers": sorted(self.unknown_signers),
            "segments": self.segments,
            "frames": self.frames,
            "elsewhere": self.elsewhere,
            "findings": [
                {
                    "kind": finding.kind,
                    "detail": finding.detail,
                    "segment": finding.segment,
                    "first": str(finding.first) if finding.first is not None else None,
                    "last": str(finding.last) if finding.last is not None else None,
                }
                for finding in self.findings
            ],
            "notes": self.notes,
        }


def worst(reports: Iterable[Report]) -> Outcome:
    """The worst outcome of all; good if there are none."""
    return max((report.outcome for report in reports), default=Outcome.GOOD)
