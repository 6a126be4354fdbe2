"""What is made of files whose own times are peculiar: edit lists that hide pictures, pictures that begin late."""

from __future__ import annotations

import io
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from broker.client import BatchReader, StreamItem, WireFrame
from media_center.import_reading import HEAD, ITEMS, NOTE, late_beginning, serve
from tests.footage import coded_clip

START = 1_700_000_000_000_000_000
MS = 1_000_000
CLIP = coded_clip(40)


def write_mp4(path: Path, first: int) -> None:
    """A clip whose first picture is due at that number of pictures; what is due before 0 an edit list hides."""
    with av.open(str(path), "w", options={"avoid_negative_ts": "disabled"}) as out:
        stream = out.add_stream("h264", rate=25)
        stream.width, stream.height, stream.time_base = 128, 64, Fraction(1, 90_000)
        for number, coded in enumerate(CLIP):
            packet = av.Packet(coded.payload)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, 90_000), coded.is_key
            packet.pts, packet.dts = (coded.shown + first) * 3600, (number + first) * 3600
            out.mux(packet)


def read(path: Path) -> tuple[list[StreamItem], list[str]]:
    """The items and notes of a file."""
    answers = io.BytesIO()
    serve(path, "gate", START, START, answers)
    data, at = answers.getvalue(), 0
    items: list[StreamItem] = []
    notes: list[str] = []
    while at < len(data):
        kind, size = HEAD.unpack_from(data, at)
        body = data[at + HEAD.size : at + HEAD.size + size]
        at += HEAD.size + size
        if kind == ITEMS:
            items += BatchReader(body)
        elif kind == NOTE:
            notes.append(body.decode())
    return items, notes


def test_a_file_with_an_edit_list_has_its_first_picture_at_the_start_and_what_it_hides_before(tmp_path: Path) -> None:
    write_mp4(tmp_path / "trimmed.mp4", -5)
    items, notes = read(tmp_path / "trimmed.mp4")
    frames = [item for item in items if isinstance(item, WireFrame)]
    assert [frame.payload for frame in frames] == [coded.payload for coded in CLIP]
    assert [frame.received_ns for frame in frames] == [START + (number - 5) * 40 * MS for number in range(40)]
    assert [note for note in notes if note.startswith("5 pictures that the file's edit list hides")]


def test_a_file_without_one_has_all_of_it_behind_the_start(tmp_path: Path) -> None:
    for first in (0, 50):
        write_mp4(tmp_path / f"{first}.mp4", first)
        items, notes = read(tmp_path / f"{first}.mp4")
        assert next(item for item in items if isinstance(item, WireFrame)).received_ns == START
        assert notes == []


@dataclass
class _Reader:
    shown_from: Fraction
    begins_at: Fraction


def test_pictures_that_begin_later_than_the_file_are_told() -> None:
    (note,) = late_beginning(_Reader(Fraction(7, 2), Fraction(1)))  # type: ignore[arg-type]
    assert "2.5 s" in note
    assert late_beginning(_Reader(Fraction(1), Fraction(1))) == []  # type: ignore[arg-type]
