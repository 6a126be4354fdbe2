"""What a thief can do to the bytes of evidence: flip, edit rows and make checksums fit, seal with a key of his own."""

from __future__ import annotations

import hashlib
import random
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from media_center.rows import FRAME, ROW_STRUCT, RowBox, encode_row_box
from media_center.scan import scan
from media_center.seal import SEAL_SIZE, Seal
from media_center.seal_files import content_of, read_seal
from tests.footage_evidence import Evidence

Kind = Callable[[Evidence], list[Path]]
"""Changes evidence and returns what is then verified."""


def flip(path: Path, rng: random.Random, start: int = 0, end: int | None = None) -> int:
    """Flips one bit in [start, end); returns where."""
    data = bytearray(path.read_bytes())
    at = rng.randrange(start, len(data) if end is None else end)
    data[at] ^= 1 << rng.randrange(8)
    path.write_bytes(data)
    return at


def rewrite_rows(path: Path, box: RowBox, change: Callable[[list[list[object]]], None]) -> None:
    """Changes the rows of a fragment and makes every checksum fit, in the file and in its index."""
    rows = [list(row) for row in ROW_STRUCT.iter_unpack(box.rows.tobytes())]
    change(rows)
    packed = b"".join(ROW_STRUCT.pack(*row) for row in rows)
    data = bytearray(path.read_bytes())
    moof_size = int.from_bytes(data[box.block_offset : box.block_offset + 4], "big")
    moof = bytes(data[box.block_offset : box.block_offset + moof_size]) if box.media_size else b""
    assert not box.media_size or zlib.crc32(moof) == box.moof_crc
    made = encode_row_box(box.camera, box.epoch, box.number, box.block_offset, box.media_size, moof, packed, box.notes)
    assert len(made) == box.box_size
    data[box.box_offset : box.end] = made
    path.write_bytes(data)
    path.with_suffix(".idx").unlink(missing_ok=True)


def frames_of(box: RowBox) -> list[int]:
    return [at for at, kind in enumerate(box.rows["kind"].tolist()) if kind == FRAME]


def any_box(path: Path, rng: random.Random) -> RowBox:
    return rng.choice([box for box in scan(path).boxes if len(frames_of(box)) > 2])


def edit_times(path: Path, rng: random.Random) -> None:
    def later(rows: list[list[object]]) -> None:
        for at in frames_of(box):
            rows[at][6] = int(str(rows[at][6])) + 3_600_000_000_000

    box = any_box(path, rng)
    rewrite_rows(path, box, later)


def forge_payload(path: Path, rng: random.Random) -> None:
    """Puts other bytes into a frame and makes its digest and the checksums fit."""
    box = any_box(path, rng)
    at = rng.choice(frames_of(box))
    offset, size = int(box.rows["offset"][at]), int(box.rows["size"][at])
    data = bytearray(path.read_bytes())
    data[offset + size - 1] ^= 1
    path.write_bytes(data)
    stored = bytes(data[offset : offset + size])
    payload, position = b"", 0
    while position < size:
        length = int.from_bytes(stored[position : position + 4], "big")
        payload += b"\0\0\0\1" + stored[position + 4 : position + 4 + length]
        position += 4 + length

    def digest(rows: list[list[object]]) -> None:
        rows[at][15] = hashlib.sha256(payload).digest()

    rewrite_rows(path, box, digest)


def swap_frames(path: Path, rng: random.Random) -> None:
    """Exchanges two frames of a fragment in the rows: what was first seems to have come second."""
    box = any_box(path, rng)
    one, two = rng.sample(frames_of(box), 2)

    def exchange(rows: list[list[object]]) -> None:
        for field in (11, 13, 15):
            rows[one][field], rows[two][field] = rows[two][field], rows[one][field]

    rewrite_rows(path, box, exchange)


def reseal(path: Path, **changes: object) -> Seal:
    """Makes the seal fit what the file now is, all but its signature."""
    seal = read_seal(path)
    assert seal is not None
    with path.open("rb") as file:
        content = content_of(file.fileno(), scan(path).boxes).digest()
    fitting = replace(seal, **({"content": content} | changes))  # type: ignore[arg-type]
    put_seal(path, fitting)
    return fitting


def put_seal(path: Path, seal: Seal) -> None:
    path.write_bytes(path.read_bytes()[:-SEAL_SIZE] + seal.encode())
