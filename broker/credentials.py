"""Sources of cameras as they rest on the disk: what is shown of them in the clear, and the whole sealed beside it.

Belongs here: which source is sealed, the two texts that are stored, and what a camera is whose source cannot be opened.
Does not belong here: keys and ciphers (`mesh.secrets_at_rest`), the file (`store`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mesh.redact import redact_url
from mesh.secrets_at_rest import SealingKeys, SecretLocked


@dataclass(frozen=True, slots=True)
class Locked:
    """Why a source cannot be opened, and what was sealed, so that it is kept until its key is back."""

    reason: str
    sealed: str = field(repr=False)


def holds_credentials(source: str) -> bool:
    """Whether anything of a source is hidden when it is shown."""
    return redact_url(source) != source


def at_rest(camera: str, source: str, locked: Locked | None, keys: SealingKeys) -> tuple[str, str]:
    """The two texts that are stored: what is shown, and the whole source sealed ("" if nothing of it is secret).

    Raises SecretLocked.
    """
    if locked is not None:
        return source, locked.sealed
    if not holds_credentials(source):
        return source, ""
    return redact_url(source), keys.seal(source, _owner(camera))


def from_rest(camera: str, shown: str, sealed: str, keys: SealingKeys) -> tuple[str, Locked | None]:
    """The whole source; where it cannot be opened what is shown of it, and why."""
    if not sealed:
        return shown, None
    try:
        return keys.open(sealed, _owner(camera)), None
    except SecretLocked as error:
        return shown, Locked(str(error), sealed)


def _owner(camera: str) -> str:
    return f"camera {camera}"
