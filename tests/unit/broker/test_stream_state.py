"""What a client remembers so that its stream goes on without a seam."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from broker.core import BatchReader, WireFrame, encode_frame
from broker.stream_state import Retry, Selection, Start, StreamState
from mesh.errors import Internal, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from mesh.ids import FrameId
from trueframe.v1.broker_pb2 import DELIVERY_KEYFRAMES, DELIVERY_LATEST, DELIVERY_UNSPECIFIED
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap


def frame(camera: str, epoch: int, seq: int) -> WireFrame:
    item = encode_frame(camera, epoch, seq, 1, 1, None, None, None, 2, 0, False, False, b"\0" * 32, b"x")
    found = next(BatchReader(item))
    assert isinstance(found, WireFrame)
    return found


def wanted(*cameras: str, starts: Mapping[str, Start] | None = None) -> Selection:
    return Selection.of(cameras, False, None, starts)


def test_the_first_request_says_what_was_asked() -> None:
    state = StreamState(wanted("gate", "yard", "gate", starts={"gate": FrameId("gate", 5, 7), "yard": 99}), "me")
    request = state.request()
    assert list(request.cameras) == ["gate", "yard"]
    assert request.subscriber == "me"
    assert (request.starts[0].after.epoch, request.starts[0].after.seq) == (5, 7)
    assert request.starts[1].received_ns == 99


def test_a_later_request_begins_behind_the_last_ids() -> None:
    state = StreamState(Selection.of([], True, None, {"gate": None}))
    for item in (frame("gate", 5, 0), frame("gate", 5, 1), frame("yard", 6, 3)):
        assert state.take(item)
    request = state.request()
    assert request.all_cameras
    assert [(s.camera, s.after.epoch, s.after.seq) for s in request.starts] == [("gate", 5, 1), ("yard", 6, 3)]


def test_begin_and_end_of_an_epoch_are_given_out_once() -> None:
    state = StreamState(wanted("gate"))
    assert state.take(EpochStarted(camera="gate", epoch=5))
    assert not state.take(EpochStarted(camera="gate", epoch=5))
    assert state.take(EpochEnded(camera="gate", epoch=5))
    assert not state.take(EpochEnded(camera="gate", epoch=5))
    assert state.take(EpochStarted(camera="gate", epoch=6))
    assert state.take(Gap(camera="gate"))
    assert state.take(Gap(camera="gate"))


def test_only_what_can_heal_is_tried_again() -> None:
    state = StreamState(wanted("gate"))
    assert state.is_transient(Unavailable("broker", "is away"))
    assert not state.is_transient(ResourceExhausted("subscription", "limit"))
    assert not state.is_transient(InvalidArgument("camera", "odd"))
    state.has_connected = True
    assert state.is_transient(ResourceExhausted("subscription", "limit"))
    assert state.is_transient(Internal("", "fault"))
    assert not state.is_transient(InvalidArgument("camera", "odd"))


def test_a_camera_removed_meanwhile_is_left_out_and_the_others_go_on() -> None:
    state = StreamState(wanted("gate", "yard"))
    missing = NotFound("camera 'gate'", "does not exist")
    assert not state.asks_about_missing(missing), "on the first connection that is the caller's mistake"
    state.has_connected = True
    assert state.asks_about_missing(missing)
    assert state.keep_only(["yard", "door"])
    assert list(state.request().cameras) == ["yard"]
    assert not state.keep_only(["door"])


def test_delivery_rate_and_limits_are_asked_for_again_behind_the_last_ids() -> None:
    state = StreamState(wanted("gate"), "wall", "keyframes", 0.5, 10, 1000)
    state.take(frame("gate", 5, 1))
    request = state.request()
    assert (request.delivery, request.max_rate) == (DELIVERY_KEYFRAMES, 0.5)
    assert (request.max_pending_items, request.max_pending_bytes) == (10, 1000)
    assert request.starts[0].after.seq == 1
    assert StreamState(wanted("gate"), delivery="latest").request().delivery == DELIVERY_LATEST


def test_what_cannot_be_meant_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(InvalidArgument, match="one text"):
        Selection.of("gate", False, None, None)
    with pytest.raises(InvalidArgument, match="lossless, latest, keyframes"):
        StreamState(wanted("gate"), delivery="newest")  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="negative"):
        StreamState(wanted("gate"), max_pending_items=-1)


def test_a_change_names_the_cameras_alone_and_the_next_call_has_them_too() -> None:
    state = StreamState(wanted("gate", "yard"), "wall", "latest")
    state.take(frame("gate", 5, 1))
    state.take(frame("yard", 5, 1))
    change = state.change(wanted("yard", "door", starts={"door": FrameId("door", 7, 3)}))
    assert list(change.cameras) == ["yard", "door"]
    assert change.delivery == DELIVERY_UNSPECIFIED
    assert [(s.camera, s.after.seq) for s in change.starts] == [("door", 3)]
    request = state.request()
    assert (list(request.cameras), request.subscriber) == (["yard", "door"], "wall")
    assert [(s.camera, s.after.seq) for s in request.starts] == [("door", 3), ("yard", 1)]


def test_a_camera_that_left_the_stream_and_comes_back_begins_live() -> None:
    state = StreamState(wanted("gate", "yard"))
    state.take(EpochStarted(camera="gate", epoch=5))
    state.take(frame("gate", 5, 1))
    state.change(wanted("yard"))
    state.change(wanted("yard", "gate"))
    assert list(state.request().starts) == []
    assert state.take(EpochStarted(camera="gate", epoch=5)), "the reader is told anew"


def test_a_camera_that_a_change_names_wrongly_is_not_left_out_in_silence() -> None:
    state = StreamState(wanted("gate"))
    state.has_connected = True
    state.change(wanted("gate", "nowhere"))
    assert not state.keep_only(["gate"])


def test_waits_double_up_to_a_bound_and_begin_anew_after_success() -> None:
    retry = Retry(None, 0.0)
    waits = [retry.wait_s(0.0) for _ in range(8)]
    assert all(wait is not None for wait in waits)
    assert 0.05 <= (waits[0] or 0) <= 0.1
    assert 1.0 <= (waits[-1] or 0) <= 2.0
    retry.worked()
    assert (retry.wait_s(0.0) or 9) <= 0.1


def test_whoever_waits_for_a_first_connection_gives_up_in_time() -> None:
    retry = Retry(1.0, 10.0)
    assert retry.wait_s(10.0) is not None
    assert retry.wait_s(10.99) is None
    retry.worked()
    assert retry.wait_s(99.0) is not None
