"""Keys that sign footage: the pair of a data folder, its ring of present and former public keys, and rotation.

What belongs here: files of keys, whose signature is believed, and statements that one key hands over to the next.
What does not: what is signed (`seal`, `manifest`, `removed`, `proof`), and tokens, which have a key of their own.

In `<data>/keys`:

    footage-signing.key   the private key, PEM, 0600
    footage-signing.pub   its public half, PEM
    footage-keys.json     the ring: every public key that was ever used here, oldest first

An entry of the ring holds a key, since when it signs, its predecessor, and two signatures over that statement: one by
the predecessor, which hands over, and one by the key itself, which takes over. So whoever pins any one key of a ring
can follow it both ways.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mesh.errors import FailedPrecondition, NotFound, TrueframeError
from mesh.files import private_folder, write_atomic, write_private
from mesh.logs import get_logger
from mesh.tokens import create_signing_key, load_public_key, load_signing_key, write_public_key

log = get_logger("media_center.keys")

KEY_NAME = "footage-signing.key"
PUBLIC_NAME = "footage-signing.pub"
RING_NAME = "footage-keys.json"
_NEXT_NAME = "footage-signing.key.next"
_FORM = "trueframe-footage-keys-1"
_PREFIX = b"trueframe-footage-key-1\0"
_MAX_RING_BYTES = 1 << 20
_ROUND = 600 * 1_000_000_000


def key_id_of(key: Ed25519PublicKey) -> bytes:
    """First 16 bytes of SHA-256 of a public key."""
    return sha256(_raw(key)).digest()[:16]


def is_signed(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    """Whether a signature is this key's over the data."""
    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True


class FootageSigner:
    """The private key of a data folder. Thread-safe. Takes up a rotated key by itself, at the next signature."""

    def __init__(self, key: Ed25519PrivateKey, path: Path | None = None, ring: KeyRing | None = None) -> None:
        """`path`: the file that is looked at before signing; None for a key that stays. `ring`: former keys."""
        self._former = TrustedKeys(rings=[ring] if ring is not None else [])
        self._lock = threading.Lock()
        self._path = path
        self._stamp = _stamp(path)
        self._set(key)

    def _set(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self._key_id = key_id_of(key.public_key())

    @property
    def public_key(self) -> Ed25519PublicKey:
        """The public half of the key in use."""
        return self._key.public_key()

    @property
    def key_id(self) -> bytes:
        """First 16 bytes of SHA-256 of the public key in use."""
        return self._key_id

    def sign(self, statement: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
        """Signs what `statement` returns for the key id; returns the id and a signature of 64 bytes.

        A new key whose file cannot be read leaves the one in use.
        """
        with self._lock:
            stamp = _stamp(self._path)
            if self._path is not None and stamp is not None and stamp != self._stamp:
                try:
                    self._set(load_signing_key(self._path))
                except (TrueframeError, OSError) as error:
                    log.error("the new key cannot be read: footage is signed with the old one", reason=str(error))
                self._stamp = stamp
            return self._key_id, self._key.sign(statement(self._key_id))

    def is_own(self, key_id: bytes, signature: bytes, data: bytes) -> bool:
        """Whether a signature was made with this key or one of the ring that it came with."""
        key = self._key.public_key() if key_id == self._key_id else self._former.get(key_id)
        return key is not None and is_signed(key, signature, data)

    @classmethod
    def generate(cls) -> Self:
        """A new key in memory alone."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def of_folder(cls, keys: Path, now_ns: int) -> Self:
        """The key of a folder; key and ring are made if they are not there. `now_ns`: UTC nanoseconds.

        Raises PermissionDenied, FailedPrecondition (a file that is no key), OSError.
        """
        private_folder(keys)
        _finish_rotation(keys)
        path = keys / KEY_NAME
        try:
            key = load_signing_key(path)
        except NotFound:
            key = create_signing_key(path, keys / PUBLIC_NAME)
        if not (keys / PUBLIC_NAME).exists():
            write_public_key(key, keys / PUBLIC_NAME)
        ring = KeyRing.read(keys / RING_NAME) if (keys / RING_NAME).exists() else KeyRing(())
        if key_id_of(key.public_key()) not in ring.ids():
            # A first start, or somebody put another key there: it begins a line of its own in the ring.
            ring = ring.with_key(RingKey.begun(key, now_ns))
            write_atomic(keys / RING_NAME, ring.encode())
        return cls(key, path, ring)


@dataclass(frozen=True, slots=True)
class RingKey:
    """A public key and how it came to be used."""

    key: Ed25519PublicKey
    from_ns: int
    """Since when it signs, UTC nanoseconds."""
    predecessor: bytes
    """Id of the key before it; empty for one that began a line."""
    handed_over: bytes
    """The predecessor's signature; empty without one."""
    taken_over: bytes
    """Its own signature."""

    @property
    def id(self) -> bytes:
        """Its key id."""
        return key_id_of(self.key)

    @property
    def statement(self) -> bytes:
        """What both signatures cover."""
        body = {"key": _raw(self.key).hex(), "from_ns": self.from_ns, "predecessor": self.predecessor.hex()}
        return _PREFIX + json.dumps(body, sort_keys=True).encode()

    @classmethod
    def begun(cls, key: Ed25519PrivateKey, from_ns: int) -> Self:
        """The entry of a key without predecessor."""
        unsigned = cls(key.public_key(), from_ns, b"", b"", b"")
        return cls(unsigned.key, from_ns, b"", b"", key.sign(unsigned.statement))

    @classmethod
    def following(cls, old: Ed25519PrivateKey, new: Ed25519PrivateKey, from_ns: int) -> Self:
        """The entry of a key that an older one hands over to."""
        old_id = key_id_of(old.public_key())
        unsigned = cls(new.public_key(), from_ns, old_id, b"", b"")
        return cls(unsigned.key, from_ns, old_id, old.sign(unsigned.statement), new.sign(unsigned.statement))


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Public keys in the order in which they came into use."""

    keys: tuple[RingKey, ...]

    def ids(self) -> set[bytes]:
        """Their ids."""
        return {entry.id for entry in self.keys}

    def with_key(self, entry: RingKey) -> KeyRing:
        """The ring with one more key."""
        return KeyRing((*self.keys, entry))

    def encode(self) -> bytes:
        """The ring as a JSON file."""
        entries = [
            {
                "id": entry.id.hex(),
                "key": base64.b64encode(_raw(entry.key)).decode(),
                "from_ns": entry.from_ns,
                "predecessor": entry.predecessor.hex(),
                "handed_over": entry.handed_over.hex(),
                "taken_over": entry.taken_over.hex(),
            }
            for entry in self.keys
        ]
        return json.dumps({"form": _FORM, "keys": entries}, indent=1).encode() + b"\n"

    @classmethod
    def parse(cls, data: bytes) -> KeyRing:
        """A ring out of its file. Raises ValueError if it is none, or one of its own signatures fails."""
        try:
            body = json.loads(data)
        except RecursionError:
            raise ValueError("not a ring of footage keys") from None
        if not isinstance(body, dict) or body.get("form") != _FORM or not isinstance(body.get("keys"), list):
            raise ValueError("not a ring of footage keys")
        entries: list[RingKey] = []
        known: dict[bytes, Ed25519PublicKey] = {}
        for item in body["keys"]:
            entry = _ring_key(item)
            if not is_signed(entry.key, entry.taken_over, entry.statement):
                raise ValueError(f"key {entry.id.hex()} did not sign its own entry")
            if entry.predecessor:
                old = known.get(entry.predecessor)
                if old is None or not is_signed(old, entry.handed_over, entry.statement):
                    raise ValueError(f"no key before {entry.id.hex()} handed over to it")
            known[entry.id] = entry.key
            entries.append(entry)
        return cls(tuple(entries))

    @classmethod
    def read(cls, path: Path) -> KeyRing:
        """A ring out of a file. Raises NotFound, FailedPrecondition (no ring, a signature that fails), OSError."""
        try:
            with path.open("rb") as file:
                return cls.parse(file.read(_MAX_RING_BYTES))
        except FileNotFoundError:
            raise NotFound(
                f"key ring {path}", "does not exist", "`trueframe up` makes that of a data folder."
            ) from None
        except ValueError as error:
            raise FailedPrecondition(
                f"key ring {path}", f"cannot be used: {error}", "Restore it from a copy."
            ) from None


class TrustedKeys:
    """Whose signatures are believed, and for how long each key was the one in use."""

    def __init__(self, roots: Iterable[Ed25519PublicKey] = (), rings: Iterable[KeyRing] = ()) -> None:
        """`roots` pinned: rings only add keys that lead to or from one of them. Without roots, rings are believed."""
        rings = list(rings)
        self._keys = {key_id_of(key): key for key in roots}
        self._retired: dict[bytes, int] = {}
        links = [entry for ring in rings for entry in ring.keys]
        if not self._keys:
            self._keys = {entry.id: entry.key for entry in links}
        else:
            self._follow(rings)
        for entry in links:
            if entry.predecessor in self._keys and entry.id in self._keys:
                self._retired.setdefault(entry.predecessor, entry.from_ns)

    def _follow(self, rings: Iterable[KeyRing]) -> None:
        """Adds keys that handed over to, or took over from, a believed one."""
        by_id = {entry.id: entry for ring in rings for entry in ring.keys}
        has_grown = True
        while has_grown:
            has_grown = False
            for entry in by_id.values():
                pair = (entry.id, entry.predecessor)
                if entry.predecessor in by_id and (pair[0] in self._keys) != (pair[1] in self._keys):
                    self._keys |= {one: by_id[one].key for one in pair}
                    has_grown = True

    def __bool__(self) -> bool:
        return bool(self._keys)

    def get(self, key_id: bytes) -> Ed25519PublicKey | None:
        """The believed key of that id."""
        return self._keys.get(key_id)

    def is_retired(self, key_id: bytes, at_ns: int) -> bool:
        """Whether the key had handed over to another at a moment; ten minutes for the handing over itself."""
        retired_ns = self._retired.get(key_id)
        return retired_ns is not None and at_ns > retired_ns + _ROUND


def read_trusted(paths: Iterable[Path]) -> TrustedKeys:
    """Trust in what files say: public keys in PEM form, and rings. Raises NotFound, FailedPrecondition."""
    roots: list[Ed25519PublicKey] = []
    rings: list[KeyRing] = []
    for path in paths:
        try:
            with path.open("rb") as file:
                is_ring = file.read(64).lstrip().startswith(b"{")
        except FileNotFoundError:
            raise NotFound(f"key {path}", "does not exist") from None
        except OSError as error:
            raise FailedPrecondition(f"key {path}", f"cannot be read ({error.strerror})") from None
        if is_ring:
            rings.append(KeyRing.read(path))
        else:
            roots.append(load_public_key(path))
    return TrustedKeys(roots, rings)


def rotate(keys: Path, now_ns: int) -> RingKey:
    """Makes a new key that the present one hands over to; the present one is destroyed. `now_ns`: UTC nanoseconds.

    A running media center takes it up with its next signature. After a crash in between, the old pair or the new one
    is in force, never none. Raises NotFound (no key yet), PermissionDenied, FailedPrecondition, OSError.
    """
    _finish_rotation(keys)
    old = load_signing_key(keys / KEY_NAME)
    ring = KeyRing.read(keys / RING_NAME)
    new = Ed25519PrivateKey.generate()
    entry = RingKey.following(old, new, now_ns)
    write_private(
        keys / _NEXT_NAME,
        new.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    write_atomic(keys / RING_NAME, ring.with_key(entry).encode())
    _finish_rotation(keys)
    return entry


def _finish_rotation(keys: Path) -> None:
    """Puts a new key into force that a rotation had entered into the ring; removes one that it had not."""
    path = keys / _NEXT_NAME
    if not path.exists():
        return
    new = load_signing_key(path)
    if key_id_of(new.public_key()) in KeyRing.read(keys / RING_NAME).ids():
        write_public_key(new, keys / PUBLIC_NAME)
        path.replace(keys / KEY_NAME)
    else:
        path.unlink()


def _ring_key(item: Any) -> RingKey:
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(item["key"], validate=True))
        if not isinstance(item["from_ns"], int):
            raise TypeError("from_ns is no whole number")
        return RingKey(
            key, item["from_ns"], bytes.fromhex(item["predecessor"]), bytes.fromhex(item["handed_over"]),
            bytes.fromhex(item["taken_over"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("an entry of the ring is not whole") from error


def _raw(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _stamp(path: Path | None) -> tuple[int, int, int] | None:
    try:
        status = path.stat() if path is not None else None
    except OSError:
        return None
    return (status.st_ino, status.st_mtime_ns, status.st_size) if status is not None else None
