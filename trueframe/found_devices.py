"""What discovery found, made into cameras to be: ids, names and the command lines that add them. Pure.

What should not be in this module: asking the network or the broker.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from trueframe.sources import slug

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
# Shown where a login belongs: what is printed may be read over a shoulder, and lands in a shell's history.
PLACEHOLDER = "USER:PASSWORD"


@dataclass(frozen=True, slots=True)
class FoundStream:
    """One stream of a device, as a camera to be. `attached_as`: the camera that has it already, or empty.

    `is_main`: the first of its device.
    """

    id: str
    display_name: str
    source: str
    device: str
    token: str
    is_main: bool = True
    attached_as: str = ""
    address: str = ""
    """Of the device that told of it."""

    def with_login(self, user: str, password: str) -> str:
        """The source with user and password inside."""
        if not user and not password:
            return self.source
        scheme, _, rest = self.source.partition("://")
        return f"{scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{rest}"

    def add_line(self, has_login: bool) -> str:
        """The command that adds it, with a placeholder for the login."""
        scheme, _, rest = self.source.partition("://")
        source = f"{scheme}://{PLACEHOLDER}@{rest}" if has_login else self.source
        words = ["trueframe", "cameras", "add", self.display_name, source, "--id", self.id, "--device", self.device]
        return shlex.join(words)


@dataclass(frozen=True, slots=True)
class FoundDevice:
    """A device and its streams: (profile token, profile name, source URL), the main one first."""

    urn: str
    address: str
    name: str
    streams: tuple[tuple[str, str, str], ...]

    @property
    def host(self) -> str:
        """Host of its address."""
        return urlsplit(self.address).hostname or ""


def place_of(source: str) -> tuple[str, int, str]:
    """Host, port and path of a URL: what makes it the same stream as another; a file's path."""
    try:
        parts = urlsplit(source)
        port = parts.port or _PORTS.get(parts.scheme.lower(), 0)
    except ValueError:
        return "", 0, source
    if not parts.hostname:
        return "", 0, source
    return parts.hostname.lower(), port, parts.path.lstrip("/") + (f"?{parts.query}" if parts.query else "")


def cameras_to_be(devices: Iterable[FoundDevice], present: Mapping[str, str]) -> list[FoundStream]:
    """A camera for every stream, with ids that nobody has. `present`: id to source of the broker's cameras."""
    devices = list(devices)
    attached = {place_of(source): camera for camera, source in present.items()}
    names = Counter(slug(device.name) for device in devices)
    taken = set(present)
    found = []
    for device in devices:
        base = slug(device.name)
        if not base or names[base] > 1:
            # A whole delivery of cameras has one name; the address tells them apart.
            base = slug(f"{base} {device.host}") or "camera"
        label = device.name or device.host
        for number, (token, profile, source) in enumerate(device.streams):
            camera = base if number == 0 else f"{base[:40]}-{slug(profile)[:20] or number + 1}"
            stem, again = camera[:58], 2
            if owner := attached.get(place_of(source), ""):
                camera = owner
            else:
                while camera in taken:
                    camera, again = f"{stem}-{again}", again + 1
                taken.add(camera)
            display_name = label if number == 0 else f"{label} {profile}".strip()
            found.append(FoundStream(camera, display_name, source, label, token, number == 0, owner, device.address))
    return found
