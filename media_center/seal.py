"""The seal at the end of a closed segment: what it says, its bytes, and the hash of what it covers. Pure.

What belongs here: the `uuid` box, taking one apart, and `ContentHash`. What does not: keys (`keys`), the order of a
camera's seals (`chain`), reading files (`seal_files`), judging them (`verify`).

The box stands behind the last fragment and has a fixed size, so that it is found from the end of the file. Big-endian:

    0   u32 size (308), 'uuid', 16 bytes "trueframe-seal-1"
    24  u8 version 1, 3 bytes flags
    28  u32 fragments
    32  i64 epoch, i64 seq in the file's name
    48  i64 first seq, i64 last seq (-1: no frame)
    64  i64 frames
    72  u64 bytes of the file before this box
    80  i64 when it was closed, UTC nanoseconds
    88  u64 number in the chain of this camera, from 1
    96  u8 length of the camera id, then 63 bytes with the id, zero-filled
    160 SHA-256 of the seal before it in the chain, zeros for the first
    192 SHA-256 of the content (`ContentHash`)
    224 key id: the first 16 bytes of SHA-256 of the public key
    240 Ed25519 signature of bytes 0 to 240
    304 u32 CRC-32 of bytes 24 to 304: tells a torn seal from one that was changed
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol, Self

USER_TYPE: Final = b"trueframe-seal-1"
SIGNATURE: Final = b"uuid" + USER_TYPE
_BODY: Final = struct.Struct(">I4s16sIIqqqqqQqQB63s32s32s16s")
_SIGNED_SIZE: Final = _BODY.size
SEAL_SIZE: Final = _SIGNED_SIZE + 64 + 4
assert SEAL_SIZE == 308
_VERSION: Final = 1
NO_SEAL: Final = bytes(32)
"""What the first seal of a chain has for the hash of the one before it."""

FOUND: Final = 1
"""Sealed at a start: some of it lay on disk unsealed while nobody was recording, as a crash leaves it."""
RESUMABLE: Final = 2
"""Sealed at an orderly stop: recording may go on in this segment, and then seals it again under the same number."""

_COUNTS = struct.Struct(">QII")


class MalformedSeal(ValueError):
    """Bytes that are not a whole seal of ours."""


class Signer(Protocol):
    """Whoever can sign: holds a private key."""

    def sign(self, statement: Callable[[bytes], bytes]) -> tuple[bytes, bytes]:
        """Asks for the bytes to sign, telling the key id; returns the key id and an Ed25519 signature of 64 bytes."""
        ...

    def is_own(self, key_id: bytes, signature: bytes, data: bytes) -> bool:
        """Whether a signature was made with this key or one that it came from."""
        ...


@dataclass(frozen=True, slots=True)
class Seal:
    """What a seal says."""

    camera: str
    epoch: int
    opened_seq: int
    first_seq: int
    """-1 if there is no frame."""
    last_seq: int
    frames: int
    fragments: int
    size: int
    """Bytes of the file before the seal."""
    closed_ns: int
    number: int
    """In the chain of the camera, from 1."""
    previous: bytes
    """Hash of the seal before it in the chain."""
    content: bytes
    flags: int = 0
    key_id: bytes = bytes(16)
    signature: bytes = bytes(64)

    @property
    def segment(self) -> str:
        """The name of the file that it belongs to."""
        return f"{self.epoch:019d}-{self.opened_seq:012d}.mp4"

    @property
    def signed(self) -> bytes:
        """The bytes that the signature covers."""
        name = self.camera.encode("ascii")
        if len(name) > 63:
            raise MalformedSeal("a camera id longer than 63 bytes")
        return _BODY.pack(
            SEAL_SIZE, b"uuid", USER_TYPE, _VERSION << 24 | self.flags, self.fragments, self.epoch, self.opened_seq,
            self.first_seq, self.last_seq, self.frames, self.size, self.closed_ns, self.number, len(name), name,
            self.previous, self.content, self.key_id,
        )  # fmt: skip

    def encode(self) -> bytes:
        """The box."""
        body = self.signed + self.signature
        return body + struct.pack(">I", zlib.crc32(body[24:]))

    @property
    def hash(self) -> bytes:
        """What the next seal of the chain and removal records name it by."""
        return hashlib.sha256(self.encode()).digest()


def sign_seal(seal: Seal, signer: Signer) -> Seal:
    """The same seal, signed."""
    values = {name: getattr(seal, name) for name in Seal.__slots__}
    key_id, signature = signer.sign(lambda key_id: Seal(**(values | {"key_id": key_id})).signed)
    return Seal(**(values | {"key_id": key_id, "signature": signature}))


def parse_seal(data: bytes | memoryview) -> Seal:
    """Takes a seal apart. Its signature is not checked here. Raises MalformedSeal unless it is whole and ours."""
    if len(data) < SEAL_SIZE:
        raise MalformedSeal("shorter than a seal")
    body = bytes(data[:SEAL_SIZE])
    (size, kind, user, version, fragments, epoch, opened, first, last, frames, covered, closed, number, name_size, name,
     previous, content, key_id) = _BODY.unpack_from(body)  # fmt: skip
    if kind != b"uuid" or user != USER_TYPE or size != SEAL_SIZE or version >> 24 != _VERSION:
        raise MalformedSeal("not a seal of this version")
    if zlib.crc32(body[24:-4]) != int.from_bytes(body[-4:], "big"):
        raise MalformedSeal("the checksum of a seal fails")
    if name_size > 63 or any(name[name_size:]) or min(epoch, opened, frames) < 0 or number < 1:
        raise MalformedSeal("a seal with values that none of ours has")
    try:
        camera = name[:name_size].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedSeal("a camera id that is not ASCII") from error
    return Seal(
        camera, epoch, opened, first, last, frames, fragments, covered, closed, number, previous, content,
        version & 0xFFFFFF, key_id, body[_SIGNED_SIZE : _SIGNED_SIZE + 64],
    )  # fmt: skip


class ContentHash:
    """Hash of a segment's content, fed fragment by fragment in file order, with what a seal counts beside it.

    Each fragment goes in as: u64 bytes of container, u32 frames, u32 bytes of its row box; the container's bytes (all
    that stands before the row box and is no sample: header, moof, head of mdat); the digests of its samples in the
    order of their rows; the row box. So every byte that is no sample is hashed itself, and every sample is covered by
    its SHA-256, which was made when the frame was received: the media is not hashed a second time.
    """

    __slots__ = ("_hash", "first_seq", "fragments", "frames", "last_seq", "size")

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.fragments = 0
        self.frames = 0
        self.first_seq = -1
        self.last_seq = -1
        self.size = 0
        """Bytes of the file that were covered."""

    def copy(self) -> Self:
        """The same, to go on separately."""
        other = type(self)()
        other._hash = self._hash.copy()
        other.fragments, other.frames = self.fragments, self.frames
        other.first_seq, other.last_seq, other.size = self.first_seq, self.last_seq, self.size
        return other

    def begin(self, container_size: int, frames: int, row_box_size: int) -> None:
        """Announces a fragment; its container, digests and row box follow through `feed`."""
        self._hash.update(_COUNTS.pack(container_size, frames, row_box_size))
        self.fragments += 1
        self.frames += frames

    def feed(self, *parts: bytes | memoryview) -> None:
        """The next bytes of an announced fragment."""
        for part in parts:
            self._hash.update(part)

    def end(self, seqs: tuple[int, int] | None, end: int) -> None:
        """Ends a fragment: its first and last seq if it has frames, and the file offset behind it."""
        if seqs is not None:
            if self.first_seq < 0:
                self.first_seq = seqs[0]
            self.last_seq = seqs[1]
        self.size = end

    def digest(self) -> bytes:
        """The hash so far."""
        return self._hash.digest()
