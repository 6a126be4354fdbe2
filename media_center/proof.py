"""The proof of a picture: a signed statement that binds a PNG file to the frame that it shows. Pure.

The statement (form `trueframe-snapshot-1`, in the envelope of `statement`):

    made_ns       when the picture was decoded, UTC nanoseconds
    png_sha256    of the whole file, hex; png_bytes its size
    camera, epoch, seq, received_ns, digest (hex SHA-256 of the frame's payload)
    max_width     what it was scaled down to, 0 for full size
    inexact       the frame or one that it refers to is damaged: the picture may differ between decoders
    segment       the file that the frame lies in
    seal          base64 of that segment's seal; empty while it is being written

What does not belong here: decoding (`snapshot`), reading files (`verify_files`).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Final

from media_center.seal import MalformedSeal, Seal, Signer, parse_seal
from media_center.statement import MalformedStatement, Statement, parse_statement, sign_statement
from mesh.ids import FrameId, is_camera_id

FORM: Final = "trueframe-snapshot-1"
SUFFIX: Final = ".proof.json"


@dataclass(frozen=True, slots=True)
class PictureProof:
    """What a proof says."""

    made_ns: int
    png_sha256: bytes
    png_bytes: int
    frame: FrameId
    received_ns: int
    digest: bytes
    max_width: int
    inexact: bool
    segment: str
    seal: Seal | None


def sign_picture(
    png: bytes, frame: FrameId, *, received_ns: int, digest: bytes, max_width: int, inexact: bool, segment: str,
    seal: Seal | None, made_ns: int, signer: Signer,
) -> bytes:  # fmt: skip
    """The proof of a PNG, as a JSON file."""
    body = {
        "form": FORM,
        "made_ns": made_ns,
        "png_sha256": hashlib.sha256(png).hexdigest(),
        "png_bytes": len(png),
        "camera": frame.camera,
        "epoch": frame.epoch,
        "seq": frame.seq,
        "received_ns": received_ns,
        "digest": digest.hex(),
        "max_width": max_width,
        "inexact": inexact,
        "segment": segment,
        "seal": base64.b64encode(seal.encode()).decode() if seal is not None else "",
    }
    return sign_statement(body, signer, indent=1)


def parse_proof(data: bytes) -> tuple[PictureProof, Statement]:
    """A proof and its envelope; the signature is not checked here. Raises MalformedStatement."""
    statement = parse_statement(data, FORM)
    body = statement.body
    try:
        numbers = {name: body[name] for name in ("made_ns", "png_bytes", "epoch", "seq", "received_ns", "max_width")}
        if not all(type(number) is int for number in numbers.values()) or type(body["inexact"]) is not bool:
            raise TypeError("a field is no whole number")
        camera, segment = body["camera"], body["segment"]
        if not isinstance(segment, str) or not isinstance(camera, str) or not is_camera_id(camera):
            raise TypeError("no camera or segment")
        proof = PictureProof(
            numbers["made_ns"], bytes.fromhex(body["png_sha256"]), numbers["png_bytes"],
            FrameId(camera, numbers["epoch"], numbers["seq"]), numbers["received_ns"], bytes.fromhex(body["digest"]),
            numbers["max_width"], body["inexact"], segment,
            parse_seal(base64.b64decode(body["seal"], validate=True)) if body["seal"] else None,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, MalformedSeal) as error:
        raise MalformedStatement(f"a proof without what a proof has ({error})") from None
    return proof, statement
