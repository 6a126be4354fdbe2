"""Every rpc says whether it changes, shows pictures, hands out recorded bytes, or looks."""

from __future__ import annotations

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from mesh.rpc_kinds import RPC_KINDS, RpcKind, kind_of
from tests.every_rpc import every_rpc

# Bytes in answers that are no picture and no recording: digests, models, signatures.
OTHER_BYTES = frozenset(
    {"LocateFrame", "StepFrame", "ListFrames", "ListSegments", "FetchModel", "GetCheckpoint", "GetStorage"}
    | {"ImportFootage", "WatchPersisted", "JoinPool", "MakeReport"}
)


def has_bytes(message: Descriptor, seen: frozenset[str] = frozenset()) -> bool:
    return any(
        field.type == FieldDescriptor.TYPE_BYTES
        or (
            field.message_type is not None
            and field.message_type.full_name not in seen
            and has_bytes(field.message_type, seen | {message.full_name})
        )
        for field in message.fields
    )


def test_every_rpc_has_a_kind_and_no_row_is_left_over() -> None:
    assert {rpc.path for rpc in every_rpc()} == set(RPC_KINDS)


def test_what_answers_with_bytes_shows_pictures_or_hands_out_recordings_or_is_known_not_to() -> None:
    found = {rpc.name for rpc in every_rpc() if has_bytes(rpc.descriptor.output_type)}
    kinds = {rpc.name for rpc in every_rpc() if kind_of(rpc.path) in (RpcKind.PICTURE, RpcKind.RECORDED)}
    assert found - kinds == OTHER_BYTES & found, "give new ones a kind, or name them here"
    assert kinds <= found


def test_an_rpc_without_a_row_counts_as_a_change() -> None:
    assert kind_of("/trueframe.v1.NewService/LookAround") is RpcKind.CHANGE
