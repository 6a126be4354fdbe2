"""The zone that a site lives in: what schedules of the week are meant in."""

from __future__ import annotations

import os
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from mesh.errors import InvalidArgument

_LOCALTIME = Path("/etc/localtime")


def machine_zone_name(environ: dict[str, str] | None = None, localtime: Path = _LOCALTIME) -> str:
    """IANA name of this machine's zone; "UTC" where the machine does not say."""
    named = (os.environ if environ is None else environ).get("TZ", "").removeprefix(":")
    if not named and localtime.is_symlink():
        _, found, named = str(localtime.resolve()).partition("zoneinfo/")
        named = named if found else ""
    try:
        return ZoneInfo(named).key if named else "UTC"
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"


def site_zone(name: str) -> ZoneInfo:
    """The zone of that IANA name; that of the machine for an empty one. Raises InvalidArgument."""
    try:
        return ZoneInfo(name or machine_zone_name())
    except (ZoneInfoNotFoundError, ValueError, OSError):
        remedy = 'Give a name like "Europe/Berlin".'
        raise InvalidArgument(f"site.timezone {name[:60]!r}", "is no zone that is known here", remedy) from None
