"""Secrets of channels, read from their files at every attempt: what is renewed on disk is used, and none is kept."""

from __future__ import annotations

from pathlib import Path

from event_center.notifications.errors import Deferred
from mesh.errors import TrueframeError
from mesh.files import read_secret


def secret_of(path: Path | None) -> str:
    """What the file holds; "" without one. Raises Deferred: not there, others can read it, empty."""
    if path is None:
        return ""
    try:
        text = read_secret(path)
    except TrueframeError as error:
        raise Deferred(f"secret file {path} {error.reason}") from None
    except OSError as error:
        raise Deferred(f"secret file {path} cannot be read ({error.strerror})") from None
    if not text:
        raise Deferred(f"secret file {path} is empty")
    return text
