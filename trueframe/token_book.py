"""The book of the tokens that were made here: who has one, until when. It holds no token, only what each says.

`keys/tokens.json`, mode 0600. What should not be in this module: minting (`mesh.tokens`), revoking (`mesh.revocation`).
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, TrueframeError
from mesh.files import read_secret, write_private

_MAX_BOOK_BYTES = 8 << 20
_MAX_ENTRIES = 10_000
# What has ended is shown for so long.
_REMEMBERED_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class TokenEntry:
    """One token. `cameras` is None for all. Times are UTC seconds. `file`: where it was found, if not by the book."""

    id: str
    user: str
    role: str
    cameras: tuple[str, ...] | None
    issued_s: int
    ends_s: int
    file: str = ""


def entry_of(token: str, file: str = "") -> TokenEntry:
    """What a token says of itself; proves nothing. Raises InvalidArgument."""
    try:
        body = token.strip().split(".")[1]
        claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        cameras = claims.get("cameras")
        return TokenEntry(
            str(claims["jti"]), str(claims["sub"]), str(claims["role"]), None if cameras is None else tuple(cameras),
            int(claims["iat"]), int(claims["exp"]), file,
        )  # fmt: skip
    except (ValueError, IndexError, KeyError, TypeError, AttributeError):
        raise InvalidArgument(f"file {file}" if file else "token", "holds no token") from None


class TokenBook:
    """The book in a folder of keys."""

    def __init__(self, keys: Path) -> None:
        self._keys = keys
        self._path = keys / "tokens.json"

    def entries(self) -> list[TokenEntry]:
        """Those of the book and of the token files beside it, oldest first. Raises FailedPrecondition."""
        found = {entry.id: entry for entry in self._read()}
        for path in sorted(self._keys.glob("*.token")):
            try:
                entry = entry_of(read_secret(path), str(path))
            except TrueframeError:
                continue  # that of NATS, or one that may not be read
            found[entry.id] = entry
        return sorted(found.values(), key=lambda entry: (entry.issued_s, entry.id))

    def find(self, token_id: str) -> TokenEntry:
        """The one with this id, or with an id that begins so. Raises NotFound, InvalidArgument (several)."""
        found = [entry for entry in self.entries() if token_id and entry.id.startswith(token_id)]
        if exact := [entry for entry in found if entry.id == token_id]:
            return exact[0]
        if not found:
            raise NotFound(f"token {token_id[:40]!r}", "is not in the book", "`trueframe token list` shows the ids.")
        if len(found) > 1:
            raise InvalidArgument(f"token {token_id[:40]!r}", f"could be {len(found)} of them", "Give more of its id.")
        return found[0]

    def add(self, entry: TokenEntry, now_s: float) -> None:
        """Enters one; forgets what ended long ago. Raises FailedPrecondition."""
        kept = [one for one in self._read() if one.ends_s + _REMEMBERED_S > now_s][-(_MAX_ENTRIES - 1) :]
        try:
            write_private(self._path, json.dumps([asdict(one) for one in (*kept, entry)], ensure_ascii=False).encode())
        except OSError as error:
            raise FailedPrecondition(f"book of tokens {self._path}", f"cannot be written ({error.strerror})") from None

    def _read(self) -> list[TokenEntry]:
        try:
            rows = json.loads(read_secret(self._path, _MAX_BOOK_BYTES))
            return [TokenEntry(**{**row, "cameras": _cameras(row["cameras"])}) for row in rows]
        except NotFound:
            return []
        except (ValueError, TypeError, KeyError):
            raise FailedPrecondition(
                f"book of tokens {self._path}", "is damaged", "Move it away; tokens hold on, and users can be revoked."
            ) from None


def _cameras(value: Any) -> tuple[str, ...] | None:
    return None if value is None else tuple(map(str, value))
