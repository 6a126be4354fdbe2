"""Secrets that a service must be able to read again, sealed with a key that lies beside the data: AES-256-GCM.

Belongs here: the key file, sealing, opening, a new key. Does not belong here: what is sealed and where it is kept
(camera passwords: `broker.store`), and secrets that are only compared or that belong to somebody else.

The key file (mode 0600) holds one key a line, 64 hexadecimal digits; `#` begins a comment. The first one seals, all of
them open. A sealed text is `sealed:1:KEY ID:BASE64`, of the nonce (12 bytes) and the ciphertext with its tag. Whom a
secret belongs to is authenticated with it, so that a sealed text that is moved to another camera does not open.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import fcntl
import os
import secrets
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from mesh.errors import FailedPrecondition, NotFound, TrueframeError
from mesh.files import private_folder, read_secret, write_private

PREFIX = "sealed:1:"
_NONCE_BYTES = 12
_KEY_BYTES = 32
_PURPOSE = b"trueframe-sealed-1\0"
_HEADER = "# Opens the camera passwords of this data folder. Keep a copy where the data's copy is not.\n"
_ROTATE = "`trueframe keys rotate-credentials --lost` begins anew with another key; then give the passwords again."


class SecretLocked(FailedPrecondition):
    """A sealed secret cannot be opened, or none can be sealed: the key is missing, another one, or damaged."""


def is_sealed(text: str) -> bool:
    """Whether a text is a sealed secret."""
    return text.startswith(PREFIX)


def key_id_of(key: bytes) -> str:
    """What a key is called: 16 hexadecimal digits that tell nothing of it."""
    return sha256(b"trueframe-sealing-key\0" + key).hexdigest()[:16]


class SealingKeys:
    """The keys of a file, read again when it changes. Holds no key that it shows. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._stamp: tuple[int, int, int] | None = None
        self._keys: list[bytes] = []

    def __repr__(self) -> str:
        return f"SealingKeys({str(self.path)!r})"

    @property
    def stamp(self) -> tuple[int, int, int] | None:
        """Changes when the file does; None if there is none."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size

    @property
    def ids(self) -> list[str]:
        """What the keys are called, the one that seals first. Raises SecretLocked."""
        return [key_id_of(key) for key in self._read()]

    def make_if_absent(self) -> None:
        """Makes the file with a new key if there is none. Raises SecretLocked (it cannot be written)."""
        if self.stamp is None:
            with self.changing():
                if self.stamp is None:
                    self.write([secrets.token_bytes(_KEY_BYTES)])

    def seal(self, secret: str, owner: str) -> str:
        """The secret sealed for its owner, say "camera gate". Raises SecretLocked."""
        key = self._read()[0]
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = AESGCM(key).encrypt(nonce, secret.encode("utf-8", "surrogatepass"), _PURPOSE + owner.encode())
        return f"{PREFIX}{key_id_of(key)}:{base64.b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, owner: str) -> str:
        """The secret. Raises SecretLocked, with no word of it."""
        key_id, data = _parsed(sealed, owner)
        key = next((key for key in self._read() if key_id_of(key) == key_id), None)
        if key is None:
            raise SecretLocked(
                f"what is sealed for {owner}", f"was sealed with key {key_id}, which is not in {self.path}",
                f"Put that key's line back into the file. {_ROTATE}",
            )  # fmt: skip
        try:
            plain = AESGCM(key).decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _PURPOSE + owner.encode())
        except (InvalidTag, ValueError):
            raise SecretLocked(f"what is sealed for {owner}", "is damaged or was changed", "Give it again.") from None
        return plain.decode("utf-8", "surrogatepass")

    def is_current(self, sealed: str) -> bool:
        """Whether a sealed text was sealed with the key that seals now. Raises SecretLocked."""
        return _parsed(sealed, "somebody")[0] == key_id_of(self._read()[0])

    def rotate(self, *, is_lost: bool = False) -> str:
        """Puts a new key before the present ones and returns what it is called. What is sealed opens as before.

        `is_lost`: whatever the file holds is set aside unread. Raises SecretLocked.
        """
        key = secrets.token_bytes(_KEY_BYTES)
        with self.changing():
            if is_lost and self.stamp is not None:
                self.path.replace(self.path.with_name(f"{self.path.name}.set-aside-{secrets.token_hex(4)}"))
            self.write([key] if is_lost else [key, *self._read()])
        return key_id_of(key)

    def keep_first(self) -> None:
        """Drops all keys but the one that seals: for the caller of `changing` who has sealed everything anew."""
        keys = self._read()
        if len(keys) > 1:
            self.write(keys[:1])

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Held by whoever changes the file: a rotation must not fall between sealing anew and dropping old keys.

        Raises SecretLocked (the folder cannot be written).
        """
        try:
            if not self.path.parent.exists():
                private_folder(self.path.parent)
            descriptor = os.open(self.path.with_name(f".{self.path.name}.lock"), os.O_CREAT | os.O_RDWR, 0o600)
        except OSError as error:
            raise self._error(f"cannot be changed ({error.strerror})", "Make its folder writable.") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        except OSError as error:
            raise self._error(f"cannot be written ({error.strerror})", "Make room on the disk.") from None
        finally:
            os.close(descriptor)

    def write(self, keys: list[bytes]) -> None:
        """Replaces the file. Raises OSError."""
        write_private(self.path, (_HEADER + "".join(f"{key.hex()}\n" for key in keys)).encode())
        self._keys, self._stamp = keys, self.stamp

    def _read(self) -> list[bytes]:
        stamp = self.stamp
        if stamp is not None and stamp == self._stamp and self._keys:
            return self._keys
        self._keys = []
        try:
            lines = [line.partition("#")[0].strip() for line in read_secret(self.path).splitlines()]
            keys = [bytes.fromhex(line) for line in lines if line]
        except NotFound:
            raise self._error("does not exist", f"Put it back from its copy. {_ROTATE}") from None
        except ValueError:
            raise self._error("holds something that is no key", f"Put it back from its copy. {_ROTATE}") from None
        except TrueframeError as error:
            raise SecretLocked(error.thing, error.reason, error.remedy) from None
        except OSError as error:
            raise self._error(f"cannot be read ({error.strerror})", "") from None
        if not keys or any(len(key) != _KEY_BYTES for key in keys):
            raise self._error("holds something that is no key", f"Put it back from its copy. {_ROTATE}")
        self._keys, self._stamp = keys, stamp
        return keys

    def _error(self, reason: str, remedy: str) -> SecretLocked:
        return SecretLocked(f"key of camera passwords {self.path}", reason, remedy)


def _parsed(sealed: str, owner: str) -> tuple[str, bytes]:
    key_id, _, text = sealed.removeprefix(PREFIX).partition(":")
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not is_sealed(sealed) or len(data) < _NONCE_BYTES + 16:
        raise SecretLocked(f"what is sealed for {owner}", "is damaged or was changed", "Give it again.")
    return key_id, data
