"""Moments as people write them and as they are shown: always with the offset of the viewer's zone. Pure.

What should not be in this module: durations of frames; frame times are integers and stay so.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from mesh.errors import InvalidArgument

SECOND_NS = 1_000_000_000
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
# Of nanoseconds, 64 bits hold not much more.
_LONGEST_S = 36_525 * 86_400.0
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|min|m|h|d)")
_REMEDY = 'Write "2026-11-20T12:30:05+01:00", "12:30:05" (today), "-30s" (ago) or "now"'


def parse_duration(text: str) -> float:
    """Seconds in "60s", "1m30s", "2h" or a bare number. Raises InvalidArgument."""
    stripped = text.strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", stripped):
        return _checked(text, float(stripped))
    if not stripped or _DURATION.sub("", stripped):
        raise InvalidArgument(f'duration "{text}"', "cannot be read", 'Write "60s", "1m30s" or "2h"')
    return _checked(text, sum(float(number) * _UNITS[unit] for number, unit in _DURATION.findall(stripped)))


def _checked(text: str, seconds: float) -> float:
    if seconds > _LONGEST_S:
        raise InvalidArgument(f'duration "{text[:40]}"', "is longer than a century")
    return seconds


def parse_time(text: str, now_ns: int) -> int:
    """UTC nanoseconds of a moment. A clock time is today's, or yesterday's if today's is still to come.

    Raises InvalidArgument.
    """
    stripped = text.strip()
    if stripped == "now":
        return now_ns
    if stripped.startswith("-"):
        return now_ns - round(parse_duration(stripped[1:]) * SECOND_NS)
    if re.fullmatch(r"\d{15,19}", stripped):
        return int(stripped)
    fraction_ns = 0
    if found := re.search(r"(?<=\d)[.,](\d{1,9})(?!\d)", stripped):
        fraction_ns = int(found[1].ljust(9, "0"))
        stripped = stripped[: found.start()] + stripped[found.end() :]
    try:
        if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", stripped):
            hours, minutes, *seconds = (int(part) for part in stripped.split(":"))
            today = datetime.fromtimestamp(now_ns // SECOND_NS).astimezone()
            # Rebuilt as a naive local time, so that the offset is that of the moment meant and not of now.
            naive = today.replace(tzinfo=None, hour=hours, minute=minutes, second=sum(seconds), microsecond=0)
            moment = naive.astimezone()
            if moment > today:
                moment = (naive - timedelta(days=1)).astimezone()
        else:
            moment = datetime.fromisoformat(stripped)
            moment = moment.astimezone()
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(f'time "{text}"', "cannot be read", _REMEDY) from error
    return round(moment.timestamp()) * SECOND_NS + fraction_ns


def offset_of(moment: datetime) -> str:
    """The offset as "+01:00"."""
    text = moment.strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def show_time(utc_ns: int, *, date: bool = True) -> str:
    """A moment in the local zone with milliseconds and offset: "2026-11-20 12:30:05.123+01:00"."""
    moment = datetime.fromtimestamp(utc_ns // SECOND_NS).astimezone()
    clock = f"{moment:%H:%M:%S}.{utc_ns % SECOND_NS // 1_000_000:03d}{offset_of(moment)}"
    return f"{moment:%Y-%m-%d} {clock}" if date else clock


def when(utc_ns: int) -> str | None:
    """A moment as text; None for "not yet"."""
    return show_time(utc_ns) if utc_ns else None


def show_duration(seconds: float) -> str:
    """A duration for people: "4.2 s", "3 min 05 s", "2 h 10 min"."""
    if seconds < 10:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"
