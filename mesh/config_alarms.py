# ruff: noqa: RUF009 - `option` returns a dataclass field; its doc belongs beside its default.
"""The section `event_center` of the configuration: where events are served, and how a site wants its alarms handled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mesh.config_option import option
from mesh.errors import InvalidArgument

_DAY_S = 86_400.0
_YEAR_S = 366 * _DAY_S


@dataclass(frozen=True, slots=True)
class AlarmGroup:
    """Cameras whose alarms belong together: one incident has one first alarm, and they are flooded together."""

    name: str = option("", "Its name. A camera belongs to the first group that has it; to one of its own without any.")
    cameras: tuple[str, ...] = option((), 'Ids of cameras; `*` stands for any characters: "north-*".')
    labels: tuple[str, ...] = option((), 'Cameras with one of these labels belong to it, too: "floor=2".')


@dataclass(frozen=True, slots=True)
class EventCenterConfig:
    """Events and alarms."""

    endpoint: str = option("", "gRPC endpoint. Default: `unix:` and `event-center.sock` in the run folder.")
    chatter_s: float = option(
        30.0,
        "What the same inspection raises within so many seconds after its last alarm is one more occurrence of that "
        "alarm; 0: every anomaly is an alarm of its own.",
        at_least=0, at_most=_DAY_S,
    )  # fmt: skip
    longest_shelving_s: float = option(
        12 * 3600.0, "Longest time an alarm may be shelved for.", at_least=60, at_most=_YEAR_S
    )
    stale_after_s: float = option(
        _DAY_S, "An alarm that stands for so long is stale; 0 for never.", at_least=0, at_most=_YEAR_S
    )
    realarm_after_s: float = option(
        0.0, "An alarm that was acknowledged so long ago and still holds waits again; 0 for never.",
        at_least=0, at_most=_YEAR_S,
    )  # fmt: skip
    escalate_2_after_s: float = option(
        0.0, "An alarm of priority 2 that nobody saw for so long gets priority 1; 0 for never.",
        at_least=0, at_most=_YEAR_S,
    )  # fmt: skip
    escalate_3_after_s: float = option(
        0.0, "An alarm of priority 3 that nobody saw for so long gets priority 2; 0 for never.",
        at_least=0, at_most=_YEAR_S,
    )  # fmt: skip
    escalate_4_after_s: float = option(
        0.0, "An alarm of priority 4 that nobody saw for so long gets priority 3; 0 for never.",
        at_least=0, at_most=_YEAR_S,
    )  # fmt: skip
    flood_window_s: float = option(600.0, "Time in which alarms are counted.", at_least=1, at_most=_DAY_S)
    flood_site_alarms: int = option(
        10, "More alarms than this in that time are a flood of the site; 0: never.", at_least=0, at_most=10_000
    )
    flood_group_alarms: int = option(
        10, "More alarms than this of one group in that time are a flood of the group; 0: never.",
        at_least=0, at_most=10_000,
    )  # fmt: skip
    flood_ends_below: int = option(
        5, "A flood is over when there are fewer alarms than this in that time.", at_least=1, at_most=10_000
    )
    first_out_s: float = option(
        60.0, "After so long without an alarm, the next one of a group is the first of a new incident.",
        at_least=0, at_most=_DAY_S,
    )  # fmt: skip
    silent_after_s: float = option(
        10.0, "A service, or NATS, that does not answer for so long raises an alarm.", at_least=1, at_most=3600
    )
    groups: tuple[AlarmGroup, ...] = option((), "Groups of cameras.")
    keep_events_days: float = option(
        0.0,
        "Events that are over, and acknowledged if they are alarms, go when they are older than so many days, unless "
        "their footage is held or a case names them; "
        "0 for never, else 8 at least: what is told again within a week must be known.",
        at_least=0, at_most=36_600,
    )  # fmt: skip
    reports: tuple[str, ...] = option((), 'Reports that are written by themselves: "daily", "weekly".')
    reports_dir: Path | None = option(None, "Folder of those reports. Default: `reports` in the data folder.")
    reports_keep: int = option(60, "Reports of each kind that stay; the oldest go.", at_least=1, at_most=10_000)


def check_retention(keep_events_days: float) -> None:
    """Raises InvalidArgument: shorter than messages may be told again."""
    if 0 < keep_events_days < 8:
        raise InvalidArgument(f"event_center.keep_events_days {keep_events_days:g}", "is less than 8 days",
                              "Give 0 for ever, or 8 and more.")  # fmt: skip


def check_reports(reports: Sequence[str]) -> None:
    """Raises InvalidArgument: a kind that there is not, or one twice."""
    if unknown := [kind for kind in reports if kind not in ("daily", "weekly")]:
        raise InvalidArgument(f"event_center.reports: {unknown[0]!r}", "is neither daily nor weekly")
    if len(set(reports)) != len(reports):
        raise InvalidArgument("event_center.reports", "names a kind twice")


def check_alarm_groups(groups: Sequence[AlarmGroup]) -> None:
    """Raises InvalidArgument: a group without a name or cameras, or a name twice, or one that means the whole site."""
    seen: set[str] = {"site"}
    for number, group in enumerate(groups):
        where = f"event_center.groups[{number}]"
        if not group.name or not group.name.isprintable() or len(group.name) > 100:
            raise InvalidArgument(where, "has no name of 1 to 100 printable characters")
        if group.name in seen:
            raise InvalidArgument(f"{where}: name {group.name!r}", "is taken", "Give each its own.")
        if not group.cameras and not group.labels:
            raise InvalidArgument(f"{where}: group {group.name!r}", "has neither cameras nor labels")
        for label in group.labels:
            if not all(label.partition("=")):
                raise InvalidArgument(f"{where}: label {label!r}", "is not KEY=VALUE", 'Write "floor=2".')
        seen.add(group.name)
