"""Exports of the footage of one camera by the numbers of its frames. For tests of the media center."""

from __future__ import annotations

from pathlib import Path

from media_center.export import plan_export, write_export
from media_center.footage import CameraFootage
from media_center.ranges import Bounds
from mesh.ids import FrameId
from tests.footage import EPOCH


def frame(seq: int, epoch: int = EPOCH) -> FrameId:
    return FrameId("gate", epoch, seq)


def between(first: int, last: int) -> Bounds:
    return Bounds("gate", frame(first), None, frame(last), None)


def export(footage: CameraFootage, path: Path, bounds: Bounds) -> Path:
    plan = plan_export(footage, bounds)
    path.write_bytes(b"".join(write_export(footage, plan)))
    assert path.stat().st_size == plan.size_bytes
    return path
