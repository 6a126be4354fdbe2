"""The wire: frames are read as protobuf reads them, or refused as it refuses them."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from broker.core.wire import BatchReader, WireFrame, encode_item
from tests.fuzz.cases import Case
from tests.fuzz.mutate import Mutator
from tests.fuzz.target import OneByOne
from trueframe.v1.frames_pb2 import FrameBatch


class Wire(OneByOne):
    """BatchReader accepts and refuses what protobuf does, and reads the same."""

    name, share = "wire", 8
    words = (
        b"\x0a", b"\x0a\0", b"\x12\x02\x08\x05", b"\x7a\x7f", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x80\x00",
        b"\x18\x01", b"\x0b", b"\x0c", b"\x0a\x80\x80\x80\x80\x10", b"\x0a\x06\x0a\x04gate",
    )  # fmt: skip

    def mutated(self, mutator: Mutator) -> Case:
        """Mostly fields that are other ones inside of lengths that are right: else little gets behind the first."""
        case = super().mutated(mutator)
        for at in range(1, len(case)):
            if mutator.random() < 0.7:
                part = self.parts[mutator.below(len(self.parts))]
                case[at] = _changed(part, mutator, 3)
        return case

    def check_one(self, data: bytes, options: bytes) -> None:
        try:
            expected = [item for item in FrameBatch.FromString(data).items if item.WhichOneof("kind")]
        except DecodeError:
            expected = None
        try:
            got = list(BatchReader(data))
        except ValueError as error:
            # Inside of a group that it skips, the protobuf of Python takes a field of number 0, which is none; that of
            # C++ refuses it, and so do we.
            is_zero_in_group = "group" in str(error) and any(tag < 8 for tag in data)
            assert expected is None or is_zero_in_group, "refused what protobuf reads"
            return
        assert expected is not None, "read what protobuf refuses"
        assert len(got) == len(expected)
        for one, item in zip(got, expected, strict=True):
            if isinstance(one, WireFrame):
                sent = item.frame
                assert (one.camera, one.epoch, one.seq) == (sent.id.camera, sent.id.epoch, sent.id.seq)
                assert (one.received_ns, one.monotonic_ns) == (sent.received_ns, sent.monotonic_ns)
                assert one.payload == sent.payload
                assert one.digest == sent.digest
                assert (one.join_point, one.recovers_after) == (sent.join_point, sent.recovers_after)
                assert (one.damaged, one.follows_damage) == (sent.damaged, sent.follows_damage)
                assert one.pts == (sent.pts if sent.HasField("pts") else None)
                assert one.camera_time_ns == (sent.camera_time_ns if sent.HasField("camera_time_ns") else None)
            else:
                assert one == getattr(item, str(item.WhichOneof("kind")))
                # What it says can be sent again, and is read the same.
                assert list(BatchReader(encode_item(one))) == [one]


Field = tuple[int, bytes]
"""A tag, and the bytes behind it: of a number, or of what has a length, without that length."""


def _changed(message: bytes, mutator: Mutator, depth: int) -> bytes:
    """The message with a field left out, doubled, moved, or changed, and lengths that add up again."""
    fields = _fields(message)
    if not fields:
        return mutator.changed(message)
    at = mutator.below(len(fields))
    action = mutator.below(8)
    tag, body = fields[at]
    if action == 0:
        del fields[at]
    elif action == 1:
        fields.append(fields[at])
    elif action == 2:
        fields.insert(mutator.below(len(fields)), fields.pop(at))
    elif action == 3:
        fields.insert(at, (8 * (1 + mutator.below(20)) + mutator.below(6), mutator.options(mutator.below(12))))
    elif tag & 7 == 2 and depth:
        # Down to where it matters, and then and when both halves of it: protobuf puts them together again.
        fields[at] = (tag, _changed(body, mutator, depth - 1))
        if action == 4:
            fields.insert(at, (tag, body))
    else:
        fields[at] = (tag, mutator.changed(body))
    return b"".join(_number(tag) + (_number(len(body)) if tag & 7 == 2 else b"") + body for tag, body in fields)


def _fields(message: bytes) -> list[Field]:
    """The fields of a message as long as they make sense; empty if the first does not."""
    found: list[Field] = []
    at = 0
    while at < len(message):
        tag = message[at]
        begin = at = at + 1
        if tag & 7 == 0:
            while at < len(message) and message[at] >= 128:
                at += 1
            at += 1
            found.append((tag, message[begin:at]))
        elif tag & 7 == 2 and at < len(message):
            size, shift = 0, 0
            while at < len(message) and shift < 28:
                size |= (message[at] & 127) << shift
                shift += 7
                at += 1
                if message[at - 1] < 128:
                    break
            found.append((tag, message[at : at + size]))
            at += size
        else:
            return found
    return found


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
