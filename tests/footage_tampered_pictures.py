"""Tampering with snapshots and what proves them."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import av

from media_center.seal_files import read_seal
from media_center.statement import sign_statement
from tests.footage_evidence import Evidence
from tests.footage_thief import (
    Kind,
    flip,
)


def picture_changed(e: Evidence) -> list[Path]:
    """One pixel, and a sound PNG of it."""
    with av.open(str(e.shot)) as container:
        pixels = next(container.decode(video=0)).to_ndarray(format="rgb24")
    pixels[e.rng.randrange(pixels.shape[0]), e.rng.randrange(pixels.shape[1]), e.rng.randrange(3)] ^= 1
    made = io.BytesIO()
    with av.open(made, "w", format="image2pipe") as output:
        stream = output.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = pixels.shape[1], pixels.shape[0], "rgb24"
        output.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        output.mux(stream.encode(None))
    e.shot.write_bytes(made.getvalue())
    return [e.shot]


def picture_flipped(e: Evidence) -> list[Path]:
    flip(e.shot, e.rng)
    return [e.shot]


def proof_exchanged(e: Evidence) -> list[Path]:
    shutil.copy(e.proof.with_name("two.proof.json"), e.proof)
    return [e.rng.choice([e.shot, e.proof])]


def picture_exchanged(e: Evidence) -> list[Path]:
    shutil.copy(e.shot.with_name("two.png"), e.shot)
    return [e.rng.choice([e.shot, e.proof])]


def proof_edited(e: Evidence) -> list[Path]:
    whole = json.loads(e.proof.read_bytes())
    field = e.rng.choice(["seq", "received_ns", "made_ns", "max_width", "epoch"])
    whole["statement"][field] += 1
    e.proof.write_bytes(json.dumps(whole).encode())
    return [e.shot]


def proof_flipped(e: Evidence) -> list[Path]:
    flip(e.proof, e.rng)
    return [e.shot]


def proof_signed_by_another(e: Evidence) -> list[Path]:
    body = json.loads(e.proof.read_bytes())["statement"]
    body["received_ns"] += 1
    e.proof.write_bytes(sign_statement(body, e.thief))
    return [e.shot]


def proof_with_anothers_seal(e: Evidence) -> list[Path]:
    whole = json.loads(e.proof.read_bytes())
    seal = read_seal(e.segments[-1])
    assert seal is not None
    whole["statement"]["seal"] = base64.b64encode(seal.encode()).decode()
    e.proof.write_bytes(json.dumps(whole).encode())
    return [e.shot]


PICTURES: list[Kind] = [
    picture_changed,
    picture_flipped,
    proof_exchanged,
    picture_exchanged,
    proof_edited,
    proof_flipped,
    proof_signed_by_another,
    proof_with_anothers_seal,
]
