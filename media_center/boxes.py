"""ISO base media file boxes, as bytes.

What belongs here: the layout of the boxes that our segments and exports consist of. What does not: what they say of
each codec (`sample_entries`), when a fragment closes (`cutter`), what time a sample has (`timeline`), our own row box
(`rows`), and any reading or writing of files.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

TIMESCALE = 90_000
"""Ticks per second of every track and movie that we write."""

START_CODE = b"\0\0\0\1"
_MAC_EPOCH_S = 2_082_844_800  # 1904-01-01 to 1970-01-01: ISO files count from the former.
_UNITY_MATRIX = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)

SYNC_SAMPLE = 0x02000000
"""Sample flags: depends on no other sample."""
OTHER_SAMPLE = 0x01010000
"""Sample flags: depends on others, decoding cannot begin here."""


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of `kind` around the parts."""
    body = b"".join(parts)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full_box(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    """A box that begins with a version and 24 bits of flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts)


def iso_time(utc_ns: int) -> int:
    """UTC nanoseconds as the whole seconds since 1904 that ISO files use."""
    return max(0, utc_ns // 1_000_000_000 + _MAC_EPOCH_S)


@dataclass(frozen=True, slots=True)
class Picture:
    """What a sample entry says of the coded pictures."""

    codec: int
    width: int
    height: int
    parameter_sets: bytes
    """Canonical form: each set behind a four-byte start code. Empty for Motion JPEG."""


def file_type(major: bytes, *compatible: bytes) -> bytes:
    """The `ftyp` box."""
    return box(b"ftyp", major, struct.pack(">I", 0x200), *compatible)


@dataclass(frozen=True, slots=True)
class Edit:
    """One entry of an edit list, both in ticks. A fragmented movie has duration 0: as long as the media."""

    duration: int
    media_time: int


def movie(
    picture: Picture,
    created_ns: int,
    *,
    duration: int,
    media_duration: int,
    tables: Sequence[bytes],
    edit: Edit | None,
    fragmented: bool,
) -> bytes:
    """The `moov` box of a movie with one video track.

    `duration` is what is shown and `media_duration` what is carried, in ticks; `tables` are the sample tables,
    beginning with `stsd`.
    """
    created = iso_time(created_ns)
    header = full_box(
        b"mvhd", 1, 0,
        struct.pack(">QQIQIHH8x", created, created, TIMESCALE, duration, 0x10000, 0x0100, 0), _UNITY_MATRIX,
        bytes(24), struct.pack(">I", 2),
    )  # fmt: skip
    track_header = full_box(
        b"tkhd", 1, 3,
        struct.pack(">QQIIQ8xHHHH", created, created, 1, 0, duration, 0, 0, 0, 0), _UNITY_MATRIX,
        struct.pack(">II", min(picture.width, 0xFFFF) << 16, min(picture.height, 0xFFFF) << 16),
    )  # fmt: skip
    media_header = full_box(
        b"mdhd", 1, 0, struct.pack(">QQIQHH", created, created, TIMESCALE, media_duration, 0x55C4, 0)
    )
    handler = full_box(b"hdlr", 0, 0, struct.pack(">I4s12x", 0, b"vide"), b"trueframe\0")
    data_information = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    media = box(
        b"mdia", media_header, handler,
        box(b"minf", full_box(b"vmhd", 0, 1, bytes(8)), data_information, box(b"stbl", *tables)),
    )  # fmt: skip
    edits = b""
    if edit is not None:
        entry = struct.pack(">IQqHH", 1, edit.duration, edit.media_time, 1, 0)
        edits = box(b"edts", full_box(b"elst", 1, 0, entry))
    extends = b""
    if fragmented:
        extends = box(b"mvex", full_box(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, OTHER_SAMPLE)))
    return box(b"moov", header, box(b"trak", track_header, edits, media), extends)


def sample_descriptions(entries: Sequence[bytes]) -> bytes:
    """The `stsd` box."""
    return full_box(b"stsd", 0, 0, struct.pack(">I", len(entries)), *entries)


def segment_header(picture: Picture, entry: bytes, brand: bytes, created_ns: int, presentation_delay: int) -> bytes:
    """`ftyp` and `moov` of a segment with one sample entry.

    An edit takes back the delay that reordered pictures are presented with.
    """
    empty = struct.pack(">I", 0)
    tables = [
        sample_descriptions([entry]),
        full_box(b"stts", 0, 0, empty),
        full_box(b"stsc", 0, 0, empty),
        full_box(b"stsz", 0, 0, empty, empty),
        full_box(b"stco", 0, 0, empty),
    ]
    edit = Edit(0, presentation_delay) if presentation_delay else None
    moov = movie(picture, created_ns, duration=0, media_duration=0, tables=tables, edit=edit, fragmented=True)
    return file_type(b"iso6", b"iso6", b"iso5", brand, b"mp42") + moov


@dataclass(frozen=True, slots=True)
class Sample:
    """How a sample stands in a fragment; times in ticks."""

    duration: int
    size: int
    is_sync: bool
    composition: int


def movie_fragment(number: int, decode_time: int, samples: Sequence[Sample]) -> bytes:
    """The `moof` box whose samples lie, in order, in the `mdat` box right behind it."""
    run = b"".join(
        struct.pack(">IIIi", s.duration, s.size, SYNC_SAMPLE if s.is_sync else OTHER_SAMPLE, s.composition)
        for s in samples
    )
    header = full_box(b"mfhd", 0, 0, struct.pack(">I", number))
    track_header = full_box(b"tfhd", 0, 0x020000, struct.pack(">I", 1))  # offsets count from the moof
    decode = full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time))
    run_header = 8 + 4 + 8
    size = 8 + len(header) + 8 + len(track_header) + len(decode) + run_header + len(run)
    track_run = full_box(b"trun", 1, 0xF01, struct.pack(">Ii", len(samples), size + 8), run)
    return box(b"moof", header, box(b"traf", track_header, decode, track_run))


def media_data_header(size: int) -> bytes:
    """The head of an `mdat` box for `size` bytes of samples: 8 bytes, or 16 beyond 4 GiB."""
    if size + 8 < 1 << 32:
        return struct.pack(">I4s", size + 8, b"mdat")
    return struct.pack(">I4sQ", 1, b"mdat", size + 16)


def runs(values: Iterable[int]) -> list[tuple[int, int]]:
    """Run-length form (count, value), as `stts` and `ctts` want it."""
    found: list[tuple[int, int]] = []
    for value in values:
        if found and found[-1][1] == value:
            found[-1] = (found[-1][0] + 1, value)
        else:
            found.append((1, value))
    return found
