"""What a check found, and the exit code of all findings together. Pure.

What should not be in this module: the checks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

EXIT_FAILURE, EXIT_WARNING = 1, 5


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    """It works, and will not for ever, or not as well as it could."""
    FAILURE = "failure"
    """Something does not work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check. `remedy` is empty where nothing has to be done."""

    area: str
    """The group it is shown under: "machine"."""
    check: str
    level: Level
    text: str
    remedy: str = ""

    def record(self) -> dict[str, str]:
        """For scripts."""
        return {name: str(value) for name, value in asdict(self).items()}


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level; OK of none."""
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.FAILURE, Level.WARNING) if level in levels), Level.OK)


def exit_code(findings: Iterable[Finding]) -> int:
    """0 if all is well, 1 with a failure, 5 with warnings only."""
    return {Level.OK: 0, Level.WARNING: EXIT_WARNING, Level.FAILURE: EXIT_FAILURE}[worst(findings)]


class Area:
    """Makes findings of one area."""

    def __init__(self, name: str) -> None:
        self._name = name

    def ok(self, check: str, text: str) -> Finding:
        """All is well."""
        return Finding(self._name, check, Level.OK, text)

    def warning(self, check: str, text: str, remedy: str) -> Finding:
        """It works, and something should be done."""
        return Finding(self._name, check, Level.WARNING, text, remedy)

    def failure(self, check: str, text: str, remedy: str) -> Finding:
        """It does not work."""
        return Finding(self._name, check, Level.FAILURE, text, remedy)
