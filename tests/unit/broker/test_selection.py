"""What a subscriber may ask for, and which cameras that means."""

from __future__ import annotations

import pytest

from broker.selection import Terms, require_same_terms, selection_of, terms_of
from mesh.errors import InvalidArgument
from mesh.ids import FrameId
from trueframe.v1.broker_pb2 import (
    DELIVERY_KEYFRAMES,
    DELIVERY_LATEST,
    DELIVERY_LOSSLESS,
    CameraStart,
    StreamFramesRequest,
)
from trueframe.v1.frames_pb2 import FrameId as ProtoId


def test_what_is_not_said_is_lossless_without_limits_of_its_own() -> None:
    assert terms_of(StreamFramesRequest()) == Terms("", DELIVERY_LOSSLESS, 0.0, 0, 0)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (StreamFramesRequest(delivery=9), "delivery 9"),
        (StreamFramesRequest(subscriber="x" * 64), "63 characters"),
        (StreamFramesRequest(subscriber="a\x1b[2J"), "printable"),
        (StreamFramesRequest(max_rate=1.0), "DELIVERY_KEYFRAMES"),
        (StreamFramesRequest(max_rate=1.0, delivery=DELIVERY_LATEST), "DELIVERY_KEYFRAMES"),
        (StreamFramesRequest(max_rate=-1.0, delivery=DELIVERY_KEYFRAMES), "no number"),
        (StreamFramesRequest(max_rate=float("inf"), delivery=DELIVERY_KEYFRAMES), "no number"),
        (StreamFramesRequest(max_rate=float("nan"), delivery=DELIVERY_KEYFRAMES), "no number"),
    ],
)
def test_terms_that_cannot_be_kept_are_refused(request_: StreamFramesRequest, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        terms_of(request_)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (StreamFramesRequest(), "all_cameras"),
        (StreamFramesRequest(cameras=["gate"], all_cameras=True), "one of the two"),
        (StreamFramesRequest(labels={"a": "b"}, all_cameras=True), "one of the two"),
        (StreamFramesRequest(cameras=["NOT A SLUG"]), "NOT A SLUG"),
        (StreamFramesRequest(labels={"": "b"}), "labels"),
        (StreamFramesRequest(labels={"a": "b" * 129}), "labels"),
        (StreamFramesRequest(labels={f"a{number}": "b" for number in range(33)}), "labels"),
        (
            StreamFramesRequest(
                all_cameras=True, starts=[CameraStart(camera="gate", after=ProtoId(camera="yard", epoch=1, seq=1))]
            ),
            "no frame of camera",
        ),
    ],
)
def test_a_selection_that_means_nothing_is_refused(request_: StreamFramesRequest, reason: str) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        selection_of(request_)


def test_a_camera_is_meant_by_its_name_or_by_all_of_the_labels() -> None:
    selection = selection_of(StreamFramesRequest(cameras=["gate"], labels={"site": "north", "kind": "door"}))
    assert selection.includes("gate", {})
    assert selection.includes("yard", {"site": "north", "kind": "door", "floor": "1"})
    assert not selection.includes("yard", {"site": "north"})
    assert not selection.includes("yard", {"site": "north", "kind": "window"})
    assert selection_of(StreamFramesRequest(all_cameras=True)).includes("yard", {})


def test_starts_are_live_an_id_or_a_time() -> None:
    starts = selection_of(
        StreamFramesRequest(
            all_cameras=True,
            starts=[
                CameraStart(camera="gate", after=ProtoId(camera="gate", epoch=5, seq=7)),
                CameraStart(camera="yard", received_ns=99),
                CameraStart(camera="door"),
            ],
        )
    ).starts
    assert starts == {"gate": FrameId("gate", 5, 7), "yard": 99, "door": None}


def test_later_requests_may_repeat_the_terms_and_not_change_them() -> None:
    first = StreamFramesRequest(subscriber="wall", delivery=DELIVERY_KEYFRAMES, max_rate=2.0, max_pending_items=5)
    terms = terms_of(first)
    require_same_terms(first, terms)
    require_same_terms(StreamFramesRequest(cameras=["gate"]), terms)
    for change in (
        StreamFramesRequest(delivery=DELIVERY_LATEST),
        StreamFramesRequest(max_rate=3.0),
        StreamFramesRequest(subscriber="other"),
        StreamFramesRequest(max_pending_items=6),
        StreamFramesRequest(max_pending_bytes=6),
    ):
        with pytest.raises(InvalidArgument, match="Open another stream"):
            require_same_terms(change, terms)
