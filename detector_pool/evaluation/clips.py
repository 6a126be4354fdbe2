"""One clip of a benchmark: numbered pictures or a video, streamed as the pictures that detectors are shown.

Decoded here, in this process: it owns no connection. What clips there are, and their labels, is in `dataset.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import av.error
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from broker.pixel.client import BT709, FULL_RANGE, planes_of
from detector_pool.picture import Shot
from mesh.errors import InvalidArgument
from mesh.ids import FrameId

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
VIDEOS = (".mp4", ".avi", ".mkv", ".mov", ".m4v", ".mpg", ".mpeg", ".ts", ".webm", ".wmv")
DEFAULT_FPS = 10.0
MAX_PIXELS = 64 << 20
START_NS = 1_700_000_000_000_000_000
CAMERA = "evaluation"
_NUMBER = re.compile(r"\d+")
_MEND_PICTURE = "Mend it, or leave it out together with its label."

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip. `number` tells it from the others; each is an epoch of its own."""

    name: str
    number: int
    path: Path
    """Folder of its pictures, or its video."""
    files: tuple[Path, ...] = ()
    """Pictures in natural order; none for a video."""
    numbers: tuple[int, ...] = ()
    """Their places in time: 0, 1, …, with holes where numbers of files are missing."""
    gaps: tuple[str, ...] = ()
    """Missing numbers, in words."""
    fps: float = DEFAULT_FPS

    @property
    def is_video(self) -> bool:
        """Whether it is a video."""
        return not self.files

    def time_ns(self, place: int) -> int:
        """When the frame at that place in time arrived. Clips are a day apart."""
        return START_NS + self.number * 86_400_000_000_000 + round(place / self.fps * 1e9)

    def pictures(self) -> Iterator[Shot]:
        """Its pictures in their order, one at a time. Raises InvalidArgument: unreadable, or another size."""
        size: tuple[int, ...] | None = None
        for shot in self._video() if self.is_video else self._files():
            if size is not None and shot.y.shape != size:
                other = f"{shot.y.shape[1]}x{shot.y.shape[0]}"
                raise InvalidArgument(
                    f"clip {self.path}",
                    f"picture {shot.id.seq + 1} is {other}, those before are {size[1]}x{size[0]}",
                    "A clip is of one camera: bring its pictures to one size.",
                )
            size = shot.y.shape
            yield shot

    def count(self) -> int:
        """How many frames it has; a video is read once for it, without decoding. Raises InvalidArgument."""
        if not self.is_video:
            return len(self.files)
        try:
            with av.open(str(self.path)) as container:
                return sum(packet.size > 0 for packet in container.demux(video=0))
        except (av.error.FFmpegError, OSError, IndexError) as error:
            raise _unreadable_video(self.path, error) from None

    def _shot(self, place: int, y: Plane, u: Plane | None, v: Plane | None, flags: int) -> Shot:
        return Shot(
            FrameId(CAMERA, self.number + 1, place), self.time_ns(place), y, u=u, v=v,
            full_range=bool(flags & FULL_RANGE), bt709=bool(flags & BT709),
        )  # fmt: skip

    def _files(self) -> Iterator[Shot]:
        for file, place in zip(self.files, self.numbers, strict=True):
            y, u, v = read_picture(file)
            yield self._shot(place, y, u, v, FULL_RANGE)

    def _video(self) -> Iterator[Shot]:
        place = 0
        try:
            with av.open(str(self.path)) as container:
                for frame in container.decode(video=0):
                    try:
                        planes = planes_of(frame)
                    except ValueError:
                        # Raw RGB and other formats that no camera sends.
                        planes = planes_of(frame.reformat(format="yuv420p"))
                    y, u, v = (np.array(plane) for plane in planes.views())
                    yield self._shot(place, y, u, v, planes.flags)
                    place += 1
        except (av.error.FFmpegError, OSError, IndexError) as error:
            raise _unreadable_video(self.path, error) from None


def open_clip(path: Path, number: int, fps: float | None) -> Clip:
    """A clip from a folder of pictures or of one video, or from a video itself. Raises InvalidArgument.

    `fps`: of its frames; None: as the video says, else `DEFAULT_FPS`.
    """
    if path.is_file():
        return Clip(path.stem, number, path, fps=fps or _fps_of(path))
    there = [one for one in path.iterdir() if one.is_file() and not one.name.startswith(".")]
    pictures = [one for one in there if one.suffix.lower() in PICTURES]
    videos = [one for one in there if one.suffix.lower() in VIDEOS]
    if videos and (len(videos) > 1 or pictures):
        raise InvalidArgument(
            f"clip {path}",
            f"has {len(videos)} videos and {len(pictures)} pictures",
            "A clip is one video, or numbered pictures alone.",
        )
    if videos:
        return Clip(path.name, number, videos[0], fps=fps or _fps_of(videos[0]))
    if not pictures:
        kinds = ", ".join(suffix[1:] for suffix in (*PICTURES, *VIDEOS))
        raise InvalidArgument(f"clip {path}", "has no pictures and no video in it", f"Known are: {kinds}.")
    files = sorted(pictures, key=lambda one: natural(one.name))
    places, gaps = _places(path, files)
    return Clip(path.name, number, path, tuple(files), places, gaps, fps or DEFAULT_FPS)


def natural(name: str) -> tuple[tuple[int, str], ...]:
    """The order of names in which 2 comes before 10."""
    parts = re.split(r"(\d+)", name.lower())
    return tuple((int(part), "") if part.isdigit() else (-1, part) for part in parts)


def read_picture(file: Path) -> tuple[Plane, Plane | None, Plane | None]:
    """Luma and, if there is colour, chroma of a file: 8 bits, full range, BT.601, 4:2:0. Raises InvalidArgument."""
    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InvalidArgument(
                    f"picture {file}", f"has {image.width}x{image.height} pixels", f"At most {MAX_PIXELS >> 20} Mi."
                )
            if image.mode.startswith("I") or image.mode == "F":
                return _grey_of_many_bits(file, np.asarray(image)), None, None
            if image.mode in ("L", "LA", "1"):
                return np.asarray(image.convert("L")).copy(), None, None
            y, cb, cr = (np.asarray(band) for band in image.convert("RGB").convert("YCbCr").split())
    except UnidentifiedImageError:
        raise InvalidArgument(f"picture {file}", "is no picture that can be read", _MEND_PICTURE) from None
    except Image.DecompressionBombError as error:
        raise InvalidArgument(f"picture {file}", str(error), _MEND_PICTURE) from None
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, InvalidArgument):
            raise
        raise InvalidArgument(f"picture {file}", f"cannot be read: {error}", _MEND_PICTURE) from None
    return y.copy(), _halved(cb), _halved(cr)


def _grey_of_many_bits(file: Path, values: NDArray[np.generic]) -> Plane:
    """Sixteen bits brought to eight; smaller numbers are taken as eight already."""
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 65535:
        raise InvalidArgument(f"picture {file}", f"has values from {low:g} to {high:g}", "Save it with 8 or 16 bits.")
    wide = values.astype(np.float64)
    scaled: Plane = np.round(wide / 257 if high > 255 else wide).astype(np.uint8)
    return scaled


def _halved(plane: NDArray[np.uint8]) -> Plane:
    height, width = plane.shape
    even = np.pad(plane, ((0, height % 2), (0, width % 2)), mode="edge").astype(np.uint16)
    sums = even[0::2, 0::2] + even[0::2, 1::2] + even[1::2, 0::2] + even[1::2, 1::2]
    halved: Plane = ((sums + 2) >> 2).astype(np.uint8)
    return halved


def _places(path: Path, files: Sequence[Path]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Places in time by the numbers in the names, and what is missing. Names without numbers stand in a row."""
    numbers = [int(found[-1]) if (found := _NUMBER.findall(file.stem)) else None for file in files]
    known = [number for number in numbers if number is not None]
    row = tuple(range(len(files)))
    if len(known) != len(files) or len(files) < 2:
        return row, ()
    steps = np.diff(known)
    if (steps == 0).any():
        twice = int(np.flatnonzero(steps == 0)[0])
        raise InvalidArgument(
            f"clip {path}",
            f"number {known[twice]} is there twice: {files[twice].name} and {files[twice + 1].name}",
            "Keep one of them.",
        )
    stride = int(steps.min())
    if (steps < 0).any() or (steps % stride).any():
        return row, ()
    missing = [(known[at] + stride, known[at + 1] - stride) for at in np.flatnonzero(steps > stride).tolist()]
    gaps = tuple(f"{first}" if first == last else f"{first} to {last}" for first, last in missing)
    return tuple((number - known[0]) // stride for number in known), gaps


def _fps_of(video: Path) -> float:
    try:
        with av.open(str(video)) as container:
            if not container.streams.video:
                raise InvalidArgument(f"video {video}", "has no pictures in it")
            rate = container.streams.video[0].average_rate
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable_video(video, error) from None
    return float(rate) if rate else DEFAULT_FPS


def _unreadable_video(video: Path, error: Exception) -> InvalidArgument:
    remedy = "Bring it to MP4 or AVI that ffmpeg plays."
    return InvalidArgument(f"video {video}", f"cannot be read: {str(error)[:120]}", remedy)
