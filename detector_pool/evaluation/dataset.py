"""The folder of a benchmark: clips to learn from, clips to be tested on, and what happens in these.

    FOLDER/train/CLIP/           numbered pictures, or one video; or a video train/CLIP.avi itself
    FOLDER/test/CLIP/            the same
    FOLDER/labels/CLIP.csv       for each test clip a line per frame: 0 normal, 1 abnormal
    FOLDER/boxes/CLIP.csv        if there are any: frame,track,left,top,width,height in pixels, frames from 0

How to bring a public one to it is told in docs/guide/detection.md.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detector_pool.evaluation.clips import VIDEOS, Clip, natural, open_clip
from mesh.errors import InvalidArgument

MAX_CLIPS = 10_000
MAX_FILE_BYTES = 256 << 20
_LABELS = {"0": False, "1": True, "0.0": False, "1.0": True}
_LAYOUT = "A benchmark has train/CLIP/, test/CLIP/ and labels/CLIP.csv: see docs/guide/detection.md."


@dataclass(frozen=True, slots=True)
class PixelBox:
    """An abnormal region, in pixels."""

    frame: int
    track: int
    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """A test clip and what happens in it."""

    clip: Clip
    labels: NDArray[np.bool_]
    """(frames,): whether the frame is abnormal."""
    boxes: tuple[PixelBox, ...] | None
    """None if there is no file of boxes for it."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A benchmark. Pictures are read when they are asked for."""

    folder: Path
    train: tuple[Clip, ...]
    test: tuple[Labelled, ...]
    notes: tuple[str, ...]
    """What is odd and no error: missing numbers, labels without a clip."""


def open_dataset(folder: Path, fps: float | None = None) -> Dataset:
    """Reads layout, labels and boxes. Raises InvalidArgument naming the file and the remedy.

    `fps`: frames per second of all clips; None: what each video says, else 10.
    """
    if not folder.is_dir():
        raise InvalidArgument(f"folder {folder}", "does not exist", _LAYOUT)
    train = tuple(_clips(folder / "train", 0, fps)) if (folder / "train").is_dir() else ()
    if not (folder / "test").is_dir():
        raise InvalidArgument(f"folder {folder}", "has no folder test in it", _LAYOUT)
    clips = list(_clips(folder / "test", len(train), fps))
    if not clips:
        raise InvalidArgument(f"folder {folder / 'test'}", "has no clips in it", _LAYOUT)
    test = tuple(_labelled(folder, clip) for clip in clips)
    notes = [f"{clip.path}: numbers {', '.join(clip.gaps)} are missing" for clip in (*train, *clips) if clip.gaps]
    known = {clip.name for clip in clips}
    for kind in ("labels", "boxes"):
        there = sorted((folder / kind).glob("*.csv")) if (folder / kind).is_dir() else []
        notes += [f"{file}: there is no clip of that name" for file in there if file.stem not in known]
    return Dataset(folder, train, test, tuple(notes))


def read_labels(file: Path) -> NDArray[np.bool_]:
    """One label a line, or all in one line; a first line that is none is a heading; of two columns the last counts.

    Raises InvalidArgument naming the line.
    """
    labels: list[bool] = []
    rows = list(_rows(file, "labels"))
    if len(rows) == 1 and len(rows[0][1]) > 2 and all(cell in _LABELS for cell in rows[0][1]):
        return np.array([_LABELS[cell] for cell in rows[0][1]], dtype=bool)
    for number, cells in rows:
        label = _LABELS.get(cells[-1])
        if label is None:
            if number == 1:
                continue
            raise InvalidArgument(f"labels {file}", f"line {number} is {cells[-1]!r:.40}, neither 0 nor 1")
        labels.append(label)
    return np.array(labels, dtype=bool)


def read_boxes(file: Path) -> tuple[PixelBox, ...]:
    """Regions of a clip; a first line that is none is a heading. Raises InvalidArgument naming the line."""
    boxes = []
    for number, cells in _rows(file, "boxes"):
        try:
            values = [float(cell) for cell in cells]
            if len(values) != 6 or not np.isfinite(values).all() or min(values[0], values[4], values[5]) < 0:
                raise ValueError
        except ValueError:
            if number == 1:
                continue
            remedy = "Write frame,track,left,top,width,height: frames from 0, the rest in pixels."
            raise InvalidArgument(f"boxes {file}", f"line {number} is no box: {','.join(cells)[:60]}", remedy) from None
        boxes.append(PixelBox(int(values[0]), int(values[1]), *values[2:]))
    return tuple(boxes)


def _clips(folder: Path, first: int, fps: float | None) -> Iterator[Clip]:
    there = sorted(folder.iterdir(), key=lambda one: natural(one.name))
    found = [
        one for one in there
        if not one.name.startswith(".") and (one.is_dir() or one.suffix.lower() in VIDEOS)
    ]  # fmt: skip
    if len(found) > MAX_CLIPS:
        raise InvalidArgument(f"folder {folder}", f"has more than {MAX_CLIPS} clips", "Split the benchmark.")
    names: dict[str, Path] = {}
    for number, one in enumerate(found):
        clip = open_clip(one, first + number, fps)
        if clip.name in names:
            raise InvalidArgument(f"clip {clip.name}", f"is there twice: {names[clip.name]} and {one}", "Rename one.")
        names[clip.name] = one
        yield clip


def _labelled(folder: Path, clip: Clip) -> Labelled:
    file = folder / "labels" / f"{clip.name}.csv"
    if not file.is_file():
        remedy = "Write a line per frame: 0 normal, 1 abnormal."
        raise InvalidArgument(f"clip {clip.path}", f"has no labels: there is no file {file}", remedy)
    labels = read_labels(file)
    frames = clip.count()
    if frames != labels.size and clip.is_video:
        # A container's packets are mostly its pictures, and what counts is what decodes.
        frames = sum(1 for _ in clip.pictures())
    if frames != labels.size:
        raise InvalidArgument(
            f"labels {file}",
            f"has {labels.size} labels for the {frames} frames of {clip.path}",
            "Write one label for each frame, in the order of frames.",
        )
    boxes_file = folder / "boxes" / f"{clip.name}.csv"
    boxes = read_boxes(boxes_file) if boxes_file.is_file() else None
    beyond = next((one.frame for one in boxes or () if one.frame >= frames), None)
    if beyond is not None:
        raise InvalidArgument(
            f"boxes {boxes_file}", f"speaks of frame {beyond}, and the clip has {frames}", "Count frames from 0."
        )
    return Labelled(clip, labels, boxes)


def _rows(file: Path, kind: str) -> Iterator[tuple[int, list[str]]]:
    """Lines that are not empty, with their numbers, cells stripped. Raises InvalidArgument."""
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise InvalidArgument(f"{kind} {file}", f"is larger than {MAX_FILE_BYTES >> 20} MiB")
        with file.open(encoding="utf-8-sig", newline="") as lines:
            for number, row in enumerate(csv.reader(lines), 1):
                cells = [cell.strip() for cell in row]
                if any(cells):
                    yield number, cells
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidArgument(f"{kind} {file}", f"is no text of lines: {error}", "Save it as plain CSV.") from None
