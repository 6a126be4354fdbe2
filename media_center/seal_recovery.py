"""Seals at a start: where a chain stands, sealing what a crash left open, taking off what an orderly stop put on.

What does not belong here: mending segments (`recovery`), and judging footage for anybody (`verify`).
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from media_center.catalogue import Segment
from media_center.chain import Chain, read_head
from media_center.rows import RowBox
from media_center.seal import FOUND, RESUMABLE, ContentHash, Seal, Signer
from media_center.seal_files import content_of, read_seal, seal_at_end
from mesh.logs import get_logger

log = get_logger("media_center.seals")

SEARCHED = 64
"""Segments at the end of a catalogue that are looked at for a seal, should the chain's head be gone."""


def find_chain(camera: str, folder: Path, names: Sequence[str], known: Collection[str], signer: Signer) -> Chain:
    """Where the chain of a camera goes on. `names`: its segments in order; `known`: those that a catalogue vouches for.

    The newest seal counts, be it in a segment or in the chain's head: segments that are gone leave a hole that shows.
    """
    newest = _newest_on_disk(folder, names, known, signer)
    head = read_head(folder)
    chain = Chain(camera, folder, signer)
    if newest is not None:
        chain.number, chain.last = newest.number, newest.hash
    if head is None or head.camera != camera or head.number <= chain.number:
        return chain
    if not signer.is_own(head.key_id, head.signature, head.signed):
        log.error("the head of a chain of seals is signed by a key that is not ours", camera=camera)
        return chain
    chain.number, chain.last = head.number, head.hash
    is_open = head.segment in names and _seal_of(folder / head.segment) is None
    if is_open and head.flags & RESUMABLE:
        chain.go_back(head)  # recording had gone on in that segment
    else:
        log.error("newest sealed segment is missing or has lost its seal", camera=camera, segment=head.segment)
    return chain


def _newest_on_disk(folder: Path, names: Sequence[str], known: Collection[str], signer: Signer) -> Seal | None:
    """The seal with the highest number among the segments that are new to the catalogue and the last ones before.

    Ours count before those of other keys, which are gone on with only where there is nothing else: footage that was
    restored to another machine, not a forged number.
    """
    newest: Seal | None = None
    others: Seal | None = None
    for position in range(len(names) - 1, -1, -1):
        is_recent = position >= len(names) - (2 if newest is not None else SEARCHED)
        if names[position] in known and not is_recent:
            continue
        seal = _seal_of(folder / names[position])
        if seal is None:
            continue
        if not signer.is_own(seal.key_id, seal.signature, seal.signed):
            others = seal if others is None or seal.number > others.number else others
        elif newest is None or seal.number > newest.number:
            newest = seal
    return newest or others


def _seal_of(path: Path) -> Seal | None:
    try:
        return read_seal(path)
    except OSError:
        return None


def seal_found(chain: Chain, path: Path, record: Segment, boxes: Sequence[RowBox], now_ns: int) -> None:
    """Seals a segment that nobody will write to any more, unless it has a seal. `now_ns`: UTC nanoseconds."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if seal_at_end(fd) is not None:
                return
            seal = chain.next(record.epoch, record.opened_seq, content_of(fd, boxes), now_ns, FOUND)
            os.pwrite(fd, seal.encode(), seal.size)
            os.fsync(fd)
        finally:
            os.close(fd)
    except OSError as error:
        log.error("segment cannot be sealed", camera=chain.camera, segment=record.name, reason=error.strerror)
        return
    chain.advance(seal)
    log.info("sealed what a crash had left open", camera=chain.camera, segment=record.name)


def take_off_seal(path: Path, boxes: Sequence[RowBox], chain: Chain | None) -> tuple[ContentHash, int] | None:
    """Makes the last segment one that can be gone on with: the hash of its content, and the flags its next seal needs.

    None if it is sealed for good, or is not what its seal says: then it stays as it is. Raises OSError.
    """
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        content = content_of(fd, boxes)
        seal = seal_at_end(fd)
        if seal is None:
            return content, FOUND
        if chain is None or not seal.flags & RESUMABLE:
            return None
        is_ours = chain.signer.is_own(seal.key_id, seal.signature, seal.signed)
        if is_ours and seal.content == content.digest() and seal.hash != chain.last:
            # Untouched, but seals that follow it could not be taken off with it.
            log.warning("segment is sealed, and its chain went on: a new one begins", camera=chain.camera,
                        segment=path.name)  # fmt: skip
            return None
        if not is_ours or seal.content != content.digest():
            log.error("segment is not as it was sealed: a new one begins", camera=chain.camera, segment=path.name)
            return None
        os.ftruncate(fd, seal.size)
        os.fsync(fd)
        chain.go_back(seal)
        # What lay unsealed before that stop lay so: no later seal takes it back.
        return content, seal.flags & FOUND
    finally:
        os.close(fd)
