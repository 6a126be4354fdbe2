"""Whether a schedule is in force at a moment, in the zone of the site. Pure; knows changes of summer time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from detector_pool.rules.terms import SECOND, Schedule
from mesh.errors import InvalidArgument


def zone_of(name: str) -> tzinfo:
    """The zone of that IANA name. Raises InvalidArgument."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        remedy = "Take a name such as Europe/Berlin (`timedatectl list-timezones` lists them)."
        raise InvalidArgument("zone of the site", f"{name!r:.60} is not known", remedy) from None


def local(time_ns: int, zone: tzinfo) -> datetime:
    """The moment on the clocks of the site."""
    return datetime.fromtimestamp(time_ns // SECOND, UTC).astimezone(zone)


def is_in_force(schedule: Schedule | None, now: datetime) -> bool:
    """Whether it is in force at that moment of the site's clocks. A night belongs to the day on which it begins."""
    if schedule is None:
        return True
    minute = now.hour * 60 + now.minute
    if schedule.is_whole_day:
        return _has(schedule, now)
    if schedule.from_minute < schedule.to_minute:
        return schedule.from_minute <= minute < schedule.to_minute and _has(schedule, now)
    if minute >= schedule.from_minute:
        return _has(schedule, now)
    return minute < schedule.to_minute and _has(schedule, now - timedelta(days=1))


def _has(schedule: Schedule, day: datetime) -> bool:
    return not schedule.days or day.weekday() in schedule.days
