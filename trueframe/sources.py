"""Sources as a user names them on the command line, and the camera ids made of them. Pure.

What should not be in this module: whether a source can be reached; that is the broker's to say, again and again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from mesh.errors import InvalidArgument
from mesh.redact import redact_url

ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAMED = re.compile(r"(?P<name>[^=/:?]{1,200})=(?P<source>.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class NamedSource:
    """A camera to be: its id, its source as the broker takes it, the name that people see."""

    id: str
    source: str
    display_name: str


def slug(text: str) -> str:
    """Latin letters, digits and hyphens made of any text; empty if nothing of it can be kept."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:63].strip("-")


def _source(text: str, given: str) -> str:
    if "://" in text:
        scheme = text.partition("://")[0].lower()
        if scheme not in ("rtsp", "rtsps", "http", "https", "file"):
            raise InvalidArgument(
                f'source "{redact_url(given)}"',
                f'scheme "{scheme}" is not known',
                "Use rtsp://…, rtsps://…, http://…, https://…, file:///… or a path",
            )
        return text
    path = Path(text).expanduser()
    query = ""
    if "?" in text and not path.exists():
        # What follows is for the broker: ?loop=1.
        bare, _, query = text.rpartition("?")
        path = Path(bare).expanduser()
    if not path.is_file():
        reason = "is a folder" if path.is_dir() else "no such file"
        raise InvalidArgument(f'source "{given}"', reason, "Give rtsp://… or the path of a video file")
    path = path.resolve()
    place = path.as_uri() if "?" in str(path) else str(path)
    return f"{place}?{query}" if query else place


def _derived(source: str) -> str:
    if "://" not in source:
        return slug(Path(source.partition("?")[0]).stem)
    url = urlsplit(source)
    if url.scheme == "file":
        return slug(Path(unquote(url.path)).stem)
    return slug(f"{url.hostname or ''} {url.path}")


def parse_sources(texts: Iterable[str]) -> list[NamedSource]:
    """Reads `SOURCE` and `NAME=SOURCE`; ids that would be equal get a number.

    Raises InvalidArgument: unknown scheme, no such file, a name given twice, nothing to make an id of.
    """
    found: dict[str, NamedSource] = {}
    for text in texts:
        named = NAMED.fullmatch(text) if not Path(text).expanduser().exists() else None
        name, given = (named["name"].strip(), named["source"]) if named else ("", text)
        source = _source(given, text)
        camera = slug(name) if name else _derived(source)
        if not camera:
            if name:
                raise InvalidArgument(
                    f'name "{name}"', "no Latin letter or digit in it to make an id of", 'Add one: "north-1=rtsp://…"'
                )
            camera = "camera"
        if named and camera in found:
            raise InvalidArgument(f'camera "{camera}"', "is named twice", "Give every source a name of its own")
        base, number = camera, 2
        while camera in found:
            camera = f"{base[:59]}-{number}"
            number += 1
        found[camera] = NamedSource(camera, source, name or camera)
    return list(found.values())
