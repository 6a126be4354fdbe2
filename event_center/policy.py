"""How a site wants its alarms handled, as the pure parts take it: numbers of `mesh.config`, in nanoseconds.

What does not belong here: what people change while running (shelves, rules, what is out of service).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType

from mesh.config_alarms import EventCenterConfig

_SECOND = 1_000_000_000
SITE = "site"
NO_LABELS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Group:
    """Cameras whose alarms belong together: by id, `*` and `?` stand for any characters, or by a label, "floor=2"."""

    name: str
    cameras: tuple[str, ...]
    labels: tuple[str, ...] = ()

    def has(self, camera: str, labels: Mapping[str, str]) -> bool:
        """Whether a camera with these labels belongs to it."""
        return any(fnmatchcase(camera, pattern) for pattern in self.cameras) or any(
            f"{key}={value}" in self.labels for key, value in labels.items()
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """Times in nanoseconds; 0 switches the thing off where nothing else is said."""

    longest_shelving_ns: int = 12 * 3600 * _SECOND
    chatter_ns: int = 30 * _SECOND
    stale_ns: int = 24 * 3600 * _SECOND
    realarm_ns: int = 0
    escalate_ns: tuple[int, int, int] = (0, 0, 0)
    """After how long unseen priority 2 becomes 1, 3 becomes 2, 4 becomes 3."""
    flood_ns: int = 600 * _SECOND
    site_flood: int = 10
    """More alarms than this within `flood_ns` are a flood; 0: never."""
    group_flood: int = 10
    flood_ends: int = 5
    """Fewer than this within `flood_ns` end it."""
    first_out_ns: int = 60 * _SECOND
    groups: tuple[Group, ...] = ()

    @classmethod
    def of(cls, config: EventCenterConfig) -> Policy:
        """The policy that a configuration describes."""
        return cls(
            longest_shelving_ns=_ns(config.longest_shelving_s),
            chatter_ns=_ns(config.chatter_s),
            stale_ns=_ns(config.stale_after_s),
            realarm_ns=_ns(config.realarm_after_s),
            escalate_ns=(
                _ns(config.escalate_2_after_s), _ns(config.escalate_3_after_s), _ns(config.escalate_4_after_s)
            ),
            flood_ns=_ns(config.flood_window_s),
            site_flood=config.flood_site_alarms,
            group_flood=config.flood_group_alarms,
            flood_ends=config.flood_ends_below,
            first_out_ns=_ns(config.first_out_s),
            groups=tuple(Group(one.name, one.cameras, one.labels) for one in config.groups),
        )  # fmt: skip

    def group_of(self, camera: str, detector: str, labels: Mapping[str, str] = NO_LABELS) -> str:
        """The group of an alarm: the first configured one that has its camera, or the camera; a service's own name."""
        if not camera:
            return detector.partition(".")[0]
        return next((group.name for group in self.groups if group.has(camera, labels)), camera)


def detector_name(detector: str) -> str:
    """A detector without its version: what people name when they shelve, suppress or take out."""
    return detector.partition("@")[0]


def _ns(seconds: float) -> int:
    return round(seconds * _SECOND)
