"""Frames on the wire, against protobuf itself."""

from __future__ import annotations

import gc
import hashlib
import sys

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from broker.core.wire import BatchReader, WireFrame, encode_frame, encode_item, sha256
from mesh.ids import FrameId
from trueframe.v1 import frames_pb2 as pb

int64 = st.one_of(st.integers(-(2**63), 2**63 - 1), st.sampled_from([0, 1, -1, 127, 128, 2**63 - 1, -(2**63)]))
uint32 = st.integers(0, 2**32 - 1)


@st.composite
def frames(draw: st.DrawFn) -> pb.Frame:
    frame = pb.Frame(
        id=pb.FrameId(camera=draw(st.text(max_size=70)), epoch=draw(int64), seq=draw(int64)),
        received_ns=draw(int64),
        monotonic_ns=draw(int64),
        join_point=draw(st.integers(0, 3)),  # type: ignore[arg-type]
        recovers_after=draw(uint32),
        damaged=draw(st.booleans()),
        follows_damage=draw(st.booleans()),
        digest=draw(st.one_of(st.just(b""), st.binary(min_size=32, max_size=32))),
        payload=draw(st.binary(max_size=300)),
    )
    for name in ("camera_time_ns", "camera_time_uncertainty_ns", "pts"):
        if draw(st.booleans()):
            setattr(frame, name, draw(int64))
    return frame


others = st.one_of(
    st.builds(pb.Gap, camera=st.text(max_size=9), reason=st.integers(0, 12), count=int64),
    st.builds(pb.EpochStarted, camera=st.text(max_size=9), epoch=int64, parameter_sets=st.binary(max_size=40)),
    st.builds(pb.EpochEnded, camera=st.text(max_size=9), epoch=int64, last_seq=int64),
)


def optional(message: pb.Frame, name: str) -> int | None:
    return getattr(message, name) if message.HasField(name) else None  # type: ignore[arg-type]


def encode(frame: pb.Frame) -> bytes:
    return encode_frame(
        frame.id.camera,
        frame.id.epoch,
        frame.id.seq,
        frame.received_ns,
        frame.monotonic_ns,
        optional(frame, "camera_time_ns"),
        optional(frame, "camera_time_uncertainty_ns"),
        optional(frame, "pts"),
        frame.join_point,
        frame.recovers_after,
        frame.damaged,
        frame.follows_damage,
        frame.digest,
        frame.payload,
    )


def entry(frame: pb.Frame) -> bytes:
    return pb.FrameBatch(items=[pb.Item(frame=frame)]).SerializeToString()


def assert_same(got: WireFrame, sent: pb.Frame) -> None:
    assert (got.camera, got.epoch, got.seq) == (sent.id.camera, sent.id.epoch, sent.id.seq)
    assert (got.received_ns, got.monotonic_ns) == (sent.received_ns, sent.monotonic_ns)
    assert got.camera_time_ns == optional(sent, "camera_time_ns")
    assert got.camera_time_uncertainty_ns == optional(sent, "camera_time_uncertainty_ns")
    assert got.pts == optional(sent, "pts")
    assert (got.join_point, got.recovers_after) == (sent.join_point, sent.recovers_after)
    assert (got.damaged, got.follows_damage) == (sent.damaged, sent.follows_damage)
    assert (got.digest, bytes(got.payload)) == (sent.digest, sent.payload)


@settings(max_examples=300)
@given(frame=frames())
def test_a_frame_is_encoded_byte_for_byte_like_protobuf_does(frame: pb.Frame) -> None:
    assert encode(frame) == entry(frame)


@given(items=st.lists(st.one_of(frames(), others), max_size=8))
def test_a_batch_reads_back_what_went_in(items: list[pb.Frame | pb.Gap | pb.EpochStarted | pb.EpochEnded]) -> None:
    encoded = [encode(item) if isinstance(item, pb.Frame) else encode_item(item) for item in items]
    assert encoded == [encode_item(item) for item in items]
    got = list(BatchReader(b"".join(encoded)))
    assert len(got) == len(items)
    for one, sent, raw in zip(got, items, encoded, strict=True):
        if isinstance(sent, pb.Frame):
            assert isinstance(one, WireFrame)
            assert_same(one, sent)
            assert one.raw == raw
        else:
            assert one == sent


@settings(max_examples=600)
@given(items=st.lists(st.one_of(frames(), others), min_size=1, max_size=3), data=st.data())
def test_a_mutated_batch_is_read_exactly_as_protobuf_reads_it(
    items: list[pb.Frame | pb.Gap], data: st.DataObject
) -> None:
    raw = bytearray(b"".join(encode_item(item) for item in items))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw) - 1))
        action = data.draw(st.integers(0, 3))
        if action == 0:
            raw[at] = data.draw(st.integers(0, 255))
        elif action == 1:
            raw[at:at] = data.draw(st.binary(max_size=6))
        elif action == 2 and len(raw) > 1:
            del raw[at]
        elif len(raw) > 1:
            del raw[max(at, 1) :]
    assert_reads_like_protobuf(bytes(raw))


def assert_reads_like_protobuf(data: bytes) -> None:
    try:
        expected = [item for item in pb.FrameBatch.FromString(data).items if item.WhichOneof("kind")]
    except DecodeError:
        with pytest.raises(ValueError):  # noqa: PT011 (the message differs with the place)
            list(BatchReader(data))
        return
    got = list(BatchReader(data))
    assert len(got) == len(expected)
    for one, item in zip(got, expected, strict=True):
        kind = item.WhichOneof("kind")
        if kind == "frame":
            assert isinstance(one, WireFrame)
            assert_same(one, item.frame)
        else:
            assert one == getattr(item, str(kind))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x0a\x00",
        b"\x0a\x02\x0a\x00",
        b"\x0a\x03\x0a\x01\x0a",
        b"\x0a\x04\x0a\x02\x0a\x00",
        b"\x0a\x04\x0a\x00\x0a\x00",
        b"\x0a\x05\x0a\x00\x12\x01\x0a",
        b"\x0a\x04\x12\x00\x0a\x00",
        b"\x12\x01x\x0a\x02\x0a\x00",
        b"\x0a\x02\x2a\x00",
        b"\x0a\x06\x0a\x04\x12\x02\xff\xff",
        b"\x0b\x0c",
        b"\x0b\x13\x14\x0c\x0a\x02\x0a\x00",
        b"\x0b\x14",
        b"\x0c",
        b"\x0b" * 50 + b"\x0c" * 50,
        b"\x0d\x00\x00\x00\x00",
        b"\x09\x00",
        b"\x0e",
        b"\x00\x00",
        b"\x0a\x0f\x0a\x0d\x10" + b"\xff" * 9 + b"\x01\x18\x01",
        b"\x0a\x0f\x0a\x0d\x10" + b"\xff" * 9 + b"\x02\x18\x01",
        b"\x0a\x0f\x0a\x0d\x10" + b"\xff" * 11 + b"\x01",
        b"\x8a\x80\x80\x80\x00\x02\x0a\x00",
        b"\x8a\x80\x80\x80\x80\x00\x02\x0a\x00",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        b"\x0a\x07\x0a\x05\x0a\x03\x0a\x01\xff",
        b"\x0a\x08\x0a\x06\x40\xff\xff\xff\xff\x7f",
        b"\x0a\x08\x0a\x06\x48\x80\x80\x80\x80\x10",
        b"\x0a\x05\x0a\x03\x5d\x01\x02",
    ],
)
def test_oddities_of_the_encoding_are_read_as_protobuf_reads_them(data: bytes) -> None:
    assert_reads_like_protobuf(data)


def test_a_frame_split_into_two_fields_is_merged_like_protobuf_merges_it() -> None:
    one = pb.Item(frame=pb.Frame(id=pb.FrameId(camera="a"), pts=3)).SerializeToString()
    two = pb.Item(frame=pb.Frame(id=pb.FrameId(seq=9), payload=b"x")).SerializeToString()
    item = one + two
    [frame] = list(BatchReader(b"\x0a" + bytes([len(item)]) + item))
    assert isinstance(frame, WireFrame)
    assert (frame.camera, frame.seq, frame.pts, bytes(frame.payload)) == ("a", 9, 3, b"x")


def test_items_and_fields_of_a_later_version_are_skipped() -> None:
    known = entry(pb.Frame(id=pb.FrameId(camera="gate", seq=4), payload=b"abc"))
    inner = known[4:]
    later_field = inner + b"\xa2\x06\x05later"
    frame = b"\x0a" + bytes([len(later_field)]) + later_field
    later_item = b"\x0a\x04\xa2\x06\x01x"
    got = list(BatchReader(later_item + b"\x0a" + bytes([len(frame)]) + frame + b"\x12\x01y"))
    assert len(got) == 1
    assert isinstance(got[0], WireFrame)
    assert got[0].seq == 4


def test_without_a_digest_the_sha256_is_computed() -> None:
    [frame] = list(BatchReader(encode_frame("gate", 1, 2, 3, 4, None, None, None, 1, 0, False, False, None, b"abc")))
    assert isinstance(frame, WireFrame)
    assert frame.digest == hashlib.sha256(b"abc").digest() == sha256(b"abc")


def test_a_frame_knows_its_id() -> None:
    [frame] = list(BatchReader(encode_frame("gate", 1, 2, 3, 4, None, None, None, 1, 0, False, False, b"", b"abc")))
    assert isinstance(frame, WireFrame)
    assert frame.id == FrameId("gate", 1, 2)


def test_payloads_are_views_that_keep_their_batch_alive() -> None:
    batch = b"".join(
        encode_frame("gate", 1, i, 3, 4, None, None, None, 1, 0, False, False, b"", bytes([i]) * 5000) for i in range(3)
    )
    references = sys.getrefcount(batch)
    views = [item.payload for item in BatchReader(batch) if isinstance(item, WireFrame)]
    assert all(view.readonly and view.obj is batch for view in views)
    assert sys.getrefcount(batch) > references
    del batch
    gc.collect()
    assert [bytes(view) for view in views] == [bytes([i]) * 5000 for i in range(3)]


def test_a_frame_read_releases_its_batch_with_itself() -> None:
    batch = encode_frame("gate", 1, 2, 3, 4, None, None, None, 1, 0, False, False, b"", b"x" * 1000)
    references = sys.getrefcount(batch)
    frame = next(BatchReader(batch))
    assert isinstance(frame, WireFrame)
    assert frame.raw is batch
    view = frame.payload
    del frame, view
    gc.collect()
    assert sys.getrefcount(batch) == references


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_payloads_and_batches_may_be_any_buffer(kind: type) -> None:
    item = encode_frame("gate", 1, 2, 3, 4, None, None, None, 1, 0, False, False, b"", kind(b"abc"))
    [frame] = list(BatchReader(kind(item)))
    assert isinstance(frame, WireFrame)
    assert bytes(frame.payload) == b"abc"


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(OverflowError):
        encode_frame("gate", 2**63, 2, 3, 4, None, None, None, 1, 0, False, False, b"", b"")
    with pytest.raises(OverflowError):
        encode_frame("gate", 1, 2, 3, 4, None, None, None, 1, -1, False, False, b"", b"")
    with pytest.raises(ValueError, match="over the limit"):
        encode_frame("gate", 1, 2, 3, 4, None, None, None, 1, 0, False, False, b"", bytes((16 << 20) + 1))
    with pytest.raises(UnicodeEncodeError):
        encode_frame("\ud800", 1, 2, 3, 4, None, None, None, 1, 0, False, False, b"", b"")
    with pytest.raises(TypeError, match="not an item"):
        encode_item("text")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="BatchReader"):
        WireFrame()
