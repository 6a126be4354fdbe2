"""Run inside a mount namespace of its own: a whole instance whose footage lies on a small disk that fills.

    unshare -m -r python -m tests.filling_disk FOLDER

The disk fills twice: with footage alone, so that the oldest goes; then with something else, so that only held footage
is left. What happened is told as JSON. Does not belong here: judging; `tests/chaos/test_disk_that_fills.py` does.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from broker.client import WireFrame
from media_center.removed import read_removed
from mesh.ids import FrameId
from tests.embedded import embedded
from tests.support import until
from trueframe.client import Client
from trueframe.v1 import footage_pb2, frames_pb2

MIB = 1 << 20
DISK, WARN, STOP = 12 * MIB, 4 * MIB, 2 * MIB
SETTINGS = {
    "media_center.segment_s": "2",
    "media_center.max_segment_s": "4",
    "media_center.min_free_bytes": str(STOP),
    "media_center.warn_free_bytes": str(WARN),
}
_REMOVED_AT_FIRST = 8
_FRAMES_WHILE_FULL = 40


def main(folder: Path) -> dict[str, Any]:
    """Everything, in order."""
    media = folder / "data" / "media"
    media.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(media)], check=True)
    arguments = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    with embedded(folder / "data", "--simulate", "3", *arguments) as instance:
        client = instance.client()
        cameras = sorted(instance.simulator["urls"])
        children = instance.children
        until(lambda: len(_spans(client, cameras)) == len(cameras), 60, "footage of every camera")
        begins = {span.camera: span.first_ns for span in _spans(client, cameras)}
        gate, begin_ns = cameras[0], begins[cameras[0]]
        held_to_ns = begin_ns + 3_000_000_000
        until(lambda: _newest_ns(client, gate) > held_to_ns + 5_000_000_000, 60, "what is to be held is closed")
        hold = client.footage.put_hold(gate, begin_ns, held_to_ns, "evidence")
        before = _frames(client, gate, begin_ns, held_to_ns)
        # So that it does not take all day: beside footage, something else lies on the disk.
        filler = media / "filler"
        filler.write_bytes(bytes(max(0, _free(media) - WARN - MIB // 2)))
        until(lambda: len(_removals(media, cameras)) >= _REMOVED_AT_FIRST, 150, "the oldest footage goes")
        removals = _removals(media, cameras)
        first = {
            "removals": removals,
            # Of events, too: simulated cameras have some.
            "holds": [[one.camera, one.from_ns, one.to_ns] for one in client.footage.holds()],
            "conditions": _conditions(client),
            "free": _free(media),
            "gaps": _gaps(client, cameras, begin_ns),
            "held": _frames(client, gate, begin_ns, held_to_ns) == before and len(before) > 0,
            "goes_on": _goes_on(client, cameras),
            "cameras": [camera.state for camera in client.broker.list_cameras()],
        }
        # Nothing may be left to delete: everything from now back is held, and something else takes the rest.
        for camera in cameras:
            client.footage.put_hold(camera, 1, time.time_ns() + 3_600_000_000_000, "everything is evidence")
        until(lambda: _grow(media / "more", _free(media) - STOP + MIB) or _free(media) < STOP, 30, "the disk is full")
        until(lambda: _is_told(client, "only_held_footage"), 30, "an alarm that only held footage is left")
        until(lambda: _is_told(client, "disk_full"), 30, "an alarm that the disk is full")
        count = len(_removals(media, cameras))
        # So many more frames of each came, and nothing of them could be recorded.
        goal = {camera.spec.id: camera.frames + _FRAMES_WHILE_FULL for camera in client.broker.list_cameras()}
        until(
            lambda: all(camera.frames >= goal[camera.spec.id] for camera in client.broker.list_cameras()), 60, "frames"
        )
        second = {
            "removed_meanwhile": len(_removals(media, cameras)) - count,
            "held": _frames(client, gate, begin_ns, held_to_ns) == before,
            "conditions": _conditions(client),
        }
        (media / "more").unlink()
        filler.unlink()
        until(lambda: not _is_told(client, "disk_full"), 30, "the alarm is over")
        third = {
            "goes_on": _goes_on(client, cameras),
            "lost": sum(gap["count"] for gap in _gaps(client, cameras, begin_ns) if gap["reason"] == "NOT_RECORDED"),
            "children": instance.children == children,
            "hold": hold.id in {one.id for one in client.footage.holds()},
        }
        client.close()
    return {"first": first, "second": second, "third": third}


def _spans(client: Client, cameras: list[str]) -> list[footage_pb2.Recording]:
    found = client.footage.recordings().recordings
    return [next(span for span in found if span.camera == camera) for camera in cameras if any(
        span.camera == camera for span in found
    )]  # fmt: skip


def _newest_ns(client: Client, camera: str) -> int:
    return max(span.last_ns for span in client.footage.recordings([camera]).recordings)


def _goes_on(client: Client, cameras: list[str]) -> bool:
    before = {camera: _newest_ns(client, camera) for camera in cameras}
    until(lambda: all(_newest_ns(client, camera) > before[camera] for camera in cameras), 30, "recording goes on")
    return True


def _frames(client: Client, camera: str, from_ns: int, to_ns: int) -> list[tuple[str, str]]:
    """Ids and digests of what is replayed; payloads are checked against their digests on the way."""
    return [
        (str(FrameId(camera, item.epoch, item.seq)), bytes(item.digest).hex())
        for item in client.footage.replay(camera, start=from_ns, end=to_ns)
        if isinstance(item, WireFrame)
    ]


def _gaps(client: Client, cameras: list[str], from_ns: int) -> list[dict[str, Any]]:
    return [
        {"reason": frames_pb2.GapReason.Name(gap.reason).removeprefix("GAP_REASON_"), "count": gap.count}
        for gap in client.footage.recordings(cameras, from_ns=from_ns).gaps
    ]


def _removals(media: Path, cameras: list[str]) -> list[dict[str, Any]]:
    return [
        {"camera": one.camera, "from_ns": one.from_ns, "to_ns": one.to_ns, "removed_ns": one.removed_ns,
         "reason": one.reason}
        for camera in cameras
        for row in read_removed(media / camera)
        if (one := row.removal) is not None
    ]  # fmt: skip


def _conditions(client: Client) -> list[dict[str, Any]]:
    return [
        {
            "name": event.detector.removeprefix("media-center."),
            "started_ns": event.started_ns,
            "is_over": event.ended_ns > 0,
        }
        for event in client.events.list(limit=1000)
        if event.detector.startswith("media-center.")
    ]  # fmt: skip


def _is_told(client: Client, name: str) -> bool:
    return any(one["name"] == name and not one["is_over"] for one in _conditions(client))


def _free(media: Path) -> int:
    return int(subprocess.run(
        ["stat", "-f", "-c", "%a %S", str(media)], capture_output=True, check=True, text=True
    ).stdout.split()[0]) * 4096  # fmt: skip


def _grow(path: Path, size: int) -> bool:
    if size > 0:
        with path.open("ab") as file:
            file.write(bytes(size))
    return False


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
