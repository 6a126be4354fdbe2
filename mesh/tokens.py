"""Ed25519 keys and the EdDSA tokens that name a caller. Who may do what with them is `mesh.roles`.

Free of gRPC at import: the supervisor mints tokens.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from mesh.config import Config
from mesh.errors import (
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from mesh.files import read_secret, write_atomic, write_private
from mesh.ids import validate_camera_id
from mesh.revocation import Revocations
from mesh.roles import UNMASKED_ROLES, Role

ISSUER = "trueframe"
_ALGORITHM = "EdDSA"
_CLOCK_LEEWAY_S = 30
_MAX_TOKEN_CHARACTERS = 65_536
_CACHED_TOKENS = 1024
# Whatever is revoked has ended by then, and leaves the list.
LONGEST_LIFE = timedelta(days=3660)


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `cameras`: the ids it may see; None means all. `token_id`: what revokes its token."""

    name: str
    role: Role
    cameras: frozenset[str] | None = None
    expires_s: float = float("inf")
    token_id: str = ""
    issued_s: float = 0.0
    unmasked: bool | None = None
    """Whether pictures are shown without privacy masks; None leaves it to the role."""

    @property
    def sees_unmasked(self) -> bool:
        """Whether the caller sees what privacy masks cover."""
        return self.role in UNMASKED_ROLES if self.unmasked is None else self.unmasked

    def require_unmasked(self, camera: str) -> None:
        """For what cannot be masked, of a camera that has masks. Raises PermissionDenied."""
        if not self.sees_unmasked:
            raise PermissionDenied(
                f"camera {camera!r}",
                f"has privacy masks, and its packets and exact files cannot be masked for {self.name!r}",
                "Take snapshots, thumbnails, contact sheets, viewing copies, which are; or a token with `--unmasked`.",
            )

    def allows(self, camera: str) -> bool:
        """Whether the camera is in the caller's scope."""
        return self.cameras is None or camera in self.cameras

    def require(self, camera: str) -> None:
        """Raises PermissionDenied unless the camera is in the caller's scope."""
        if not self.allows(camera):
            raise PermissionDenied(
                f"camera {camera!r}",
                f"is outside the scope of {self.name!r}",
                "A wider token is needed.",
            )

    def visible(self, cameras: Iterable[str]) -> list[str]:
        """Those of the cameras that are in the caller's scope, in the given order."""
        return [camera for camera in cameras if self.allows(camera)]


def create_signing_key(private_file: Path, public_file: Path) -> Ed25519PrivateKey:
    """Creates a key pair: the private half as PEM with mode 0600, the public half as PEM beside it."""
    key = Ed25519PrivateKey.generate()
    write_private(
        private_file,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    write_public_key(key, public_file)
    return key


def write_public_key(key: Ed25519PrivateKey, public_file: Path) -> None:
    """Writes the public half of a key as PEM."""
    write_atomic(
        public_file,
        key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def load_signing_key(private_file: Path) -> Ed25519PrivateKey:
    """Reads a private key. Raises NotFound, PermissionDenied (others can read it), FailedPrecondition (not a key)."""
    try:
        key = serialization.load_pem_private_key(read_secret(private_file).encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise FailedPrecondition(f"signing key {private_file}", "is not a private key in PEM form") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise FailedPrecondition(f"signing key {private_file}", "is not an Ed25519 key")
    return key


def load_public_key(public_file: Path) -> Ed25519PublicKey:
    """Reads a public key. Raises NotFound, FailedPrecondition (not a key)."""
    try:
        key = serialization.load_pem_public_key(Path(public_file).read_bytes())
    except FileNotFoundError:
        raise NotFound(f"public key {public_file}", "does not exist", "`trueframe up` creates it.") from None
    except (ValueError, UnsupportedAlgorithm):
        raise FailedPrecondition(f"public key {public_file}", "is not a public key in PEM form") from None
    if not isinstance(key, Ed25519PublicKey):
        raise FailedPrecondition(f"public key {public_file}", "is not an Ed25519 key")
    return key


def mint_token(
    key: Ed25519PrivateKey,
    name: str,
    role: Role | str,
    cameras: Iterable[str] | None = None,
    ttl: timedelta = timedelta(days=30),
    *,
    unmasked: bool | None = None,
) -> str:
    """A signed token for a caller. Every token ends: `ttl` from now. Raises InvalidArgument.

    `cameras=None` means all cameras; an empty collection means none. `unmasked`: pictures without, or with, privacy
    masks, whatever the role; None leaves it to the role.
    """
    if not name or len(name) > 128:
        raise InvalidArgument("token name", "has to have 1 to 128 characters")
    if ttl > LONGEST_LIFE:
        raise InvalidArgument("token", f"would hold for more than {LONGEST_LIFE.days} days")
    now_s = int(time.time())
    claims: dict[str, Any] = {
        "iss": ISSUER,
        "sub": name,
        "role": str(Role.parse(role)),
        "iat": now_s,
        "exp": now_s + int(ttl.total_seconds()),
        "jti": secrets.token_hex(8),
    }
    if cameras is not None:
        claims["cameras"] = sorted({validate_camera_id(camera) for camera in cameras})
    if unmasked is not None:
        claims["unmasked"] = unmasked
    return jwt.encode(claims, key, algorithm=_ALGORITHM)


class Verifier:
    """Tells who a token names. Keeps the tokens seen last, since a signature costs about 0.1 ms to check."""

    def __init__(self, *keys: Ed25519PublicKey, revocations: Revocations | None = None) -> None:
        if not keys:
            raise ValueError("a verifier needs at least one public key")
        self._keys = keys
        self.revocations = revocations
        self._known: OrderedDict[bytes, Principal] = OrderedDict()

    @classmethod
    def from_file(cls, public_file: Path) -> Verifier:
        """A verifier for the one key of a file. Raises as `load_public_key`."""
        return cls(load_public_key(public_file))

    @classmethod
    def from_config(cls, config: Config) -> Verifier:
        """A service's own, which knows what is revoked. Raises as `load_public_key`."""
        key = load_public_key(config.public_key_file)
        return cls(key, revocations=Revocations(config.revocations_file, [key]))

    def verify(self, token: str) -> Principal:
        """The caller whom a token names. Raises Unauthenticated, never saying anything of the token's content.

        Raises Unavailable for users while a list of revoked tokens is there that cannot be read.
        """
        principal = self._known_or_checked(token)
        if self.revocations is not None:
            if self.is_revoked(principal):
                raise revoked_error()
            if self.revocations.is_damaged and principal.role is not Role.SERVICE:
                raise Unavailable("list of revoked tokens", "cannot be read", "Ask an administrator.")
        return principal

    def is_revoked(self, principal: Principal) -> bool:
        """Whether the token that named this caller is revoked by now."""
        known = self.revocations.present if self.revocations is not None else None
        return known is not None and known.revokes(principal.token_id, principal.name, principal.issued_s)

    def _known_or_checked(self, token: str) -> Principal:
        fingerprint = sha256(token.encode(errors="surrogateescape")).digest()
        if known := self._known.get(fingerprint):
            if known.expires_s > time.time():
                self._known.move_to_end(fingerprint)
                return known
            del self._known[fingerprint]
        principal = self._check(token)
        self._known[fingerprint] = principal
        if len(self._known) > _CACHED_TOKENS:
            self._known.popitem(last=False)
        return principal

    def _check(self, token: str) -> Principal:
        if len(token) > _MAX_TOKEN_CHARACTERS:
            raise Unauthenticated("token", "is too long to be one")
        for key in self._keys:
            try:
                claims = jwt.decode(
                    token,
                    key,
                    algorithms=[_ALGORITHM],
                    issuer=ISSUER,
                    leeway=_CLOCK_LEEWAY_S,
                    options={"require": ["exp", "iat", "sub", "role"]},
                )
            except jwt.ExpiredSignatureError:
                raise Unauthenticated("token", "has expired", "Ask for a new one.") from None
            except jwt.ImmatureSignatureError:
                raise Unauthenticated("token", "is not valid yet", "Compare the clocks of both machines.") from None
            except jwt.InvalidSignatureError:
                continue
            except (jwt.PyJWTError, ValueError, RecursionError):
                raise Unauthenticated("token", "is malformed") from None
            return _principal(claims)
        raise Unauthenticated("token", "was signed by a key this service does not know", "Is it another instance's?")


def revoked_error() -> Unauthenticated:
    """What the bearer of a revoked token is told."""
    return Unauthenticated("token", "has been revoked", "Ask for a new one.")


def _principal(claims: Mapping[str, Any]) -> Principal:
    cameras = claims.get("cameras")
    well_formed = cameras is None or (isinstance(cameras, list) and all(isinstance(c, str) for c in cameras))
    unmasked = claims.get("unmasked")
    well_formed = well_formed and (unmasked is None or isinstance(unmasked, bool))
    try:
        role = Role.parse(claims["role"])
    except InvalidArgument:
        raise Unauthenticated("token", "names a role this service does not know") from None
    if not well_formed:
        raise Unauthenticated("token", "is malformed")
    return Principal(
        name=str(claims["sub"]),
        role=role,
        cameras=None if cameras is None else frozenset(cameras),
        expires_s=float(claims["exp"]) + _CLOCK_LEEWAY_S,
        token_id=str(claims.get("jti", "")),
        issued_s=float(claims["iat"]),
        unmasked=unmasked,
    )
