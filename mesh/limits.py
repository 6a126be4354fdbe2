"""What one caller may ask: calls a second, streams at once, bytes of a request. Pure: the time is an argument.

Calls are of three classes: `read` and `change` by the verb that their name begins with, `stream` by their form. The
role service is trusted with rates and streams: it is trueframe itself. What does not belong here: who the caller is,
and how a refusal reaches them (`mesh.interceptor`).
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict
from enum import StrEnum

from mesh.config_security import LimitsConfig
from mesh.errors import ResourceExhausted
from mesh.metrics import counter
from mesh.roles import Role

RETRY_METADATA_KEY = "retry-after-ms"
_READING_VERBS = (
    "Check", "Count", "Diff", "Explain", "Find", "Get", "List", "Locate", "Plan", "Read", "Search", "Watch",
)  # fmt: skip
# Callers whose past calls are remembered; the one who was away longest is forgotten, and then has a full bucket anyway.
_MAX_CALLERS = 4096

_limited = counter("rpc_limited", "Calls refused by a limit.", ("call_class", "limit"))


class CallClass(StrEnum):
    """What kind of call it is."""

    READ = "read"
    CHANGE = "change"
    STREAM = "stream"


class TooMuch(ResourceExhausted):
    """A limit of this caller was reached. `retry_after_s`: when to try again; None if that would not help."""

    def __init__(self, thing: str, reason: str, remedy: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(thing, reason, remedy)
        self.retry_after_s = retry_after_s


def class_of(method: str, *, is_stream: bool) -> CallClass:
    """The class of "/package.Service/Method"."""
    if is_stream:
        return CallClass.STREAM
    return CallClass.READ if method.rpartition("/")[2].startswith(_READING_VERBS) else CallClass.CHANGE


class TokenBucket:
    """Allows `burst` at once and `per_s` in the long run."""

    __slots__ = ("_at_s", "_burst", "_level", "_per_s")

    def __init__(self, per_s: float, burst: float, now_s: float) -> None:
        self._per_s, self._burst, self._level, self._at_s = per_s, burst, burst, now_s

    def take(self, now_s: float) -> float:
        """Takes one; 0 if there was one, else the seconds until there is."""
        self._level = min(self._burst, self._level + max(0.0, now_s - self._at_s) * self._per_s)
        self._at_s = now_s
        if self._level >= 1.0:
            self._level -= 1.0
            return 0.0
        return (1.0 - self._level) / self._per_s


class CallerLimits:
    """The limits of one server, for all of its callers."""

    def __init__(self, config: LimitsConfig) -> None:
        self._config = config
        self._rates = {
            CallClass.READ: (config.reads_per_s, config.reads_burst),
            CallClass.CHANGE: (config.changes_per_s, config.changes_burst),
            CallClass.STREAM: (config.streams_per_s, config.streams_burst),
        }
        self._buckets: OrderedDict[tuple[str, CallClass], TokenBucket] = OrderedDict()
        self._streams: Counter[str] = Counter()

    def max_bytes(self, call_class: CallClass) -> int:
        """Largest message that a caller may send in a call of this class."""
        if call_class is CallClass.READ:
            return self._config.max_read_bytes
        if call_class is CallClass.CHANGE:
            return self._config.max_change_bytes
        return self._config.max_stream_message_bytes

    def too_large(self, call_class: CallClass, size_bytes: int) -> TooMuch:
        """What the sender of a message beyond `max_bytes` is told."""
        _limited.labels(call_class, "bytes").inc()
        return TooMuch("request", f"has {size_bytes} bytes; {self.max_bytes(call_class)} are allowed here")

    def admit(self, caller: str, role: Role, call_class: CallClass, now_s: float) -> None:
        """Counts a call. Raises TooMuch."""
        if role is Role.SERVICE:
            return
        key = caller, call_class
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(*self._rates[call_class], now_s)
            if len(self._buckets) > _MAX_CALLERS * len(CallClass):
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        if wait_s := bucket.take(now_s):
            _limited.labels(call_class, "rate").inc()
            raise TooMuch(
                f"calls of {caller!r}",
                f"come faster than {self._rates[call_class][0]:g} a second",
                f"Try again in {math.ceil(wait_s * 1000)} ms.",
                wait_s,
            )

    def stream_opened(self, caller: str, role: Role) -> None:
        """Counts an open stream; `stream_closed` has to follow. Raises TooMuch."""
        if role is not Role.SERVICE and self._streams[caller] >= self._config.max_streams:
            _limited.labels(CallClass.STREAM, "streams").inc()
            raise TooMuch(
                f"streams of {caller!r}", f"are {self._config.max_streams} already", "Close one first.", 1.0
            )  # fmt: skip
        self._streams[caller] += 1

    def stream_closed(self, caller: str) -> None:
        """Counts back."""
        self._streams[caller] -= 1
        if self._streams[caller] <= 0:
            del self._streams[caller]
