"""Golden frames: pictures in a model's folder with what its detector says of them, to see that it still says so.

    write_golden(folder, detector, shots)       # writes golden.json and golden/000.i420, ...
    compared(model, detector)                   # raises InvalidArgument where it says something else

The pictures are shown in order, from `start()` on, without regions. Expected values hold to the bit on the execution
provider, runtime and kind of processor that wrote them; elsewhere within TOLERANCE.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detector_pool.detector import Detector, LoadedModel, Observation
from detector_pool.picture import Shot
from mesh.errors import InvalidArgument
from mesh.ids import FrameId

INDEX = "golden.json"
TOLERANCE = 2e-3
MAX_FRAMES = 512
MAX_SIDE = 4096
_MAX_INDEX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """How golden frames compare."""

    frames: int
    greatest_difference: float
    """Of scores, and of the boxes' edges and scores."""

    @property
    def is_exact(self) -> bool:
        """Whether all values are equal to the bit."""
        return self.greatest_difference == 0.0


def write_golden(folder: Path, detector: Detector[Any], shots: Iterable[Shot]) -> None:
    """Writes what the detector says of the pictures, and the pictures, into a model's folder.

    `shots` bring all three planes, or luma alone. Raises ValueError: too many, or none.
    """
    for name, data in golden_files(detector, shots).items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def golden_files(detector: Detector[Any], shots: Iterable[Shot]) -> dict[str, bytes]:
    """As `write_golden`, as file names and content."""
    files: dict[str, bytes] = {}
    listed: list[dict[str, Any]] = []
    state = detector.start()
    for number, shot in enumerate(shots):
        if number >= MAX_FRAMES:
            raise ValueError(f"more than {MAX_FRAMES} golden frames")
        height, width = shot.y.shape
        planes = [plane for plane in (shot.y, shot.u, shot.v) if plane is not None]
        name = f"golden/{number:03}.{'i420' if len(planes) == 3 else 'grey'}"
        files[name] = b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes)
        observation, state = detector.inspect(shot, state, ())
        listed.append(
            {
                "file": name, "width": width, "height": height, "received_ns": shot.received_ns,
                "full_range": shot.full_range, "bt709": shot.bt709, "expected": _expected(observation),
            }
        )  # fmt: skip
    if not listed:
        raise ValueError("no golden frames")
    files[INDEX] = json.dumps({"frames": listed}, indent=1).encode()
    return files


def compared(model: LoadedModel, detector: Detector[Any]) -> GoldenResult:
    """Shows the model's golden frames to its detector. A model without any compares as equal, with no frames.

    Raises InvalidArgument naming the frame that gives something else, or the file that is not as it should be.
    """
    what = f"{INDEX} of model {model.manifest['name']}"
    listed = _listed(model, what)
    state = detector.start()
    greatest = 0.0
    for number, entry in enumerate(listed):
        shot = _shot(model, entry, number, what)
        try:
            observation, state = detector.inspect(shot, state, ())
        except Exception as error:
            raise InvalidArgument(
                f"golden frame {number} of model {model.manifest['name']}", str(error)[:300]
            ) from None
        difference = _difference(entry.get("expected"), _expected(observation))
        if not difference <= TOLERANCE:
            says = f"scores {observation.score:.4f} with {len(observation.boxes)} boxes"
            if observation.reason is not None:
                says = f"has no score ({observation.reason.value})"
            remedy = (
                "The graph, detector.toml or the golden frames belong to another version: write them again together."
            )
            raise InvalidArgument(
                f"golden frame {number} of model {model.manifest['name']}",
                f"{says}, which is not what is stored",
                remedy,
            )
        greatest = max(greatest, difference)
    return GoldenResult(len(listed), greatest)


def _listed(model: LoadedModel, what: str) -> list[Mapping[str, Any]]:
    try:
        data = model.read(INDEX)
    except InvalidArgument:
        return []
    if len(data) > _MAX_INDEX_BYTES:
        raise InvalidArgument(what, f"is longer than {_MAX_INDEX_BYTES >> 20} MiB")
    try:
        listed = json.loads(data)["frames"]
        if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
            raise TypeError("frames is no list of objects")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidArgument(what, f"cannot be read: {error}", "Leave it out, or write it again.") from None
    if len(listed) > MAX_FRAMES:
        raise InvalidArgument(what, f"names more than {MAX_FRAMES} frames")
    return listed


def _shot(model: LoadedModel, entry: Mapping[str, Any], number: int, what: str) -> Shot:
    try:
        width, height, received_ns = int(entry["width"]), int(entry["height"]), int(entry["received_ns"])
        name = str(entry["file"])
    except (KeyError, ValueError, TypeError) as error:
        raise InvalidArgument(what, f"frame {number} lacks or garbles a field: {error}") from None
    if not (1 <= width <= MAX_SIDE and 1 <= height <= MAX_SIDE):
        raise InvalidArgument(what, f"frame {number} is {width}x{height}; both sides are 1 to {MAX_SIDE}")
    data = np.frombuffer(model.read(name), np.uint8)
    luma, half = width * height, ((height + 1) // 2, (width + 1) // 2)
    chroma = half[0] * half[1]
    if data.size not in (luma, luma + 2 * chroma):
        raise InvalidArgument(f"file {name}", f"has {data.size} bytes, which is no {width}x{height} picture")
    u: NDArray[np.uint8] | None = None
    v: NDArray[np.uint8] | None = None
    if data.size > luma:
        u, v = data[luma : luma + chroma].reshape(half), data[luma + chroma :].reshape(half)
    return Shot(
        FrameId("golden", 1, number), received_ns, data[:luma].reshape(height, width),
        u=u, v=v, full_range=bool(entry.get("full_range")), bt709=bool(entry.get("bt709")),
    )  # fmt: skip


def _expected(observation: Observation) -> dict[str, Any]:
    if observation.reason is not None:
        return {"reason": observation.reason.name}
    boxes = [[box.x, box.y, box.width, box.height, box.label, box.score] for box in observation.boxes]
    return {"score": observation.score, "boxes": boxes}


def _difference(stored: Any, now: Mapping[str, Any]) -> float:
    """The greatest one between two sayings; infinite where they are of different kinds."""
    try:
        if "reason" in stored or "reason" in now:
            return 0.0 if stored.get("reason") == now.get("reason") else float("inf")
        if len(stored["boxes"]) != len(now["boxes"]):
            return float("inf")
        values = [abs(stored["score"] - now["score"])]
        for ours, theirs in zip(now["boxes"], stored["boxes"], strict=True):
            if ours[4] != theirs[4]:
                return float("inf")
            values += [abs(ours[i] - theirs[i]) for i in (0, 1, 2, 3, 5)]
        return float(max(values))
    except (TypeError, KeyError, IndexError, ValueError):
        return float("inf")
