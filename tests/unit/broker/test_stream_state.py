"""What a client remembers so that its stream goes on without a seam."""

from __future__ import annotations

from broker.core import BatchReader, WireFrame, encode_frame
from broker.stream_state import StreamState
from mesh.errors import Internal, InvalidArgument, NotFound, ResourceExhausted, Unavailable
from mesh.ids import FrameId
from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Gap


def frame(camera: str, epoch: int, seq: int) -> WireFrame:
    item = encode_frame(camera, epoch, seq, 1, 1, None, None, None, 2, 0, False, False, b"\0" * 32, b"x")
    found = next(BatchReader(item))
    assert isinstance(found, WireFrame)
    return found


def test_the_first_request_says_what_was_asked() -> None:
    state = StreamState(["gate", "yard", "gate"], False, {"gate": FrameId("gate", 5, 7), "yard": 99}, "me")
    request = state.request()
    assert list(request.cameras) == ["gate", "yard"]
    assert request.subscriber == "me"
    assert (request.starts[0].after.epoch, request.starts[0].after.seq) == (5, 7)
    assert request.starts[1].received_ns == 99


def test_a_later_request_begins_behind_the_last_ids() -> None:
    state = StreamState([], True, {"gate": None}, "")
    for item in (frame("gate", 5, 0), frame("gate", 5, 1), frame("yard", 6, 3)):
        assert state.take(item)
    request = state.request()
    assert request.all_cameras
    assert [(s.camera, s.after.epoch, s.after.seq) for s in request.starts] == [("gate", 5, 1), ("yard", 6, 3)]


def test_begin_and_end_of_an_epoch_are_given_out_once() -> None:
    state = StreamState(["gate"], False, {}, "")
    assert state.take(EpochStarted(camera="gate", epoch=5))
    assert not state.take(EpochStarted(camera="gate", epoch=5))
    assert state.take(EpochEnded(camera="gate", epoch=5))
    assert not state.take(EpochEnded(camera="gate", epoch=5))
    assert state.take(EpochStarted(camera="gate", epoch=6))
    assert state.take(Gap(camera="gate"))
    assert state.take(Gap(camera="gate"))


def test_only_what_can_heal_is_tried_again() -> None:
    state = StreamState(["gate"], False, {}, "")
    assert state.is_transient(Unavailable("broker", "is away"))
    assert not state.is_transient(ResourceExhausted("subscription", "limit"))
    assert not state.is_transient(InvalidArgument("camera", "odd"))
    state.has_connected = True
    assert state.is_transient(ResourceExhausted("subscription", "limit"))
    assert state.is_transient(Internal("", "fault"))
    assert not state.is_transient(InvalidArgument("camera", "odd"))


def test_a_camera_removed_meanwhile_is_left_out_and_the_others_go_on() -> None:
    state = StreamState(["gate", "yard"], False, {}, "")
    missing = NotFound("camera 'gate'", "does not exist")
    assert not state.asks_about_missing(missing), "on the first connection that is the caller's mistake"
    state.has_connected = True
    assert state.asks_about_missing(missing)
    assert state.keep_only(["yard", "door"])
    assert list(state.request().cameras) == ["yard"]
    assert not state.keep_only(["door"])
