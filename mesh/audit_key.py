"""The key that signs the heads of a data folder's audit logs: `keys/audit-signing.key`, made by whoever comes first.

What does not belong here: what is signed (`audit_book`).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from mesh.audit_log import Sign
from mesh.errors import NotFound
from mesh.files import private_folder
from mesh.tokens import create_signing_key, load_public_key, load_signing_key

KEY_NAME = "audit-signing.key"
PUBLIC_NAME = "audit-signing.pub"


def signer_of(keys: Path) -> Sign:
    """Signs with the key of a folder, which is made if it is not there.

    Raises PermissionDenied, FailedPrecondition (a file that is no key), OSError.
    """
    if not keys.exists():
        private_folder(keys)
    descriptor = os.open(keys / f".{KEY_NAME}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        # Services of one folder start together; one of them makes the key.
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            key = load_signing_key(keys / KEY_NAME)
        except NotFound:
            key = create_signing_key(keys / KEY_NAME, keys / PUBLIC_NAME)
    finally:
        os.close(descriptor)
    key_id = _id_of(key.public_key())

    def sign(statement: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
        return key_id, key.sign(statement(key_id))

    return sign


def judge_of(public_file: Path) -> Callable[[bytes, bytes, bytes], bool]:
    """Judges signatures of heads by a public key. Raises NotFound, FailedPrecondition."""
    key = load_public_key(public_file)
    known = _id_of(key)

    def is_signed(key_id: bytes, signature: bytes, data: bytes) -> bool:
        try:
            key.verify(signature, data)
        except InvalidSignature:
            return False
        return key_id == known

    return is_signed


def _id_of(key: Ed25519PublicKey) -> bytes:
    raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return sha256(raw).digest()[:16]
