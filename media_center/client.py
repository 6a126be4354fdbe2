"""What others import of the media center: footage found, replayed, looked at and exported.

    async with FootageClient(endpoint, token) as footage:
        for recording in (await footage.recordings(["gate"])).recordings:
            print(recording.first.seq, recording.frames)
        async for item in footage.replay("gate", start=FrameId("gate", epoch, 100)):
            ...
        await footage.export("gate", "clip.mp4", start=first, end=last)

`stream_from` goes from recorded frames over to live ones without a seam (`stream_from_sync` without an event loop);
`trueframe.client` has it as a method.

A start or end is a FrameId, an int (UTC nanoseconds) or None (open). Every call raises the errors of `mesh.errors`.
`SyncFootageClient` is the same without an event loop.
"""

from __future__ import annotations

from media_center.client_async import FootageClient
from media_center.client_calls import Export, FootageItem, footage_range
from media_center.client_import import ImportedFile, ImportProgress, creation_time
from media_center.client_package import Package
from media_center.client_sync import SyncFootageClient
from media_center.export_parts import Part, Place, export_parts
from media_center.keys import KeyRing, read_trusted
from media_center.keys import rotate as rotate_footage_key
from media_center.past_to_live import Starts, stream_from, stream_from_sync
from media_center.verify_fetching import fetching
from media_center.verify_files import verify_paths
from media_center.verify_report import Report, worst

__all__ = [
    "Export",
    "FootageClient",
    "FootageItem",
    "ImportProgress",
    "ImportedFile",
    "KeyRing",
    "Package",
    "Part",
    "Place",
    "Report",
    "Starts",
    "SyncFootageClient",
    "creation_time",
    "export_parts",
    "fetching",
    "footage_range",
    "read_trusted",
    "rotate_footage_key",
    "stream_from",
    "stream_from_sync",
    "verify_paths",
    "worst",
]
