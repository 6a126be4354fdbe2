"""Session descriptions (RFC 4566), as far as RTSP cameras use them.

Belongs here: text in, media descriptions out, and the resolution of control URLs. Does not belong here: the choice of
a codec that the broker can carry (see `session`).
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

MAX_BYTES = 64 * 1024
MAX_LINES = 4096
_MAX_SETS = 32

# Static payload types of RFC 3551 that a camera may name without an rtpmap.
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000), 26: ("JPEG", 90000), 32: ("MPV", 90000), 33: ("MP2T", 90000)}


_ALIASES = {"HEVC": "H265", "AVC": "H264", "MJPEG": "JPEG"}


class MalformedDescription(ValueError):
    """The text is not a session description."""


@dataclass(frozen=True, slots=True)
class Media:
    """One payload type of one `m=` section; `section` counts those from 0."""

    kind: str
    payload_type: int
    encoding: str
    clock_rate: int
    control: str
    parameters: dict[str, str] = field(default_factory=dict)
    section: int = 0
    protocol: str = "RTP/AVP"
    frame_rate: float = 0.0
    """What it claims (`a=framerate`); 0 if it claims nothing that can be."""

    @property
    def parameter_sets(self) -> list[bytes]:
        """Parameter sets of H.264 or H.265 as NAL units; what is not base64 is left out.

        H.264: `sprop-parameter-sets` (RFC 6184, 8.1); H.265: VPS, SPS, PPS in this order (RFC 7798, 7.1).
        """
        names = ("sprop-vps", "sprop-sps", "sprop-pps") if self.encoding == "H265" else ("sprop-parameter-sets",)
        found: list[bytes] = []
        for text in [text for name in names for text in self.parameters.get(name, "").split(",")]:
            text = text.strip().strip('"')
            try:
                nal = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
            except (binascii.Error, ValueError):
                continue
            # Some write the start code in front of it.
            nal = nal[4:] if nal[:4] == b"\0\0\0\1" else nal[3:] if nal[:3] == b"\0\0\1" else nal
            if nal and len(found) < _MAX_SETS:
                found.append(nal)
        return found


@dataclass(frozen=True, slots=True)
class Description:
    """A whole session: its control URL (may be empty) and its media, in order."""

    control: str
    media: tuple[Media, ...]


def parse_sdp(body: bytes) -> Description:
    """Reads a session description; unknown lines are skipped. Raises MalformedDescription if it is none."""
    if len(body) > MAX_BYTES:
        raise MalformedDescription(f"{len(body)} bytes, more than {MAX_BYTES}")
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
    return Description(control, tuple(m for number, s in enumerate(sections[1:]) for m in _media(s, number)))


def _attribute(lines: list[str], name: str) -> str:
    prefix = f"a={name}:"
    return next((line[len(prefix) :].strip() for line in lines if line.lower().startswith(prefix)), "")


def control_urls(base: str, asked: str, session_control: str, media: Media, is_only: bool) -> list[str]:
    """The URLs that `media` may be set up at, best first; all but the first are for cameras that err.

    `base`: Content-Base, Content-Location or the URL asked for; `asked`: the URL that was described.
    """
    # RFC 2326 C.1.1 resolves against Content-Base, and session-level control only names the aggregate; but an absolute
    # session control is what some cameras mean media controls to be below.
    bases = [session_control] if "://" in session_control else []
    bases += [base, asked]
    found = [resolve_control(each, media.control) for each in bases if _is_url(each)]
    if "?" in asked:
        # A query belongs to the stream for some, to the page for others.
        found.append(resolve_control(asked.partition("?")[0], media.control))
    if not media.control and not is_only:
        number = media.section + 1
        names = (f"trackID={number}", f"track{number}", f"streamid={media.section}", f"trackID={media.section}")
        found += [resolve_control(asked, name) for name in names]
    return list(dict.fromkeys(on_same_host(url, asked) for url in found if _is_url(url)))


def _is_url(text: str) -> bool:
    """Whether it can be taken apart: cameras write hosts in brackets that are no addresses."""
    try:
        urlsplit(text)
    except ValueError:
        return False
    return True


def _media(lines: list[str], section: int) -> list[Media]:
    """The payload types of one section, in the order of preference that it gives them."""
    words = lines[0][2:].split()
    if len(words) < 4:
        return []
    control = _attribute(lines[1:], "control")
    claimed = _frame_rate(_attribute(lines[1:], "framerate"))
    found = []
    for number in dict.fromkeys(int(word) for word in words[3:] if word.isascii() and word.isdigit() and len(word) < 4):
        encoding, clock_rate, parameters = _coding(lines[1:], number)
        found.append(
            Media(
                words[0].lower(), number, encoding, clock_rate, control, parameters, section, words[2].upper(), claimed
            )
        )
    return found


def _frame_rate(text: str) -> float:
    try:
        rate = float(text.strip()[:40])
    except ValueError:
        return 0.0
    return rate if 0 < rate <= 1000 else 0.0


def _coding(lines: list[str], payload_type: int) -> tuple[str, int, dict[str, str]]:
    """Encoding, clock rate and format parameters of one payload type."""
    encoding, clock_rate = _STATIC.get(payload_type, ("", 90000))
    parameters: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        subject, _, rest = value.strip().partition(" ")
        if subject != str(payload_type):
            continue
        if name.strip().lower() == "a=rtpmap":
            parts = rest.strip().split("/")
            encoding = parts[0].strip().upper()
            rate = parts[1].strip() if len(parts) > 1 else ""
            clock_rate = int(rate) if rate.isascii() and rate.isdigit() and 0 < len(rate) < 10 and int(rate) else 90000
        elif name.strip().lower() == "a=fmtp":
            for part in rest.split(";"):
                key, _, text = part.strip().partition("=")
                if key:
                    parameters[key.strip().lower()] = text.strip()
    return _ALIASES.get(encoding, encoding) or _guessed(parameters), clock_rate, parameters


def _guessed(parameters: dict[str, str]) -> str:
    """The encoding of a dynamic payload type whose rtpmap was forgotten."""
    if "sprop-sps" in parameters or "sprop-vps" in parameters:
        return "H265"
    return "H264" if "sprop-parameter-sets" in parameters or "packetization-mode" in parameters else ""


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
