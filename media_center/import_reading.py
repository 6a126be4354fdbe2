"""The process that reads a file to import: `python -m media_center.import_reading`. Items of its frames on stdout.

What belongs here: demuxing, and the pipe's form. What does not: anything that writes footage, and any connection: the
file comes from who knows where and is hostile, and whatever it does to a demuxer, it does it here (law 5).

Each message is `HEAD` (kind, size) and a body: `ITEMS` (entries of a FrameBatch, whole), `NOTE` (a sentence for
humans), `REFUSED` (reason and remedy as JSON) or `DONE` (nothing), which is the last.
"""

from __future__ import annotations

import json
import struct
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

import av.logging

from broker.sources.client import FileReader, FileSource, SourceEnded, SourceFailure
from media_center.import_minting import Minter

HEAD: Final = struct.Struct(">BI")
ITEMS, NOTE, REFUSED, DONE = 1, 2, 3, 4
_OTHER_TRACKS: Final = {"audio": "sound", "subtitle": "subtitles", "data": "data", "video": "further video"}

_NS: Final = 1_000_000_000
_LATE_S: Final = 0.5

_WITHOUT_TIMES: Final = frozenset({"h264", "hevc", "mjpeg"})
"""Raw streams, as FFmpeg calls them."""
_WITHOUT_ORDER: Final = _WITHOUT_TIMES | {"avi"}
"""What tells no times of presentation."""


def serve(path: Path, camera: str, epoch: int, start_ns: int, answers: BinaryIO) -> None:
    """Reads a file to its end and writes what becomes of it."""

    def say(kind: int, body: bytes = b"") -> None:
        answers.write(HEAD.pack(kind, len(body)) + body)

    reader = FileReader(FileSource(path, is_looped=False))
    try:
        reader.open()
        container = reader.container
        notes = left_out(container)
        form = container.format.name
        has_b_frames = bool(container.streams.video[0].codec_context.has_b_frames)
        ending = "The imported file came to its end."
        minter: Minter | None = None
        while True:
            try:
                chunk = reader.read()
            except SourceEnded as error:
                ending = f"The imported file {error.reason}."
                notes.append(f"the file {error.reason}; what lies before is kept")
                chunk = []
            if not chunk:
                break
            if minter is None:
                base = reader.time_base
                ratio = (base.numerator, base.denominator)
                minter = Minter(
                    camera, epoch, start_ns, reader.codec, ratio, reader.parameter_sets, int(reader.shown_from * _NS)
                )
                notes += late_beginning(reader)
            items = b"".join(item for unit in chunk for item in minter.unit(unit))
            if items:
                say(ITEMS, items)
        if minter is None or not minter.frames:
            refuse = {
                "reason": "holds no picture that can be decoded",
                "remedy": "Give a file that other players play.",
            }
            say(REFUSED, json.dumps(refuse).encode())
            return
        say(ITEMS, b"".join(minter.end(ending)))
        if form in _WITHOUT_TIMES and minter.last_ns > start_ns:
            rate = (minter.frames - 1) * 1e9 / (minter.last_ns - start_ns)
            notes.append(f"the file has no times: taken as {rate:.4g} pictures a second")
        if form in _WITHOUT_ORDER and has_b_frames:
            notes.append("the file does not tell when its B-frames are shown: players may show exports out of step")
        for note in [*notes, *notes_of(minter)]:
            say(NOTE, note.encode())
        say(DONE)
    except SourceFailure as error:
        say(REFUSED, json.dumps({"reason": error.reason, "remedy": error.remedy}).encode())
    finally:
        reader.close()
        answers.flush()


def left_out(container: Any) -> list[str]:
    """What of a file is not imported."""
    notes = []
    for kind, what in _OTHER_TRACKS.items():
        tracks = [stream for stream in container.streams if stream.type == kind]
        count = len(tracks) - (kind == "video")
        if count > 0:
            notes.append(f"left out: {count} {'track' if count == 1 else 'tracks'} of {what}")
    return notes


def late_beginning(reader: FileReader) -> list[str]:
    """What to say of a file whose pictures begin later than the file does."""
    late_s = float(reader.shown_from - reader.begins_at)
    if late_s < _LATE_S:
        return []
    return [f"the pictures begin {late_s:.3g} s after the file does; the start given is that of the first picture"]


def notes_of(minter: Minter) -> list[str]:
    """What a human should know of the frames."""
    notes = []
    if minter.hidden_units:
        units = _plural(minter.hidden_units, "picture", counted=True)
        notes.append(f"{units} that the file's edit list hides are footage, too; those before its beginning lie before "
                     "the start")  # fmt: skip
    if minter.damaged_units:
        notes.append(
            f"{_plural(minter.damaged_units, 'picture', counted=True)} with bytes missing, recorded as damaged"
        )
    if minter.holes:
        notes.append(f"the file has {minter.holes} {_plural(minter.holes, 'hole')}, recorded as gaps")
    if minter.jumps_back:
        notes.append(
            f"the file's clock goes back {_plural(minter.jumps_back, 'time', counted=True)}; times go on there"
        )
    if minter.undecodable_units:
        units = _plural(minter.undecodable_units, "unit", counted=True)
        notes.append(f"{units} before the first parameter sets left out: nobody can decode them")
    if minter.refused_units:
        notes.append(f"{_plural(minter.refused_units, 'unit', counted=True)} left out that are no pictures")
    return notes


def _plural(count: int, noun: str, *, counted: bool = False) -> str:
    word = noun if count == 1 else f"{noun}s"
    return f"{count} {word}" if counted else word


def creation_ns(path: Path) -> int | None:
    """When the first picture of a file was taken by what it says, UTC nanoseconds; None if that is nothing or nonsense.

    Raises SourceFailure if it is no video file.
    """
    reader = FileReader(FileSource(path, is_looped=False))
    reader.open()
    try:
        said = reader.container.metadata.get("creation_time", "")
        reader.read()  # it is known then when its pictures begin
        late_ns = max(0, int((reader.shown_from - reader.begins_at) * _NS))
    except SourceEnded:
        late_ns = 0
    finally:
        reader.close()
    try:
        moment = datetime.fromisoformat(said)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # 1904 and 1970 are what writers without a clock leave there.
    return round(moment.timestamp() * 1000) * 1_000_000 + late_ns if moment.year > 1970 else None


def main() -> None:
    """Arguments: file, camera, epoch, start_ns; or --creation and a file, to be told when it was begun."""
    from mesh.process import die_with_parent

    die_with_parent()
    av.logging.set_level(None)
    if sys.argv[1] == "--creation":
        try:
            print(creation_ns(Path(sys.argv[2])) or "")
        except SourceFailure as error:
            raise SystemExit(str(error)) from None
        return
    path, camera, epoch, start_ns = sys.argv[1:]
    serve(Path(path), camera, int(epoch), int(start_ns), sys.stdout.buffer)


if __name__ == "__main__":
    main()
