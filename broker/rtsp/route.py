"""Where a camera's stream is looked for after the camera has named another place (RFC 2326, 11.3 and 10.10).

Belongs here: redirects in, the next source out; bounds, loops, and who may see the credentials. Pure. Does not belong
here: connections (`play`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from urllib.parse import urljoin, urlsplit

from broker.errors import SourceRefused, StreamMoved
from broker.sources.notation import RtspSource, parse_source
from mesh.errors import InvalidArgument
from mesh.redact import redact

MOST_MOVES = 5
_WITHIN_NS = 60_000_000_000


class Route:
    """The way to one camera's stream. `source` is where it is looked for now."""

    def __init__(self, source: RtspSource) -> None:
        self._first = source
        self.source = source
        # When, and where it was then.
        self._moves: deque[tuple[int, str]] = deque(maxlen=MOST_MOVES)

    def follow(self, moved: StreamMoved, now_ns: int) -> None:
        """Goes where the camera says; `now_ns` is monotonic. Raises SourceRefused if that leads nowhere or in circles.

        Five moves within a minute are too many; so is a place that was left within that minute.
        """
        while self._moves and now_ns - self._moves[0][0] > _WITHIN_NS:
            self._moves.popleft()
        here = _place(self.source)
        there = self._target(moved)
        if len(self._moves) == MOST_MOVES:
            raise SourceRefused(
                self._first.thing, f"moved its stream {MOST_MOVES} times within a minute", "Give the last place."
            )
        if moved.location and _place(there) in [here, *(place for _, place in self._moves)]:
            reason = f"moves its stream in circles, back to {redact(there.url)!r}"
            raise SourceRefused(self._first.thing, reason, "Check the camera.")
        self._moves.append((now_ns, here))
        self.source = there

    def _target(self, moved: StreamMoved) -> RtspSource:
        if not moved.location:
            return self._first
        location = _absolute(self.source.url, moved.location)
        shown = redact(location)[:200]
        try:
            there = parse_source(location, tls_sha256=self._first.tls_sha256 if _is_tls(location) else "")
        except InvalidArgument as error:
            raise SourceRefused(
                self._first.thing, f"has moved the stream to {shown!r}, which {error.reason}"
            ) from error
        if not isinstance(there, RtspSource):
            reason = f"has moved the stream to {shown!r}, which is not RTSP"
            raise SourceRefused(self._first.thing, reason, "Give that URL as the source, if it is wanted.")
        if self._first.is_tls and not there.is_tls:
            reason = f"has moved the stream to {shown!r}, which is not encrypted"
            raise SourceRefused(self._first.thing, reason, "Give that URL as the source, if that is wanted.")
        is_same_host = there.host.lower() == self._first.host.lower()
        there = replace(
            there,
            # Another host learns nothing of a password that was given for this one.
            credentials=there.credentials or (self._first.credentials if is_same_host else None),
            transport=there.transport if there.is_tls else self._first.transport,
        )
        # A proxy is asked for the stream under its old name.
        return replace(there, url=self.source.url) if moved.is_proxy else there


def _absolute(base: str, location: str) -> str:
    if "://" in location:
        return location
    # urljoin knows no rtsp://.
    scheme, _, rest = base.partition("://")
    return urljoin(f"http://{rest}", location).replace("http", scheme, 1)


def _is_tls(location: str) -> bool:
    return urlsplit(location).scheme.lower() == "rtsps"


def _place(source: RtspSource) -> str:
    return f"{source.host.lower()}:{source.port} {source.url}"
