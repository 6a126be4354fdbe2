"""One camera's life as a pure state machine: events in, decisions out.

Belongs here: which state a camera is in, when to connect, when to give up, how long to wait. Does not belong here:
sockets, tasks, clocks (times come in as integers), texts of failures.

    DISABLED ──enable──▶ CONNECTING ──first frame──▶ LIVE ──nothing for silent_after──▶ SILENT
        ▲                    │ failure                │  ▲ │ failure                       │
        └──disable── any     │             same bytes ▼  │ │                               │
                             │                       FROZEN│                               │
                             └───────▶ LOST / REFUSED / UNAUTHORISED / SILENT / ENDED ◀────┘

Every state but DISABLED and ENDED holds a promise to try again: either an attempt is under way, or a retry is due. A
failure state stays until a frame arrives, so that its duration tells how long the picture was missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from broker.kinds import State
from trueframe.v1 import cameras_pb2
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_CONNECTING,
    CAMERA_STATE_DISABLED,
    CAMERA_STATE_ENDED,
    CAMERA_STATE_FROZEN,
    CAMERA_STATE_LIVE,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_SILENT,
    CAMERA_STATE_UNAUTHORISED,
)

_NS = 1_000_000_000
_FROZEN = "The same picture comes again and again, noise included. Restart the camera or its encoder."
# Frames arrive.
PLAYING_STATES = frozenset({CAMERA_STATE_LIVE, CAMERA_STATE_FROZEN})


def state_name(state: State) -> str:
    """The state as one lower-case word: "live", "unauthorised"."""
    return cameras_pb2.CameraState.Name(state).removeprefix("CAMERA_STATE_").lower()


# ---- events in ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """The camera was loaded or added."""

    is_disabled: bool


@dataclass(frozen=True, slots=True)
class Reconfigured:
    """Its source or enablement changed."""

    is_disabled: bool


@dataclass(frozen=True, slots=True)
class Connected:
    """The attempt succeeded: the camera said that it plays."""


@dataclass(frozen=True, slots=True)
class FrameArrived:
    """The first frame of a connection."""


@dataclass(frozen=True, slots=True)
class PictureFroze:
    """Frames arrive, and it is proven that they show the same picture, noise included."""


@dataclass(frozen=True, slots=True)
class PictureMoved:
    """It is another picture again."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt or the connection ended. `state` is one of LOST, SILENT, REFUSED, UNAUTHORISED, ENDED."""

    state: State
    detail: str


@dataclass(frozen=True, slots=True)
class TimePassed:
    """A wake-up that was asked for, or any other. `last_frame_ns`: monotonic time of the newest frame; 0 if none."""

    last_frame_ns: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """The broker is shutting down, or the camera was removed."""


Event: TypeAlias = (
    Started | Reconfigured | Connected | FrameArrived | PictureFroze | PictureMoved | Failed | TimePassed | Stopped
)


# ---- decisions out --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Connect:
    """Begin an attempt. At most one is under way."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """End the attempt or connection, and its epoch; `is_silent` gives the reason."""

    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class Announce:
    """The state changed, or its detail did."""

    state: State
    detail: str


Decision: TypeAlias = Connect | Disconnect | Announce


@dataclass(frozen=True, slots=True)
class Timing:
    """Waits in seconds. A back-off doubles from `first` up to `last` with every failure in a row.

    So does the patience with a connection that gives nothing, from `silent_after` up to `silent_last`: there are
    cameras that begin with their next key frame, half a minute away, and would never be seen otherwise.
    """

    silent_after_s: float = 5.0
    silent_last_s: float = 60.0
    stable_after_s: float = 10.0
    lost_first_s: float = 0.25
    lost_last_s: float = 10.0
    refused_first_s: float = 2.0
    refused_last_s: float = 30.0
    unauthorised_first_s: float = 10.0
    unauthorised_last_s: float = 120.0

    def back_off_s(self, state: State, failures: int) -> float:
        """The longest wait before the next attempt after so many failures in a row (from 1)."""
        first, last = {
            CAMERA_STATE_REFUSED: (self.refused_first_s, self.refused_last_s),
            CAMERA_STATE_UNAUTHORISED: (self.unauthorised_first_s, self.unauthorised_last_s),
        }.get(state, (self.lost_first_s, self.lost_last_s))
        return min(last, first * 2.0 ** min(failures - 1, 32))


class CameraMachine:
    """The state of one camera. `jitter()` gives a number in [0, 1)."""

    def __init__(self, timing: Timing, jitter: Callable[[], float]) -> None:
        self._timing = timing
        self._jitter = jitter
        self.state: State = CAMERA_STATE_CONNECTING
        self.detail = ""
        self._failures = 0
        # Connections in a row that gave nothing at all.
        self._silences = 0
        self._is_attempting = False
        self._connected_ns: int | None = None
        self._live_since_ns: int | None = None
        self._retry_at_ns: int | None = None

    def handle(self, event: Event, now_ns: int) -> list[Decision]:
        """Takes one event at monotonic time `now_ns` and returns what to do, in order."""
        match event:
            case Started(is_disabled=is_disabled) | Reconfigured(is_disabled=is_disabled):
                return self._restart(is_disabled, now_ns)
            case Connected() if self._is_attempting:
                self._connected_ns = now_ns
                return []
            case FrameArrived() if self._is_attempting:
                return self._live(now_ns)
            case PictureFroze() if self._is_attempting and self.state == CAMERA_STATE_LIVE:
                return self._announce(CAMERA_STATE_FROZEN, _FROZEN)
            case PictureMoved() if self._is_attempting and self.state == CAMERA_STATE_FROZEN:
                return self._announce(CAMERA_STATE_LIVE, "")
            case Failed() if self._is_attempting:
                return self._failed(event, now_ns)
            case TimePassed():
                return self._time_passed(event.last_frame_ns, now_ns)
            case Stopped():
                return self._stop()
            case _:
                return []  # News of an attempt that was given up meanwhile.

    def wake_at_ns(self, last_frame_ns: int) -> int | None:
        """When to send the next TimePassed; None if nothing is due."""
        if self._is_attempting:
            return self._silent_at_ns(last_frame_ns)
        return self._retry_at_ns

    def _silent_at_ns(self, last_frame_ns: int) -> int | None:
        if self._connected_ns is None:
            return None
        patience_s = self._timing.silent_after_s
        if self._live_since_ns is None:
            patience_s = max(patience_s, min(self._timing.silent_last_s, patience_s * 2.0 ** min(self._silences, 32)))
        return max(self._connected_ns, last_frame_ns) + round(patience_s * _NS)

    def _restart(self, is_disabled: bool, now_ns: int) -> list[Decision]:
        decisions: list[Decision] = [Disconnect()] if self._is_attempting else []
        self._reset()
        self._failures = self._silences = 0
        if is_disabled:
            return [*decisions, *self._announce(CAMERA_STATE_DISABLED, "")]
        return [*decisions, *self._announce(CAMERA_STATE_CONNECTING, ""), *self._attempt()]

    def _attempt(self) -> list[Decision]:
        self._reset()
        self._is_attempting = True
        return [Connect()]

    def _live(self, now_ns: int) -> list[Decision]:
        self._live_since_ns = now_ns
        self._silences = 0
        if self._connected_ns is None:
            self._connected_ns = now_ns
        return self._announce(CAMERA_STATE_LIVE, "")

    def _failed(self, event: Failed, now_ns: int) -> list[Decision]:
        if event.state == CAMERA_STATE_ENDED:
            self._reset()
            return self._announce(CAMERA_STATE_ENDED, event.detail)
        self._wait(event.state, now_ns)
        return self._announce(event.state, event.detail)

    def _wait(self, state: State, now_ns: int) -> None:
        was_stable = (
            self._live_since_ns is not None and now_ns - self._live_since_ns >= self._timing.stable_after_s * _NS
        )
        self._failures = 1 if was_stable else self._failures + 1
        self._reset()
        # Between half and the whole wait, so that a hundred cameras behind one switch do not come back as one.
        wait_s = self._timing.back_off_s(state, self._failures) * (0.5 + 0.5 * self._jitter())
        self._retry_at_ns = now_ns + round(wait_s * _NS)

    def _time_passed(self, last_frame_ns: int, now_ns: int) -> list[Decision]:
        if self._is_attempting:
            silent_at_ns = self._silent_at_ns(last_frame_ns)
            if silent_at_ns is None or now_ns < silent_at_ns:
                return []
            # A half-open connection looks the same as a camera that has nothing to say: only a new one tells.
            self._silences += self._live_since_ns is None
            self._wait(CAMERA_STATE_SILENT, now_ns)
            seconds = f"{self._timing.silent_after_s:g}"
            detail = f"Connected, and no frame for {seconds} s. The broker connects again by itself."
            return [Disconnect(is_silent=True), *self._announce(CAMERA_STATE_SILENT, detail)]
        if self._retry_at_ns is not None and now_ns >= self._retry_at_ns:
            return self._attempt()
        return []

    def _stop(self) -> list[Decision]:
        decisions: list[Decision] = [Disconnect()] if self._is_attempting else []
        self._reset()
        return decisions

    def _reset(self) -> None:
        self._is_attempting = False
        self._connected_ns = self._live_since_ns = self._retry_at_ns = None

    def _announce(self, state: State, detail: str) -> list[Decision]:
        if (state, detail) == (self.state, self.detail) and state != CAMERA_STATE_CONNECTING:
            return []
        self.state, self.detail = state, detail
        return [Announce(state, detail)]


RETRIED_STATES = frozenset(
    {CAMERA_STATE_CONNECTING, CAMERA_STATE_LIVE, CAMERA_STATE_FROZEN, CAMERA_STATE_SILENT}
    | {CAMERA_STATE_LOST, CAMERA_STATE_REFUSED, CAMERA_STATE_UNAUTHORISED}
)
