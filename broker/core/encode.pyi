"""Writes frames for the wire: one `items` entry of a FrameBatch, in C."""

from typing_extensions import Buffer

from trueframe.v1.frames_pb2 import EpochEnded, EpochStarted, Frame, Gap, Item

MAX_PAYLOAD_BYTES: int

def sha256(data: Buffer) -> bytes: ...
def encode_frame(
    camera: str,
    epoch: int,
    seq: int,
    received_ns: int,
    monotonic_ns: int,
    camera_time_ns: int | None,
    camera_time_uncertainty_ns: int | None,
    pts: int | None,
    join_point: int,
    recovers_after: int,
    damaged: bool,
    follows_damage: bool,
    digest: bytes | None,
    payload: Buffer,
) -> bytes: ...
def encode_item(item: Item | Frame | Gap | EpochStarted | EpochEnded) -> bytes: ...
