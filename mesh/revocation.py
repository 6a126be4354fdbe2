"""Revoked tokens: one signed list, believed by every service. `RevocationList` is pure; `Revocations` is its file.

The list is signed with the key that signs tokens, so it may come by any way: from the data folder that services share,
or over the bus. It names single tokens by id, and users with a time before which all of their tokens are void. An entry
goes when what it revokes has ended anyway. A newer list replaces an older one; an older one is never taken back.

What does not belong here: minting (`mesh.tokens`), and when the list is looked at (`mesh.security_watch`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mesh.errors import FailedPrecondition, InvalidArgument, NotFound, ResourceExhausted, TrueframeError
from mesh.files import private_folder, read_secret, write_private
from mesh.logs import get_logger, rate_limited
from mesh.metrics import counter, gauge

log = get_logger("mesh.revocation")

# Not the issuer of tokens: neither may pass for the other.
ISSUER = "trueframe-revocations"
_ALGORITHM = "EdDSA"
# One message of the bus holds a list of so many.
MAX_ENTRIES = 4_000
MAX_LIST_CHARACTERS = 1_000_000
_MAX_TEXT = 128

_entries = gauge("revocations", "Entries of the list of revoked tokens.")
_refused = counter("revocation_lists_refused", "Lists of revoked tokens that could not be believed.")


@dataclass(frozen=True, slots=True)
class Revocation:
    """Either `token_id`, or `user` with `before_s`: tokens issued to them until then. Times are UTC seconds."""

    at_s: int
    until_s: int
    token_id: str = ""
    user: str = ""
    before_s: int = 0
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class RevocationList:
    """All that is revoked. The greater `version` is the newer one."""

    version: int = 0
    entries: tuple[Revocation, ...] = ()
    _tokens: frozenset[str] = field(init=False, repr=False, compare=False)
    _users: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked at every call: a walk through thousands of entries would be felt.
        object.__setattr__(self, "_tokens", frozenset(one.token_id for one in self.entries if one.token_id))
        object.__setattr__(self, "_users", {one.user: one.before_s for one in self.entries if one.user})

    def revokes(self, token_id: str, user: str, issued_s: float) -> bool:
        """Whether a token is revoked."""
        return token_id in self._tokens or issued_s <= self._users.get(user, -1)

    def with_entry(self, entry: Revocation, now_s: float) -> RevocationList:
        """A newer list that has the entry too, without those whose tokens have ended.

        Raises InvalidArgument (it names nothing), ResourceExhausted (too many).
        """
        if bool(entry.token_id) == bool(entry.user):
            raise InvalidArgument("revocation", "names neither a token nor a user, or both")
        kept = [one for one in self.entries if one.until_s > now_s and not _same(one, entry)]
        if len(kept) >= MAX_ENTRIES:
            raise ResourceExhausted("list of revoked tokens", f"has {MAX_ENTRIES} entries", "Revoke users instead.")
        # Begun anew after a loss, the list is newer than what services hold all the same.
        version = max(self.version + 1, int(now_s * 1000))
        cut = replace(entry, by=entry.by[:_MAX_TEXT], reason=entry.reason[:_MAX_TEXT])
        return RevocationList(version, (*kept, cut))

    def encode(self, key: Ed25519PrivateKey) -> str:
        """Signed text."""
        entries = [{name: value for name, value in asdict(entry).items() if value} for entry in self.entries]
        return jwt.encode({"iss": ISSUER, "version": self.version, "entries": entries}, key, algorithm=_ALGORITHM)

    @classmethod
    def decode(cls, text: str, keys: Sequence[Ed25519PublicKey]) -> RevocationList:
        """The inverse of `encode`. Raises FailedPrecondition."""
        if len(text) > MAX_LIST_CHARACTERS:
            raise FailedPrecondition("list of revoked tokens", "is too long to be one")
        for key in keys:
            try:
                body = jwt.decode(text, key, algorithms=[_ALGORITHM], issuer=ISSUER, options={"require": ["iss"]})
                return cls(int(body["version"]), tuple(_entry(one) for one in body["entries"]))
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError):
                break
        raise FailedPrecondition("list of revoked tokens", "is damaged, or not signed by the key that signs tokens")


def _same(one: Revocation, other: Revocation) -> bool:
    return (one.token_id, one.user) == (other.token_id, other.user)


def _entry(body: Any) -> Revocation:
    return Revocation(
        at_s=int(body["at_s"]),
        until_s=int(body["until_s"]),
        token_id=str(body.get("token_id", "")),
        user=str(body.get("user", "")),
        before_s=int(body.get("before_s", 0)),
        by=str(body.get("by", "")),
        reason=str(body.get("reason", "")),
    )


class Revocations:
    """The list as a file of this service holds it. Once believed, it is believed until a newer one comes.

    A list that is there at the start and cannot be believed leaves users out (who knows whom it names?) and lets
    services in, so that recording and inspecting go on.
    """

    def __init__(self, path: Path, keys: Iterable[Ed25519PublicKey]) -> None:
        self._path = path
        self._keys = tuple(keys)
        self._list = RevocationList()
        self._text = ""
        self._stamp: object = ()
        self.is_damaged = False
        self.refresh()

    @property
    def present(self) -> RevocationList:
        """What is believed now."""
        return self._list

    @property
    def text(self) -> str:
        """The signed text of what is believed now; empty without one."""
        return self._text

    def refresh(self) -> bool:
        """Looks at the file; whether something new is believed."""
        stamp = self._look()
        if stamp == self._stamp or stamp is None:
            return False
        self._stamp = stamp
        try:
            return self._believe(read_secret(self._path, MAX_LIST_CHARACTERS))
        except NotFound:
            return False
        except TrueframeError as error:
            self.is_damaged = not self._text
            self._refuse(str(self._path), error)
            return False

    def take(self, text: str, origin: str) -> bool:
        """A list from elsewhere: believed and stored if it is newer. Whether something new is believed."""
        try:
            if not self._believe(text):
                return False
        except TrueframeError as error:
            self._refuse(origin, error)
            return False
        try:
            private_folder(self._path.parent)
            write_private(self._path, text.encode())
            self._stamp = self._look()
        except (OSError, TrueframeError) as error:
            log.error("list of revoked tokens cannot be stored", path=str(self._path), reason=str(error))
        return True

    def _believe(self, text: str) -> bool:
        found = RevocationList.decode(text, self._keys)
        self.is_damaged = False
        if found.version <= self._list.version:
            return False
        self._list, self._text = found, text
        _entries.set(len(found.entries))
        log.info("list of revoked tokens", entries=len(found.entries), version=found.version)
        return True

    def _refuse(self, origin: str, error: TrueframeError) -> None:
        _refused.inc()
        if rate_limited(f"revocations {origin}", 60.0):
            log.error("list of revoked tokens is not believed", origin=origin, reason=str(error))

    def _look(self) -> object:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_ino, status.st_mtime_ns, status.st_size


def revoke(path: Path, key: Ed25519PrivateKey, entry: Revocation, newest: str = "") -> RevocationList:
    """Adds an entry to the list of a file, which is made if there is none; gives the new list.

    `newest`: a list from elsewhere, begun from if it is newer. Raises FailedPrecondition (the file is not a list),
    PermissionDenied, ResourceExhausted (too many, or too long); then the file is as it was.
    """
    keys = [key.public_key()]
    try:
        known = RevocationList.decode(read_secret(path, MAX_LIST_CHARACTERS), keys)
    except NotFound:
        known = RevocationList()
    if newest:
        known = max(known, RevocationList.decode(newest, keys), key=lambda one: one.version)
    made = known.with_entry(entry, time.time())
    text = made.encode(key)
    if len(text) > MAX_LIST_CHARACTERS:  # nobody would believe it, and services that start would keep users out
        raise ResourceExhausted("list of revoked tokens", "has no room left", "Give shorter reasons, or revoke users.")
    write_private(path, text.encode())
    return made
