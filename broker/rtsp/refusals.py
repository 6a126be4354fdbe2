"""A camera's refusals in words: what an RTSP status means for a person, and what helps.

Belongs here: statuses in, `SourceFailure` out. Does not belong here: what is tried next (`session`, `play`).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from broker.errors import (
    SourceFailure,
    SourceRefused,
    SourceSpokeNonsense,
    SourceUnauthorised,
    StreamMoved,
    TransportRefused,
)
from broker.rtsp.messages import Response
from broker.sources.notation import RtspSource
from mesh.redact import redact

REDIRECTS = frozenset({301, 302, 303, 305, 307, 308})
# Answers to SETUP and PLAY that a wrong URL may have caused.
WRONG_URL = frozenset({400, 404, 405, 451, 455, 459, 460, 500})
# Answers to SETUP that say nothing of the transport; any other may be meant of it.
_NOT_OF_TRANSPORT = frozenset({401, 403, 404, 453, 454, 503})


def refusal(source: RtspSource, method: str, answer: Response) -> SourceFailure:
    """What an answer other than 200 means."""
    thing = source.thing
    path = urlsplit(source.url).path or "/"
    said = redact(f"{answer.status} {answer.reason}".strip()[:120])
    if answer.status in REDIRECTS:
        return _moved(source, answer)
    match answer.status:
        case 403:
            return SourceUnauthorised(thing, "forbids this stream to this user", "Give the user that right.")
        case 404 | 410:
            return SourceRefused(thing, f"has no stream at the path {path!r}", "Correct the path in the source.")
        case 461:
            return TransportRefused(thing, "does not offer this transport")
        case 453 | 503:
            return SourceRefused(thing, f"serves no further viewer now ({said})", "Close other connections to it.")
        case 454:
            return SourceFailure(thing, "no longer knows our session", "The broker connects again by itself.")
    if method == "SETUP" and answer.status not in _NOT_OF_TRANSPORT:
        return TransportRefused(thing, f"answered {method} with {said!r}")
    return SourceRefused(thing, f"answered {method} with {said!r}")


def unauthorised(source: RtspSource, has_credentials: bool) -> SourceUnauthorised:
    """What a 401 means that cannot be answered."""
    if not has_credentials:
        # Not a whole URL: its credentials would be taken out of this very text.
        remedy = "Put them into the source, in front of the host: USER:PASSWORD@HOST."
        return SourceUnauthorised(source.thing, "asks for a user and a password", remedy)
    return SourceUnauthorised(
        source.thing, "refuses the user or the password", "Correct the credentials in the source."
    )


def nonsense(source: RtspSource, received: bytes) -> SourceSpokeNonsense:
    """The failure for a peer that is no RTSP server; its first bytes tell a human what it may be."""
    if received[:1] in (b"\x15", b"\x16") and received[1:2] == b"\x03":
        return SourceSpokeNonsense(source.thing, "does not speak RTSP (it speaks TLS)", "Try rtsps:// instead.")
    start = received[:24].decode("ascii", "replace").split("\r")[0].split("\n")[0]
    shown = "".join(c if c.isprintable() else "." for c in start)
    return SourceSpokeNonsense(
        source.thing, f"does not speak RTSP (it said {shown!r})", "Check the port; RTSP is usually on 554."
    )


def _moved(source: RtspSource, answer: Response) -> SourceFailure:
    location = answer.headers.get("Location")
    if not location:
        return SourceRefused(source.thing, "has moved the stream and does not say where to", "Ask its administrator.")
    target = redact(location)[:200]
    remedy = "Give that URL as the source."
    return StreamMoved(
        source.thing, f"has moved the stream to {target!r}", remedy, location=location, is_proxy=answer.status == 305
    )
