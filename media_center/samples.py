"""The bytes of a sample in our files, and the canonical payload that they stand for.

H.264 and H.265 units lie in MP4 with lengths in place of their four-byte start codes; a JPEG lies there as it is. No
length-prefixed unit begins as a JPEG file does: its first NAL unit would be 4 GiB long. So a sample tells by itself
which it is, to a scan that finds a fragment in the middle of a damaged file too.
"""

from __future__ import annotations

from broker.client import from_length_prefixed, to_length_prefixed

_JPEG = b"\xff\xd8"


def stored_form(payload: bytes | memoryview) -> bytes:
    """A canonical payload as the bytes of a sample, of the same length. Raises ValueError if it is none."""
    return bytes(payload) if payload[:2] == _JPEG else to_length_prefixed(payload)


def canonical_form(stored: bytes | memoryview) -> bytes:
    """The canonical payload of a sample's bytes. Raises ValueError if they are damaged."""
    return bytes(stored) if stored[:2] == _JPEG else from_length_prefixed(stored)
