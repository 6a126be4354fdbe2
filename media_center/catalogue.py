"""Which segments a camera has: one record each, in recorded order.

What belongs here: the record of a segment, the table of a camera's segments in memory and its file. What does not: the
rows inside a segment (`index`) and mending what a crash left (`recovery`). The file is a cache like the index: a
record that is missing or fails its checksum is made again from the segment.
"""

from __future__ import annotations

import re
import struct
import threading
import zlib
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from media_center.expired import Stretch, merged
from media_center.index import SegmentRows
from media_center.rows import EPOCH_STARTED, FRAME, Rows
from trueframe.v1 import frames_pb2

CATALOGUE_NAME = "catalogue"
_NAME = re.compile(r"(\d{19})-(\d{12})\.mp4")
_RECORD = struct.Struct(">qqqqqqqqQIIHHI")
SEGMENT = np.dtype(
    [
        ("epoch", ">i8"),
        ("opened_seq", ">i8"),
        ("first_seq", ">i8"),
        ("last_seq", ">i8"),
        ("first_ns", ">i8"),
        ("last_ns", ">i8"),
        ("frames", ">i8"),
        ("payload_bytes", ">i8"),
        ("size", ">u8"),
        ("breaks", ">u4"),
        ("codec", ">u4"),
        ("width", ">u2"),
        ("height", ">u2"),
        ("crc", ">u4"),
    ]
)
RECORD_SIZE = _RECORD.size
assert SEGMENT.itemsize == RECORD_SIZE
Records = np.ndarray[tuple[int], np.dtype[np.void]]


@dataclass(frozen=True, slots=True)
class Growth:
    """What one more fragment adds to a segment."""

    end: int
    """File offset behind it."""
    breaks: int
    """Notes other than the epoch's start, and places inside it where a seq is missing."""
    frames: int = 0
    first_seq: int = -1
    last_seq: int = -1
    first_ns: int = 0
    last_ns: int = 0
    payload_bytes: int = 0

    @classmethod
    def of(cls, rows: Rows, end: int) -> Growth:
        """Of a fragment's rows."""
        frames = rows[rows["kind"] == FRAME]
        breaks = int(np.count_nonzero((rows["kind"] != FRAME) & (rows["kind"] != EPOCH_STARTED)))
        if not len(frames):
            return cls(end, breaks)
        seqs, received_ns = frames["seq"], frames["received_ns"]
        return cls(
            end, breaks + int(np.count_nonzero(np.diff(seqs) != 1)), len(frames), int(seqs[0]), int(seqs[-1]),
            int(received_ns[0]), int(received_ns[-1]), int(frames["size"].sum(dtype=np.int64)),
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segment:
    """What the catalogue knows of one segment. Only what is confirmed on disk counts."""

    epoch: int
    opened_seq: int
    """The seq in its file name: that of its first frame, or the one expected."""
    first_seq: int = -1
    """-1 while it holds no frame."""
    last_seq: int = -1
    first_ns: int = 0
    last_ns: int = 0
    frames: int = 0
    payload_bytes: int = 0
    size: int = 0
    """Bytes of the file up to the last confirmed fragment."""
    breaks: int = 0
    """Notes other than the epoch's start, and places where a seq is missing: 0 means one unbroken run of frames."""
    codec: int = frames_pb2.CODEC_H264
    width: int = 0
    height: int = 0

    @property
    def name(self) -> str:
        """Its file's name: sorts in recorded order."""
        return f"{self.epoch:019d}-{self.opened_seq:012d}.mp4"

    def pack(self) -> bytes:
        """Its record in the catalogue's file."""
        values = (
            self.epoch, self.opened_seq, self.first_seq, self.last_seq, self.first_ns, self.last_ns, self.frames,
            self.payload_bytes, self.size, self.breaks, self.codec, self.width, self.height,
        )  # fmt: skip
        body = _RECORD.pack(*values, 0)[:-4]
        return body + struct.pack(">I", zlib.crc32(body))

    def described(self, started: frames_pb2.EpochStarted) -> Segment:
        """The same with what its epoch says of the pictures."""
        return replace(self, codec=started.codec, width=min(started.width, 65535), height=min(started.height, 65535))

    def grown(self, by: Growth) -> Segment:
        """The same with one more fragment."""
        if not by.frames:
            return replace(self, size=by.end, breaks=self.breaks + by.breaks)
        is_behind_hole = self.frames > 0 and by.first_seq != self.last_seq + 1
        return Segment(
            self.epoch,
            self.opened_seq,
            self.first_seq if self.frames else by.first_seq,
            by.last_seq,
            self.first_ns if self.frames else by.first_ns,
            by.last_ns,
            self.frames + by.frames,
            self.payload_bytes + by.payload_bytes,
            by.end,
            self.breaks + by.breaks + is_behind_hole,
            self.codec,
            self.width,
            self.height,
        )


def summarise(name: str, found: SegmentRows) -> Segment:
    """The record of a segment, from its rows. Raises ValueError if the name is not one of ours."""
    parsed = parse_name(name)
    if parsed is None:
        raise ValueError(f"not the name of a segment: {name!r}")
    segment = Segment(*parsed).grown(Growth.of(found.rows, found.end))
    started = epoch_started(found)
    if started is not None:
        segment = segment.described(started)
    return replace(segment, breaks=segment.breaks + len(found.holes))


def epoch_started(found: SegmentRows) -> frames_pb2.EpochStarted | None:
    """The epoch that a segment tells at its beginning."""
    for row in found.rows[found.rows["kind"] == EPOCH_STARTED]:
        item = decode_note(found, int(row["offset"]))
        if item is not None and item.HasField("epoch_started") and item.epoch_started.epoch == found.epoch:
            return item.epoch_started
    return None


def decode_note(found: SegmentRows, offset: int) -> frames_pb2.Item | None:
    """The item of a note row; None if its bytes are none."""
    try:
        return frames_pb2.Item.FromString(found.notes[offset])
    except (KeyError, ValueError):
        return None
    except Exception as error:  # protobuf's DecodeError derives from Exception alone
        if type(error).__name__ != "DecodeError":
            raise
        return None


def parse_name(name: str) -> tuple[int, int] | None:
    """Epoch and seq out of a segment's file name; None if it is not one."""
    match = _NAME.fullmatch(name)
    return (int(match[1]), int(match[2])) if match else None


class View:
    """A camera's segments at one moment: immutable, so that any thread may read it."""

    __slots__ = ("_open", "_records", "_table", "expired", "folder")

    def __init__(
        self, table: SegmentTable, records: Records, open_: Segment | None, expired: tuple[Stretch, ...]
    ) -> None:
        self.folder = table.folder
        self.expired = expired
        """What retention has deleted, in recorded order."""
        self._table = table
        self._records = records
        self._open = open_

    def __len__(self) -> int:
        return len(self._records) + (self._open is not None)

    def __getitem__(self, position: int) -> Segment:
        if position == len(self._records) and self._open is not None:
            return self._open
        if not 0 <= position < len(self._records):
            raise IndexError(position)
        return Segment(*self._records[position].item()[:-1])

    def packed(self) -> bytes:
        """The records of the closed segments, as they stand in the catalogue's file."""
        return self._records.tobytes()

    def is_open(self, position: int) -> bool:
        """Whether the segment is still being written."""
        return position == len(self._records)

    def path(self, position: int) -> Path:
        """The file of a segment."""
        return self.folder / self[position].name

    def column(self, name: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """One field of all segments."""
        values = self._records[name].astype(np.int64)
        return values if self._open is None else np.append(values, getattr(self._open, name))

    def position_of(self, epoch: int, seq: int) -> int:
        """Position of the last segment that begins at or before an id; -1 if none does."""
        opened, first = self.column("opened_seq"), self.column("first_seq")
        # The name of the first frame may have been taken: see `Lane`.
        return self._last_before(epoch, seq, np.where((first >= 0) & (first < opened), first, opened))

    def position_named(self, epoch: int, opened_seq: int) -> int | None:
        """Position of the segment that has exactly this in its name; None if there is none."""
        position = self._last_before(epoch, opened_seq, self.column("opened_seq"))
        if position < 0:
            return None
        found = self[position]
        return position if (found.epoch, found.opened_seq) == (epoch, opened_seq) else None

    def _last_before(self, epoch: int, seq: int, seqs: np.ndarray[tuple[int], np.dtype[np.int64]]) -> int:
        epochs = self.column("epoch")
        low = int(np.searchsorted(epochs, epoch, "left"))
        high = int(np.searchsorted(epochs, epoch, "right"))
        return low + int(np.searchsorted(seqs[low:high], seq, "right")) - 1

    def has_expired(self, position: int) -> bool:
        """Whether the segment was deleted since this view was made."""
        segment = self[position]
        return self._table.view().position_named(segment.epoch, segment.opened_seq) is None


class SegmentTable:
    """A camera's segments: closed ones, and the one being written. One thread changes it; any may ask for a view."""

    def __init__(
        self, folder: Path, load: Callable[[], Records] | None = None, expired: Iterable[Stretch] = ()
    ) -> None:
        """`load`: reads the segments that are closed already, when they are first asked for. May raise OSError.

        `expired`: what is gone of them.
        """
        self.folder = folder
        self._load = load
        self._loading = threading.Lock()
        self._records = np.zeros(64, SEGMENT)
        self._count = 0
        self._open: Segment | None = None
        self._expired = tuple(expired)
        self._view = View(self, self._records[:0], None, self._expired)

    def view(self) -> View:
        """The segments now."""
        if self._load is not None:
            self._fetch()
        return self._view

    @property
    def is_empty(self) -> bool:
        """Whether nothing is recorded, told without reading what is."""
        return self._load is None and not len(self._view)

    @property
    def open_name(self) -> str | None:
        """Name of the segment that is being written, or can be gone on with."""
        return self._open.name if self._open is not None else None

    @property
    def closed_count(self) -> int | None:
        """How many segments are closed; None if they were not read yet."""
        return self._count if self._load is None else None

    def go_on_with(self, segment: Segment | None) -> None:
        """Names the segment that is being written, as it is now."""
        with self._loading:
            self._open = segment
            self._renew()

    def append(self, segment: Segment) -> None:
        """Adds a closed segment behind all others."""
        self.view()
        if self._count == len(self._records):
            larger = np.zeros(2 * self._count, SEGMENT)
            larger[: self._count] = self._records
            self._records = larger
        self._records[self._count] = np.frombuffer(segment.pack(), SEGMENT)[0]
        self._count += 1
        # While a segment closes it must not be there twice.
        if self._open is not None and self._open.name == segment.name:
            self._open = None
        self._renew()

    def expire(self, stretches: Iterable[Stretch], names: Collection[str] = ()) -> int:
        """Takes closed segments out, by name, and names what is gone. Returns how many were there.

        Views made before keep what they show.
        """
        self.view()
        gone = {parsed for name in names if (parsed := parse_name(name)) is not None}
        records = self._records[: self._count]
        keys = list(zip(records["epoch"].tolist(), records["opened_seq"].tolist(), strict=True))
        stays = np.fromiter((key not in gone for key in keys), bool, len(keys))
        if not all(stays):
            self._records = np.concatenate([records[stays], np.zeros(64, SEGMENT)])
            self._count = int(np.count_nonzero(stays))
        self._expired = merged([*self._expired, *stretches], self._keys())
        self._renew()
        return len(keys) - self._count

    def _keys(self) -> list[tuple[int, int]]:
        records = self._records[: self._count]
        keys = list(zip(records["epoch"].tolist(), records["opened_seq"].tolist(), strict=True))
        return keys if self._open is None else [*keys, (self._open.epoch, self._open.opened_seq)]

    def _fetch(self) -> None:
        with self._loading:
            if self._load is None:
                return
            records = self._load()
            # Not np.concatenate: it would swap the bytes of every field into the machine's own order.
            self._records = np.zeros(len(records) + 64, SEGMENT)
            self._records[: len(records)] = records
            self._count = len(records)
            if self._expired:
                self._expired = merged(self._expired, self._keys())
            self._renew()
            self._load = None  # last: whoever sees it so may take the view

    def _renew(self) -> None:
        self._view = View(self, self._records[: self._count], self._open, self._expired)


def read_catalogue(folder: Path) -> dict[str, Segment]:
    """The records of a camera's catalogue file by segment name; broken ones are left out."""
    try:
        data = (folder / CATALOGUE_NAME).read_bytes()
    except OSError:
        return {}
    return {segment.name: segment for segment in unpack_records(data)}


def unpack_records(data: bytes) -> list[Segment]:
    """The segments that records in a row stand for; broken ones are left out."""
    found: list[Segment] = []
    for position in range(0, len(data) - RECORD_SIZE + 1, RECORD_SIZE):
        body = data[position : position + RECORD_SIZE]
        if zlib.crc32(body[:-4]) == int.from_bytes(body[-4:], "big"):
            segment = Segment(*_RECORD.unpack(body)[:-1])
            if segment.epoch >= 0 and segment.opened_seq >= 0:
                found.append(segment)
    return found


def write_catalogue(folder: Path, view: View) -> None:
    """Replaces a camera's catalogue file by the closed segments of a view."""
    temporary = folder / (CATALOGUE_NAME + ".new")
    temporary.write_bytes(view.packed())
    temporary.replace(folder / CATALOGUE_NAME)


def append_catalogue(folder: Path, segment: Segment) -> None:
    """Adds a closed segment to a camera's catalogue file. A torn last record is overwritten by alignment."""
    path = folder / CATALOGUE_NAME
    with path.open("ab") as file:
        torn = file.tell() % _RECORD.size
        if torn:
            file.truncate(file.tell() - torn)
        file.write(segment.pack())
