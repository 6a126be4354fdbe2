"""A camera's life, event by event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.camera import (
    RETRIED_STATES,
    Announce,
    CameraMachine,
    Connect,
    Connected,
    Disconnect,
    Event,
    Failed,
    FrameArrived,
    Reconfigured,
    Started,
    Stopped,
    TimePassed,
    Timing,
)
from trueframe.v1.cameras_pb2 import (
    CAMERA_STATE_CONNECTING,
    CAMERA_STATE_DISABLED,
    CAMERA_STATE_ENDED,
    CAMERA_STATE_LIVE,
    CAMERA_STATE_LOST,
    CAMERA_STATE_REFUSED,
    CAMERA_STATE_SILENT,
    CAMERA_STATE_UNAUTHORISED,
)

S = 1_000_000_000


def machine(timing: Timing | None = None) -> CameraMachine:
    return CameraMachine(timing or Timing(), jitter=lambda: 0.5)


def live_machine() -> CameraMachine:
    camera = machine()
    for event in (Started(False), Connected(), FrameArrived()):
        camera.handle(event, 0)
    return camera


def test_a_new_camera_connects_and_becomes_live_with_its_first_frame() -> None:
    camera = machine()
    assert camera.handle(Started(False), 0) == [Announce(CAMERA_STATE_CONNECTING, ""), Connect()]
    assert camera.handle(Connected(), S) == []
    assert camera.handle(FrameArrived(), S) == [Announce(CAMERA_STATE_LIVE, "")]


def test_a_disabled_camera_makes_no_connection_until_it_is_enabled() -> None:
    camera = machine()
    assert camera.handle(Started(True), 0) == [Announce(CAMERA_STATE_DISABLED, "")]
    assert camera.wake_at_ns(0) is None
    assert Connect() in camera.handle(Reconfigured(False), S)


@pytest.mark.parametrize("state", [CAMERA_STATE_LOST, CAMERA_STATE_REFUSED, CAMERA_STATE_UNAUTHORISED])
def test_a_failure_is_told_and_retried(state: int) -> None:
    camera = machine()
    camera.handle(Started(False), 0)
    assert camera.handle(Failed(state, "why"), S) == [Announce(state, "why")]
    due = camera.wake_at_ns(0)
    assert due is not None
    assert camera.handle(TimePassed(0), due - 1) == []
    assert camera.handle(TimePassed(0), due) == [Connect()]


def test_the_same_failure_again_is_not_told_again() -> None:
    camera = machine()
    camera.handle(Started(False), 0)
    camera.handle(Failed(CAMERA_STATE_LOST, "why"), 0)
    camera.handle(TimePassed(0), 100 * S)
    assert camera.handle(Failed(CAMERA_STATE_LOST, "why"), 101 * S) == []


def test_the_wait_doubles_up_to_its_bound_and_starts_anew_after_a_stable_connection() -> None:
    camera = machine(Timing(lost_first_s=1.0, lost_last_s=8.0))
    camera.handle(Started(False), 0)
    waits: list[float] = []
    now = 0
    for _ in range(6):
        camera.handle(Failed(CAMERA_STATE_LOST, "why"), now)
        due = camera.wake_at_ns(0)
        assert due is not None
        waits.append((due - now) / S)
        now = due
        camera.handle(TimePassed(0), now)
    assert waits == [0.75, 1.5, 3.0, 6.0, 6.0, 6.0]
    camera.handle(Connected(), now)
    camera.handle(FrameArrived(), now)
    camera.handle(Failed(CAMERA_STATE_LOST, "why"), now + 60 * S)
    assert camera.wake_at_ns(0) == now + 60 * S + round(0.75 * S)


def test_a_camera_that_flaps_waits_longer_each_time() -> None:
    camera = machine(Timing(lost_first_s=1.0))
    camera.handle(Started(False), 0)
    for _ in range(2):
        camera.handle(Connected(), 0)
        camera.handle(FrameArrived(), 0)
        camera.handle(Failed(CAMERA_STATE_LOST, "why"), S)
        due = camera.wake_at_ns(0)
        assert due is not None
        camera.handle(TimePassed(0), due)
    assert due - S == round(1.5 * S)


def test_silence_is_told_and_the_connection_made_anew() -> None:
    camera = live_machine()
    assert camera.wake_at_ns(3 * S) == 8 * S
    assert camera.handle(TimePassed(3 * S), 7 * S) == []
    decisions = camera.handle(TimePassed(3 * S), 8 * S)
    assert decisions[0] == Disconnect(is_silent=True)
    assert camera.state == CAMERA_STATE_SILENT
    due = camera.wake_at_ns(3 * S)
    assert due is not None
    assert camera.handle(TimePassed(3 * S), due) == [Connect()]


def test_a_connection_that_never_gives_a_frame_is_silent_too() -> None:
    camera = machine()
    camera.handle(Started(False), 0)
    assert camera.wake_at_ns(0) is None
    camera.handle(Connected(), 2 * S)
    assert camera.handle(TimePassed(0), 7 * S)[0] == Disconnect(is_silent=True)


def test_a_file_that_ended_is_left_alone_until_it_is_changed() -> None:
    camera = live_machine()
    assert camera.handle(Failed(CAMERA_STATE_ENDED, "played"), S) == [Announce(CAMERA_STATE_ENDED, "played")]
    assert camera.wake_at_ns(0) is None
    assert Connect() in camera.handle(Reconfigured(False), 2 * S)


def test_a_change_of_source_ends_the_connection_and_makes_another() -> None:
    camera = live_machine()
    assert camera.handle(Reconfigured(False), S) == [Disconnect(), Announce(CAMERA_STATE_CONNECTING, ""), Connect()]


def test_news_of_an_attempt_that_was_given_up_changes_nothing() -> None:
    camera = live_machine()
    camera.handle(Reconfigured(True), S)
    for late in (Failed(CAMERA_STATE_LOST, "late"), FrameArrived(), Connected()):
        assert camera.handle(late, 2 * S) == []
    assert camera.state == CAMERA_STATE_DISABLED


EVENTS = st.one_of(
    st.just(Connected()),
    st.just(FrameArrived()),
    st.sampled_from([CAMERA_STATE_LOST, CAMERA_STATE_REFUSED, CAMERA_STATE_UNAUTHORISED]).map(lambda s: Failed(s, "x")),
    st.just(TimePassed(0)),
    st.booleans().map(Reconfigured),
)


@given(st.lists(st.tuples(EVENTS, st.integers(0, 200 * S)), max_size=60), st.floats(0, 1, exclude_max=True))
def test_whatever_happens_a_camera_always_has_an_attempt_under_way_or_due(
    story: list[tuple[Event, int]], jitter: float
) -> None:
    camera = CameraMachine(Timing(), jitter=lambda: jitter)
    open_attempts = 0
    now = 0
    for event, passed in [(Started(False), 0), *story]:
        now += passed
        before = open_attempts
        decisions = camera.handle(event, now)
        if isinstance(event, Failed):
            open_attempts = 0
        for decision in decisions:
            open_attempts += isinstance(decision, Connect) - isinstance(decision, Disconnect)
        assert open_attempts in (0, 1), (event, before, decisions)
        if camera.state in RETRIED_STATES:
            assert open_attempts == 1 or camera.wake_at_ns(0) is not None
        elif camera.state == CAMERA_STATE_DISABLED:
            assert open_attempts == 0
    camera.handle(Stopped(), now)
    assert camera.wake_at_ns(0) is None


def silence_of(camera: CameraMachine, now: int) -> float:
    """Seconds from a connection that gives nothing to its end."""
    camera.handle(Connected(), now)
    due = camera.wake_at_ns(now)
    assert due is not None
    assert camera.handle(TimePassed(now), due)[0] == Disconnect(is_silent=True)
    return (due - now) / S


def test_a_connection_that_gives_nothing_is_waited_for_longer_each_time_up_to_a_minute() -> None:
    camera = machine()
    camera.handle(Started(False), 0)
    waits: list[float] = []
    now = 0
    for _ in range(6):
        waits.append(silence_of(camera, now))
        now += round(waits[-1] * S)
        retry = camera.wake_at_ns(now)
        assert retry is not None
        now = retry
        assert camera.handle(TimePassed(0), now) == [Connect()]
    assert waits == [5, 10, 20, 40, 60, 60]
    camera.handle(Connected(), now)
    camera.handle(FrameArrived(), now)
    due = camera.wake_at_ns(now)
    assert due == now + 5 * S, "a camera that was seen is missed at once"
    camera.handle(TimePassed(now), due)
    camera.handle(TimePassed(0), due + 100 * S)
    assert silence_of(camera, due + 100 * S) == 5
