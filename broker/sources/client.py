"""What others import of sources: reading a video file access unit by access unit, and what those units say.

For processes that own no connection: nothing imported here opens one. What does not belong here: anything but names.
"""

from __future__ import annotations

from broker.core import MAX_UNIT_BYTES, DamageTracker, encode_frame, encode_item, inspector_for, sha256
from broker.errors import SourceEnded, SourceFailure
from broker.sources.file import FileReader, FileUnit
from broker.sources.notation import FileSource

__all__ = [
    "MAX_UNIT_BYTES",
    "DamageTracker",
    "FileReader",
    "FileSource",
    "FileUnit",
    "SourceEnded",
    "SourceFailure",
    "encode_frame",
    "encode_item",
    "inspector_for",
    "sha256",
]
