"""Scene pictures into a clip: coded once, with libx264, libx265 or as JPEGs, kept in the cache folder.

What belongs here: encoder settings, the cache, and the processes that render several scenes side by side. Settings are
pinned (one thread, one slice, constant quality), so equal specs give equal bytes on one build of x264 and x265.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from simulator import bitstream, clip, counter, jpeg, parent
from simulator.clip import CLOCK_HZ, Clip, ClipUnit
from simulator.scene import FilmedScene, Scene, filmed
from simulator.spec import SceneSpec

KEEP_BYTES = 2 << 30
"""How large the cache may grow with clips that nobody asks for."""


def default_cache() -> Path:
    """Where clips are kept unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "trueframe" / "scenes"


def cached(specs: Sequence[SceneSpec], cache: Path) -> list[Clip]:
    """The clips of these specs, in their order; rendered where the cache has none, several processes side by side.

    Raises OSError when the cache cannot be written.
    """
    wanted = {spec.key(): spec for spec in specs}
    missing = [spec for key, spec in wanted.items() if not _is_whole(cache / f"{key}.clip")]
    if len(missing) == 1:
        render_into(missing[0], cache)
    elif missing:
        workers = min(len(missing), os.cpu_count() or 1)
        with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), parent.die_with_parent) as pool:
            list(pool.map(render_into, missing, [cache] * len(missing)))
    loaded = {key: clip.load(cache / f"{key}.clip") for key in wanted}
    prune(cache, set(wanted))
    return [loaded[spec.key()] for spec in specs]


def prune(cache: Path, in_use: set[str], keep_bytes: int = KEEP_BYTES) -> None:
    """Deletes clips, those first that nobody used for longest, down to `keep_bytes`; and what crashes left over."""
    clips = []
    now = time.time()
    for path in cache.glob("*clip*"):
        with contextlib.suppress(OSError):  # another simulator may delete at the same time
            if path.stem in in_use:
                os.utime(path)
            elif path.name.startswith(clip.PARTIAL_PREFIX):
                if now - path.stat().st_mtime > 3600:
                    path.unlink()
            else:
                clips.append((path.stat().st_mtime, path.stat().st_size, path))
    total = sum(size for _, size, _ in clips)
    for _, size, path in sorted(clips):
        if total <= keep_bytes:
            break
        path.unlink(missing_ok=True)
        total -= size


def render_into(spec: SceneSpec, cache: Path) -> None:
    """Renders one scene and writes its clip into the cache."""
    clip.save(render(spec), cache / f"{spec.key()}.clip")


def render(spec: SceneSpec) -> Clip:
    """Draws and encodes one loop."""
    scene = filmed(spec)
    ticks = CLOCK_HZ // spec.fps if CLOCK_HZ % spec.fps == 0 else Fraction(CLOCK_HZ, spec.fps)
    silent = scene.silent_frames()
    units: list[ClipUnit] = []
    sets: tuple[bytes, ...] = ()
    for position, (nals, frame) in enumerate(_coded(_pictures(scene), spec)):
        joins = spec.form.has_tables(position)
        if spec.codec != "mjpeg":
            syntax = bitstream.of(spec.codec)
            own = syntax.sets_in(nals)
            sets = own or sets
            joins = syntax.joins(nals) and bool(own)
        units.append(
            ClipUnit(
                nals=tuple(nals),
                due_ticks=int(position * ticks),
                pts_ticks=int((frame + min(spec.bframes, 1)) * ticks),
                frame=frame,
                joins=joins,
                silent=frame in silent,
            )
        )
    return Clip(
        name=spec.layout,
        width=spec.width,
        height=spec.height,
        fps=float(spec.fps),
        duration_ticks=int(spec.frames * ticks),
        units=tuple(units),
        codec=spec.codec,
        parameter_sets=sets,
        form=spec.form,
        truth=scene.truth(),
    )


def _pictures(scene: Scene | FilmedScene) -> Iterator[npt.NDArray[np.uint8]]:
    height = scene.spec.height
    for index in range(scene.spec.frames):
        picture = scene.picture(index)
        counter.draw(picture[:height], index)
        yield picture


def _coded(pictures: Iterable[npt.NDArray[np.uint8]], spec: SceneSpec) -> Iterator[tuple[list[bytes], int]]:
    """NAL units (of MJPEG: the scan) of every picture in decode order, with its position in presentation order."""
    if spec.codec == "mjpeg":
        for index, picture in enumerate(pictures):
            yield [jpeg.encode(_planes(picture, spec.height), spec.form)], index
        return
    for data, index in _encoded(pictures, _encoder(spec)):
        yield bitstream.split(data), index


def _planes(picture: npt.NDArray[np.uint8], height: int) -> list[npt.NDArray[np.uint8]]:
    """Y, Cb and Cr of a picture in PyAV's layout of I420: planes one below the other, as wide as luma."""
    half = (height // 2, picture.shape[1] // 2)
    chroma = picture[height:].reshape(2, *half)
    return [picture[:height], chroma[0], chroma[1]]


def _encoder(spec: SceneSpec) -> VideoCodecContext:
    name = "libx264" if spec.codec == "h264" else "libx265"
    context = av.CodecContext.create(name, "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt = spec.width, spec.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, spec.fps), Fraction(spec.fps)
    context.thread_count = 1
    settings: dict[str, int | str] = {
        "keyint": spec.gop_frames,
        "min-keyint": spec.gop_frames,
        "scenecut": 0,
        "bframes": spec.bframes,
        "b-adapt": 0,
        "aud": int(spec.delimiters),
        "open-gop": 0,
    }
    if spec.codec == "h264":
        settings |= {"b-pyramid": "none", "threads": 1, "sliced-threads": 0}
        # The fastest preset less its worst habits: as little flicker at key pictures as "veryfast" at half its time.
        settings |= {"cabac": 1, "deblock": "0,0", "8x8dct": 1}
    else:
        settings |= {"b-pyramid": 0, "pools": "none", "frame-threads": 1, "wpp": 0, "repeat-headers": 1}
        settings |= {"info": 0, "log-level": "none", "slices": 1, "rc-lookahead": max(spec.bframes + 1, 5)}
    context.options = {
        "preset": "ultrafast",
        "crf": "25",
        f"{name[3:]}-params": ":".join(f"{key}={value}" for key, value in settings.items()),
    }
    if spec.codec == "h264":
        context.options = {**context.options, "tune": "zerolatency"}
    return context


def _encoded(pictures: Iterable[npt.NDArray[np.uint8]], context: VideoCodecContext) -> Iterator[tuple[bytes, int]]:
    """Access units in Annex B form, in decode order, each with its position in presentation order."""
    for index, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(picture, format="yuv420p")
        frame.pts, frame.time_base = index, context.time_base
        yield from ((bytes(packet), int(packet.pts or 0)) for packet in context.encode(frame))
    yield from ((bytes(packet), int(packet.pts or 0)) for packet in context.encode(None))


def _is_whole(path: Path) -> bool:
    try:
        clip.load(path)
    except (OSError, ValueError):
        return False
    return True
