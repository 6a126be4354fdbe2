"""Scene pictures into a clip: coded once as H.264 with libx264, kept in the cache folder.

What belongs here: encoder settings, the cache, and the processes that render several scenes side by side. Settings are
pinned (one thread, one slice, constant quality), so equal specs give equal bytes on one build of x264.
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

from simulator import bitstream, clip, counter, parent
from simulator.clip import CLOCK_HZ, Clip, ClipUnit
from simulator.scene import Scene
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
    scene = Scene(spec)
    ticks = CLOCK_HZ // spec.fps if CLOCK_HZ % spec.fps == 0 else Fraction(CLOCK_HZ, spec.fps)
    silent = scene.silent_frames()
    units: list[ClipUnit] = []
    sps = pps = b""
    for position, (data, frame) in enumerate(_encoded(_pictures(scene), spec)):
        nals = bitstream.split(data)
        kinds = [bitstream.kind(nal) for nal in nals]
        if bitstream.SPS in kinds:
            sps, pps = nals[kinds.index(bitstream.SPS)], nals[kinds.index(bitstream.PPS)]
        units.append(
            ClipUnit(
                nals=tuple(nals),
                due_ticks=int(position * ticks),
                pts_ticks=int((frame + min(spec.bframes, 1)) * ticks),
                frame=frame,
                joins=bitstream.IDR in kinds and bitstream.SPS in kinds,
                silent=frame in silent,
            )
        )
    return Clip(
        name=spec.layout,
        width=spec.width,
        height=spec.height,
        fps=float(spec.fps),
        duration_ticks=int(spec.frames * ticks),
        sps=sps,
        pps=pps,
        units=tuple(units),
        truth=scene.truth(),
    )


def _pictures(scene: Scene) -> Iterator[npt.NDArray[np.uint8]]:
    height = scene.spec.height
    for index in range(scene.spec.frames):
        picture = scene.picture(index)
        counter.draw(picture[:height], index)
        yield picture


def _encoded(pictures: Iterable[npt.NDArray[np.uint8]], spec: SceneSpec) -> Iterator[tuple[bytes, int]]:
    """Access units in Annex B form, in decode order, each with its position in presentation order."""
    context = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = spec.width, spec.height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, spec.fps), Fraction(spec.fps)
    context.thread_count = 1
    settings = {
        "keyint": spec.gop_frames,
        "min-keyint": spec.gop_frames,
        "scenecut": 0,
        "bframes": spec.bframes,
        "b-adapt": 0,
        "b-pyramid": "none",
        "aud": int(spec.delimiters),
        "threads": 1,
        "sliced-threads": 0,
        "open-gop": 0,
        # The fastest preset less its worst habits: as little flicker at key pictures as "veryfast" at half its time.
        "cabac": 1,
        "deblock": "0,0",
        "8x8dct": 1,
    }
    context.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "crf": "25",
        "x264-params": ":".join(f"{name}={value}" for name, value in settings.items()),
    }
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
