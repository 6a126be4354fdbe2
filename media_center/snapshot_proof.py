"""The proof that goes with a snapshot: the picture's hash, the frame, and the seal of the segment that it lies in.

What does not belong here: the form of the statement (`proof`), decoding (`snapshot`).
"""

from __future__ import annotations

import contextlib

from media_center.footage import CameraFootage
from media_center.proof import sign_picture
from media_center.seal import Seal, Signer
from media_center.seal_files import read_seal
from media_center.snapshot import Coded


def prove_picture(
    footage: CameraFootage, coded: Coded, png: bytes, max_width: int, made_ns: int, signer: Signer
) -> bytes:
    """The signed statement about a picture that was decoded just now. Reads a seal: call it in a thread."""
    position = footage.find(coded.frame)
    segment, seal = "", None
    if position is not None:
        segment, seal = footage.record(position).name, _seal_of(footage, position.segment)
    return sign_picture(
        png, coded.frame, received_ns=coded.row.received_ns, digest=coded.row.digest, max_width=max_width,
        inexact=coded.inexact, segment=segment, seal=seal, made_ns=made_ns, signer=signer,
    )  # fmt: skip


def _seal_of(footage: CameraFootage, segment: int) -> Seal | None:
    with contextlib.suppress(OSError):
        return read_seal(footage.view.path(segment))
    return None
