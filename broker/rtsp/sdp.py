"""Session descriptions (RFC 4566), as far as RTSP cameras use them.

Belongs here: text in, media descriptions out, and the resolution of control URLs. Does not belong here: the choice of
a codec that the broker can carry (see `session`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

MAX_LINES = 4096

# Static payload types of RFC 3551 that a camera may name without an rtpmap.
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 26: ("JPEG", 90000), 32: ("MPV", 90000), 33: ("MP2T", 90000)}


class MalformedDescription(ValueError):
    """The text is not a session description."""


@dataclass(frozen=True, slots=True)
class Media:
    """One `m=` section."""

    kind: str
    payload_type: int
    encoding: str
    clock_rate: int
    control: str
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def parameter_sets(self) -> list[bytes]:
        """H.264 parameter sets out of `sprop-parameter-sets`; what is not base64 is left out."""
        found: list[bytes] = []
        for text in self.parameters.get("sprop-parameter-sets", "").split(","):
            try:
                nal = base64.b64decode(text.strip() + "=" * (-len(text.strip()) % 4), validate=True)
            except (binascii.Error, ValueError):
                continue
            if nal:
                found.append(nal)
        return found


@dataclass(frozen=True, slots=True)
class Description:
    """A whole session: its control URL (may be empty) and its media, in order."""

    control: str
    media: tuple[Media, ...]


def parse_sdp(body: bytes) -> Description:
    """Reads a session description; unknown lines are skipped. Raises MalformedDescription if it is none."""
    lines = body.decode("utf-8", "replace").replace("\r", "\n").split("\n")
    if len(lines) > MAX_LINES:
        raise MalformedDescription(f"{len(lines)} lines")
    lines = [line.strip() for line in lines if line.strip()]
    if not lines or not any(line.startswith("v=") for line in lines[:3]):
        raise MalformedDescription("no v= line at the beginning")
    sections: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("m="):
            sections.append([])
        sections[-1].append(line)
    control = _attribute(sections[0], "control")
    return Description(control, tuple(m for m in map(_media, sections[1:]) if m is not None))


def _attribute(lines: list[str], name: str) -> str:
    prefix = f"a={name}:"
    return next((line[len(prefix) :].strip() for line in lines if line.lower().startswith(prefix)), "")


def _media(lines: list[str]) -> Media | None:
    words = lines[0][2:].split()
    if len(words) < 4 or not (words[3].isascii() and words[3].isdigit()):
        return None
    kind, payload_type = words[0].lower(), int(words[3])
    encoding, clock_rate = _STATIC.get(payload_type, ("", 90000))
    parameters: dict[str, str] = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        subject, _, rest = value.strip().partition(" ")
        if subject != str(payload_type):
            continue
        if name.lower() == "a=rtpmap":
            parts = rest.strip().split("/")
            encoding = parts[0].strip().upper()
            clock_rate = (
                int(parts[1]) if len(parts) > 1 and parts[1].isdigit() and 0 < int(parts[1]) < 10**9 else clock_rate
            )
        elif name.lower() == "a=fmtp":
            for part in rest.split(";"):
                key, _, text = part.strip().partition("=")
                if key:
                    parameters[key.strip().lower()] = text.strip()
    return Media(kind, payload_type, encoding, clock_rate, _attribute(lines[1:], "control"), parameters)


def resolve_control(base: str, control: str) -> str:
    """The URL to set up: `control` as it is when absolute, else below `base` (Content-Base, Content-Location or the
    request's URL, RFC 2326 C.1.1). `*` and an empty control mean the base itself.
    """
    if not control or control == "*":
        return base
    if "://" in control.split("?", 1)[0]:
        return control
    parts = urlsplit(base)
    if control.startswith("/"):
        return urlunsplit((parts.scheme, parts.netloc, control, "", ""))
    # Cameras append a relative control to the whole base, its query included; RFC 3986 would replace the last segment.
    return base + control if base.endswith("/") else f"{base}/{control}"


def on_same_host(url: str, reference: str) -> str:
    """`url` with the host and port of `reference`.

    Cameras behind NAT name hosts that cannot be reached; on one open connection the host in a URL is only a name, and
    ours is the one that digest answers were computed for.
    """
    return urlunsplit(urlsplit(url)._replace(scheme=urlsplit(reference).scheme, netloc=urlsplit(reference).netloc))
