"""The chain of one camera's seals: which number comes next, behind which seal, and the head that says how far it is.

What belongs here: making the next seal, and `chain-head`, a copy of the newest seal beside the segments, so that newer
segments that vanish are missed. What does not: when a segment is sealed (`lane`, `recovery`) and judging (`verify`).
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from media_center.seal import NO_SEAL, SEAL_SIZE, ContentHash, MalformedSeal, Seal, Signer, parse_seal, sign_seal

HEAD_NAME = "chain-head"


class Chain:
    """Makes a camera's seals. Not thread-safe: whoever writes the camera's segments owns it."""

    def __init__(self, camera: str, folder: Path, signer: Signer, number: int = 0, last: bytes = NO_SEAL) -> None:
        """`number` and `last`: of the newest seal, and its hash."""
        self.camera = camera
        self.folder = folder
        self.signer = signer
        self.number = number
        self.last = last

    def next(self, epoch: int, opened_seq: int, content: ContentHash, closed_ns: int, flags: int = 0) -> Seal:
        """The seal that would come next. It counts when it is told to `advance`. `closed_ns`: UTC nanoseconds."""
        seal = Seal(
            self.camera, epoch, opened_seq, content.first_seq, content.last_seq, content.frames, content.fragments,
            content.size, closed_ns, self.number + 1, self.last, content.digest(), flags,
        )  # fmt: skip
        return sign_seal(seal, self.signer)

    def advance(self, seal: Seal) -> None:
        """A seal is on disk: the chain goes on behind it. The head follows; a disk that refuses it leaves the old."""
        self.number, self.last = seal.number, seal.hash
        with contextlib.suppress(OSError):
            write_head(self.folder, seal)

    def go_back(self, seal: Seal) -> None:
        """A seal was taken off again, because recording goes on in its segment."""
        self.number, self.last = seal.number - 1, seal.previous


def write_head(folder: Path, seal: Seal) -> None:
    """Replaces the head of a camera's chain. Raises OSError."""
    temporary = folder / (HEAD_NAME + ".new")
    temporary.write_bytes(seal.encode())
    temporary.replace(folder / HEAD_NAME)


def read_head(folder: Path) -> Seal | None:
    """The head of a camera's chain; None if there is none that can be read."""
    try:
        with (folder / HEAD_NAME).open("rb") as file:
            return parse_seal(file.read(SEAL_SIZE + 1))
    except (OSError, MalformedSeal):
        return None
